"""Plan years ahead by what claims are worth: moves, a proved bound, and the price of every pool at any time.

The horizon is cut at every instant at which anything changes, so nothing is lost by planning segment by
segment. The first walk lets moves be free: it is the best that each segment allows, and gives each pool's
price. The second walk pays for moves, and uses those prices to choose between pools that are equal now.

The bound holds whatever the prices are, by weak duality: of any plan, a segment earns at most what its pools'
nodes cost at these prices, plus what each claim could earn above the cheapest pool that may serve it. It is
added up in whole numbers, and the first walk must reach its own bound in nodes exactly, which proves both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.model import Placement, Supply
from offtake.allocation.network import units_of
from offtake.allocation.walk import Walk
from offtake.base.curve import Curve, merged_times
from offtake.base.errors import ensure
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A claim and what serving it is worth.

    Units: millionths of a major unit of one currency per GPU-hour. They only choose quantities: nothing here
    is money that anybody owes.

    Attributes:
        claim: its pools in order of preference.
        value: what a GPU-hour served earns.
        penalty: what a GPU-hour not served costs.
    """

    claim: Claim
    value: int
    penalty: int = 0

    def __post_init__(self) -> None:
        if self.value < 0 or self.penalty < 0 or not self.value + self.penalty:
            raise ValueError(
                f"claim {self.claim.id} is worth {self.value} + {self.penalty}; it must be worth something"
            )


class Why(StrEnum):
    """Why a claim is short in a plan by worth.

    `OUTBID`: every node it could have serves what is worth as much or more. `MOVES`: serving it would take
    moves that cost more than it earns.
    """

    OUTBID = "outbid"
    MOVES = "moves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A run of segments in which a claim is short, and why.

    Units: GPUs, GPU-seconds; `price` in millionths per GPU-hour: the most that a node of its cheapest pool
    was worth meanwhile.
    """

    claim: str
    interval: Interval
    gpus_max: int
    gpu_seconds: int
    why: Why
    price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Nodes that change pool at an instant, and for whom; None where a pool shrank.

    Units: GPUs.
    """

    at: int
    claim: str
    source: str
    target: str
    gpus: int
    made_for: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Horizon:
    """A plan by worth.

    Shapes: K segments, P pools, R runs of equal holdings.

    Units: GPUs; worth in millionths of a major unit times GPU-seconds, divided by 3,600 in `earned`.

    Attributes:
        window: what was planned.
        times: int64[K+1].
        wanted: what was asked for.
        pools: in the order given.
        unit: int64[P], GPUs that holdings of each pool are multiples of: a node, or less where claims join
            pools with nodes of different sizes.
        move_cost: of one GPU that changes pool, in millionths.
        prices: int64[K, P], what one more GPU-hour would be worth were moves free, by segment and pool.
        free: int64[K, P], GPUs in whole nodes that nobody holds.
        runs: int64[R, 5]: claim, pool, first segment, last segment (exclusive), GPUs.
        short: int64[S, 5]: claim, first segment, last segment (exclusive), GPUs asked for and not served; 1
            if they wouldn't be served were moves free.
        moves: in order of time.
        objective: worth of what is served less penalties and moves, times 3,600.
        bound: no plan in whole nodes can have more, times 3,600.
    """

    window: Interval
    times: Counts
    wanted: tuple[Wanted, ...]
    pools: tuple[Supply, ...]
    unit: Counts
    move_cost: int
    prices: Counts
    free: Counts
    runs: Counts
    short: Counts
    moves: tuple[Move, ...]
    objective: int
    bound: int

    @property
    def gap(self) -> Fraction:
        """How far the objective is below the bound, as a part of the bound."""
        return Fraction(self.bound - self.objective, abs(self.bound)) if self.bound else Fraction(0)

    def price(self, pool: str) -> Curve:
        """What one more GPU-hour of a pool would be worth, in millionths; zero outside the window."""
        p = [one.id for one in self.pools].index(pool)
        return Curve.from_arrays(self.times, np.append(self.prices[:, p], 0))

    def held(self, claim: str, pool: str) -> Curve:
        """GPUs of a pool that a claim holds, in whole nodes."""
        c = [one.claim.id for one in self.wanted].index(claim)
        p = [one.id for one in self.pools].index(pool)
        own = self.runs[(self.runs[:, 0] == c) & (self.runs[:, 1] == p)]
        if not len(own):
            return Curve.zero()
        return Curve.from_records(self.times[own[:, 2]], self.times[own[:, 3]], own[:, 4])

    def served(self, claim: str) -> Curve:
        """GPUs that serve a claim: what it holds, but no more than it asks for."""
        c = [one.claim.id for one in self.wanted].index(claim)
        own = _Windows.of([self.wanted[c]], self.times)
        held = own.filled(self.runs[self.runs[:, 0] == c], only=c)
        first, last = int(own.first[0]), int(own.last[0])
        values = np.minimum(held, own.gpus)
        return (
            Curve.from_arrays(self.times[first : last + 1], np.append(values, 0))
            if last > first
            else Curve.zero()
        )

    def shorts(self) -> Iterator[Short]:
        """Every run in which a claim is short for one reason, claim by claim."""
        lengths = np.diff(self.times)
        index = {pool.id: p for p, pool in enumerate(self.pools)}
        for c in np.unique(self.short[:, 0]).tolist():
            rows = self.short[self.short[:, 0] == c]
            one = self.wanted[c]
            eligible = [index[pool] for pool in one.claim.pools]
            new = np.ones(len(rows) + 1, dtype=np.bool_)
            new[1:-1] = (rows[1:, 1] != rows[:-1, 2]) | (rows[1:, 4] != rows[:-1, 4])
            for a, b in pairwise(np.flatnonzero(new).tolist()):
                first, last = int(rows[a, 1]), int(rows[b - 1, 2])
                seconds = [int(lengths[start:end].sum()) for _, start, end, _, _ in rows[a:b].tolist()]
                yield Short(
                    claim=one.claim.id,
                    interval=Interval(int(self.times[first]), int(self.times[last])),
                    gpus_max=int(rows[a:b, 3].max()),
                    gpu_seconds=sum(g * s for g, s in zip(rows[a:b, 3].tolist(), seconds, strict=True)),
                    why=Why.OUTBID if rows[a, 4] else Why.MOVES,
                    price=int(self.prices[first:last, eligible].min(axis=1).max()),
                )


