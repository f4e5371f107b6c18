"""A prepaid balance that every charge is taken from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet(Clause):
    """The offtaker tops up a balance; what a month comes to, tax included, is taken from it, oldest first.

    What it doesn't cover is invoiced. A top-up is money paid before it is earned.

    Attributes:
        expires_months: calendar months after the month of a top-up, at the end of which what is left of it
            is forfeited; never when left out.

    Source: prepaid credits as Lago and OpenMeter have them, with expiry.
    """

    NAME: ClassVar[str] = "wallet"
    expires_months: Annotated[int, Gt(0), Le(1_200)] | None = None
