"""The offtaker tops up its balance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.wallet import Wallet
from offtake.agreements.model import Agreement, Event
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp(Event):
    """Money that the offtaker puts on its balance; it is invoiced with the month.

    Attributes:
        id: name of the top-up.
        agreement: the agreement's id.
        hypothetical: it was made up.
        amount: how much.
        given: the day of it.

    Units: `amount` in major units of the agreement's currency.
    """

    SECTION: ClassVar[str] = "top_up"
    KIND: ClassVar[str] = "balance.topped_up"
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    given: date

    @property
    def day(self) -> date:
        """The day of it."""
        return self.given

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of it, or why it doesn't count.

        Refusals, in order: `no_clause`, `too_fine`.
        """
        if agreement.first_of(Wallet) is None:
            return Refused(code="no_clause", sentence=f"{agreement.id}: it has no balance to top up")
        try:
            agreement.money(self.amount)
        except ValueError as error:
            return Refused(code="too_fine", sentence=f"{agreement.id}: {error}")
        return self.given