def plan_horizon(
    wanted: Sequence[Wanted],
    pools: Sequence[Supply],
    window: Interval,
    *,
    move_cost: int = 0,
    previous: Placement | None = None,
) -> Horizon:
    """The plan that earns most, as far as a walk from segment to segment finds it, with a proved bound.

    Args:
        wanted: claims with what they are worth; nodes are whole, and a claim's last node counts in full when
            claims compete, though it earns only for what is asked for.
        pools: every pool that a claim names. Where claims join pools with nodes of different sizes, all of
            these are planned in units of the greatest common divisor, such as 8 GPUs for nodes of 8 and 72.
        window: half-open, not empty.
        move_cost: of one GPU that changes pool, in millionths of a major unit.
        previous: who holds what just before the window.

    Raises:
        ValueError: for an empty window, an id that appears twice, an unknown pool, or parts of units in
            `previous`.
    """
    check_all(wanted, pools, window)
    times = merged_times([*(w.claim.gpus for w in wanted), *(p.available for p in pools)], window)
    task = _Task(wanted=wanted, pools=pools, times=times, previous=previous or {})
    best, prices, costs = task.walk(0, None)
    free_moves = _runs(best.changes, len(times) - 1)
    ensure(
        task.windows.worth_in_nodes(free_moves)
        == task.windows.bound_in_nodes(prices, task.capacity, task.eligible),
        "the plan with free moves doesn't reach its bound",
    )
    taken = best
    if move_cost:
        taken, _, _ = task.walk(move_cost, task.ahead(costs))
    runs = _runs(taken.changes, len(times) - 1)
    runs[:, 4] *= task.unit[runs[:, 1]]
    moves = task.moves(taken)
    objective = task.windows.objective(runs) - HOUR_S * move_cost * sum(move.gpus for move in moves)
    return Horizon(
        window=window,
        times=times,
        wanted=tuple(wanted),
        pools=tuple(pools),
        unit=task.unit,
        move_cost=move_cost,
        prices=prices,
        free=free_of(task.capacity, runs),
        runs=runs,
        short=task.windows.short(runs, free_moves),
        moves=moves,
        objective=objective,
        bound=task.windows.bound(prices, task.capacity, task.eligible),
    )


