"""The offtaker's choice after a missed delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.delivery import Delivery, Remedy
from offtake.agreements.model import Agreement, Event
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Election(Event):
    """The offtaker's choice after a missed delivery.

    Attributes:
        id: name of the election.
        agreement: the agreement's id.
        hypothetical: it was made up.
        choice: one of the remedies of the delivery clause.
        made: the day of the choice, after grace has ended.
        gpus: the count delivered and accepted, for a pro-rata fee.
        tranche: the tranche it is about, where the delivery clause is a tranche's.
    """

    SECTION: ClassVar[str] = "election"
    KIND: ClassVar[str] = "election.made"
    choice: Remedy
    made: date
    gpus: int = 0
    tranche: str | None = None

    @property
    def day(self) -> date:
        """The day of the choice."""
        return self.made

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of the choice, or why it doesn't count.

        Refusals, in order: `no_clause`, `not_offered`, `in_grace`, `more_than_committed`.
        """
        clause = self.clause(agreement)
        if clause is None:
            return Refused(
                code="no_clause", sentence=f"{agreement.id}: there is no delivery clause to elect under"
            )
        if self.choice not in clause.remedies:
            return Refused(
                code="not_offered", sentence=f"{agreement.id}: {self.choice} isn't among the remedies"
            )
        if self.made <= clause.grace_ends:
            return Refused(code="in_grace", sentence=f"{agreement.id}: grace runs until {clause.grace_ends}")
        if self.gpus > clause.gpus:
            return Refused(
                code="more_than_committed",
                sentence=f"{agreement.id}: {self.gpus:,} accepted is more than {clause.gpus:,} committed",
            )
        return self.made

    def clause(self, agreement: Agreement) -> Delivery | None:
        """The delivery clause it is made under."""
        found = agreement.first_of(Delivery)
        return found[1] if found else None

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Ended after the day of the choice, where it was to terminate."""
        if self.choice is Remedy.TERMINATE:
            return agreement.ending(plus_days(self.made, 1), by="delivery")
        return agreement
