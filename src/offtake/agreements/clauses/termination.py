"""Notice and lock-in: when a side may leave for convenience."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen

from offtake.agreements.clauses.monthly_fee import MonthlyFee, check_amount
from offtake.agreements.model import Agreement, Clause, Deadline, Due, DueKind
from offtake.agreements.schedule import fee_schedule, last_month, owed_by
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import Month, plus_days, plus_months


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination(Clause):
    """A side may end the agreement by notice, after a lock-in.

    Attributes:
        by: the side or sides that may leave.
        notice_days: calendar days from notice to the end.
        lock_in_months: calendar months from `lock_in_from` during which no notice may be given.
        lock_in_from: where the lock-in begins; the date of signature when left out.
        notice_after: instead of a lock-in, the last day on which no notice may be given.
        fee: what leaving costs, owed in the last month covered.
        fee_months: what leaving costs, as so many full monthly fees.
        fee_share_of_remaining: what leaving costs, as a fraction of the scheduled fees that fall away.

    Units: `fee` in major units of the agreement's currency; the three parts add up.
    """

    NAME: ClassVar[str] = "termination"
    by: Annotated[tuple[Side, ...], MinLen(1)] = (Side.OPERATOR, Side.OFFTAKER)
    notice_days: Annotated[int, Ge(0), Le(36_500)]
    lock_in_months: Annotated[int, Ge(0), Le(1_200)] | None = None
    lock_in_from: date | None = None
    notice_after: date | None = None
    fee: Annotated[Decimal, Ge(0), Le(10**15)] = Decimal(0)
    fee_months: Annotated[Decimal, Ge(0), Le(1_200)] = Decimal(0)
    fee_share_of_remaining: Annotated[Decimal, Ge(0), Le(1)] = Decimal(0)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """One way of saying when, not two; a fee in months needs a monthly fee."""
        yield from check_amount(agreement, f"{path}.fee", self.fee)
        if self.fee_months and agreement.first_of(MonthlyFee) is None:
            yield Problem(
                where=f"{path}.fee_months",
                code="missing_clause",
                message="a fee of so many monthly fees needs a monthly fee, and there is none",
                remedy="add [monthly_fee], or state the fee as an amount",
            )
        if self.lock_in_months is not None and self.notice_after is not None:
            yield Problem(
                where=path,
                code="contradiction",
                message="both lock_in_months and notice_after say when notice may first be given",
                remedy="keep one of them",
            )

    def span(self, agreement: Agreement) -> tuple[Month, Month] | None:
        """The last month covered, where this clause ended the agreement and leaving costs something."""
        if agreement.ended_by != agreement.path_of(self) or not self._fee_terms():
            return None
        return last_month(agreement), last_month(agreement)

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """What leaving costs."""
        path = agreement.path_of(self)
        basis = tuple(f"{path}.{name}" for name in self._fee_terms())
        yield Due(month=month, exact=self.exit_fee(agreement), basis=basis, measured=True)

    def exit_fee(self, agreement: Agreement) -> Fraction:
        """What leaving costs an agreement that this clause has ended.

        Units: minor units of its currency, exact.
        """
        exact = agreement.minor(self.fee)
        monthly = agreement.first_of(MonthlyFee)
        if self.fee_months and monthly is not None:
            exact += agreement.minor(monthly[1].amount) * Fraction(self.fee_months)
        if self.fee_share_of_remaining:
            whole = fee_schedule(replace(agreement, ends_on=None, ended_by=""))
            kept = sum(
                item.amount.minor
                for path, clause in agreement.clauses
                if clause is not self
                for item in owed_by(agreement, path, clause)
                if item.kind is DueKind.FEE
            )
            exact += (whole.total.minor - kept) * Fraction(self.fee_share_of_remaining)
        return exact

    def _fee_terms(self) -> tuple[str, ...]:
        names = ("fee", "fee_months", "fee_share_of_remaining")
        return tuple(name for name in names if getattr(self, name))

    def first_notice(self, agreement: Agreement, on: date | None = None) -> date:
        """The first day on which notice may be given; not before `on`, where that is given."""
        if self.notice_after is not None:
            first = plus_days(self.notice_after, 1)
        else:
            first = plus_months(self.lock_in_from or agreement.signed, self.lock_in_months or 0)
        return first if on is None else max(first, on)

    def earliest_end(self, agreement: Agreement, on: date | None = None) -> date:
        """The first day no longer covered, when notice is given on the first day allowed."""
        return plus_days(self.first_notice(agreement, on), self.notice_days)

    def basis(self, path: str) -> tuple[str, ...]:
        """Terms that the dates rest on."""
        when = ("notice_after",) if self.notice_after is not None else ("lock_in_months", "lock_in_from")
        return (f"{path}.notice_days", *(f"{path}.{name}" for name in when))

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The first day of notice and the end it would bring."""
        basis = self.basis(agreement.path_of(self))
        first, end = self.first_notice(agreement), self.earliest_end(agreement)
        if end >= agreement.term_end:
            return
        side = self.by[0] if len(self.by) == 1 else None
        who = " or ".join(agreement.operator if s is Side.OPERATOR else agreement.offtaker for s in self.by)
        yield Deadline(
            on=first,
            what=f"first day {who} may give {self.notice_days} days' notice; "
            f"the agreement would end on {end}",
            side=side,
            basis=basis,
        )
