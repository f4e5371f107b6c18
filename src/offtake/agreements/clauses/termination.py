"""Notice and lock-in: when a side may leave for convenience."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen

from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import plus_days, plus_months


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination(Clause):
    """A side may end the agreement by notice, after a lock-in.

    Attributes:
        by: the side or sides that may leave.
        notice_days: calendar days from notice to the end.
        lock_in_months: calendar months from `lock_in_from` during which no notice may be given.
        lock_in_from: where the lock-in begins; the date of signature when left out.
        notice_after: instead of a lock-in, the last day on which no notice may be given.
    """

    NAME: ClassVar[str] = "termination"
    by: Annotated[tuple[Side, ...], MinLen(1)] = (Side.OPERATOR, Side.OFFTAKER)
    notice_days: Annotated[int, Ge(0), Le(36_500)]
    lock_in_months: Annotated[int, Ge(0), Le(1_200)] | None = None
    lock_in_from: date | None = None
    notice_after: date | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """One way of saying when, not two."""
        if self.lock_in_months is not None and self.notice_after is not None:
            yield Problem(
                where=path,
                code="contradiction",
                message="both lock_in_months and notice_after say when notice may first be given",
                remedy="keep one of them",
            )

    def first_notice(self, agreement: Agreement) -> date:
        """The first day on which notice may be given."""
        if self.notice_after is not None:
            return plus_days(self.notice_after, 1)
        return plus_months(self.lock_in_from or agreement.signed, self.lock_in_months or 0)

    def earliest_end(self, agreement: Agreement) -> date:
        """The first day no longer covered, when notice is given on the first day allowed."""
        return plus_days(self.first_notice(agreement), self.notice_days)

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
