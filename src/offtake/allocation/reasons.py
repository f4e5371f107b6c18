"""A reason for every shortfall and every move.

A segment's shortfall is split so that its parts add up. First what cuts explain: a claim suffers from a cut
in a pool that it could use, or in one that higher ranked holders of its pools could use, for they would make
room. Each GPU cut explains one GPU short, of the highest ranked claim first; what befell the fleet last goes
first (an outage before a derate that has stood for months). The rest is `outranked` where claims that come
first hold GPUs of its pools, otherwise `no_capacity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.inplace import reachable
from offtake.allocation.model import CapacityCut, Reason, ReasonCode, gpu_seconds
from offtake.base.time import Interval, format_instant
from offtake.claims.model import Claim, Firmness

_CUTS = (ReasonCode.OUTAGE, ReasonCode.NOT_IN_SERVICE, ReasonCode.POWER_CAP, ReasonCode.DERATE)
SHORT_CODES = (*_CUTS, ReasonCode.OUTRANKED, ReasonCode.NO_CAPACITY)
_WORDS = {
    ReasonCode.OUTAGE: "an outage",
    ReasonCode.NOT_IN_SERVICE: "a late delivery",
    ReasonCode.POWER_CAP: "a power cap",
    ReasonCode.DERATE: "a derate",
}
_NAMED = 3
"""Ids spelt out in one sentence; the rest are counted."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """A solved allocation as the reasons need it.

    Shapes: `gpus` int64[K, C, P], `start` int64[C, P], `short` and `moved` int64[K, C]; claims by rank.
    """

    claims: Sequence[Claim]
    pools: Sequence[str]
    precedence: tuple[Firmness, ...]
    times: Counts
    gpus: Counts
    start: Counts
    short: Counts
    moved: Counts
    causes: Mapping[str, Sequence[CapacityCut]]

    def pools_of(self, rank: int) -> list[int]:
        """Indices of the pools that may serve a claim."""
        return [self.pools.index(pool) for pool in self.claims[rank].pools]

    def interval(self, first: int, last: int) -> Interval:
        """From the start of one segment to the end of another."""
        return Interval(int(self.times[first]), int(self.times[last + 1]))


def reasons_of(shortage: Shortage, parts: Counts) -> tuple[Reason, ...]:
    """One reason per claim and maximal run of segments with one code, by rank, then time."""
    if not shortage.short.any() and not shortage.moved.any():
        return ()
    reasons: list[Reason] = []
    for rank in range(len(shortage.claims)):
        found = [
            _shortfall(shortage, rank, code, parts[i, :, rank], run)
            for i, code in enumerate(SHORT_CODES)
            for run in _runs(parts[i, :, rank])
        ]
        found += [_move(shortage, rank, run) for run in _runs(shortage.moved[:, rank])]
        reasons += sorted(found, key=lambda reason: (reason.interval, reason.code))
    return tuple(reasons)


def parts_of(shortage: Shortage) -> Counts:
    """Each shortfall split over `SHORT_CODES`; int64[codes, K, C]."""
    parts = np.zeros((len(SHORT_CODES), *shortage.short.shape), dtype=np.int64)
    cuts = _cuts(shortage)
    for k in np.flatnonzero(cuts.any(axis=(0, 1)) & shortage.short.any(axis=1)).tolist():
        parts[: len(_CUTS), k] = _explained(shortage, k, cuts[:, :, k])
    rest = shortage.short - parts.sum(axis=0)
    for rank in np.flatnonzero(rest.any(axis=0)).tolist():
        outranked = _holders(shortage, rank, slice(None)).any(axis=1)
        parts[len(_CUTS), :, rank] = np.where(outranked, rest[:, rank], 0)
        parts[len(_CUTS) + 1, :, rank] = np.where(outranked, 0, rest[:, rank])
    return parts


def _cuts(shortage: Shortage) -> Counts:
    """GPUs cut; int64[causes, P, K]. Every cut's ends are breakpoints."""
    starts = shortage.times[:-1]
    cuts = np.zeros((len(_CUTS), len(shortage.pools), len(starts)), dtype=np.int64)
    for found in shortage.causes.values():
        for cut in found:
            if cut.pool in shortage.pools:
                first, last = np.searchsorted(starts, (cut.interval.start, cut.interval.end))
                cause = _CUTS.index(ReasonCode(cut.cause.value))
                cuts[cause, shortage.pools.index(cut.pool), first:last] += cut.gpus
    return cuts


def _explained(shortage: Shortage, k: int, cuts: Counts) -> Counts:
    """GPUs short that cuts explain in one segment; int64[causes, C]."""
    masks = [sum(1 << p for p in shortage.pools_of(rank)) for rank in range(len(shortage.claims))]
    reach = [0] * len(shortage.pools)
    for rank, pool in zip(*np.nonzero(shortage.gpus[k]), strict=True):
        reach[pool] |= masks[rank]
    left = cuts.tolist()
    explained = np.zeros((len(_CUTS), len(shortage.claims)), dtype=np.int64)
    for rank in np.flatnonzero(shortage.short[k]).tolist():
        pools = reachable(masks[rank], reach)
        rest = int(shortage.short[k, rank])
        for i, by_pool in enumerate(left):
            for p in range(len(by_pool)):
                taken = min(rest, by_pool[p]) if pools >> p & 1 else 0
                by_pool[p] -= taken
                rest -= taken
                explained[i, rank] += taken
    return explained


