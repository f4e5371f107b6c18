"""The offtaker may pass part of its entitlement on."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Resale(Clause):
    """Part of a tranche may be transferred to others for a time; the offtaker goes on owing its fees.

    Attributes:
        granularity_gpus: GPUs are transferred in multiples of this.
        retained_gpus: what the offtaker must keep of each tranche.
        notice_days: calendar days from notice to transfer.
        fee_per_gpu_h: what the operator charges for a GPU-hour that is transferred.

    Units: `fee_per_gpu_h` in major units of the agreement's currency.
    Source: SF Compute lets any part of what was bought be sold back; Soluna's customer may give its own
    customers access.
    """

    NAME: ClassVar[str] = "resale"
    granularity_gpus: Annotated[int, Gt(0), Le(10**9)] = 1
    retained_gpus: Annotated[int, Ge(0), Le(10**12)] = 0
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 0
    fee_per_gpu_h: Annotated[Decimal, Ge(0), Le(10**6)] = Decimal(0)
