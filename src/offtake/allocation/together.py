"""Accept or reject a set of deals together, so that they and what stands are worth most.

Firm claims that stand are served in full, or as far as they could be without any deal. An accepted deal is
served in full; one that can't be is never accepted. What is left serves other claims by worth. Nodes are
whole and stay where they are between resets; a deal may have to be whole in one pool.

A mixed-integer program (HiGHS) chooses the quantities: a whole number of each claim's bands of nodes in each
pool (see `stays`), and a nought or one for each deal. Worth and capacity are then recounted in whole numbers.
Stopped early, it still answers with the best found and a proved bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise, product
from math import ceil
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from offtake.allocation.horizon import Counts, Wanted, check_all
from offtake.allocation.model import Supply
from offtake.allocation.network import units_of
from offtake.allocation.stays import SCALE, Floats, Model, Piece, Use, bands, capacity_rows, epochs, rooms
from offtake.base.curve import Curve, merged_times
from offtake.base.errors import ensure
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim, Firmness

_INF = highspy.kHighsInf
_NEAR = 1e-6
_EXACT = 10**9
"""A worth from the solver is right to a part in so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal that is accepted wholly or not at all.

    Attributes:
        id: its name.
        claims: what it would claim.
        worth: what it brings, in millionths of a major unit.
        whole: whether each of its claims must run in one pool; else it may be split over its pools.
    """

    id: str
    claims: tuple[Claim, ...]
    worth: int
    whole: bool = False


class Against(StrEnum):
    """Why a deal is rejected.

    `NO_ROOM`: it can't be served in full beside firm claims, whatever else gave way. `WORTH_LESS`: what would
    have to give way is worth more. `NO_GAIN`: what would have to give way is worth as much, or it would have
    to run on parts of nodes. `NOT_PROVED`: it might be worth more, but by less than the gap that is left;
    solve longer.
    """

    NO_ROOM = "no_room"
    WORTH_LESS = "worth_less"
    NO_GAIN = "no_gain"
    NOT_PROVED = "not_proved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """GPUs that a pool lacks over an interval, at most at once."""

    pool: str
    interval: Interval
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Displaced:
    """GPU-seconds that a claim or an accepted deal would lose."""

    claim: str
    gpu_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A deal that isn't accepted.

    Attributes:
        id: of the deal.
        why: the reason.
        short: the pools and intervals that lack GPUs for it: beside firm claims if there is no room, else
            beside firm claims and the deals accepted. One way of placing all; empty if other claims only
            would have to give way.
        displaces: who would lose what if it were accepted; nobody if there is no room.
        loss: what the whole would lose at least, in millionths times 3,600; 0 if there is no room.
    """

    id: str
    why: Against
    short: tuple[Lack, ...]
    displaces: tuple[Displaced, ...]
    loss: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """Which deals to accept, and where everything goes.

    Shapes: K segments, R runs.

    Units: GPUs; worth in millionths of a major unit, times 3,600.

    Attributes:
        times: int64[K+1].
        claims: ids of the claims that stand, then of the deals' claims.
        pools: ids.
        accepted: ids of deals, in the order given.
        rejected: the others, in the order given.
        already_short: firm claims that couldn't be served in full even without a deal, and by how much.
        runs: int64[R, 5]: claim, pool, first segment, last segment (exclusive), GPUs in whole nodes.
        objective: worth of what is served, less penalties of claims that stand.
        bound: no choice can have more.
    """

    times: Counts
    claims: tuple[str, ...]
    pools: tuple[str, ...]
    accepted: tuple[str, ...]
    rejected: tuple[Rejected, ...]
    already_short: tuple[Displaced, ...]
    runs: Counts
    objective: int
    bound: int

    @property
    def gap(self) -> Fraction:
        """How far the objective is below the bound, as a part of the bound."""
        return Fraction(self.bound - self.objective, abs(self.bound)) if self.bound else Fraction(0)

    def held(self, claim: str, pool: str) -> Curve:
        """GPUs of a pool that a claim holds, in whole nodes."""
        own = self.runs[
            (self.runs[:, 0] == self.claims.index(claim)) & (self.runs[:, 1] == self.pools.index(pool))
        ]
        return Curve.from_records(self.times[own[:, 2]], self.times[own[:, 3]], own[:, 4])


