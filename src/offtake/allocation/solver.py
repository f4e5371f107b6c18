"""One segment, solved exactly: a transportation problem on one HiGHS model that stays loaded.

For each claim c and pool p that may serve it there are two columns of nodes: `stay`, at most what the claim
already holds there, and `new`. Each claim has a column `short`, and one `excess` if its pools have nodes of
different sizes. Rows: what a claim gets plus its shortfall (less excess) is its need; a pool gives no more
than it has. Only bounds change from segment to segment.

Why plain costs give the order of precedence exactly. If a component has one node size the matrix is totally
unimodular, so nodes come out whole; and the sets of (claim, node) that can be served together are the
independent sets of a transversal matroid, in which the greedy order is best for *any* strictly decreasing
weights (Edmonds 1971, doi 10.1007/BF01584082). A claim of rank r weighs `gap` times (C - r), no big M.
Optimality needs only be seen on simple cycles of the residual network: such a cycle meets at most
n = min(C, P + 1) claims, hence 2n arcs that serve them. Preference costs 0 ... width-1 a unit; a move costs
more than preference and excess can gain on 2n arcs; and one step of rank, `gap`, costs more than moves,
preference and excess together can gain on 2n arcs. All costs are small integers, so the three aims are
lexicographic: shortfalls by rank, then moves, then preference.

Where that stops. With nodes of 8 and 72 GPUs under one claim the same holds for the relaxation in units,
but nodes may come out in parts. Where the caller needs them whole to the last GPU, integer columns are
solved as a MIP (`solve_whole`); its shortfalls are compared, in
order of rank, with the relaxation's, which are a bound, and where they are worse that claim's shortfall is
minimised by itself with those above it fixed. So shortfalls stay lexicographic; moves, excess and preference
are then minimised as one weighted sum.

The model stays loaded but each solve starts afresh. From the last basis it isn't faster (measured: 86 against
72 microseconds at 6 claims x 4 pools), and which of several equally good answers it gives would depend on
what was solved before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from offtake.allocation.network import Network
from offtake.base.errors import ensure

_CACHED = 4096
"""Mixed segments remembered: MIPs cost milliseconds, and a fleet comes back to the same state."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A segment's optimum.

    Attributes:
        nodes: on each arc, rounded down if they came out in parts.
        short: units short of each claim, before rounding: least in the order of rank.
        whole: whether nodes came out whole by themselves.
    """

    nodes: list[int]
    short: list[int]
    whole: bool


class SegmentSolver:
    """Solver models for one network; given another network it builds them anew.

    Attributes:
        solved: segments solved as LP so far.
        solved_whole: segments, out of these, that needed integer columns.
    """

    def __init__(self) -> None:
        self.solved = 0
        self.solved_whole = 0
        self._network: Network | None = None

    def fit(self, network: Network) -> None:
        """Make ready for a network; keeps the loaded model where its shape hasn't changed."""
        if network != self._network:
            self._network = network
            self._columns = _Columns(network)
            self._lp = self._columns.model(whole=False)
            self._mip: highspy.Highs | None = None
            self._cache: dict[tuple[int, ...], list[int]] = {}

    def solve(self, need: Sequence[int], room: Sequence[int], held: Sequence[int]) -> Answer:
        """The optimum, relaxed where nodes have different sizes.

        Args:
            need: units asked for by each claim.
            room: nodes of each pool.
            held: nodes on each arc before.
        """
        if not need:
            return Answer(nodes=[], short=[], whole=True)  # HiGHS has no optimum for a model without columns
        columns = self._columns
        columns.bound(self._lp, need, room, held)
        self._lp.clearSolver()  # a slack basis alone leaves a trace of the segment before in how ties break
        values = _run(self._lp)
        self.solved += 1
        nodes = columns.nodes(values)
        return Answer(
            nodes=np.floor(nodes + 1e-6).astype(np.int64).tolist(),
            short=np.rint(columns.short(values)).astype(np.int64).tolist(),
            whole=bool(np.abs(nodes - np.rint(nodes)).max(initial=0.0) < 1e-6),
        )

    def solve_whole(
        self, need: Sequence[int], room: Sequence[int], held: Sequence[int], bound: Sequence[int]
    ) -> list[int]:
        """Integer nodes, shortfalls lexicographic by rank; `bound` is what the relaxation leaves short."""
        key = (*need, *room, *held)
        found = self._cache.get(key)
        if found is not None:
            return found
        self.solved_whole += 1
        columns = self._columns
        if self._mip is None:
            self._mip = columns.model(whole=True)
        columns.bound(self._mip, need, room, held)
        columns.limit_short(self._mip, np.full(columns.n_claims, np.inf))
        self._mip.clearSolver()  # nothing may be left of the segment before: the answer can't depend on it
        values = self._in_order(self._mip, bound)
        nodes = [int(count) for count in np.rint(columns.nodes(values))]
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        self._cache[key] = nodes
        return nodes

    def _in_order(self, mip: highspy.Highs, bound: Sequence[int]) -> Floats:
        """Solve, then make sure of each claim's shortfall in the order of rank."""
        columns = self._columns
        values = _run(mip)
        limit = np.full(columns.n_claims, np.inf)
        worse = False
        for claim in range(columns.n_claims):
            short = float(np.rint(columns.short(values)[claim]))
            worse = worse or short > bound[claim]
            limit[claim] = short
            if not worse or short == 0:
                continue
            limit[claim] = columns.least_short(mip, claim, limit)
            if limit[claim] < short:
                columns.limit_short(mip, limit)
                values = _run(mip)
        return values


