"""Tender of a tranche, and the offtaker's answer to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.acceptance import Acceptance, governing_acceptance
from offtake.agreements.model import Agreement, Event
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Tender(Event):
    """The operator tenders a tranche for acceptance.

    Attributes:
        id: name of the tender.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche.
        given: the day from which the offtaker may test it.
    """

    SECTION: ClassVar[str] = "tender"
    KIND: ClassVar[str] = "tranche.tendered"
    tranche: str
    given: date

    @property
    def day(self) -> date:
        """The day of the tender."""
        return self.given

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of the tender, or why it doesn't count.

        Refusals, in order: `no_clause`, `already_accepted`.
        """
        if governing_acceptance(agreement, self.tranche) is None:
            return Refused(
                code="no_clause",
                sentence=f"{agreement.id}: nothing says how tranche {self.tranche!r} is accepted",
            )
        accepted = agreement.accepted.get(self.tranche)
        if accepted is not None and accepted <= self.given:
            return Refused(
                code="already_accepted",
                sentence=f"{agreement.id}: tranche {self.tranche!r} is accepted since {accepted}",
            )
        return self.given

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Accepted after the days for testing, where silence is acceptance."""
        clause = _clause(agreement, self.tranche)
        if not clause.deemed:
            return agreement
        return _accepted(agreement, self.tranche, plus_days(self.given, clause.days + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Event):
    """The offtaker accepts a tranche that was tendered, or rejects it.

    Attributes:
        id: name of the answer.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche.
        made: the day of the answer.
        accepted: whether it is accepted; its fees begin that day.
        reason: why not, for people.
    """

    SECTION: ClassVar[str] = "answer"
    KIND: ClassVar[str] = "tranche.answered"
    tranche: str
    made: date
    accepted: bool = True
    reason: str = ""

    @property
    def day(self) -> date:
        """The day of the answer."""
        return self.made

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of the answer, or why it doesn't count.

        Refusals, in order: `no_clause`, `not_tendered`, `too_late` (silence has been acceptance by then).
        """
        if governing_acceptance(agreement, self.tranche) is None:
            return Refused(
                code="no_clause",
                sentence=f"{agreement.id}: nothing says how tranche {self.tranche!r} is accepted",
            )
        tenders = [e for e, _ in agreement.events_of(Tender) if e.tranche == self.tranche]
        if not any(tender.given <= self.made for tender in tenders):
            return Refused(
                code="not_tendered",
                sentence=f"{agreement.id}: tranche {self.tranche!r} wasn't tendered by {self.made}",
            )
        deemed = agreement.accepted.get(self.tranche)
        if deemed is not None and deemed <= self.made:
            return Refused(
                code="too_late",
                sentence=f"{agreement.id}: tranche {self.tranche!r} counts as accepted since {deemed}",
            )
        return self.made

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Accepted from that day, or not accepted any more."""
        if self.accepted:
            return _accepted(agreement, self.tranche, self.made)
        left = {name: day for name, day in agreement.accepted.items() if name != self.tranche}
        return replace(agreement, accepted=left)


def _clause(agreement: Agreement, tranche: str) -> Acceptance:
    found = governing_acceptance(agreement, tranche)
    if found is None:
        raise KeyError(tranche)
    return found[1]


def _accepted(agreement: Agreement, tranche: str, day: date) -> Agreement:
    """Fees don't begin before the tranche does."""
    day = max(day, agreement.tranche_of(tranche).start)
    return replace(agreement, accepted={**agreement.accepted, tranche: day})