def _holders(shortage: Shortage, rank: int, segments: slice) -> NDArray[np.bool_]:
    """Which higher ranked claims hold GPUs of a claim's pools; bool[segments, rank]."""
    return np.asarray(shortage.gpus[segments, :rank][:, :, shortage.pools_of(rank)].any(axis=2))


def _runs(values: Counts) -> list[tuple[int, int]]:
    """First and last index of each maximal run of non-zero values."""
    edges = np.diff(np.concatenate([[0], values != 0, [0]]).astype(np.int8))
    return list(
        zip(np.flatnonzero(edges == 1).tolist(), (np.flatnonzero(edges == -1) - 1).tolist(), strict=True)
    )


def _shortfall(shortage: Shortage, rank: int, code: ReasonCode, part: Counts, run: tuple[int, int]) -> Reason:
    first, last = run
    interval = shortage.interval(first, last)
    gpus = part[first : last + 1]
    winners: tuple[str, ...] = ()
    if code is ReasonCode.OUTRANKED:
        held = _holders(shortage, rank, slice(first, last + 1)).any(axis=0)
        winners = tuple(shortage.claims[r].id for r in np.flatnonzero(held).tolist())
    claim = shortage.claims[rank]
    sentence = (
        f"Claim {_named(claim)} is short of up to {int(gpus.max()):,} GPUs on {_listed(claim.pools, 'pool')} "
        f"from {format_instant(interval.start)} to {format_instant(interval.end)}: "
        f"{_because(shortage, rank, code, winners)}"
    )
    return Reason(
        claim=claim.id,
        interval=interval,
        code=code,
        gpus_max=int(gpus.max()),
        gpu_seconds=gpu_seconds(gpus, np.diff(shortage.times[first : last + 2])),
        displaced_by=winners,
        sentence=sentence,
    )


def _because(shortage: Shortage, rank: int, code: ReasonCode, winners: Sequence[str]) -> str:
    claim = shortage.claims[rank]
    place = f"it ranks {rank + 1} of {len(shortage.claims)}"
    if code is ReasonCode.NO_CAPACITY:
        return "these pools don't have more whole nodes, and no claim that comes first holds any of them."
    if code is ReasonCode.OUTRANKED:
        order = f"The order is {', '.join(shortage.precedence)}; inside one of these, what is owed most."
        return f"{_listed(winners, 'claim')} came first; {place}. {order}"
    if claim.firmness is Firmness.FIRM:
        rule = "a firm claim gives way only to what safety and outages force and to firm claims that owe more"
    else:
        rule = f"what safety and outages force comes first, then the claims above this one; {place}"
    return f"{_WORDS[code]} takes the GPUs that would have served it; {rule}."


def _move(shortage: Shortage, rank: int, run: tuple[int, int]) -> Reason:
    first, last = run
    change = np.diff(
        shortage.gpus[first : last + 1], axis=0, prepend=_held_before(shortage, first)[np.newaxis]
    )
    left = _ids(shortage, np.asarray((change[:, rank] < 0).any(axis=0)))
    came = _ids(shortage, np.asarray((change[:, rank] > 0).any(axis=0)))
    arrived = ((change > 0) & (change[:, rank] < 0)[:, np.newaxis]).any(axis=(0, 2))
    winners = tuple(shortage.claims[r].id for r in np.flatnonzero(arrived).tolist())
    interval = shortage.interval(first, last)
    gpus_max = int(shortage.moved[first : last + 1, rank].max())
    total = int(shortage.moved[first : last + 1, rank].sum())
    claim = shortage.claims[rank]
    when = f"At {format_instant(interval.start)}"
    if last > first:
        when += f" and at {last - first} more breakpoints before {format_instant(interval.end)}"
    sentence = (
        f"{when} {total:,} GPUs of claim {_named(claim)} move from {_listed(left, 'pool')} "
        f"to {_listed(came, 'pool')}: {_displacement(shortage, first, left, winners)}"
    )
    return Reason(
        claim=claim.id,
        interval=interval,
        code=ReasonCode.MOVED,
        gpus_max=gpus_max,
        gpu_seconds=0,
        displaced_by=winners,
        sentence=sentence,
    )


def _displacement(shortage: Shortage, k: int, left: Sequence[str], winners: Sequence[str]) -> str:
    if winners:
        return f"{_listed(winners, 'claim')} took the place: shortfalls are least in the order of rank."
    at = int(shortage.times[k])
    for pool in left:
        for cut in shortage.causes.get(pool, ()):
            if at in cut.interval:
                word = _WORDS[ReasonCode(cut.cause.value)]
                return f"{word} takes {cut.gpus:,} GPUs of pool {pool!r}, and other pools have room."
    return "the pool has fewer GPUs than before, and other pools have room."


def _held_before(shortage: Shortage, k: int) -> Counts:
    return shortage.gpus[k - 1] if k else shortage.start


def _ids(shortage: Shortage, chosen: NDArray[np.bool_]) -> list[str]:
    return [shortage.pools[p] for p in np.flatnonzero(chosen).tolist()]


def _named(claim: Claim) -> str:
    return f"{claim.id!r} ({claim.holder}, {claim.firmness})"


def _listed(ids: Sequence[str], what: str) -> str:
    """Pool 'a'; pools 'a' and 'b'; pools 'a', 'b', 'c' and 4 more."""
    shown = [repr(name) for name in ids[:_NAMED]]
    if len(ids) > _NAMED:
        return f"{what}s {', '.join(shown)} and {len(ids) - _NAMED} more"
    if len(ids) > 1:
        return f"{what}s {', '.join(shown[:-1])} and {shown[-1]}"
    return f"{what} {shown[0]}"
