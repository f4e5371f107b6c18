"""The operator's right to sell what it doesn't sell elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Gt, Le, MinLen

from offtake.agreements.clauses.monthly_fee import check_amount
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPut(Clause):
    """The offtaker pays for capacity that nobody else has bought, up to a cap over the term.

    Owed: the smaller of what is left of the cap and unsold GPU-hours × price.

    Attributes:
        pools: pools whose unsold capacity counts.
        price_per_gpu_h: what an unsold GPU-hour costs.
        cap: the most that is ever owed.

    Units: money in major units of the agreement's currency.
    Source: NVIDIA's order of 9 September 2025 with CoreWeave ($6.3B of unsold capacity to 13 April 2032).
    """

    NAME: ClassVar[str] = "capacity_put"
    pools: Annotated[tuple[str, ...], MinLen(1)]
    price_per_gpu_h: Annotated[Decimal, Gt(0), Le(10**6)]
    cap: Annotated[Decimal, Gt(0), Le(10**15)]

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A cap in whole minor units."""
        return check_amount(agreement, f"{path}.cap", self.cap)