class _Task:
    """What both walks share."""

    def __init__(
        self, *, wanted: Sequence[Wanted], pools: Sequence[Supply], times: Counts, previous: Placement
    ) -> None:
        index = {pool.id: p for p, pool in enumerate(pools)}
        self.wanted, self.pools, self.times = wanted, pools, times
        self.eligible = [tuple(index[pool] for pool in one.claim.pools) for one in wanted]
        self.weight = [one.value + one.penalty for one in wanted]
        nodes = np.array([pool.gpus_per_node for pool in pools], dtype=np.int64)
        self.unit = np.array(units_of(self.eligible, nodes.tolist()), dtype=np.int64)
        available = np.stack([pool.available.at(times[:-1]) for pool in pools], axis=1)
        self.capacity = available // nodes * nodes
        self.room = self.capacity // self.unit
        own_units = np.array([self.unit[own[0]] for own in self.eligible], dtype=np.int64)
        self.windows = _Windows.of(wanted, times, own_units)
        self.start = [
            (c, index[pool], self._units(one, index[pool], gpus))
            for c, one in enumerate(wanted)
            for (claim, pool), gpus in sorted(previous.items())
            if claim == one.claim.id and pool in one.claim.pools and gpus
        ]
        self._needs = self._events()
        self._rooms = _changed(self.room)

    def _units(self, one: Wanted, p: int, gpus: int) -> int:
        unit = int(self.unit[p])
        if gpus < 0 or gpus % unit:
            raise ValueError(
                f"previous placement: {one.claim.id} holds {gpus} GPUs of {self.pools[p].id}, units of {unit}"
            )
        return gpus // unit

    def _events(self) -> Mapping[int, list[tuple[int, int, int]]]:
        """By segment, claims whose need changes, with the instant until which they need as many."""
        found: dict[int, list[tuple[int, int, int]]] = {}
        for c in range(len(self.wanted)):
            need = self.windows.nodes[self.windows.part(c)]
            first = int(self.windows.first[c])
            if not len(need):
                continue
            at = np.flatnonzero(np.diff(need, prepend=-1))
            values = need[at].tolist()
            instants = self.times[first + at].tolist()
            until = int(self.times[first + len(need)])
            untils = []
            for i in range(len(values) - 1, -1, -1):
                if i + 1 < len(values) and values[i + 1] < values[i]:
                    until = instants[i + 1]
                untils.append(until)
            for k, nodes, last in zip((first + at).tolist(), values, reversed(untils), strict=True):
                found.setdefault(k, []).append((c, nodes, last))
            if first + len(need) < len(self.times) - 1:
                found.setdefault(first + len(need), []).append((c, 0, int(self.times[-1])))
        holding = {c for c, _, _ in self.start} - {c for c, _, _ in found.get(0, ())}
        found.setdefault(0, []).extend((c, 0, int(self.times[-1])) for c in sorted(holding))
        return found

    def walk(self, move_cost: int, ahead: list[list[int]] | None) -> tuple[Walk, Counts, Counts]:
        """Every segment in turn; where moves are free, also what a node more would earn and one less cost."""
        walk = Walk(self.eligible, self.weight, len(self.pools), move=move_cost)
        for c, p, nodes in self.start:
            walk.put(c, p, nodes)
        shape = (len(self.times) - 1, len(self.pools))
        prices, costs = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        seen, top = -1, max(self.weight, default=0)
        for k, now in enumerate(self.times[:-1].tolist()):
            needs, rooms = self._needs.get(k, ()), self._rooms.get(k, ())
            if needs or rooms:
                walk.advance(k, now, needs, rooms, ahead)
            if move_cost:
                continue
            if walk.version == seen:
                prices[k], costs[k] = prices[k - 1], costs[k - 1]
            else:
                prices[k] = walk.prices()
                costs[k] = [min(cost, top) for cost in walk.costs()]
                seen = walk.version
        return walk, prices, costs

    def ahead(self, costs: Counts) -> list[list[int]]:
        """What a node of each pool would cost from each segment to the end of the window, in millionths."""
        worth = costs * np.diff(self.times)[:, np.newaxis] // HOUR_S
        left: list[list[int]] = np.cumsum(worth[::-1], axis=0)[::-1].tolist()
        return left

    def moves(self, walk: Walk) -> tuple[Move, ...]:
        """Nodes that left one pool for another at one instant; what was only lost or gained isn't moved."""
        made_for = {(k, claim): other for k, claim, _, _, _, other in walk.moved}
        net: dict[tuple[int, int], dict[int, int]] = {}
        for k, claim, pool, nodes in walk.changes:
            if k >= 0:
                own = net.setdefault((k, claim), {})
                own[pool] = own.get(pool, 0) + nodes
        names = [one.claim.id for one in self.wanted]
        found = []
        for (k, claim), own in net.items():
            other = made_for.get((k, claim), -1)
            found += paired(
                int(self.times[k]),
                names[claim],
                {self.pools[p].id: nodes * int(self.unit[p]) for p, nodes in own.items()},
                None if other < 0 else names[other],
            )
        return tuple(found)


