"""Decide who holds what: plan from where the last plan ends, or from where its inputs changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.model import CapacityCut, Plan, Supply
from offtake.allocation.plan import plan_allocation
from offtake.allocation.solver import SegmentSolver
from offtake.base.curve import Curve
from offtake.base.months import month_of
from offtake.base.time import Interval
from offtake.claims.model import Firmness
from offtake.fleet.capacity import PoolCapacity
from offtake.store.fact import Fact
from offtake.store.lake import Columns, Lake
from offtake.workflows.book import OpenBook
from offtake.workflows.state import Body, Item, State, all_settled_before
from offtake.workflows.view import capacities_of, claims_in, fleet_of, operator_zone


def decide_allocation(book: OpenBook, now: int, solver: SegmentSolver | None = None) -> list[Fact]:
    """Plan to the end of the operator's month that holds `now`, from where a plan is missing or out of date.

    Time that is already settled is never planned again.
    """
    state = book.state
    window = _window(state, now)
    if window is None:
        return []
    capacities = capacities_of(state)
    claims = [claim for claim in claims_in(state, book.lake) if claim.gpus.max_over(window)]
    plan = plan_allocation(
        claims,
        _supplies(capacities),
        window,
        previous=_placement(state, book.lake, window.start),
        precedence=precedence_of(state),
        causes={c.pool.id: _cuts(c, window) for c in capacities},
        solver=solver,
    )
    return [
        Fact(
            kind="allocation.planned",
            id=f"{window.start}-{now}",
            effective_at=window.start,
            recorded_at=now,
            body={
                "start": window.start,
                "end": window.end,
                "held": book.lake.save(_held_rows(plan)),
                "short": book.lake.save(_short_rows(plan)),
                "claims": [
                    {
                        "claim": t.claim,
                        "demanded": t.demanded,
                        "delivered": t.delivered,
                        "short": t.short,
                        "rounding": t.rounding,
                        "moved": t.moved,
                    }
                    for t in plan.totals()
                ],
                "reasons": _summary(plan),
            },
        )
    ]


def supplies_of(state: State) -> list[Supply]:
    """The pools as the allocator sees them."""
    return _supplies(capacities_of(state))


def _supplies(capacities: Sequence[PoolCapacity]) -> list[Supply]:
    return [
        Supply(id=c.pool.id, gpus_per_node=c.pool.gpus_per_node, available=c.available) for c in capacities
    ]


def _window(state: State, now: int) -> Interval | None:
    book = state.body("book", "book")
    if book is None or not state.of("fleet"):
        return None
    end = month_of(now, operator_zone(state)).interval(operator_zone(state)).end
    through = max(
        (int(item.body["end"]) for item in state.of("plan").values()), default=int(book["opened_at"])
    )
    changed = state.body("replan", "from")
    start = min(through, int(changed["at"])) if changed else through
    start = max(start, all_settled_before(state), int(book["opened_at"]))
    return Interval(start, end) if start < end else None


def precedence_of(state: State) -> tuple[Firmness, ...]:
    """Firmnesses in the order in which the operator serves them."""
    body = state.body("book", "book")
    return tuple(Firmness(name) for name in body["precedence"]) if body else ()


def _cuts(capacity: PoolCapacity, window: Interval) -> list[CapacityCut]:
    cuts = []
    for cut in capacity.cuts:
        for start, end, gpus in zip(*(c.tolist() for c in cut.gpus.to_records(window)), strict=True):
            cuts.append(CapacityCut(pool=cut.pool, interval=Interval(start, end), gpus=gpus, cause=cut.cause))
    return cuts


def _held_rows(plan: Plan) -> Columns:
    """Runs of equal holdings: claim, pool, start, end, GPUs."""
    return _rows(
        plan,
        "pool",
        [
            (claim, pool, plan.gpus[:, c, p])
            for c, claim in enumerate(plan.claims)
            for p, pool in enumerate(plan.pools)
        ],
    )


def _short_rows(plan: Plan) -> Columns:
    """Runs of equal shortfall: claim, cause, start, end, GPUs."""
    return _rows(
        plan,
        "cause",
        [
            (claim, str(code), by[:, c])
            for c, claim in enumerate(plan.claims)
            for code, by in plan.short_by.items()
        ],
    )


def _rows(plan: Plan, second: str, parts: list[tuple[str, str, NDArray[np.int64]]]) -> Columns:
    names: list[str] = []
    others: list[str] = []
    runs = []
    for claim, other, values in parts:
        found = _runs(plan.times, values)
        names += [claim] * len(found[0])
        others += [other] * len(found[0])
        runs.append(found)
    start, end, gpus = _joined(runs)
    return {"claim": names, second: others, "start": start, "end": end, "gpus": gpus}


def _runs(times: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Maximal runs of equal, non-zero values over segments."""
    first = np.flatnonzero(np.diff(values, prepend=values[0] - 1))
    last = np.append(first[1:], len(values))
    kept = values[first] != 0
    return times[first][kept], times[last][kept], values[first][kept]


