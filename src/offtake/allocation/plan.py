"""Plan an allocation over a window, certify it, and what is left for new firm claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.inplace import Holdings
from offtake.allocation.model import CapacityCut, Placement, Plan, Supply, gpu_seconds
from offtake.allocation.network import Network, network_of
from offtake.allocation.precedence import DEFAULT_PRECEDENCE, rank_claims
from offtake.allocation.reasons import SHORT_CODES, Shortage, parts_of, reasons_of
from offtake.allocation.solver import SegmentSolver
from offtake.base.curve import Curve, matrix, merged_times
from offtake.base.errors import ensure
from offtake.base.time import Interval
from offtake.claims.model import Claim, Firmness

Counts = NDArray[np.int64]


def plan_allocation(
    claims: Sequence[Claim],
    pools: Sequence[Supply],
    window: Interval,
    *,
    previous: Placement | None = None,
    precedence: Sequence[Firmness] = DEFAULT_PRECEDENCE,
    causes: Mapping[str, Sequence[CapacityCut]] | None = None,
    solver: SegmentSolver | None = None,
    repack: bool = False,
) -> Plan:
    """Which pool serves which claim over each segment of a window.

    In each segment the shortfalls are least in the order of rank, then as few GPUs as possible move from
    one pool to another, given where they were. Nodes are whole: a claim gets at least what it asks for, and
    what it holds above that is the operator's `rounding`; if its last node can't be had, it gets the nodes
    below, and the rest is short. Planning a window in two parts, the second from the first one's
    `last_placement`, gives the same plan.

    Args:
        claims: in any order; see `precedence.rank_claims` for who is served first.
        pools: every pool that a claim names.
        window: half-open, not empty.
        previous: who holds what just before the window.
        precedence: firmnesses, first served first; firm is always first.
        causes: by pool, what it lacks and why; only for the reasons.
        solver: keeps its model loaded from call to call; by default one is built.
        repack: move claims even to win back a part of a node. Only matters where one claim's pools have
            nodes of different sizes; there, unless asked, only firm claims' shortfalls are least to the
            last GPU, and others may be short by what is held as `rounding`. It costs moves, and time.

    Raises:
        ValueError: for an empty window, an id that appears twice, an unknown pool, a precedence that
            doesn't start with firm claims, or a previous placement in parts of nodes.
    """
    _check(claims, pools, window)
    causes = causes or {}
    ranked = rank_claims(claims, precedence)
    by_id = sorted(pools, key=lambda pool: pool.id)
    times = merged_times(_curves(claims, pools, causes), window)
    demand = np.ascontiguousarray(matrix([claim.gpus for claim in ranked], times).T)
    available = np.ascontiguousarray(matrix([pool.available for pool in by_id], times).T)
    grid = _Grid(ranked=ranked, pools=by_id, network=network_of(ranked, by_id), previous=previous or {})
    room = available // grid.node_gpus
    exact = len(ranked) if repack else sum(claim.firmness is Firmness.FIRM for claim in ranked)
    gpus = grid.gpus(_walk(grid, grid.network.needs(demand), room, solver or SegmentSolver(), exact))
    capacity = room * grid.node_gpus
    ensure(bool((gpus.sum(axis=1) <= capacity).all()), "a pool is given more than it has")
    held = gpus.sum(axis=2)
    short = np.maximum(demand - held, 0)
    shortage = Shortage(
        claims=ranked,
        pools=[pool.id for pool in by_id],
        precedence=tuple(precedence),
        times=times,
        gpus=gpus,
        start=grid.start(),
        short=short,
        moved=_moved(grid.start(), gpus),
        causes=causes,
    )
    parts = parts_of(shortage)
    order = np.array([[c.id for c in ranked].index(claim.id) for claim in claims], dtype=np.int64)
    pool_order = np.array([[p.id for p in by_id].index(pool.id) for pool in pools], dtype=np.int64)
    return Plan(
        window=window,
        times=times,
        claims=tuple(claim.id for claim in claims),
        pools=tuple(pool.id for pool in pools),
        ranking=tuple(claim.id for claim in ranked),
        gpus=gpus[:, order][:, :, pool_order],
        capacity=capacity[:, pool_order],
        demand=demand[:, order],
        short=short[:, order],
        rounding=np.maximum(held - demand, 0)[:, order],
        moved=shortage.moved[:, order],
        short_by={code: parts[i][:, order] for i, code in enumerate(SHORT_CODES)},
        reasons=reasons_of(shortage, parts),
        objective=_objective(demand - short, times),
    )


def certify(plan: Plan, claims: Sequence[Claim], *, solver: SegmentSolver | None = None) -> Plan:
    """The plan with its bound: its segments' best objective if moves were free and nodes divisible.

    That is the per-segment transportation optimum in single GPUs, over the pools' whole nodes. Its weights
    are strictly decreasing by rank, so no plan in whole nodes, with or without moves, has a larger objective.
    What remains between the two is the price of whole nodes and of nothing else.
    """
    by_id = {claim.id: claim for claim in claims}
    ranked = [by_id[claim] for claim in plan.ranking]
    column = [plan.claims.index(claim) for claim in plan.ranking]
    single = [Supply(id=pool, gpus_per_node=1, available=Curve.zero()) for pool in plan.pools]
    network = network_of(ranked, single)
    solver = solver or SegmentSolver()
    solver.fit(network)
    demand = plan.demand[:, column]
    states, which = np.unique(np.concatenate([demand, plan.capacity], axis=1), axis=0, return_inverse=True)
    nothing = [0] * len(network.arc_claim)
    served = np.zeros((len(states), len(ranked)), dtype=np.int64)
    for i, state in enumerate(states.tolist()):
        answer = solver.solve(state[: len(ranked)], state[len(ranked) :], nothing)
        served[i] = state[: len(ranked)] - np.array(answer.short)
    return replace(plan, bound=_objective(served[which.ravel()], plan.times))


def headroom(
    pools: Sequence[Supply],
    claims: Sequence[Claim],
    window: Interval,
    *,
    previous: Placement | None = None,
) -> dict[str, Curve]:
    """GPUs of each pool that firm claims leave, over a window; zero outside it.

    Where a firm claim may use several pools, its preference decides which pool's headroom it takes.
    """
    firm = [claim for claim in claims if claim.firmness is Firmness.FIRM]
    plan = plan_allocation(firm, pools, window, previous=previous)
    result = {}
    for p, pool in enumerate(pools):
        available = matrix([pool.available], plan.times)[0]
        left = available - plan.gpus[:, :, p].sum(axis=1)
        result[pool.id] = Curve.from_arrays(plan.times, np.append(left, 0))
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Between ids and indices: claims by rank, pools by id."""

    ranked: Sequence[Claim]
    pools: Sequence[Supply]
    network: Network
    previous: Placement

    @property
    def node_gpus(self) -> Counts:
        """GPUs of a node, by pool."""
        return np.array([pool.gpus_per_node for pool in self.pools], dtype=np.int64)

    def start(self) -> Counts:
        """GPUs held before the window; shape [C, P]. Claims and pools that are gone hold nothing."""
        rank = {claim.id: c for c, claim in enumerate(self.ranked)}
        index = {pool.id: p for p, pool in enumerate(self.pools)}
        start = np.zeros((len(rank), len(index)), dtype=np.int64)
        for (claim, pool), gpus in self.previous.items():
            if claim in rank and pool in index:
                node = self.pools[index[pool]].gpus_per_node
                if gpus < 0 or gpus % node:
                    raise ValueError(
                        f"previous placement: {claim} holds {gpus} GPUs of {pool}, in nodes of {node}"
                    )
                start[rank[claim], index[pool]] = gpus
        return start

    def nodes(self) -> Counts:
        """Nodes held on each arc before the window."""
        return (self.start() // self.node_gpus)[self._arcs()]

    def gpus(self, nodes: Counts) -> Counts:
        """From nodes by arc, int64[K, A], to GPUs by claim and pool, int64[K, C, P]."""
        claims, pools = self._arcs()
        gpus = np.zeros((len(nodes), len(self.ranked), len(self.pools)), dtype=np.int64)
        gpus[:, claims, pools] = nodes * self.node_gpus[pools]
        return gpus

    def _arcs(self) -> tuple[Counts, Counts]:
        return np.array(self.network.arc_claim, dtype=np.int64), np.array(
            self.network.arc_pool, dtype=np.int64
        )


def _walk(grid: _Grid, need: Counts, room: Counts, solver: SegmentSolver, exact: int) -> Counts:
    """Nodes on each arc in each segment, int64[K, A], from one segment to the next.

    A segment in which no need and no room changes keeps the holdings of the one before if they were proved
    best: nothing moves, and the shortfalls were least already.
    """
    start = grid.nodes()
    holdings = Holdings(grid.network, start.tolist(), exact=exact)
    solver.fit(grid.network)
    changes: list[tuple[int, int, int]] = []
    new_needs, new_rooms = _changes(need), _changes(room)
    proved = False
    for k in range(len(need)):
        if proved and k not in new_needs and k not in new_rooms:
            continue
        proved = holdings.advance(new_needs.get(k, ()), new_rooms.get(k, ())) or _solve(holdings, solver)
        changes += [
            (k, arc, holdings.nodes[arc] - count)
            for arc, count in holdings.before.items()
            if holdings.nodes[arc] != count
        ]
    steps = np.zeros((len(need), len(start)), dtype=np.int64)
    if changes:
        at, arcs, counts = np.array(changes, dtype=np.int64).T
        steps[at, arcs] = counts
    return start + np.cumsum(steps, axis=0)


def _solve(holdings: Holdings, solver: SegmentSolver) -> bool:
    """Leave the segment to the solver; whether the outcome is proved best.

    The relaxation may give parts of nodes. They are made whole in the order of rank; if that leaves one of
    the first `exact` claims shorter than the relaxation, which is a bound, integer columns decide.
    """
    holdings.withdraw()
    held = list(holdings.nodes)
    answer = solver.solve(holdings.need, holdings.room, held)
    holdings.place(answer.nodes)
    if answer.whole:
        return True
    holdings.round_up()
    exact = holdings.exact
    if holdings.shortfalls()[:exact] > answer.short[:exact]:
        holdings.place(solver.solve_whole(holdings.need, holdings.room, held, answer.short))
    return False


def _changes(values: Counts) -> dict[int, list[tuple[int, int]]]:
    """By segment, which columns have a new value there, and which; in the first segment all do."""
    new = np.ones(values.shape, dtype=np.bool_)
    new[1:] = values[1:] != values[:-1]
    found: dict[int, list[tuple[int, int]]] = {0: []}
    at, columns = np.nonzero(new)
    for k, column, value in zip(at.tolist(), columns.tolist(), values[at, columns].tolist(), strict=True):
        found.setdefault(k, []).append((column, value))
    return found


def _moved(start: Counts, gpus: Counts) -> Counts:
    """GPUs that left one pool for another at the start of each segment, int64[K, C]."""
    change: Counts = np.diff(gpus, axis=0, prepend=start[np.newaxis])
    came = np.maximum(change, 0).sum(axis=2)
    left = np.maximum(-change, 0).sum(axis=2)
    return np.asarray(np.minimum(came, left))


def _objective(served: Counts, times: Counts) -> int:
    """Served GPU-seconds, those of rank r among C claims counted C - r times."""
    lengths = np.diff(times)
    n_claims = served.shape[1]
    return sum((n_claims - rank) * gpu_seconds(served[:, rank], lengths) for rank in range(n_claims))


def _curves(
    claims: Sequence[Claim], pools: Sequence[Supply], causes: Mapping[str, Sequence[CapacityCut]]
) -> list[Curve]:
    cuts = [Curve.constant(cut.gpus, cut.interval) for found in causes.values() for cut in found]
    return [claim.gpus for claim in claims] + [pool.available for pool in pools] + cuts


def _check(claims: Sequence[Claim], pools: Sequence[Supply], window: Interval) -> None:
    if not window.seconds:
        raise ValueError(f"there is nothing to plan in an empty window: {window}")
    for ids, what in (([claim.id for claim in claims], "claim"), ([pool.id for pool in pools], "pool")):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"{what} ids must differ; twice: {', '.join(twice)}")
    known = {pool.id for pool in pools}
    for claim in claims:
        unknown = [pool for pool in claim.pools if pool not in known]
        if unknown:
            raise ValueError(f"claim {claim.id} names unknown pools: {', '.join(unknown)}")
