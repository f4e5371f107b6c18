"""Claims that stay where they are between the instants at which placements may be re-set.

A claim is cut into pieces, each of which keeps its pools from one reset to the next: one for each band of
nodes that are asked for at the same times, of which whole ones are chosen. A pool's capacity is a row for
every segment between breakpoints, but a row that asks for no more than another, with as much room, can't be
broken where that one isn't, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import highspy
import numpy as np
from numpy.typing import NDArray

from offtake.allocation.horizon import Counts
from offtake.allocation.model import Supply
from offtake.base.time import HOUR_S
from offtake.claims.model import Claim

Floats = NDArray[np.float64]

SCALE = HOUR_S * 10**6
"""What the solver counts in: millionths per GPU-hour times GPU-seconds are divided by this."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """A part of a claim that keeps its pools from one reset to the next.

    Shapes: `use` int64[last - first].

    Attributes:
        claim: its place in the list of claims.
        first: of the segments that it covers.
        last: exclusive.
        units: how many of it there are: nodes, or 1 for a claim that must be whole in one pool.
        use: nodes that one unit takes in each segment.
        gpu_seconds: what one unit serves.
    """

    claim: int
    first: int
    last: int
    units: int
    use: Counts
    gpu_seconds: int


def epochs(times: Counts, resets: Iterable[int]) -> list[tuple[int, int]]:
    """First and last segment (exclusive) of each stretch between resets; resets must be among the times."""
    inside = [k for k in np.searchsorted(times, sorted(set(resets))).tolist() if 0 < k < len(times) - 1]
    return list(pairwise([0, *inside, len(times) - 1]))


def bands(
    claims: Sequence[Claim], times: Counts, spans: Sequence[tuple[int, int]], unit: Sequence[int]
) -> list[Piece]:
    """Each claim's nodes, by epoch, those together that are asked for at the same times.

    Nodes are numbered: the second is asked for only while more is asked for than the first has, and serves
    what lies above it. So a last node that is needed in part earns for that part.
    """
    lengths = np.diff(times)
    found = []
    for c, claim in enumerate(claims):
        for first, last, gpus in _asked(claim, times, spans):
            levels = np.concatenate([[0], gpus // unit[c], -(-gpus // unit[c])])
            for below, above in pairwise(np.unique(levels).tolist()):
                served = np.clip(gpus - unit[c] * below, 0, unit[c])
                found.append(
                    Piece(
                        claim=c,
                        first=first,
                        last=last,
                        units=above - below,
                        use=(served > 0).astype(np.int64),
                        gpu_seconds=int(served @ lengths[first:last]),
                    )
                )
    return found


def _asked(
    claim: Claim, times: Counts, spans: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int, Counts]]:
    """What a claim asks for, by epoch, without the segments at both ends in which it asks for nothing."""
    gpus = claim.gpus.at(times[:-1])
    for first, last in spans:
        some = np.flatnonzero(gpus[first:last])
        if len(some):
            start, end = first + int(some[0]), first + int(some[-1]) + 1
            yield start, end, gpus[start:end]


@dataclass(slots=True)
class Model:
    """Columns and rows on their way to HiGHS; worth is maximised.

    Attributes:
        fixed: worth that no column changes, such as the penalties of claims served by none.
        cost: what a unit of each column is worth.
        upper: of each column; the lower is nought.
        whole: whether a column takes whole numbers only.
        rows: lower, upper, columns and their coefficients.
    """

    fixed: float = 0.0
    cost: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    rows: list[tuple[float, float, Sequence[int], Sequence[float]]] = field(default_factory=list)

    def column(self, worth: float, upper: float, *, whole: bool) -> int:
        """Add a column from nought to `upper`; answers its place."""
        self.cost.append(worth)
        self.upper.append(upper)
        self.whole.append(whole)
        return len(self.cost) - 1

    def loaded(self, *, relaxed: bool, options: dict[str, bool | str | int | float]) -> highspy.Highs:
        """The model in HiGHS, not solved yet."""
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.cost), len(self.rows)
        lp.sense_, lp.offset_ = highspy.ObjSense.kMaximize, self.fixed
        lp.col_cost_, lp.col_lower_ = np.array(self.cost), np.zeros(len(self.cost))
        lp.col_upper_ = np.array(self.upper)
        lp.row_lower_ = np.array([row[0] for row in self.rows])
        lp.row_upper_ = np.array([row[1] for row in self.rows])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(row[2]) for row in self.rows)]).astype(np.int32)
        lp.a_matrix_.index_ = np.array([i for row in self.rows for i in row[2]], dtype=np.int32)
        lp.a_matrix_.value_ = np.array([v for row in self.rows for v in row[3]], dtype=np.float64)
        if not relaxed:
            kinds = highspy.HighsVarType
            lp.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in self.whole]
        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        settings: dict[str, bool | str | int | float] = {"output_flag": False, "threads": 1, "random_seed": 0}
        for name, value in (settings | options).items():
            highs.setOptionValue(name, value)
        highs.passModel(lp)
        return highs


Use = tuple[int, int, int, Counts]
"""A column that takes capacity: the column, first segment, last (exclusive), what a unit takes in each."""


def capacity_rows(
    uses: Sequence[Use], room: Counts, spans: Sequence[tuple[int, int]], upper: Sequence[float]
) -> Iterator[tuple[int, Counts, Counts]]:
    """Rows of one pool that may bind: segment, columns, what a unit of each takes.

    Args:
        uses: of the pool.
        room: int64[K], what the pool has.
        spans: epochs; no column but of a whole deal reaches over two, and rows are compared inside one.
        upper: of each column: a row that holds with all of them full is left out.
    """
    most = np.asarray(upper, dtype=np.float64)
    by_span: list[list[Use]] = [[] for _ in spans]
    starts = [first for first, _ in spans]
    for use in uses:
        at = int(np.searchsorted(starts, use[1], side="right")) - 1
        while at < len(spans) and spans[at][0] < use[2]:
            by_span[at].append(use)
            at += 1
    for (first, last), own in zip(spans, by_span, strict=True):
        if not own:
            continue
        columns = np.array([column for column, *_ in own], dtype=np.int64)
        taken = np.zeros((last - first, len(own)), dtype=np.int64)
        for i, (_, start, end, each) in enumerate(own):
            a, b = max(start, first), min(end, last)
            taken[a - first : b - first, i] = each[a - start : b - start]
        full = taken @ most[columns]
        for k in _undominated(taken, room[first:last], np.flatnonzero(full > room[first:last])):
            some = np.flatnonzero(taken[k])
            yield first + k, columns[some], taken[k, some]


def _undominated(taken: Counts, room: Counts, rows: Counts) -> list[int]:
    """Rows that no neighbour makes superfluous: it takes as much of every column, and has no more room."""
    kept: list[int] = []
    for k in rows.tolist():
        if kept and room[kept[-1]] <= room[k] and bool((taken[kept[-1]] >= taken[k]).all()):
            continue
        while kept and room[k] <= room[kept[-1]] and bool((taken[k] >= taken[kept[-1]]).all()):
            kept.pop()
        kept.append(k)
    return kept


def rooms(pools: Sequence[Supply], times: Counts, unit: Sequence[int]) -> Counts:
    """Units in the whole nodes of each pool, int64[K, P]."""
    found: Counts = np.stack(
        [
            pool.available.at(times[:-1]) // pool.gpus_per_node * (pool.gpus_per_node // own)
            for pool, own in zip(pools, unit, strict=True)
        ],
        axis=1,
    )
    return found