def _joined(parts: list[tuple[NDArray[np.int64], ...]]) -> list[NDArray[np.int64]]:
    if not parts:
        return [np.zeros(0, dtype=np.int64)] * 3
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _summary(plan: Plan) -> list[dict[str, Any]]:
    """Reasons by claim and code, with one sentence as an example; all of them are in the lake."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for reason in plan.reasons:
        entry = found.setdefault(
            (reason.claim, str(reason.code)),
            {
                "claim": reason.claim,
                "code": str(reason.code),
                "times": 0,
                "gpus_max": 0,
                "gpu_seconds": 0,
                "example": reason.sentence,
            },
        )
        entry["times"] += 1
        entry["gpus_max"] = max(entry["gpus_max"], reason.gpus_max)
        entry["gpu_seconds"] += reason.gpu_seconds
    return list(found.values())


def _placement(state: State, lake: Lake, at: int) -> dict[tuple[str, str], int]:
    """Who held what just before an instant, as far as today's fleet still has it in whole nodes."""
    placement: dict[tuple[str, str], int] = {}
    nodes = {pool.id: pool.gpus_per_node for pool in fleet_of(state).pool}
    rows = held_rows(state.of("plan"), lake, Interval(at - 1, at))
    for claim, pool, gpus in zip(rows.claim, rows.other, rows.gpus.tolist(), strict=True):
        if pool in nodes and gpus % nodes[pool] == 0:
            placement[claim, pool] = gpus
    return placement


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Runs of GPUs in a window, by claim and by pool (of holdings) or cause (of shortfalls).

    Shapes: all of length n. Units: instants in seconds UTC, end exclusive; GPUs.
    """

    claim: NDArray[np.object_]
    other: NDArray[np.object_]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    gpus: NDArray[np.int64]

    def of(self, claim: str) -> Rows:
        """The rows of one claim."""
        return self._kept(self.claim == claim)

    def by_claim(self) -> dict[str, Rows]:
        """The rows of each claim, all at once."""
        if not len(self.claim):
            return {}
        order = np.argsort(self.claim.astype(str), kind="stable")
        names, starts = np.unique(self.claim[order].astype(str), return_index=True)
        return {
            str(name): self._kept(rows) for name, rows in zip(names, np.split(order, starts[1:]), strict=True)
        }

    def _kept(self, rows: NDArray[Any]) -> Rows:
        return Rows(
            claim=self.claim[rows],
            other=self.other[rows],
            start=self.start[rows],
            end=self.end[rows],
            gpus=self.gpus[rows],
        )

    @property
    def curve(self) -> Curve:
        """GPUs over time, all rows together."""
        return Curve.from_records(self.start, self.end, self.gpus)

    def curve_by_other(self) -> dict[str, Curve]:
        """GPUs over time by pool or cause."""
        return {str(name): self._kept(self.other == name).curve for name in sorted(set(self.other))}


def held_rows(plans: Mapping[str, Item], lake: Lake, window: Interval) -> Rows:
    """Holdings in force within a window: each plan from its start until a later one replaces it."""
    return _rows_in_force(plans, lake, window, "held", "pool")


def short_rows(plans: Mapping[str, Item], lake: Lake, window: Interval) -> Rows:
    """Shortfalls in force within a window, by cause."""
    return _rows_in_force(plans, lake, window, "short", "cause")


def _rows_in_force(plans: Mapping[str, Item], lake: Lake, window: Interval, table: str, other: str) -> Rows:
    bodies = (item.body for _, item in sorted(plans.items()))
    return rows_of(plans_in_force(bodies, lake, window, table), other)


def rows_of(parts: Iterable[tuple[Interval, Columns]], other: str) -> Rows:
    """Rows of plans in force, each clipped to its part; `other` names the second column, pool or cause."""
    names: list[str] = []
    others: list[str] = []
    runs: list[tuple[NDArray[np.int64], ...]] = []
    for part, columns in parts:
        starts, ends, counts = (np.asarray(columns[name]) for name in ("start", "end", "gpus"))
        start, end = np.maximum(starts, part.start), np.minimum(ends, part.end)
        inside = end > start
        names += np.asarray(columns["claim"], dtype=object)[inside].tolist()
        others += np.asarray(columns[other], dtype=object)[inside].tolist()
        runs.append((start[inside], end[inside], counts[inside]))
    start, end, gpus = _joined(runs)
    return Rows(
        claim=np.asarray(names, dtype=object),
        other=np.asarray(others, dtype=object),
        start=start,
        end=end,
        gpus=gpus,
    )


def plans_in_force(
    plans: Iterable[Body], lake: Lake, window: Interval, table: str
) -> list[tuple[Interval, Columns]]:
    """Parts of a window with the rows of the plan that was in force: each until a later one replaces it.

    Args:
        plans: bodies of ``allocation.planned``, in the order they were recorded.
        lake: where their rows are.
        window: what to look at.
        table: ``held`` or ``short``.
    """
    parts: list[tuple[Interval, Columns]] = []
    until = window.end
    for body in reversed(list(plans)):
        start, end = max(int(body["start"]), window.start), min(int(body["end"]), until)
        if start < end:
            parts.append((Interval(start, end), lake.load(body[table])))
        until = min(until, int(body["start"]))
    return parts[::-1]
