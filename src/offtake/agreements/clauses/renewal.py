"""Options to extend the term."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.months import plus_days, plus_months


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal(Clause):
    """The right of a side to extend the term, so many times by so many months.

    Tranches and fees that run to the end of the term run on; an escalator goes on.

    Attributes:
        times: how often it may be exercised.
        months: calendar months of each extension.
        notice_days: calendar days before the end by which it must be exercised.
        by: whose option it is.
        automatic: it extends unless that side says otherwise in time.

    Source: "2×5 or 3×5 years", as published for TeraWulf, Hut 8 and Applied Digital.
    """

    NAME: ClassVar[str] = "renewal"
    times: Annotated[int, Gt(0), Le(100)] = 1
    months: Annotated[int, Gt(0), Le(1_200)]
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 0
    by: Side = Side.OFFTAKER
    automatic: bool = False

    def last_day(self, agreement: Agreement) -> date:
        """The last day on which the option may be exercised, as the term stands."""
        return plus_days(agreement.term_end, -1 - self.notice_days)

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The last day of the next option."""
        if agreement.ends_on is not None or used_renewals(agreement, agreement.path_of(self)) >= self.times:
            return
        path = agreement.path_of(self)
        who = agreement.operator if self.by is Side.OPERATOR else agreement.offtaker
        unless = "unless it says otherwise by the end of this day" if self.automatic else "by this day"
        yield Deadline(
            on=self.last_day(agreement),
            what=f"{who} may extend the term by {self.months} months {unless}",
            side=self.by,
            basis=(f"{path}.months", f"{path}.notice_days"),
        )


def extended_by(agreement: Agreement, months: int) -> Agreement:
    """The agreement with its term extended: whatever runs to its end runs on."""
    end = agreement.term_end
    tranches = tuple(
        replace(t, through=plus_days(plus_months(end, months), -1)) if plus_days(t.through, 1) == end else t
        for t in agreement.tranches
    )
    return replace(agreement, tranches=tranches, extended_months=agreement.extended_months + months)


def used_renewals(agreement: Agreement, path: str) -> int:
    """How often the option at a path has been exercised."""
    return sum(1 for event, _ in agreement.happened if getattr(event, "option", None) == path)


def with_every_renewal(agreement: Agreement) -> Agreement:
    """The agreement as if every option that is left were exercised."""
    if agreement.ends_on is not None:
        return agreement
    for path, clause in agreement.all_of(Renewal):
        for _ in range(clause.times - used_renewals(agreement, path)):
            agreement = extended_by(agreement, clause.months)
    return agreement
