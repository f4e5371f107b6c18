"""The offtaker's choice after a missed delivery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

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
        days: by how many days a tranche is shifted.
        tranche: the tranche it is about, where the delivery clause is a tranche's.
    """

    SECTION: ClassVar[str] = "election"
    KIND: ClassVar[str] = "election.made"
    choice: Remedy
    made: date
    gpus: Annotated[int, Ge(0), Le(10**12)] = 0
    days: Annotated[int, Ge(0), Le(36_500)] = 0
    tranche: str | None = None

    @property
    def day(self) -> date:
        """The day of the choice."""
        return self.made

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of the choice, or why it doesn't count.

        Refusals, in order: `no_clause`, `not_offered`, `in_grace`, `more_than_committed`, `no_days`.
        """
        found = self.governing(agreement)
        if found is None:
            return Refused(
                code="no_clause", sentence=f"{agreement.id}: there is no delivery clause to elect under"
            )
        clause = found[1]
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
        if self.choice is Remedy.SHIFT_DATES and not self.days:
            return Refused(code="no_days", sentence=f"{agreement.id}: by how many days isn't said")
        return self.made

    def governing(self, agreement: Agreement) -> tuple[str, Delivery] | None:
        """The delivery clause it is made under, with its path."""
        clauses = agreement.all_of(Delivery)
        return next((pair for pair in clauses if pair[1].tranche == self.tranche), None)

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Ended after the day of the choice, wholly or the tranche; or the tranche's dates shifted."""
        found = self.governing(agreement)
        if found is None:
            return agreement
        if self.choice is Remedy.TERMINATE:
            return agreement.ending(plus_days(self.made, 1), by=found[0])
        if self.tranche is not None and self.choice is Remedy.TERMINATE_TRANCHE:
            return agreement.with_tranche(self.tranche, through=self.made)
        if self.tranche is not None and self.choice is Remedy.SHIFT_DATES:
            own = agreement.tranche_of(self.tranche)
            return agreement.with_tranche(
                self.tranche,
                start=plus_days(own.start, self.days),
                through=plus_days(own.through, self.days),
                full_from=None if own.full_from is None else plus_days(own.full_from, self.days),
                steps=tuple(replace(s, start=plus_days(s.start, self.days)) for s in own.steps),
            )
        return agreement
