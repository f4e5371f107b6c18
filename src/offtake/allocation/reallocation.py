"""What the right to place claims anew is worth: never, yearly, quarterly, monthly, freely.

Between two resets a claim's whole profile keeps its shares of its pools. Shares may be any fraction, so each
figure is the best that the clause allows, found by a linear program; freely is the bound of `plan_horizon`,
which no plan exceeds. More resets never earn less, and that is checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import highspy
import numpy as np

from offtake.allocation.horizon import Wanted, check_all, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.stays import SCALE, Model, Use, capacity_rows, epochs, profiles, rooms
from offtake.base.curve import merged_times
from offtake.base.errors import ensure
from offtake.base.months import month_of
from offtake.base.time import Interval

CADENCES: Mapping[str, int] = {"never": 0, "yearly": 12, "quarterly": 3, "monthly": 1}
FREELY = "freely"
OPTIONS: dict[str, bool | str | int | float] = {"solver": "simplex"}
TOLERANCE = 10**6
"""A linear program's worth is right to a part in so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """What claims earn where placements may be re-set so often.

    Units: worth in millionths of a major unit, times 3,600.

    Attributes:
        name: ``never``, ``yearly``, ``quarterly``, ``monthly`` or ``freely``.
        resets: how many there are inside the window.
        worth: of what is served, less penalties.
        loss: against freely, as a part of it.
        rows: of capacity, in the linear program.
    """

    name: str
    resets: int
    worth: int
    loss: Fraction
    rows: int


def value_of_reallocation(
    wanted: Sequence[Wanted], pools: Sequence[Supply], window: Interval, zone: str = "UTC"
) -> tuple[Cadence, ...]:
    """What claims earn under each cadence, the rarest first.

    Args:
        wanted: claims with what they are worth.
        pools: every pool that a claim names; parts of nodes aren't used.
        window: half-open, not empty.
        zone: whose months count, from the one in which the window starts.

    Raises:
        ValueError: as `plan_horizon` does.
    """
    free = plan_horizon(wanted, pools, window)
    found = []
    for name, months in CADENCES.items():
        resets = resets_of(window, months, zone)
        worth, rows = worth_between(wanted, pools, window, resets)
        loss = Fraction(free.bound - worth, abs(free.bound)) if free.bound else Fraction(0)
        found.append(Cadence(name=name, resets=len(resets), worth=worth, loss=loss, rows=rows))
    inside = len(free.times) - 2
    found.append(Cadence(name=FREELY, resets=inside, worth=free.bound, loss=Fraction(0), rows=0))
    for fewer, more in pairwise(found):
        slack = max(abs(fewer.worth), abs(more.worth)) // TOLERANCE + 1
        ensure(fewer.worth <= more.worth + slack, f"{fewer.name} earns more than {more.name}")
    return tuple(found)


def resets_of(window: Interval, months: int, zone: str) -> list[int]:
    """First instants of every so many months inside a window; none for nought months."""
    found: list[int] = []
    month = month_of(window.start, zone)
    while months:
        month = month.plus(months)
        start = month.interval(zone).start
        if start >= window.end:
            break
        found.append(start)
    return found


def worth_between(
    wanted: Sequence[Wanted], pools: Sequence[Supply], window: Interval, resets: Sequence[int]
) -> tuple[int, int]:
    """The most that claims earn if they keep their shares of their pools between resets.

    Units: worth in millionths of a major unit, times 3,600.

    Returns:
        The worth, and how many rows of capacity it took.
    """
    check_all(wanted, pools, window)
    inside = [at for at in resets if window.start < at < window.end]
    times = merged_times([*(one.claim.gpus for one in wanted), *(pool.available for pool in pools)], window)
    times = np.unique(np.concatenate([times, np.array(inside, dtype=np.int64)]))
    spans = epochs(times, inside)
    index = {pool.id: p for p, pool in enumerate(pools)}
    model, uses = Model(), _uses(len(pools))
    for piece in profiles(wanted, times, spans):
        one = wanted[piece.claim]
        model.fixed -= one.penalty * piece.gpu_seconds / SCALE
        columns = []
        for name in one.claim.pools:
            column = model.column((one.value + one.penalty) * piece.gpu_seconds / SCALE, 1.0, whole=False)
            uses[index[name]].append((column, piece.first, piece.last, piece.use))
            columns.append(column)
        model.rows.append((-highspy.kHighsInf, 1.0, columns, [1.0] * len(columns)))
    room = rooms(pools, times)
    shares = len(model.rows)
    for p, pool in enumerate(pools):
        for k, own, taken in capacity_rows(uses[p], room[:, p] * pool.gpus_per_node, spans, model.upper):
            model.rows.append(
                (-highspy.kHighsInf, float(room[k, p] * pool.gpus_per_node), own.tolist(), taken.tolist())
            )
    rows = len(model.rows) - shares
    if not model.cost:  # HiGHS has no optimum for a model without columns
        return round(model.fixed * SCALE), rows
    highs = model.loaded(relaxed=True, options=OPTIONS)
    highs.run()
    status = highs.getModelStatus()
    ensure(status == highspy.HighsModelStatus.kOptimal, f"shares between resets weren't found: {status}")
    return round(highs.getInfo().objective_function_value * SCALE), rows


def _uses(pools: int) -> list[list[Use]]:
    return [[] for _ in range(pools)]
