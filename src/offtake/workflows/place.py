"""Decide which nodes each claim has, from the plan and from what was left, failed or cleaned before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offtake.allocation.precedence import rank_claims
from offtake.base.errors import ClockBackwards, ensure
from offtake.base.outcome import Refused
from offtake.base.time import Interval, format_instant
from offtake.fleet.model import Pool
from offtake.fleet.nodes import blocks_of, in_service, layout_of
from offtake.placement.assign import assign
from offtake.placement.figures import ClaimFigures, PoolFigures, figures
from offtake.placement.model import (
    NONE,
    Assignment,
    Nodes,
    NodeState,
    Want,
    failed,
    index_of,
    new_nodes,
    restored,
    sanitised,
)
from offtake.placement.ranges import parse_nodes
from offtake.store.fact import Fact
from offtake.store.lake import Columns, manifest_of
from offtake.workflows.allocate import held_rows, precedence_of
from offtake.workflows.book import Book, OpenBook
from offtake.workflows.state import Body
from offtake.workflows.view import claims_in, deliveries_of, fleet_of

FAILED, RESTORED, SANITISED = "node.failed", "node.restored", "node.sanitised"
"""Facts about nodes, from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Who has which nodes now.

    Attributes:
        assignments: by pool.
        figures: by pool.
        fact: what is to be recorded, or None where the book says so already.
        rows: the table that the fact names.
    """

    assignments: Mapping[str, Assignment]
    figures: Mapping[str, PoolFigures]
    fact: Fact | None
    rows: Columns


def place(book: Book, now: int) -> Placed | Refused:
    """Assign nodes and record who has which; running it again adds nothing.

    Refusals: those of `decide_placement`.

    Raises:
        ClockBackwards: if `now` is before what the book already knows.
    """
    with book.writing():
        if now < book.state.now:
            raise ClockBackwards(
                f"a placement at {format_instant(now)}, but the book already knows "
                f"{format_instant(book.state.now)}; set the clock right, nothing was recorded"
            )
        placed = decide_placement(book, now)
        if isinstance(placed, Placed) and placed.fact is not None:
            book.lake.save(placed.rows)
            book.append([placed.fact])
        return placed


def decide_placement(book: OpenBook, now: int) -> Placed | Refused:
    """What `place` would record.

    Refusals: `no_plan` where none covers `now` or what it rests on has changed since, `renumbered` where the
    fleet's blocks no longer give nodes the numbers under which they are held.
    """
    refused = _unplanned(book, now) or _renumbered(book)
    if refused is not None:
        return refused
    wants = _wants(book, now)
    assignments = {
        pool.id: assign(
            nodes_of(book, pool, now), wants.get(pool.id, ()), spares=pool.topology.spares, now=now
        )
        for pool in fleet_of(book.state).pool
    }
    found = {pool: figures(done) for pool, done in assignments.items()}
    rows = _rows({pool: done.nodes for pool, done in assignments.items()})
    body = _body(book, found, rows)
    fact = Fact(kind="nodes.assigned", id=str(now), effective_at=now, recorded_at=now, body=body)
    known = book.state.body("assigned", "nodes")
    same = known is not None and _lasting(known) == _lasting(body)
    return Placed(assignments=assignments, figures=found, fact=None if same else fact, rows=rows)


def _unplanned(book: OpenBook, now: int) -> Refused | None:
    plans = [item.body for item in book.state.of("plan").values()]
    changed = book.state.body("replan", "from")
    covered = any(int(plan["start"]) <= now < int(plan["end"]) for plan in plans)
    if covered and changed is not None and int(changed["at"]) > now:
        return None
    what = "what the plan rests on has changed since" if covered else "no plan says who holds what"
    return Refused(code="no_plan", sentence=f"{what} at {format_instant(now)}; run `offtake tick` first")


def _renumbered(book: OpenBook) -> Refused | None:
    known = book.state.body("assigned", "nodes")
    deliveries = deliveries_of(book.state)
    now = {pool.id: blocks_of(pool, deliveries) for pool in fleet_of(book.state).pool}
    for entry in known["pools"] if known else ():
        old = [(str(block), int(nodes)) for block, nodes in entry["blocks"]]
        new = now.get(entry["pool"], ())
        kept = list(new[: len(old)])
        grown = (
            kept[:-1] == old[:-1] and kept[-1:] and kept[-1][0] == old[-1][0] and kept[-1][1] >= old[-1][1]
        )
        if entry["pool"] in now and not grown:
            return Refused(
                code="renumbered",
                sentence=f"pool {entry['pool']}: its nodes were numbered through {_blocks(old)}, and now are "
                f"through {_blocks(new)}; keep blocks in their order and size, say `retired` for what is "
                "gone, and add new blocks at the end",
                facts={"pool": str(entry["pool"])},
            )
    return None


def _blocks(blocks: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{block} ({nodes})" for block, nodes in blocks)


def _wants(book: OpenBook, now: int) -> dict[str, list[Want]]:
    """What the plan gives each claim of each pool, in the order of precedence."""
    rows = held_rows(book.state.of("plan"), book.lake, Interval(now, now + 1))
    size = {pool.id: pool.gpus_per_node for pool in fleet_of(book.state).pool}
    planned: dict[tuple[str, str], int] = {}
    for claim, pool, gpus in zip(rows.claim, rows.other, rows.gpus.tolist(), strict=True):
        ensure(gpus % size[pool] == 0, f"{claim}: {gpus} GPUs of {pool} aren't whole nodes of {size[pool]}")
        planned[claim, pool] = gpus // size[pool]
    wants: dict[str, list[Want]] = {}
    for claim in rank_claims(claims_in(book.state, book.lake), precedence_of(book.state)):
        for pool in claim.pools:
            if nodes := planned.pop((claim.id, pool), 0):
                wants.setdefault(pool, []).append(Want(claim=claim.id, holder=claim.holder, nodes=nodes))
    ensure(not planned, f"the plan gives nodes to claims that aren't there: {planned}")
    return wants


def nodes_of(book: OpenBook, pool: Pool, now: int) -> Nodes:
    """The nodes of a pool as they were last assigned, with what has happened to them since."""
    deliveries = deliveries_of(book.state)
    layout = layout_of(pool, deliveries)
    nodes = new_nodes(layout, in_service(fleet_of(book.state), pool, deliveries, now))
    known = book.state.body("assigned", "nodes")
    if known is not None:
        nodes = _with_rows(nodes, pool.id, book.lake.load(known["nodes"]))
    events = sorted(book.state.of("node_event").values(), key=lambda item: item.seq)
    for item in events:
        if item.body["pool"] == pool.id:
            nodes = _with_event(nodes, item.body)
    return nodes


def _with_rows(nodes: Nodes, pool: str, rows: Columns) -> Nodes:
    """Nodes with what a table says of them; those beyond it are new."""
    own = np.flatnonzero(np.asarray(rows["pool"]) == pool)
    first, end, state, since = (np.asarray(rows[name])[own] for name in ("first", "end", "state", "since"))
    claims, holders = ([rows[name][i] for i in own] for name in ("claim", "holder"))
    lengths, more = end - first, nodes.layout.nodes - int(end.max(initial=0))

    def spread(values: Any, rest: int) -> Any:
        return np.concatenate([np.repeat(values, lengths), np.full(more, rest)])

    named = {
        name: tuple(dict.fromkeys(text for text in texts if text))
        for name, texts in (("claim", claims), ("holder", holders))
    }
    return replace(
        nodes,
        claims=named["claim"],
        holders=named["holder"],
        claim=spread(index_of(claims, named["claim"])[:-1], NONE),
        holder=spread(index_of(holders, named["holder"])[:-1], NONE),
        since=spread(since, 0),
        spare=spread(state, -1) == NodeState.SPARE,
        failed=spread(state, -1) == NodeState.FAILED,
    )


def _with_event(nodes: Nodes, body: Body) -> Nodes:
    """Nodes after a fact from outside."""
    named = np.zeros(nodes.layout.nodes, dtype=np.bool_)
    named[parse_nodes(str(body["nodes"]), nodes.layout.nodes)] = True
    if body["what"] == SANITISED:
        return sanitised(nodes, named, int(body["at"]))
    return failed(nodes, named) if body["what"] == FAILED else restored(nodes, named)


def _rows(pools: Mapping[str, Nodes]) -> Columns:
    """Runs of nodes of which the same is known: pool, first, end (exclusive), state, claim, holder, since."""
    names: dict[str, list[str]] = {"pool": [], "claim": [], "holder": []}
    numbers: dict[str, list[Any]] = {"first": [], "end": [], "state": [], "since": []}
    for pool, nodes in pools.items():
        columns = np.stack([nodes.state, nodes.claim, nodes.holder, nodes.since])
        first = np.flatnonzero(np.append(True, (np.diff(columns) != 0).any(axis=0)))
        names["pool"] += [pool] * len(first)
        names["claim"] += [(*nodes.claims, "")[i] for i in nodes.claim[first].tolist()]
        names["holder"] += [(*nodes.holders, "")[i] for i in nodes.holder[first].tolist()]
        runs = (first, np.append(first[1:], nodes.layout.nodes), columns[0][first], nodes.since[first])
        for name, values in zip(numbers, runs, strict=True):
            numbers[name].append(values)
    return {**names, **{name: np.concatenate(values) for name, values in numbers.items()}}


def _body(book: OpenBook, found: Mapping[str, PoolFigures], rows: Columns) -> dict[str, Any]:
    deliveries = deliveries_of(book.state)
    return {
        "nodes": manifest_of(rows),
        "pools": [
            {
                "pool": pool.id,
                "blocks": [list(block) for block in blocks_of(pool, deliveries)],
                "states": {state.name.lower(): n for state, n in found[pool.id].states.items()},
                "spares_wanted": found[pool.id].spares_wanted,
                "domains_split": found[pool.id].domains_split,
                "units_shared": found[pool.id].units_shared,
            }
            for pool in fleet_of(book.state).pool
        ],
        "claims": [{"pool": pool, **plain(claim)} for pool, one in found.items() for claim in one.claims],
    }


def plain(claim: ClaimFigures) -> dict[str, Any]:
    """A claim's figures as plain values."""
    found = {name: getattr(claim, name) for name in ClaimFigures.__dataclass_fields__ if name != "reasons"}
    reasons = [{"code": str(code), "sentence": sentence} for code, sentence in claim.reasons]
    return {**found, "reasons": reasons}


def _lasting(body: Body) -> Any:
    """What of a decision holds on, unlike what it changed; with it the manifest of who has which nodes."""
    wanted = [(claim["pool"], claim["claim"], claim["wanted"]) for claim in body["claims"]]
    return body["nodes"], body["pools"], wanted
