"""A price for each GPU-hour taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import check_currency
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFee(Clause):
    """Every GPU-second taken, at a rate per GPU-hour; the month's total is rounded once.

    Units: `rate_per_gpu_h` in major units of the agreement's currency.
    """

    NAME: ClassVar[str] = "usage_fee"
    rate_per_gpu_h: Annotated[Decimal, Ge(0), Le(10**9)]
    currency: str | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The currency."""
        return check_currency(agreement, path, self.currency)
