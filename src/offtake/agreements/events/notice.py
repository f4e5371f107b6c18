"""A side's notice that it leaves for convenience."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.termination import Termination
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Side
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Served):
    """A side's notice that it leaves for convenience.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        by: the side that leaves.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways; it then counts as received when they say.
    """

    SECTION: ClassVar[str] = "notice"
    KIND: ClassVar[str] = "notice.given"
    by: Side

    @property
    def by_operator(self) -> bool:
        """Whether the operator leaves."""
        return self.by is Side.OPERATOR

    def check(self, agreement: Agreement) -> Refused | date:
        """The first day no longer covered, or why the notice doesn't count.

        Refusals, in order: `no_right` (that side can't leave for convenience), `not_served`, `locked_in`
        (too early).
        """
        exits = [clause for _, clause in agreement.all_of(Termination) if self.by in clause.by]
        if not exits:
            return Refused(
                code="no_right", sentence=f"{agreement.id}: the {self.by} can't leave for convenience"
            )
        received = self.received(agreement)
        if isinstance(received, Refused):
            return received
        open_ = self._open(agreement)
        if not open_:
            first = min(clause.first_notice(agreement) for clause in exits)
            return Refused(
                code="locked_in",
                sentence=f"{agreement.id}: notice on {received} is too early; the first day is {first}",
                facts={"first_notice": str(first)},
            )
        return open_[0][0]

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """The agreement, ended by the clause that ends it soonest."""
        return agreement.ending(effective, by=self._open(agreement)[0][1])

    def _open(self, agreement: Agreement) -> list[tuple[date, str]]:
        """Ends that the notice may bring, with the paths of their clauses, soonest first."""
        received = self.counted(agreement)
        return sorted(
            (plus_days(received, clause.notice_days), path)
            for path, clause in agreement.all_of(Termination)
            if self.by in clause.by and clause.first_notice(agreement) <= received
        )
