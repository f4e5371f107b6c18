"""What another claim could get if those that are there were moved freely."""

from __future__ import annotations

from collections.abc import Sequence

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
    known = {pool.id: p for p, pool in enumerate(pools)}
    for claim in (*claims, new):
        check_pools(claim, known)
    masks = [sum(1 << known[pool] for pool in claim.pools) for claim in (*claims, new)]
    near = _component(masks)
    if near.bit_count() > CUTS:
        wanted = [Wanted(claim=claim, value=2) for claim in claims] + [Wanted(claim=new, value=1)]
        return plan_horizon(wanted, pools, window).served(new.id)
    eligible = [[known[pool] for pool in claim.pools] for claim in (*claims, new)]
    units = units_of(eligible, [pool.gpus_per_node for pool in pools])
    own = [p for p in range(len(pools)) if near >> p & 1]
    place = {p: i for i, p in enumerate(own)}
    others = [c for c, mask in enumerate(masks[:-1]) if mask & near]
    times = merged_times([claims[c].gpus for c in others] + [pools[p].available for p in own], window)
    asked = matrix([claims[c].gpus for c in others], times)
    size = np.array([units[eligible[c][0]] for c in others], dtype=np.int64).reshape(-1, 1)
    asked = -(-asked // size) * size
    sizes = np.array([pools[p].gpus_per_node for p in own], dtype=np.int64).reshape(-1, 1)
    room = matrix([pools[p].available for p in own], times) // sizes * sizes
    inside = [sum(1 << place[p] for p in eligible[c]) for c in others]
    found = least_cuts(room, asked, inside, sum(1 << place[p] for p in eligible[-1]))
    return Curve.from_arrays(times, np.append(found, 0))


def least_cuts(
    room: NDArray[np.int64], asked: NDArray[np.int64], inside: Sequence[int], into: int
) -> NDArray[np.int64]:
    """The least cut with some pools, less the least cut, column by column.

    Shapes: room int64[P, K]; asked int64[C, K]; inside [C], masks of pools; result int64[K].
    """
    n, columns = len(room), room.shape[1]
    found = np.zeros(columns, dtype=np.int64)
    step = max(1, _CELLS >> n)
    has = (np.arange(1 << n) & into) == into
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
        found[part] = cuts[has].min(axis=0) - cuts.min(axis=0)
    return found


def _component(masks: Sequence[int]) -> int:
    """Pools that are joined to the last claim's, over any chain of claims."""
    found, before = masks[-1], 0
    while found != before:
        before = found
        for mask in masks:
            if mask & found:
                found |= mask
    return found