def choose_deals(
    standing: Sequence[Wanted],
    deals: Sequence[Deal],
    pools: Sequence[Supply],
    window: Interval,
    *,
    resets: Sequence[int] | None = (),
    seconds: float = 60.0,
    gap: float = 1e-4,
) -> Decision:
    """The deals that are worth most together with what stands.

    Args:
        standing: claims as they stand; firm ones are served first, others by worth.
        deals: to decide on; they count within the window, with all their worth.
        pools: every pool that a claim names. Where claims join pools with nodes of different sizes, all of
            these are counted in units of the greatest common divisor.
        window: half-open, not empty.
        resets: instants at which everything may be placed anew; None for whenever anything changes.
        seconds: solving stops after this, with the best found; which that is then depends on the machine.
        gap: solving stops this near to the bound, as a part of it; 0 for the best.

    Raises:
        ValueError: as `plan_horizon` does, and for deals of one id.
        TimeoutError: if firm claims couldn't be placed in time.
    """
    offered = [Wanted(claim=claim, value=1) for deal in deals for claim in deal.claims]
    check_all([*standing, *offered], pools, window)
    if len({deal.id for deal in deals}) < len(deals):
        raise ValueError(f"ids of deals must differ: {', '.join(deal.id for deal in deals)}")
    return _Task(standing, deals, pools, window, resets).decision(seconds, gap)


