"""The operator offers capacity to the offtaker first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.first_offer import FirstOffer
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer(Served):
    """Capacity that the offtaker may take before others are asked.

    Attributes:
        id: name of the offer.
        agreement: the agreement's id.
        hypothetical: it was made up.
        quantity: how much, in the unit of the first tranche.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
        answered: the day on which the offtaker took it or let it go; while it hasn't, left out.
    """

    SECTION: ClassVar[str] = "offer"
    KIND: ClassVar[str] = "capacity.offered"
    quantity: Annotated[Decimal, Gt(0), Le(10**12)]
    answered: date | None = None

    @property
    def by_operator(self) -> bool:
        """It is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The last day on which the offtaker may take it, or why it is no offer under the agreement.

        Refusals, in order: `no_clause`, `not_served`.
        """
        found = agreement.first_of(FirstOffer)
        if found is None:
            return Refused(code="no_clause", sentence=f"{agreement.id}: nothing must be offered first")
        received = self.received(agreement)
        return received if isinstance(received, Refused) else plus_days(received, found[1].answer_days)
