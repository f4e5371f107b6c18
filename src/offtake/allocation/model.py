"""What the allocator is given and what it answers: pools, cuts, reasons and the plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.fleet.model import Cause

Placement: TypeAlias = Mapping[tuple[str, str], int]
"""GPUs held, by claim and pool; a pair that isn't named holds none."""


class ReasonCode(StrEnum):
    """Why a claim was short, or that it had to move."""

    OUTAGE = Cause.OUTAGE.value
    NOT_IN_SERVICE = Cause.NOT_IN_SERVICE.value
    POWER_CAP = Cause.POWER_CAP.value
    DERATE = Cause.DERATE.value
    OUTRANKED = "outranked"
    NO_CAPACITY = "no_capacity"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """A pool as the allocator sees it.

    Attributes:
        id: the pool's id in the fleet.
        gpus_per_node: GPUs of one node, the smallest thing that can be given to a claim.
        available: GPUs, already net of power caps, derates and outages; a part of a node isn't used.
    """

    id: str
    gpus_per_node: int
    available: Curve

    def __post_init__(self) -> None:
        if self.gpus_per_node < 1:
            raise ValueError(f"pool {self.id}: a node has at least one GPU, not {self.gpus_per_node}")
        if len(self.available.values) and int(self.available.values.min()) < 0:
            raise ValueError(f"pool {self.id}: fewer than no GPUs available: {self.available.values.min()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityCut:
    """GPUs that a pool lacks for a while, so that a shortfall can name its cause.

    `Supply.available` is already without them: a cut explains, it doesn't cut again.
    """

    pool: str
    interval: Interval
    gpus: int
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one claim was short, or moved, over a run of consecutive segments.

    Attributes:
        claim: whose shortfall or move it is.
        interval: first to last segment of the run, half-open.
        code: the cause; for one claim the shortfalls of all codes add up to its whole shortfall.
        gpus_max: most GPUs at once inside the run.
        gpu_seconds: GPU-seconds short; nought for a move, which costs none in this plan.
        displaced_by: claims that came first, highest rank first.
        sentence: the reason in plain English.
    """

    claim: str
    interval: Interval
    code: ReasonCode
    gpus_max: int
    gpu_seconds: int
    displaced_by: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTotals:
    """What a plan gives one claim over its window.

    Units: GPU-seconds, except `moved`, which counts GPUs. Invariant: demanded = delivered + short.
    """

    claim: str
    demanded: int
    delivered: int
    short: int
    rounding: int
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Who holds what, when.

    Shapes: K segments, segment k is [times[k], times[k+1]); C claims and P pools in the order given.

    Units: GPUs; times in seconds since the epoch.

    Attributes:
        window: what was planned.
        times: int64[K+1], every breakpoint of the input, the window's ends included.
        claims: ids in the order given.
        pools: ids in the order given.
        ranking: the claims' ids in the order of precedence, first served first.
        gpus: int64[K, C, P], whole nodes.
        capacity: int64[K, P], what each pool could give in whole nodes.
        demand: int64[K, C].
        short: int64[K, C], demand that isn't served.
        rounding: int64[K, C], GPUs held above demand because nodes are whole: borne by the operator.
        moved: int64[K, C], GPUs that left a pool at the start of the segment for another pool. A GPU that
            is lost and not replaced isn't moved: it is `short`.
        short_by: `short` split by cause, int64[K, C] each; they add up to it.
        reasons: by rank of claim, then time.
        objective: GPU-seconds delivered, each weighted by how many claims its claim precedes, plus one.
        bound: no plan can have a larger objective; None until `certify` has computed it.
    """

    window: Interval
    times: NDArray[np.int64]
    claims: tuple[str, ...]
    pools: tuple[str, ...]
    ranking: tuple[str, ...]
    gpus: NDArray[np.int64]
    capacity: NDArray[np.int64]
    demand: NDArray[np.int64]
    short: NDArray[np.int64]
    rounding: NDArray[np.int64]
    moved: NDArray[np.int64]
    short_by: Mapping[ReasonCode, NDArray[np.int64]]
    reasons: tuple[Reason, ...]
    objective: int
    bound: int | None = None

    def delivered(self, claim: str) -> Curve:
        """GPUs that serve the claim: what it holds, but no more than it asked for."""
        c = self.claims.index(claim)
        return self._curve(self.demand[:, c] - self.short[:, c])

    def held(self, claim: str, pool: str) -> Curve:
        """GPUs of one pool that the claim holds, rounding included."""
        return self._curve(self.gpus[:, self.claims.index(claim), self.pools.index(pool)])

    def shortfall(self, claim: str) -> Curve:
        """GPUs asked for and not delivered."""
        return self._curve(self.short[:, self.claims.index(claim)])

    def free(self, pool: str) -> Curve:
        """GPUs of a pool, in whole nodes, that nobody holds."""
        p = self.pools.index(pool)
        return self._curve(self.capacity[:, p] - self.gpus[:, :, p].sum(axis=1))

    def last_placement(self) -> dict[tuple[str, str], int]:
        """Who holds what just before the window ends: `previous` for a plan that goes on from there."""
        last = self.gpus[-1]
        return {
            (self.claims[c], self.pools[p]): int(last[c, p]) for c, p in zip(*last.nonzero(), strict=True)
        }

    @property
    def total_moves(self) -> int:
        """GPUs moved from one pool to another, over the whole window."""
        return int(self.moved.sum())

    @property
    def gap(self) -> Fraction | None:
        """How far the objective is below its bound, as a part of the bound; None before `certify`."""
        if self.bound is None:
            return None
        return Fraction(self.bound - self.objective, self.bound) if self.bound else Fraction(0)

    def totals(self) -> tuple[ClaimTotals, ...]:
        """GPU-seconds of each claim, exactly, in the order given."""
        lengths = np.diff(self.times)
        return tuple(
            ClaimTotals(
                claim=claim,
                demanded=gpu_seconds(self.demand[:, c], lengths),
                delivered=gpu_seconds(self.demand[:, c] - self.short[:, c], lengths),
                short=gpu_seconds(self.short[:, c], lengths),
                rounding=gpu_seconds(self.rounding[:, c], lengths),
                moved=int(self.moved[:, c].sum()),
            )
            for c, claim in enumerate(self.claims)
        )

    def _curve(self, values: NDArray[np.int64]) -> Curve:
        """A curve over the window and zero outside it: a Curve holds its last value for ever."""
        return Curve.from_arrays(self.times, np.append(values, 0))


def gpu_seconds(gpus: NDArray[np.int64], seconds: NDArray[np.int64]) -> int:
    """Sum of GPUs times seconds, exact.

    Raises:
        OverflowError: if the sum might not fit 63 bits.
    """
    worst = int(np.abs(gpus).max(initial=0)) * int(seconds.sum())
    if worst >= 2**63:
        raise OverflowError(f"up to {worst} GPU-seconds don't fit 63 bits; plan a shorter window")
    return int(gpus @ seconds)