def paired(at: int, claim: str, change: Mapping[str, int], made_for: str | None) -> list[Move]:
    """What a claim lost in some pools and gained in others at one instant, as moves."""
    lost = {pool: -gpus for pool, gpus in change.items() if gpus < 0}
    found = []
    for target, gained in change.items():
        left = gained
        while left > 0 and lost:
            source = next(iter(lost))
            moved = min(left, lost[source])
            found.append(
                Move(at=at, claim=claim, source=source, target=target, gpus=moved, made_for=made_for)
            )
            left -= moved
            lost[source] -= moved
            if not lost[source]:
                del lost[source]
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Windows:
    """What claims ask for, each over the segments in which it asks for anything, one after another.

    Shapes: first, last, offset int64[C]; gpus, nodes int64[N], N the sum of the claims' segments.
    """

    wanted: Sequence[Wanted]
    lengths: Counts
    first: Counts
    last: Counts
    offset: Counts
    gpus: Counts
    nodes: Counts
    node: Counts

    @classmethod
    def of(cls, wanted: Sequence[Wanted], times: Counts, node: Counts | None = None) -> _Windows:
        parts, firsts, lasts = [], [], []
        sizes = np.ones(len(wanted), dtype=np.int64) if node is None else node
        for one in wanted:
            curve = one.claim.gpus
            inside = curve.times
            first = int(np.searchsorted(times, inside[0])) if len(inside) else 0
            last = len(times) - 1
            if len(inside) and not curve.values[-1]:
                last = int(np.searchsorted(times[:-1], inside[-1]))
            first = min(first, last) if len(inside) else last
            firsts.append(first)
            lasts.append(last)
            parts.append(curve.at(times[first:last]))
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        gpus = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
        per = np.repeat(sizes, counts)
        return cls(
            wanted=wanted,
            lengths=np.diff(times),
            first=np.array(firsts, dtype=np.int64),
            last=np.array(lasts, dtype=np.int64),
            offset=np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64),
            gpus=gpus,
            nodes=-(-gpus // per),
            node=sizes,
        )

    def part(self, c: int) -> slice:
        """Where a claim's segments are."""
        start = int(self.offset[c])
        return slice(start, start + int(self.last[c] - self.first[c]))

    def filled(self, runs: Counts, *, only: int | None = None) -> Counts:
        """What runs hold in each claim's segments, int64[N]."""
        total = np.zeros(len(self.gpus) + 1, dtype=np.int64)
        claim = runs[:, 0] if only is None else np.zeros(len(runs), dtype=np.int64)
        shift = self.offset[claim] - self.first[claim]
        np.add.at(total, runs[:, 2] + shift, runs[:, 4])
        np.add.at(total, runs[:, 3] + shift, -runs[:, 4])
        return np.cumsum(total)[:-1]

    def short(self, runs: Counts, free_moves: Counts) -> Counts:
        """Runs of equal shortfall, as `Horizon.short` has them."""
        lacking = np.maximum(self.gpus - self.filled(runs), 0)
        outbid = self.nodes > self.filled(free_moves)
        claim = np.repeat(np.arange(len(self.first)), self.last - self.first)
        border = np.ones(len(lacking) + 1, dtype=np.bool_)
        for values in (lacking, claim, outbid):
            border[1:-1] &= values[1:] == values[:-1]
        border[1:-1] = ~border[1:-1]
        at = np.flatnonzero(border)
        first, last = at[:-1], at[1:]
        kept = lacking[first] > 0
        first, last = first[kept], last[kept]
        own = claim[first]
        shift = self.first[own] - self.offset[own]
        return np.stack([own, first + shift, last + shift, lacking[first], outbid[first]], axis=1)

    def seconds(self, c: int) -> Counts:
        """Lengths of a claim's segments."""
        return self.lengths[self.first[c] : self.last[c]]

    def worth_in_nodes(self, runs: Counts) -> int:
        """Worth of the nodes held, times 3,600 / HOUR."""
        held = self.filled(runs)
        return sum(
            (one.value + one.penalty) * int(self.node[c]) * int(held[self.part(c)] @ self.seconds(c))
            for c, one in enumerate(self.wanted)
        )

    def objective(self, runs: Counts) -> int:
        """Worth of what is served less penalties."""
        held = self.filled(runs)
        return sum(
            earned(one, held[part], self.gpus[part], self.seconds(c))
            for c, one in enumerate(self.wanted)
            for part in (self.part(c),)
        )

    def bound(self, prices: Counts, capacity: Counts, eligible: Sequence[tuple[int, ...]]) -> int:
        """What no plan in whole nodes can exceed."""
        found = paid(prices, capacity, self.lengths)
        for c, one in enumerate(self.wanted):
            own = prices[self.first[c] : self.last[c], list(eligible[c])]
            found += above(one, self.gpus[self.part(c)], own, self.seconds(c))
        return found

    def bound_in_nodes(self, prices: Counts, capacity: Counts, eligible: Sequence[tuple[int, ...]]) -> int:
        """The same for nodes held, each worth as much as all its GPUs."""
        found = paid(prices, capacity, self.lengths)
        for c, one in enumerate(self.wanted):
            own = prices[self.first[c] : self.last[c], list(eligible[c])]
            asked = self.nodes[self.part(c)] * self.node[c]
            whole = Wanted(claim=one.claim, value=one.value + one.penalty)
            found += above(whole, asked, own, self.seconds(c))
        return found


