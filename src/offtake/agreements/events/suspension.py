"""The operator suspends delivery, and takes it up again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.suspension import Suspension
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement
from offtake.base.months import plus_days
from offtake.base.outcome import Refused
from offtake.base.time import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionNotice(Served):
    """The operator's notice that it suspends delivery; recorded again with its end, it is lifted.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
        lifted: the day from which the offtaker is served again; while it isn't, left out.
        because: the reason, for people.
    """

    SECTION: ClassVar[str] = "suspension"
    KIND: ClassVar[str] = "delivery.suspended"
    lifted: date | None = None
    because: str = ""

    @property
    def by_operator(self) -> bool:
        """It is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The first day of the suspension, or why it doesn't count.

        Refusals, in order: `no_right`, `not_served`, `lifted_before`.
        """
        found = agreement.first_of(Suspension)
        if found is None:
            return Refused(code="no_right", sentence=f"{agreement.id}: delivery can't be suspended")
        received = self.received(agreement)
        if isinstance(received, Refused):
            return received
        first = plus_days(received, found[1].notice_days)
        if self.lifted is not None and self.lifted < self.given:
            return Refused(code="lifted_before", sentence=f"{self.lifted} is before {self.given}")
        return first


def suspended(agreement: Agreement) -> tuple[Interval, ...]:
    """Intervals in which delivery is suspended."""
    found = []
    for event, first in agreement.events_of(SuspensionNotice):
        end = min(agreement.ends, event.lifted or agreement.ends)
        if first < end:
            found.append(Interval(agreement.midnight(first), agreement.midnight(end)))
    return tuple(found)
