"""A claim: a holder's call on pools over time, with a firmness."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from offtake.base.curve import Curve


class Firmness(StrEnum):
    """How a claim ranks when capacity is short."""

    FIRM = "firm"
    RECALLABLE = "recallable"
    INTERRUPTIBLE = "interruptible"
    INTERNAL = "internal"
    ELASTIC = "elastic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One holder's call on capacity.

    Attributes:
        id: unique in the book, such as ``anthropic/colossus-1``.
        holder: who holds it: an agreement's offtaker or an internal team.
        firmness: its rank when capacity is short.
        pools: pools that may serve it, most preferred first.
        gpus: how many GPUs it may hold, over time.
        owed_per_gpu_month: what the operator stands to owe, in minor units, for one GPU short for a
            month; orders firm claims against each other.
        agreement: the agreement it comes from, or None for the operator's own use.
        tranche: the tranche of that agreement.
    """

    id: str
    holder: str
    firmness: Firmness
    pools: tuple[str, ...]
    gpus: Curve
    owed_per_gpu_month: int = 0
    agreement: str | None = None
    tranche: str | None = None

    def __post_init__(self) -> None:
        if not self.pools or len(set(self.pools)) != len(self.pools):
            raise ValueError(
                f"claim {self.id}: pools must be named once each, and at least one: {self.pools}"
            )
        if len(self.gpus.values) and int(self.gpus.values.min()) < 0:
            raise ValueError(f"claim {self.id}: a claim can't be for fewer than no GPUs")