class _Task:
    """Columns of the program and what they mean.

    Shapes: N pieces, J deals, K segments, P pools.
    """

    def __init__(
        self,
        standing: Sequence[Wanted],
        deals: Sequence[Deal],
        pools: Sequence[Supply],
        window: Interval,
        resets: Sequence[int] | None,
    ) -> None:
        self.standing, self.stand, self.deals, self.pools = standing, len(standing), deals, pools
        self.claims = [*(one.claim for one in standing), *(claim for deal in deals for claim in deal.claims)]
        self.deal = [-1] * len(standing) + [j for j, deal in enumerate(deals) for _ in deal.claims]
        inside = [at for at in resets or () if window.start < at < window.end]
        times = merged_times([*(c.gpus for c in self.claims), *(p.available for p in pools)], window)
        self.times = np.unique(np.concatenate([times, np.array(inside, dtype=np.int64)]))
        self.spans = epochs(self.times, inside if resets is not None else self.times.tolist())
        index = {pool.id: p for p, pool in enumerate(pools)}
        self.eligible = [[index[pool] for pool in claim.pools] for claim in self.claims]
        self.unit = units_of(self.eligible, [pool.gpus_per_node for pool in pools])
        self.node = [self.unit[own[0]] for own in self.eligible]
        self.room = rooms(pools, self.times, self.unit)
        self.whole = [j >= 0 and deals[j].whole for j in self.deal]
        lengths = np.diff(self.times)
        self.asked = [int(claim.gpus.at(self.times[:-1]) @ lengths) for claim in self.claims]
        self._build()

    def _build(self) -> None:
        """Columns: pieces by pool, then one for each deal, and one for each pool of a whole one."""
        penalties = sum(one.penalty * self.asked[c] for c, one in enumerate(self.standing))
        self.model = model = Model(fixed=-penalties / SCALE)
        self.parts: list[tuple[Piece, int, int]] = []
        self.uses: list[list[Use]] = [[] for _ in self.pools]
        self.firm_rows: list[tuple[Piece, int]] = []
        self.accept = [
            model.column(deal.worth * HOUR_S / SCALE, float(deal.worth > 0), whole=True)
            for deal in self.deals
        ]
        for piece in bands(self.claims, self.times, self.spans, self.node):
            if not self.whole[piece.claim]:
                self._add(piece)
        self.wholes: dict[int, list[list[int]]] = {}
        for c, whole in enumerate(self.whole):
            if whole and self.asked[c]:
                self._add_whole(c)
        self.choices = len(model.rows)
        for p, uses in enumerate(self.uses):
            for k, columns, taken in capacity_rows(uses, self.room[:, p], self.spans, model.upper):
                model.rows.append((-_INF, float(self.room[k, p]), columns.tolist(), taken.tolist()))
        if not model.cost:  # HiGHS has no optimum for a model without columns
            model.column(0.0, 0.0, whole=True)

    def _add(self, piece: Piece) -> None:
        deal, worth = self.deal[piece.claim], 0.0
        if deal < 0:
            one = self.standing[piece.claim]
            worth = (one.value + one.penalty) * piece.gpu_seconds / SCALE
        columns = [self._part(piece, p, worth, float(piece.units)) for p in self.eligible[piece.claim]]
        if deal >= 0:
            self._tie(columns, deal, float(piece.units))
            return
        if self.is_firm(piece.claim):
            self.firm_rows.append((piece, len(self.model.rows)))
        self.model.rows.append((-_INF, float(piece.units), columns, [1.0] * len(columns)))

    def _tie(self, columns: list[int], deal: int, units: float) -> None:
        """All units are placed if the deal is accepted, and none if it isn't."""
        row = [*columns, self.accept[deal]]
        self.model.rows.append((0.0, 0.0, row, [*([1.0] * len(columns)), -units]))

    def _add_whole(self, c: int) -> None:
        gpus = self.claims[c].gpus.at(self.times[:-1])
        some = np.flatnonzero(gpus)
        first, last = int(some[0]), int(some[-1]) + 1
        piece = Piece(
            claim=c,
            first=first,
            last=last,
            units=1,
            use=-(-gpus[first:last] // self.node[c]),
            gpu_seconds=self.asked[c],
        )
        columns = [self._part(piece, p, 0.0, 1.0) for p in self.eligible[c]]
        self.wholes.setdefault(self.deal[c], []).append(columns)
        self._tie(columns, self.deal[c], 1.0)

    def _part(self, piece: Piece, pool: int, worth: float, upper: float) -> int:
        column = self.model.column(worth, upper, whole=True)
        self.parts.append((piece, pool, column))
        self.uses[pool].append((column, piece.first, piece.last, piece.use))
        return column

    def is_firm(self, c: int) -> bool:
        """Whether a claim stands and must be served in full."""
        return c < self.stand and self.claims[c].firmness is Firmness.FIRM

    def decision(self, seconds: float, gap: float) -> Decision:
        """Firm claims alone; then everything; then why not."""
        start, short = self._firm_alone(seconds)
        highs = self.model.loaded(relaxed=False, options={"mip_rel_gap": gap, "time_limit": seconds})
        given = highspy.HighsSolution()
        given.col_value = start.tolist()
        highs.setSolution(given)
        highs.run()
        found = _values(highs) if _feasible(highs) else start
        units = np.rint(found).astype(np.int64)
        objective = self._objective(units)
        most = self.model.fixed + float(np.maximum(self.model.cost, 0) @ self.model.upper)
        bound = max(objective, ceil(min(highs.getInfo().mip_dual_bound, most) * SCALE))
        return Decision(
            times=self.times,
            claims=tuple(claim.id for claim in self.claims),
            pools=tuple(pool.id for pool in self.pools),
            accepted=tuple(
                deal.id for deal, column in zip(self.deals, self.accept, strict=True) if units[column]
            ),
            rejected=_Reasons(self, units, objective, bound).all(),
            already_short=short,
            runs=self._runs(units),
            objective=objective,
            bound=bound,
        )

    def _firm_alone(self, seconds: float) -> tuple[Floats, tuple[Displaced, ...]]:
        """Place firm claims without anything else, and from now on ask for as much of each."""
        highs = self.model.loaded(relaxed=False, options={"mip_rel_gap": 0.0, "time_limit": seconds})
        firm = {column for piece, _, column in self.parts if self.is_firm(piece.claim)}
        others = np.array([c for c in range(len(self.model.cost)) if c not in firm], dtype=np.int32)
        highs.changeColsBounds(len(others), others, np.zeros(len(others)), np.zeros(len(others)))
        highs.run()
        if not _feasible(highs):
            raise TimeoutError(f"firm claims weren't placed within {seconds:g} seconds; allow more")
        values = np.rint(_values(highs))
        lacking: dict[int, int] = {}
        for piece, row in self.firm_rows:
            _, upper, columns, ones = self.model.rows[row]
            placed = float(values[np.array(columns)].sum())
            self.model.rows[row] = (placed, upper, columns, ones)
            missing = piece.units - round(placed)
            lacking[piece.claim] = lacking.get(piece.claim, 0) + missing * piece.gpu_seconds
        short = tuple(
            Displaced(claim=self.claims[c].id, gpu_seconds=lost)
            for c, lost in sorted(lacking.items())
            if lost
        )
        return values, short

    def served(self, values: NDArray[np.int64] | Floats) -> list[int]:
        """GPU-seconds that each claim gets."""
        found = [0] * len(self.claims)
        for piece, _, column in self.parts:
            if values[column] > _NEAR:
                found[piece.claim] += round(float(values[column]) * piece.gpu_seconds)
        return found

    def used(self, values: NDArray[np.int64] | Floats) -> NDArray[Any]:
        """Nodes taken in each segment of each pool, [K, P]; whole if the values are."""
        used: NDArray[Any] = np.zeros(self.room.shape, dtype=values.dtype)
        for piece, pool, column in self.parts:
            if values[column] > _NEAR:
                used[piece.first : piece.last, pool] += values[column] * piece.use
        return used

    def _objective(self, units: NDArray[np.int64]) -> int:
        """Worth in whole numbers; also checks every rule."""
        ensure(bool((self.used(units) <= self.room).all()), "a pool would give more than it has")
        got = [0] * len(self.claims)
        for piece, _, column in self.parts:
            got[piece.claim] += int(units[column]) * piece.gpu_seconds
        for c in range(self.stand, len(self.claims)):
            whole = self.asked[c] * int(units[self.accept[self.deal[c]]])
            ensure(got[c] == whole, "an accepted deal isn't served in full")
        for piece, row in self.firm_rows:
            lower, upper, columns, _ = self.model.rows[row]
            placed = int(units[np.array(columns)].sum())
            ensure(lower <= placed <= upper, f"firm claim {self.claims[piece.claim].id} would lose nodes")
        brought = sum(deal.worth for deal, own in zip(self.deals, self.accept, strict=True) if units[own])
        return HOUR_S * brought + sum(
            one.value * got[c] - one.penalty * (self.asked[c] - got[c]) for c, one in enumerate(self.standing)
        )

    def _runs(self, units: NDArray[np.int64]) -> Counts:
        held: dict[tuple[int, int], Counts] = {}
        for piece, pool, column in self.parts:
            if units[column]:
                own = held.setdefault((piece.claim, pool), np.zeros(len(self.room), dtype=np.int64))
                own[piece.first : piece.last] += units[column] * piece.use * self.node[piece.claim]
        found = [
            (c, p, first, last, gpus)
            for (c, p), own in sorted(held.items())
            for first, last, gpus in _steps(own)
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 5)


class _Reasons:
    """Why deals are rejected: the linear program in which one of them must be served.

    It may part nodes and deals, so what it loses against the choice is the least that could be lost.
    """

    def __init__(self, task: _Task, units: NDArray[np.int64], objective: int, bound: int) -> None:
        self.task, self.objective = task, objective
        self.noise = max(abs(objective), abs(bound)) // _EXACT
        self.proved = bound - objective <= self.noise
        self.taken = [j for j, column in enumerate(task.accept) if units[column]]
        self.got = task.served(units)
        self.relaxed = task.model.loaded(relaxed=True, options={"solver": "simplex"})
        self.overfull = self._overfull().loaded(relaxed=True, options={"solver": "simplex"})

    def _overfull(self) -> Model:
        """Firm claims and deals only; pools may give more than they have, and do so as little as possible."""
        task = self.task
        found = Model(cost=[0.0] * len(task.model.cost), upper=list(task.model.upper))
        found.whole, found.rows = list(task.model.whole), task.model.rows[: task.choices]
        for piece, _, column in task.parts:
            if piece.claim < task.stand and not task.is_firm(piece.claim):
                found.upper[column] = 0.0
        for _, room, columns, taken in task.model.rows[task.choices :]:
            beyond = found.column(-1.0, _INF, whole=False)
            found.rows.append((-_INF, room, [*columns, beyond], [*taken, -1.0]))
        return found

    def all(self) -> tuple[Rejected, ...]:
        """The reason for each that isn't taken."""
        return tuple(self._reason(j) for j in range(len(self.task.accept)) if j not in self.taken)

    def _reason(self, j: int) -> Rejected:
        name = self.task.deals[j].id
        values = self._best(self.relaxed, j)
        if values is None:
            short = self._lacking(j)
            return Rejected(id=name, why=Against.NO_ROOM, short=short, displaces=(), loss=0)
        model = self.task.model
        loss = self.objective - round((model.fixed + float(values @ np.array(model.cost))) * SCALE)
        if loss > self.noise:
            why = Against.WORTH_LESS
        else:
            why = Against.NO_GAIN if self.proved else Against.NOT_PROVED
        return Rejected(
            id=name,
            why=why,
            short=self._lacking(j, beside=self.taken),
            displaces=self._displaced(values),
            loss=max(0, loss),
        )

    def _best(self, highs: highspy.Highs, j: int, beside: Sequence[int] = ()) -> Floats | None:
        """The best with a deal served, beside some in full, and as much of the others as pays."""
        task = self.task
        lower, upper = np.zeros(len(task.accept)), np.ones(len(task.accept))
        lower[[j, *beside]] = 1.0
        columns = np.array(task.accept, dtype=np.int32)
        highs.changeColsBounds(len(columns), columns, lower, upper)
        places = task.wholes.get(j, [])
        flat = np.array([column for own in places for column in own], dtype=np.int32)
        found: list[tuple[float, Floats]] = []
        for chosen in product(*places):
            one = np.isin(flat, chosen).astype(np.float64)
            highs.changeColsBounds(len(flat), flat, one, one)
            highs.run()
            if highs.getModelStatus() == highspy.HighsModelStatus.kOptimal:
                found.append((highs.getInfo().objective_function_value, _values(highs)))
        highs.changeColsBounds(len(flat), flat, np.zeros(len(flat)), np.ones(len(flat)))
        return max(found, key=lambda one: one[0])[1] if found else None

    def _lacking(self, j: int, beside: Sequence[int] = ()) -> tuple[Lack, ...]:
        """Where pools would have to give more than they have, for firm claims and deals alone."""
        values = self._best(self.overfull, j, beside)
        ensure(values is not None, "a pool that may give more than it has isn't enough")
        over = self.task.used(np.asarray(values)) - self.task.room
        times = self.task.times.tolist()
        return tuple(
            Lack(
                pool=pool.id,
                interval=Interval(times[first], times[last]),
                gpus=ceil((float(over[first:last, p].max()) - _NEAR) * self.task.unit[p]),
            )
            for p, pool in enumerate(self.task.pools)
            for first, last, _ in _steps((over[:, p] > _NEAR).astype(np.int64))
        )

    def _displaced(self, values: Floats) -> tuple[Displaced, ...]:
        lost = [
            Displaced(claim=claim.id, gpu_seconds=had - has)
            for claim, had, has in zip(self.task.claims, self.got, self.task.served(values), strict=True)
            if had - has >= HOUR_S
        ]
        return tuple(sorted(lost, key=lambda one: (-one.gpu_seconds, one.claim)))


def _steps(values: Counts) -> list[tuple[int, int, int]]:
    """Runs of one value that isn't nought: first segment, last (exclusive), value."""
    borders = np.flatnonzero(np.diff(values, prepend=0, append=0))
    return [(first, last, int(values[first])) for first, last in pairwise(borders.tolist()) if values[first]]


def _feasible(highs: highspy.Highs) -> bool:
    found: bool = highs.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    return found


def _values(highs: highspy.Highs) -> Floats:
    return np.asarray(highs.getSolution().col_value, dtype=np.float64)
