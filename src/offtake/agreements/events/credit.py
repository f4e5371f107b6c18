"""What the operator gives away: a credit that nothing obliges it to, and a debt it no longer asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.model import Agreement, Event
from offtake.agreements.schedule import first_month, last_month
from offtake.base.months import Month
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit(Event):
    """A credit that no clause gives, out of kindness or to settle a dispute.

    Attributes:
        id: name of the credit.
        agreement: the agreement's id.
        hypothetical: it was made up.
        month: the service month it is for.
        amount: how much.
        given: the day it is granted.
        because: the reason, to be printed on its line.

    Units: `amount` in major units of the agreement's currency.
    """

    SECTION: ClassVar[str] = "credit"
    KIND: ClassVar[str] = "credit.granted"
    month: Month
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    given: date
    because: str

    @property
    def day(self) -> date:
        """The day it is granted."""
        return self.given

    @property
    def by_operator(self) -> bool:
        """It is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The day it is granted, or why it can't be.

        Refusals, in order: `outside_term`, `too_fine`.
        """
        first, last = first_month(agreement), last_month(agreement)
        if not first <= self.month <= last:
            return Refused(
                code="outside_term",
                sentence=f"{agreement.id}: {self.month} is outside its months {first} to {last}",
            )
        return _whole(agreement, self.amount) or self.given


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOff(Event):
    """A document, or a part of it, that the operator no longer expects to be paid.

    Attributes:
        id: name of it.
        agreement: the agreement's id.
        hypothetical: it was made up.
        document: the document's number.
        amount: how much of it.
        given: the day it is decided.
        because: the reason, for people.

    Units: `amount` in major units of the agreement's currency.
    """

    SECTION: ClassVar[str] = "write_off"
    KIND: ClassVar[str] = "document.written_off"
    document: str
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    given: date
    because: str

    @property
    def day(self) -> date:
        """The day it is decided."""
        return self.given

    @property
    def by_operator(self) -> bool:
        """It is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The day it is decided, or why it can't be; whether so much is open is for the book to say.

        Refusals: `too_fine`.
        """
        return _whole(agreement, self.amount) or self.given


def _whole(agreement: Agreement, amount: Decimal) -> Refused | None:
    try:
        agreement.money(amount)
    except ValueError as error:
        return Refused(code="too_fine", sentence=f"{agreement.id}: {error}")
    return None
