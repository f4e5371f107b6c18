"""Decide which nodes each claim has, from the plan and from what was left, failed or cleaned before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np

from offtake.allocation.precedence import rank_claims
from offtake.base.errors import ClockBackwards, ensure
from offtake.base.outcome import Refused
from offtake.base.time import Interval, format_instant
from offtake.claims.model import Claim
from offtake.fleet.model import Pool
from offtake.fleet.nodes import Blocks, blocks_of, in_service, layout_of
from offtake.placement.assign import assign
from offtake.placement.figures import ClaimFigures, PoolFigures, figures
from offtake.placement.model import (
    NONE,
    Assignment,
    Ints,
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
from offtake.workflows.state import Body, State
from offtake.workflows.view import claims_in, deliveries_of, fleet_of

FAILED, RESTORED, SANITISED = "node.failed", "node.restored", "node.sanitised"
"""Facts about nodes, from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Who has which nodes now.

    Attributes:
        assignments: by pool.
        figures: by pool.
        body: figures of every pool and claim as plain values, as a fact says them.
        fact: what is to be recorded, or None where the book says so already.
        rows: the table that the fact names.
    """

    assignments: Mapping[str, Assignment]
    figures: Mapping[str, PoolFigures]
    body: Body
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
    refused = _unplanned(book, now) or renumbered(book)
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
    return Placed(assignments=assignments, figures=found, body=body, fact=None if same else fact, rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """Nodes that a lease will give up, as things stand.

    Attributes:
        at: when, an instant.
        claim: its id.
        pool: of the nodes.
        nodes: int64[k], their numbers.
    """

    at: int
    claim: str
    pool: str
    nodes: Ints


def given_up_later(book: OpenBook, now: int) -> tuple[GivenUp, ...]:
    """Which nodes leases will give up because what they may hold falls: a recall's notice runs, a term ends.

    Only of claims that hold nodes of one pool: of several, the plan chooses the pool when it comes to it.
    """
    wants = _wants(book, now)
    leases = [claim for claim in claims_in(book.state, book.lake) if claim.agreement is not None]
    found: list[GivenUp] = []
    for pool in fleet_of(book.state).pool:
        nodes, own = nodes_of(book, pool, now), wants.get(pool.id, [])
        for claim in leases:
            elsewhere = any(w.claim == claim.id for p, ws in wants.items() if p != pool.id for w in ws)
            if claim.id in nodes.claims and not elsewhere:
                found += _falls(nodes, own, claim, pool, now)
    return tuple(found)


def _falls(nodes: Nodes, wants: Sequence[Want], claim: Claim, pool: Pool, now: int) -> Iterator[GivenUp]:
    """What a claim gives up each time that it may hold less than it has."""
    left = nodes.claim == nodes.claims.index(claim.id)
    for at, gpus in zip(claim.gpus.times.tolist(), claim.gpus.values.tolist(), strict=True):
        count = gpus // pool.gpus_per_node
        if at <= now or count >= left.sum():
            continue
        less = [replace(want, nodes=count) if want.claim == claim.id else want for want in wants]
        after = assign(nodes, less, spares=pool.topology.spares, now=at).nodes
        keeps = after.claim == after.claims.index(claim.id) if claim.id in after.claims else left & False
        if (left & ~keeps).any():
            yield GivenUp(at=at, claim=claim.id, pool=pool.id, nodes=np.flatnonzero(left & ~keeps))
        left = left & keeps


def _unplanned(book: OpenBook, now: int) -> Refused | None:
    plans = [item.body for item in book.state.of("plan").values()]
    changed = book.state.body("replan", "from")
    covered = any(int(plan["start"]) <= now < int(plan["end"]) for plan in plans)
    if covered and changed is not None and int(changed["at"]) > now:
        return None
    what = "what the plan rests on has changed since" if covered else "no plan says who holds what"
    return Refused(code="no_plan", sentence=f"{what} at {format_instant(now)}; run `offtake tick` first")


def renumbered(book: OpenBook) -> Refused | None:
    """Nodes keep the numbers under which they were assigned: only a last block grows, or new ones follow.

    A pool that has gone is refused, too: coming back, its nodes would pass for clean.
    """
    now = _blocks(book)
    for pool, numbered in _numbered(book.state).items():
        old, new = tuple(numbered.items()), now.get(pool, ())
        if _starts(new)[: len(old)] != _starts(old):
            return Refused(
                code="renumbered",
                sentence=f"pool {pool}: its nodes were numbered through {_listed(old)}, and now are through "
                f"{_listed(new)}; keep blocks in their order, say `retired` for what is gone, and put what "
                "is new into a block at the end",
                facts={"pool": pool},
            )
    return None


def _blocks(book: OpenBook) -> dict[str, Blocks]:
    """Of each pool the blocks, none with fewer numbers than it has had."""
    numbered, deliveries = _numbered(book.state), deliveries_of(book.state)
    return {
        pool.id: blocks_of(pool, deliveries, numbered.get(pool.id, {})) for pool in fleet_of(book.state).pool
    }


def _numbered(state: State) -> dict[str, dict[str, int]]:
    """Of each pool the blocks as they were numbered last."""
    known = state.body("assigned", "nodes")
    return {
        str(entry["pool"]): {str(block): int(nodes) for block, nodes in entry["blocks"]}
        for entry in (known["pools"] if known else ())
    }


def _starts(blocks: Blocks) -> list[tuple[str, int]]:
    """Each block with its first number."""
    firsts = accumulate((nodes for _, nodes in blocks), initial=0)
    return [(block, first) for (block, _), first in zip(blocks, firsts, strict=False)]


def _listed(blocks: Blocks) -> str:
    return ", ".join(f"{block} ({nodes})" for block, nodes in blocks) or "nothing"


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
    """The nodes of a pool as they were last assigned, with what has happened to them since.

    Only where they aren't `renumbered`.
    """
    blocks = _blocks(book)[pool.id]
    there = in_service(fleet_of(book.state), pool, deliveries_of(book.state), blocks, now)
    nodes = new_nodes(layout_of(pool, blocks), there)
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
    blocks = _blocks(book)
    return {
        "nodes": manifest_of(rows),
        "pools": [
            {
                "pool": pool.id,
                "blocks": [list(block) for block in blocks[pool.id]],
                "states": {state.name.lower(): n for state, n in found[pool.id].states.items()},
                "spares_wanted": found[pool.id].spares_wanted,
                "domains_split": found[pool.id].domains_split,
                "units_shared": found[pool.id].units_shared,
            }
            for pool in fleet_of(book.state).pool
        ],
        "claims": [{"pool": pool, **_plain(claim)} for pool, one in found.items() for claim in one.claims],
    }


def _plain(claim: ClaimFigures) -> dict[str, Any]:
    """A claim's figures as plain values."""
    found = {name: getattr(claim, name) for name in ClaimFigures.__dataclass_fields__ if name != "reasons"}
    reasons = [{"code": str(code), "sentence": sentence} for code, sentence in claim.reasons]
    return {**found, "reasons": reasons}


def _lasting(body: Body) -> Any:
    """What of a decision holds on, unlike what it changed; with it the manifest of who has which nodes."""
    wanted = [(claim["pool"], claim["claim"], claim["wanted"]) for claim in body["claims"]]
    return body["nodes"], body["pools"], wanted