def earned(one: Wanted, held: Counts, asked: Counts, seconds: Counts) -> int:
    """Worth of what a claim gets, less the penalty for what it doesn't, times 3,600."""
    got, whole = int(np.minimum(held, asked) @ seconds), int(asked @ seconds)
    return one.value * got - one.penalty * (whole - got)


def paid(prices: Counts, capacity: Counts, seconds: Counts) -> int:
    """Worth of all capacity at its prices."""
    return sum(exact_dot(capacity[:, p] * seconds, prices[:, p]) for p in range(capacity.shape[1]))


def above(one: Wanted, asked: Counts, prices: Counts, seconds: Counts) -> int:
    """The most a claim could earn above the cheapest of its pools, less the penalty for all it asks for."""
    if not len(asked):
        return 0
    margin = np.maximum(one.value + one.penalty - prices.min(axis=1), 0)
    return exact_dot(asked * seconds, margin) - one.penalty * int(asked @ seconds)


def exact_dot(a: Counts, b: Counts) -> int:
    """Sum of products of whole numbers that aren't negative, exact whatever their size."""
    if not len(a):
        return 0
    most = int(b.max())
    if int(a.max()) * most * len(a) < 2**63:
        return int(a @ b)
    if most >= 2**15:
        return (exact_dot(a, b >> 15) << 15) + exact_dot(a, b & (2**15 - 1))
    return sum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def _runs(changes: Sequence[tuple[int, int, int, int]], segments: int) -> Counts:
    """Runs of equal holdings from what changed: claim, pool, first segment, last (exclusive), nodes."""
    if not changes:
        return np.zeros((0, 5), dtype=np.int64)
    found = np.array(changes, dtype=np.int64)
    found[:, 0] = np.maximum(found[:, 0], 0)
    order = np.lexsort((found[:, 0], found[:, 2], found[:, 1]))
    k, claim, pool, delta = found[order].T
    new = np.ones(len(k), dtype=np.bool_)
    new[1:] = (claim[1:] != claim[:-1]) | (pool[1:] != pool[:-1])
    total = np.cumsum(delta)
    base = np.where(new, total - delta, 0)
    group = np.cumsum(new) - 1
    level = total - base[new][group]
    end = np.append(k[1:], segments)
    end[:-1][new[1:]] = segments
    kept = (end > k) & (level > 0)
    runs: Counts = np.stack([claim, pool, k, end, level], axis=1)[kept]
    return runs


