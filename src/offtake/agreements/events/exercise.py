"""A side exercises an option, or says that it won't."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.expansion import Expansion
from offtake.agreements.clauses.renewal import Renewal, extended_by, used_renewals
from offtake.agreements.model import Agreement, Event
from offtake.agreements.terms import Side
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise(Event):
    """A side exercises an option to extend or to expand.

    Attributes:
        id: name of it.
        agreement: the agreement's id.
        hypothetical: it was made up.
        option: path of the option, such as `renewal` or `expansion[1]`.
        by: the side whose option it is.
        given: the day it counts as received.
    """

    SECTION: ClassVar[str] = "exercise"
    KIND: ClassVar[str] = "option.exercised"
    option: str
    by: Side = Side.OFFTAKER
    given: date

    @property
    def day(self) -> date:
        """The day it counts as received."""
        return self.given

    @property
    def by_operator(self) -> bool:
        """Whether it is the operator's option."""
        return self.by is Side.OPERATOR

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of it, or why it doesn't count.

        Refusals, in order: `no_option`, `no_right`, `ended`, `used_up`, `too_late`.
        """
        clause = dict(agreement.clauses).get(self.option)
        if not isinstance(clause, Renewal | Expansion):
            return Refused(code="no_option", sentence=f"{agreement.id}: {self.option!r} is no option")
        owner = clause.by if isinstance(clause, Renewal) else Side.OFFTAKER
        if self.by is not owner:
            return Refused(code="no_right", sentence=f"{agreement.id}: {self.option} is the {owner}'s option")
        if agreement.ends_on is not None:
            return Refused(
                code="ended", sentence=f"{agreement.id}: it has been ended for {agreement.ends_on}"
            )
        return self._timely(agreement, clause)

    def _timely(self, agreement: Agreement, clause: Renewal | Expansion) -> Refused | date:
        if isinstance(clause, Renewal):
            used_up = used_renewals(agreement, self.option) >= clause.times
            last = clause.last_day(agreement)
        else:
            used_up, last = clause.exercised(agreement), clause.last_day
        if used_up:
            return Refused(
                code="used_up",
                sentence=f"{agreement.id}: {self.option} has been exercised as often as it may",
            )
        if self.given > last:
            return Refused(
                code="too_late",
                sentence=f"{agreement.id}: {self.option} had to be exercised by {last}, not on {self.given}",
            )
        return self.given

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Extended, or with the new tranche."""
        clause = dict(agreement.clauses)[self.option]
        if isinstance(clause, Renewal):
            return extended_by(agreement, clause.months)
        if isinstance(clause, Expansion):
            return clause.with_more(agreement)
        return agreement
