"""Events that begin with a notice: who gave it, how it was served, and when it counts as received."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from offtake.agreements.clauses.notices import Notices
from offtake.agreements.model import Agreement, Event
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Served(Event):
    """Base of events that are served as a notice.

    Attributes:
        given: the day it counts as received; or the day it was sent, where `how` says how it was served.
        how: the way in which it was served, one of the agreement's `[notices]`.
    """

    given: date
    how: str | None = None

    @property
    def day(self) -> date:
        """The day it was given or sent."""
        return self.given

    def received(self, agreement: Agreement) -> date | Refused:
        """The day it counts as received, or why it wasn't served.

        Refusals: `not_served` where the agreement names ways of serving notices, and this isn't one.
        """
        found = agreement.first_of(Notices)
        if self.how is None:
            return self.given
        way = next((w for w in found[1].way if w.how == self.how), None) if found else None
        if found is None or way is None:
            ways = "names no ways of serving notices"
            if found is not None:
                ways = f"takes notices by {', '.join(w.how for w in found[1].way)}"
            return Refused(
                code="not_served", sentence=f"{agreement.id}: {ways}; this one was served by {self.how}"
            )
        return found[1].received(way, self.given)

    def counted(self, agreement: Agreement) -> date:
        """The day an event that counts was received."""
        received = self.received(agreement)
        return self.given if isinstance(received, Refused) else received
