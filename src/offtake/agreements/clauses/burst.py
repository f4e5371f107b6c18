"""Take beyond the entitlement, at a rate of its own."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst(Clause):
    """GPU-hours taken beyond the entitlement (overage), at their own rate; a usage fee then charges the rest.

    Attributes:
        rate_per_gpu_h: rate of a GPU-hour beyond the entitlement.
        cap_gpu_h: no more than so many GPU-hours of a month are charged; no cap when left out.
        counts_to_minimum: whether they count towards a minimum take.

    Units: `rate_per_gpu_h` in major units of the agreement's currency.
    """

    NAME: ClassVar[str] = "burst"
    rate_per_gpu_h: Annotated[Decimal, Ge(0), Le(10**9)]
    cap_gpu_h: Annotated[Decimal, Ge(0), Le(10**12)] | None = None
    counts_to_minimum: bool = False
