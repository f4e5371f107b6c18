"""The offtaker disputes a line; everything else of the document stays due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.model import Agreement, Event
from offtake.base.outcome import Refused


class Outcome(StrEnum):
    """How a dispute ended: the offtaker was right and is credited, or it owes what it disputed."""

    CREDITED = "credited"
    UPHELD = "upheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute(Event):
    """A part of a document that the offtaker doesn't accept; recorded again with its end when it is settled.

    What is disputed isn't overdue and isn't reminded of. Where the offtaker was right, the operator grants a
    `[[credit]]`.

    Attributes:
        id: name of the dispute.
        agreement: the agreement's id.
        hypothetical: it was made up.
        document: the document's number.
        line: number of the line, from 1; the whole document when left out.
        amount: how much of it is disputed.
        given: the day of the dispute.
        because: the reason, for people.
        ended: the day on which it was settled; while it isn't, left out.
        outcome: how it ended.

    Units: `amount` in major units of the agreement's currency.
    """

    SECTION: ClassVar[str] = "dispute"
    KIND: ClassVar[str] = "document.disputed"
    document: str
    line: Annotated[int, Gt(0), Le(10_000)] | None = None
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    given: date
    because: str
    ended: date | None = None
    outcome: Outcome | None = None

    @property
    def day(self) -> date:
        """The day of the dispute."""
        return self.given

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of the dispute, or why it doesn't count; what the document says is for the book to compare.

        Refusals, in order: `too_fine`, `no_outcome`.
        """
        try:
            agreement.money(self.amount)
        except ValueError as error:
            return Refused(code="too_fine", sentence=f"{agreement.id}: {error}")
        if (self.ended is None) != (self.outcome is None):
            return Refused(
                code="no_outcome",
                sentence=f"{agreement.id}: the end of a dispute and its outcome go together",
            )
        return self.given
