"""What the right to move claims between pools is worth: the same plan, with places reset more or less often.

Within an epoch each claim keeps its share of each pool for its whole profile; at an epoch's border shares may
change. Each epoch is a linear program by itself: shares, with the pools' capacity at every breakpoint. Shares
and GPUs are divisible here, and moves are free: it prices the right, it isn't a plan to carry out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import highspy
import numpy as np
from numpy.typing import NDArray

from offtake.allocation.horizon import Wanted, check_pools, plan_horizon
from offtake.allocation.model import Supply
from offtake.base.curve import matrix, merged_times
from offtake.base.errors import ensure
from offtake.base.time import HOUR_S, Interval

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """How often places may be reset, and what is then earned.

    Attributes:
        name: such as ``yearly``.
        epochs: how many.
        worth: of what is served less penalties, in major units.
        loss: part of what free moves at any time would earn that is lost.
    """

    name: str
    epochs: int
    worth: float
    loss: float


def value_of_reallocation(
    wanted: Sequence[Wanted], pools: Sequence[Supply], window: Interval, regimes: Sequence[tuple[str, Counts]]
) -> tuple[Regime, ...]:
    """What each regime earns, the last of them with free moves at any time.

    Args:
        wanted: claims with their worth.
        pools: every pool that a claim names.
        window: half-open.
        regimes: names, and borders between epochs inside the window.

    Raises:
        ValueError: those of `plan_horizon`.
    """
    known = {pool.id: p for p, pool in enumerate(pools)}
    for one in wanted:
        check_pools(one.claim, known)
    free = plan_horizon(wanted, pools, window)
    asked = sum(one.penalty * one.claim.gpus.integrate(window) for one in wanted) / (HOUR_S * 10**6)
    best = float(Fraction(free.bound, HOUR_S * 10**6))
    found = []
    for name, borders in regimes:
        inside = borders[(borders > window.start) & (borders < window.end)]
        edges = [window.start, *inside.tolist(), window.end]
        worth = sum(_epoch(wanted, pools, known, Interval(a, b)) for a, b in pairwise(edges)) - asked
        loss = (best - worth) / abs(best) if best else 0.0
        found.append(Regime(name=name, epochs=len(edges) - 1, worth=worth, loss=loss))
    return (*found, Regime(name="free", epochs=len(free.times) - 1, worth=best, loss=0.0))


def _epoch(
    wanted: Sequence[Wanted], pools: Sequence[Supply], known: dict[str, int], epoch: Interval
) -> float:
    """The most that fixed shares earn over an epoch, in major units."""
    there = [one for one in wanted if one.claim.gpus.max_over(epoch)]
    if not there:
        return 0.0
    times = merged_times([*(one.claim.gpus for one in there), *(pool.available for pool in pools)], epoch)
    asked = matrix([one.claim.gpus for one in there], times)
    sizes = np.array([pool.gpus_per_node for pool in pools], dtype=np.int64).reshape(-1, 1)
    room = matrix([pool.available for pool in pools], times) // sizes * sizes
    hours = np.diff(times) / HOUR_S
    claims = np.array([c for c, one in enumerate(there) for _ in one.claim.pools])
    places = np.array([known[pool] for one in there for pool in one.claim.pools])
    weight = np.array([(one.value + one.penalty) / 1e6 for one in there])
    gain = weight * (asked @ hours)
    rows = [(np.flatnonzero(claims == c), np.ones((claims == c).sum()), 1.0) for c in range(len(there))]
    for p in range(len(pools)):
        columns = np.flatnonzero(places == p)
        if not len(columns):
            continue
        own = asked[claims[columns]]
        for k in np.flatnonzero(own.any(axis=0)).tolist():
            some = own[:, k] > 0
            rows.append((columns[some], own[some, k].astype(np.float64), float(room[p, k])))
    return _solved(gain[claims], rows)


def _solved(gain: Floats, rows: Sequence[tuple[Counts, Floats, float]]) -> float:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(gain), len(rows)
    lp.col_cost_ = -gain
    lp.col_lower_, lp.col_upper_ = np.zeros(len(gain)), np.ones(len(gain))
    lp.row_lower_ = np.full(len(rows), -np.inf)
    lp.row_upper_ = np.array([most for _, _, most in rows])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum([len(c) for c, _, _ in rows])]).astype(np.int32)
    lp.a_matrix_.index_ = np.concatenate([c for c, _, _ in rows]).astype(np.int32)
    lp.a_matrix_.value_ = np.concatenate([v for _, v, _ in rows])
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (("output_flag", False), ("threads", 1), ("random_seed", 0)):
        highs.setOptionValue(name, value)
    highs.passModel(lp)
    highs.run()
    status = highs.getModelStatus()
    ensure(status == highspy.HighsModelStatus.kOptimal, f"an epoch wasn't solved: {status}")
    return -float(highs.getInfo().objective_function_value)
