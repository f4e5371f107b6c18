"""Money paid before it is earned, and how it is drawn down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.clauses.monthly_fee import check_amount, check_tranches
from offtake.agreements.model import Agreement, Clause, Due, DueKind
from offtake.agreements.schedule import owed_by
from offtake.base.errors import Problem
from offtake.base.months import Month, month_of_date


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepayment(Clause):
    """A part of the fees is paid before delivery and credited against invoices later.

    It is owed back until it is drawn down: cash, not revenue. It is invoiced as its month begins.

    Attributes:
        share: fraction of the scheduled fees (of the tranche, or of the whole agreement) that is prepaid; or
        amount: what is prepaid.
        tranche: the tranche it is for; the whole agreement when left out.
        months_before_start: calendar months before the first month of service in which it is due.
        credit_from_month: months of service that pass before it is drawn; 24 means from the 25th on.
        cap_share: no more than this fraction of a month's charges is drawn.
        cap_amount: no more than this is drawn in a month.
        refundable: what is left in the last month is paid back; otherwise it is forfeited to the operator.

    Units: `amount` and `cap_amount` in major units of the agreement's currency.
    Source: 20 % of each tranche before its delivery, credited after month 24 (IREN and Microsoft, 8-K of
    November 2025).
    """

    NAME: ClassVar[str] = "prepayment"
    share: Annotated[Decimal, Gt(0), Le(1)] | None = None
    amount: Annotated[Decimal, Gt(0), Le(10**15)] | None = None
    tranche: str | None = None
    months_before_start: Annotated[int, Ge(0), Le(120)] = 0
    credit_from_month: Annotated[int, Ge(0), Le(1_200)] = 0
    cap_share: Annotated[Decimal, Gt(0), Le(1)] = Decimal(1)
    cap_amount: Annotated[Decimal, Gt(0), Le(10**15)] | None = None
    refundable: bool = True

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A share or an amount: one of the two."""
        if (self.share is None) == (self.amount is None):
            yield Problem(
                where=path,
                code="one_of",
                message="a prepayment is a share of the fees or an amount",
                remedy="write share or amount",
            )
        if self.amount is not None:
            yield from check_amount(agreement, f"{path}.amount", self.amount)
        if self.cap_amount is not None:
            yield from check_amount(agreement, f"{path}.cap_amount", self.cap_amount)
        yield from check_tranches(agreement, path, self.tranche)

    def starts(self, agreement: Agreement) -> Month:
        """The first month of service it counts from."""
        own = [t.start for t in agreement.tranches if self.tranche in (None, t.id)]
        return month_of_date(min(own, default=agreement.starts))

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The month in which it is due."""
        month = self.starts(agreement).plus(-self.months_before_start)
        return month, month

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """The whole prepayment; an early end that comes later doesn't lower it."""
        path = agreement.path_of(self)
        if self.amount is not None:
            exact, basis = agreement.minor(self.amount), [f"{path}.amount"]
        else:
            whole = replace(agreement, ends_on=None, ended_by="")
            fees = [
                item
                for other, clause in whole.clauses
                if not isinstance(clause, Prepayment)
                for item in owed_by(whole, other, clause)
                if item.kind is DueKind.FEE and self.tranche in (None, item.tranche)
            ]
            exact = sum(item.amount.minor for item in fees) * Fraction(self.share or 0)
            basis = [f"{path}.share", *(term for item in fees for term in item.basis)]
        yield Due(
            month=month,
            exact=exact,
            basis=tuple(dict.fromkeys(basis)),
            tranche=self.tranche,
            kind=DueKind.PREPAYMENT,
            measured=True,
        )