class _Columns:
    """Where each column and row of the model is, and what it costs."""

    def __init__(self, network: Network) -> None:
        self.n_claims, self.n_pools = network.n_claims, network.n_pools
        self.arc_claim = np.array(network.arc_claim, dtype=np.int32)
        self.arc_pool = np.array(network.arc_pool, dtype=np.int32)
        self.n_arcs = len(self.arc_claim)
        self.units = np.array(network.node_units, dtype=np.float64)[self.arc_pool]
        self.loose = np.flatnonzero(network.mixed).astype(np.int32)
        self.n_columns = 2 * self.n_arcs + self.n_claims + len(self.loose)
        self.cost = self._cost()
        self._stay = np.arange(self.n_arcs, dtype=np.int32)
        self._short = np.arange(2 * self.n_arcs, 2 * self.n_arcs + self.n_claims, dtype=np.int32)
        self._all = np.arange(self.n_columns, dtype=np.int32)
        self._rows = np.arange(self.n_claims + self.n_pools, dtype=np.int32)
        self._lower = np.full(len(self._rows), -np.inf)
        self._upper = np.zeros(len(self._rows))
        self._zeros = np.zeros(max(self.n_arcs, self.n_claims))

    def _cost(self) -> Floats:
        """See the module's docstring: preference < move < one step of rank, over any simple cycle."""
        first = np.searchsorted(self.arc_claim, self.arc_claim)
        preference = (np.arange(self.n_arcs) - first).astype(np.float64)
        width = int(preference.max(initial=0)) + 1
        arcs = 2 * min(self.n_claims, self.n_pools + 1)
        excess = width if len(self.loose) else 0
        move = arcs * (width - 1 + excess) + 1
        gap = arcs * (move + width - 1 + excess) + 1
        return np.concatenate(
            [
                preference * self.units,
                (preference + move) * self.units,
                gap * np.arange(self.n_claims, 0, -1, dtype=np.float64),
                np.full(len(self.loose), float(excess)),
            ]
        )

    def model(self, *, whole: bool) -> highspy.Highs:
        """Pass the matrix once."""
        arcs = np.stack([self.arc_claim, self.n_claims + self.arc_pool], axis=1).ravel()
        coefficients = np.stack([self.units, np.ones(self.n_arcs)], axis=1).ravel()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.n_columns, len(self._rows)
        lp.col_cost_, lp.col_lower_ = self.cost, np.zeros(self.n_columns)
        lp.col_upper_ = np.full(self.n_columns, np.inf)
        lp.row_lower_, lp.row_upper_ = self._lower, self._upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        singles = self.n_columns - 2 * self.n_arcs
        starts = np.concatenate([np.arange(2 * self.n_arcs) * 2, 4 * self.n_arcs + np.arange(singles + 1)])
        lp.a_matrix_.start_ = starts.astype(np.int32)
        lp.a_matrix_.index_ = np.concatenate([arcs, arcs, np.arange(self.n_claims), self.loose]).astype(
            np.int32
        )
        lp.a_matrix_.value_ = np.concatenate(
            [coefficients, coefficients, np.ones(self.n_claims), -np.ones(len(self.loose))]
        )
        if whole:
            kinds = [highspy.HighsVarType.kInteger] * (2 * self.n_arcs)
            lp.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * singles
        return _loaded(lp, whole=whole)

    def bound(
        self, highs: highspy.Highs, need: Sequence[int], room: Sequence[int], held: Sequence[int]
    ) -> None:
        """Set what a segment asks for, has and starts from."""
        self._lower[: self.n_claims] = need
        self._upper[: self.n_claims] = need
        self._upper[self.n_claims :] = room
        highs.changeRowsBounds(  # type: ignore[attr-defined]  # missing from highspy's stub
            len(self._rows), self._rows, self._lower, self._upper
        )
        upper = np.array(held, dtype=np.float64)
        highs.changeColsBounds(self.n_arcs, self._stay, self._zeros[: self.n_arcs], upper)

    def limit_short(self, highs: highspy.Highs, limit: Floats) -> None:
        """Allow each claim at most so many units short."""
        highs.changeColsBounds(self.n_claims, self._short, self._zeros[: self.n_claims], limit)

    def least_short(self, highs: highspy.Highs, claim: int, limit: Floats) -> float:
        """The fewest units that a claim can be short within the limits on all claims."""
        only = np.zeros(self.n_columns)
        only[self._short[claim]] = 1.0
        self.limit_short(highs, limit)
        highs.changeColsCost(self.n_columns, self._all, only)
        values = _run(highs)
        highs.changeColsCost(self.n_columns, self._all, self.cost)
        return float(np.rint(self.short(values)[claim]))

    def nodes(self, values: Floats) -> Floats:
        """Nodes on each arc, stayed and new."""
        return values[: self.n_arcs] + values[self.n_arcs : 2 * self.n_arcs]

    def short(self, values: Floats) -> Floats:
        """Units short of each claim."""
        return values[2 * self.n_arcs : 2 * self.n_arcs + self.n_claims]


def _loaded(lp: highspy.HighsLp, *, whole: bool) -> highspy.Highs:
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    options: dict[str, bool | str | int | float] = {"output_flag": False, "threads": 1, "random_seed": 0}
    if whole:
        # costs and columns are whole numbers, so a gap under one is none
        options |= {"presolve": "off", "mip_rel_gap": 0.0, "mip_abs_gap": 0.5}
    else:
        options |= {"presolve": "off", "solver": "simplex"}
    for name, value in options.items():
        highs.setOptionValue(name, value)
    highs.passModel(lp)
    return highs


def _run(highs: highspy.Highs) -> Floats:
    highs.run()
    status = highs.getModelStatus()
    ensure(status == highspy.HighsModelStatus.kOptimal, f"the segment wasn't solved: {status}")
    return np.asarray(highs.getSolution().col_value, dtype=np.float64)
