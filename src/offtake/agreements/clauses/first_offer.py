"""The offtaker is asked first."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOffer(Clause):
    """Before the operator sells certain capacity to others, it must offer it to the offtaker.

    Attributes:
        what: which capacity, for people.
        quantity: how much of it, in the unit of the first tranche; any amount when left out.
        answer_days: calendar days in which the offtaker may take the offer.

    Source: TeraWulf's and Applied Digital's rights on sites next to those leased; 1,000 MW for one of them.
    """

    NAME: ClassVar[str] = "first_offer"
    what: str
    quantity: Annotated[Decimal, Gt(0), Le(10**12)] | None = None
    answer_days: Annotated[int, Ge(0), Le(3_650)] = 30