def free_of(capacity: Counts, runs: Counts) -> Counts:
    """GPUs that nobody holds, int64[K, P]."""
    change = np.zeros((len(capacity) + 1, capacity.shape[1]), dtype=np.int64)
    np.add.at(change, (runs[:, 2], runs[:, 1]), runs[:, 4])
    np.add.at(change, (runs[:, 3], runs[:, 1]), -runs[:, 4])
    held: Counts = np.cumsum(change, axis=0)[:-1]
    return capacity - held


def _changed(values: Counts) -> dict[int, list[tuple[int, int]]]:
    """By row, which columns have a new value there, and which; in the first row all do."""
    new = np.ones(values.shape, dtype=np.bool_)
    new[1:] = values[1:] != values[:-1]
    found: dict[int, list[tuple[int, int]]] = {}
    at, columns = np.nonzero(new)
    for k, column, value in zip(at.tolist(), columns.tolist(), values[at, columns].tolist(), strict=True):
        found.setdefault(k, []).append((column, value))
    return found


def check_all(wanted: Sequence[Wanted], pools: Sequence[Supply], window: Interval) -> None:
    """Refuse an empty window, an id that appears twice, and what `check_pools` refuses.

    Raises:
        ValueError: saying which.
    """
    if not window.seconds:
        raise ValueError(f"there is nothing to plan in an empty window: {window}")
    for ids, what in (([w.claim.id for w in wanted], "claim"), ([p.id for p in pools], "pool")):
        seen: set[str] = set()
        twice = sorted({name for name in ids if name in seen or seen.add(name)})  # type: ignore[func-returns-value]
        if twice:
            raise ValueError(f"{what} ids must differ; twice: {', '.join(twice)}")
    known = {pool.id for pool in pools}
    for one in wanted:
        check_pools(one.claim, known)


def check_pools(claim: Claim, known: Collection[str]) -> None:
    """Refuse a claim on unknown pools.

    Raises:
        ValueError: saying which.
    """
    unknown = [pool for pool in claim.pools if pool not in known]
    if unknown:
        raise ValueError(f"claim {claim.id} names unknown pools: {', '.join(unknown)}")
