"""What another claim could get if those that are there were moved freely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.horizon import Wanted, check_pools, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.network import units_of
from offtake.base.curve import Curve, combine, matrix, merged_times
from offtake.base.time import Interval
from offtake.claims.model import Claim, Firmness

CUTS = 12
"""Up to so many pools that share claims, every cut is looked at; beyond, the claims are placed."""

_CELLS = 1 << 23
_MOST_CELLS = 1 << 27


def room_for(
    claims: Sequence[Claim], pools: Sequence[Supply], window: Interval, into: Sequence[str]
) -> Curve:
    """GPUs that a new claim on some pools could have at each instant, the others served as well as can be.

    The others make what room they can. Within one segment they may sit otherwise than in the next. By
    max-flow min-cut it is the least capacity of a cut that has all the new claim's pools, less the least of
    any cut: a cut takes some pools, and every claim that isn't confined to them.

    Args:
        claims: that are there.
        pools: every pool that a claim names.
        window: half-open, not empty.
        into: pools that may serve the new claim.

    Raises:
        ValueError: for an empty window, or an unknown pool.
    """
    if not window.seconds:
        raise ValueError(f"there is nothing to ask of an empty window: {window}")
    there = combine([pool.available for pool in pools if pool.id in into] or [Curve.zero()]).restrict(window)
    new = Claim(id="\0new", holder="", firmness=Firmness.ELASTIC, pools=tuple(into), gpus=there)
    near = joined([*claims, new], pools, new)
    if len(near) > CUTS:
        wanted = [Wanted(claim=claim, value=2) for claim in claims] + [Wanted(claim=new, value=1)]
        return plan_horizon(wanted, pools, window).served(new.id)
    task = cut_task([*claims, new], near, window)
    found = least_cuts(task.room, task.asked[:-1], task.inside[:-1], task.inside[-1:])[0]
    return Curve.from_arrays(task.times, np.append(found, 0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uncertain:
    """Work of which several outcomes are as likely, and the pools that may run it.

    Shapes: gpus int64[S, T]; or [1, T], the same in every outcome.
    """

    pools: tuple[str, ...]
    gpus: NDArray[np.int64]


def rooms_for(
    claims: Sequence[Claim],
    uncertain: Sequence[Uncertain],
    lost: Mapping[str, NDArray[np.int64]],
    pools: Sequence[Supply],
    *,
    hours: NDArray[np.int64],
    into: Sequence[Sequence[str]],
) -> NDArray[np.int64] | None:
    """`room_for` in each of many outcomes of the other work, at some instants, for several sets of pools.

    Args:
        claims: that are there, whatever comes.
        uncertain: the rest; served as well as can be, like the claims.
        lost: GPUs that each pool lacks in each outcome, int64[S, T]; pools left out lack none.
        pools: every pool that anything names.
        hours: int64[T], rising.
        into: sets of pools to ask about.

    Returns:
        int64[len(into), S, T], GPUs; None where so many cuts would take too long.
    """
    window = Interval(int(hours[0]), int(hours[-1]) + 1)
    any_of = tuple({pool for one in into for pool in one})
    new = Claim(id="\0new", holder="", firmness=Firmness.ELASTIC, pools=any_of, gpus=Curve.zero())
    stands = [
        Claim(id=f"\0{i}", holder="", firmness=Firmness.ELASTIC, pools=one.pools, gpus=Curve.zero())
        for i, one in enumerate(uncertain)
    ]
    near = joined([*claims, *stands, new], pools, new)
    task = cut_task([*claims, *stands], near, window)
    outcomes = max([1, *(len(one.gpus) for one in uncertain), *(len(one) for one in lost.values())])
    columns = outcomes * len(hours)
    if columns << len(near) > _MOST_CELLS:
        return None
    at = np.searchsorted(task.times, hours, side="right") - 1
    room = np.repeat(task.room[:, np.newaxis, at], outcomes, axis=1)
    for p, pool in enumerate(near):
        if pool.id in lost:
            nodes = -(-lost[pool.id] // pool.gpus_per_node)
            room[p] = np.maximum(room[p] - nodes * pool.gpus_per_node, 0)
    asked: dict[int, NDArray[np.int64]] = {}
    for row, (c, mask) in enumerate(zip(task.claims, task.inside, strict=True)):
        own = task.asked[row, at][np.newaxis]
        if c >= len(claims):
            own = -(-uncertain[c - len(claims)].gpus // task.units[row]) * task.units[row]
        asked[mask] = asked.get(mask, np.zeros((outcomes, len(hours)), dtype=np.int64)) + own
    place = {pool.id: 1 << p for p, pool in enumerate(near)}
    found = least_cuts(
        room.reshape(len(near), columns),
        np.array(list(asked.values()), dtype=np.int64).reshape(len(asked), columns),
        tuple(asked),
        [sum(place[pool] for pool in one) for one in into],
    )
    return found.reshape(len(into), outcomes, len(hours))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutTask:
    """Claims and pools segment by segment, counted in whole units.

    Shapes: times int64[K+1]; room int64[P, K]; asked int64[C, K] of the claims that use these pools; inside
    [C], masks of their pools; claims [C], places of these claims in what was given; units [C], GPUs that each
    counts in.
    """

    times: NDArray[np.int64]
    room: NDArray[np.int64]
    asked: NDArray[np.int64]
    inside: tuple[int, ...]
    claims: tuple[int, ...]
    units: tuple[int, ...]


def joined(claims: Sequence[Claim], pools: Sequence[Supply], claim: Claim) -> tuple[Supply, ...]:
    """Pools that a claim's pools are joined to, over any chain of claims.

    Raises:
        ValueError: for a claim on an unknown pool.
    """
    known = {pool.id: p for p, pool in enumerate(pools)}
    for one in (*claims, claim):
        check_pools(one, known)
    masks = [sum(1 << known[pool] for pool in one.pools) for one in claims]
    found, before = sum(1 << known[pool] for pool in claim.pools), 0
    while found != before:
        before = found
        for mask in masks:
            if mask & found:
                found |= mask
    return tuple(pool for p, pool in enumerate(pools) if found >> p & 1)


def cut_task(claims: Sequence[Claim], pools: Sequence[Supply], window: Interval) -> CutTask:
    """The claims that use these pools, and the pools, on all breakpoints of a window."""
    place = {pool.id: p for p, pool in enumerate(pools)}
    own = [c for c, claim in enumerate(claims) if claim.pools[0] in place]
    eligible = [[place[pool] for pool in claims[c].pools] for c in own]
    units = units_of(eligible, [pool.gpus_per_node for pool in pools])
    times = merged_times([claims[c].gpus for c in own] + [pool.available for pool in pools], window)
    size = np.array([units[pools_[0]] for pools_ in eligible], dtype=np.int64).reshape(-1, 1)
    sizes = np.array([pool.gpus_per_node for pool in pools], dtype=np.int64).reshape(-1, 1)
    asked = -(-matrix([claims[c].gpus for c in own], times) // size) * size
    room = matrix([pool.available for pool in pools], times) // sizes * sizes
    return CutTask(
        times=times, room=room, asked=asked,
        inside=tuple(sum(1 << p for p in pools_) for pools_ in eligible), claims=tuple(own),
        units=tuple(size[:, 0].tolist()),
    )  # fmt: skip


def least_cuts(
    room: NDArray[np.int64], asked: NDArray[np.int64], inside: Sequence[int], into: Sequence[int]
) -> NDArray[np.int64]:
    """The least cut with some pools, less the least cut, column by column, for several sets of pools.

    Shapes: room int64[P, K]; asked int64[C, K]; inside [C] and into [M], masks of pools; result int64[M, K].
    """
    n, columns = len(room), room.shape[1]
    found = np.zeros((len(into), columns), dtype=np.int64)
    step = max(1, _CELLS >> n)
    has = [(np.arange(1 << n) & mask) == mask for mask in into]
    for start in range(0, columns, step):
        part = slice(start, start + step)
        confined = np.zeros((1 << n, room[:, part].shape[1]), dtype=np.int64)
        for mask, row in zip(inside, asked[:, part], strict=True):
            confined[mask] += row
        capacity = np.zeros_like(confined)
        for p in range(n):
            pairs, sums = (
                confined.reshape(-1, 2, 1 << p, confined.shape[1]),
                capacity.reshape(-1, 2, 1 << p, confined.shape[1]),
            )
            pairs[:, 1] += pairs[:, 0]
            sums[:, 1] += room[p, part]
        cuts = capacity + (asked[:, part].sum(axis=0) - confined)
        least = cuts.min(axis=0)
        for m, chosen in enumerate(has):
            found[m, part] = cuts[chosen].min(axis=0) - least
    return found
