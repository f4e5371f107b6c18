"""Who holds which nodes, which wait for cleaning, and what the others do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, format_instant
from offtake.fleet.capacity import unknown_pool
from offtake.fleet.model import Pool
from offtake.placement.model import Ints, Nodes, NodeState
from offtake.placement.ranges import format_nodes
from offtake.workflows.book import Book
from offtake.workflows.place import nodes_of, renumbered
from offtake.workflows.view import fleet_of


def show_nodes(
    book: Book, now: int, *, pool: str | None = None, claim: str | None = None
) -> dict[str, Any] | Refused:
    """Nodes by claim as last assigned, with reasons; those to be cleaned and the others, unless for a claim.

    Refusals: `not_placed`, `renumbered`.

    Raises:
        BadInput: if there is no such pool or claim.
    """
    pools = {one.id: one for one in fleet_of(book.state).pool}
    if pool is not None and pool not in pools:
        raise BadInput([unknown_pool("--pool", pool, sorted(pools))])
    known = book.state.body("assigned", "nodes")
    if known is None:
        return Refused(code="not_placed", sentence="no nodes are assigned yet; run `offtake place`")
    moved = renumbered(book)
    if moved is not None:
        return moved
    found = {name: nodes_of(book, one, now) for name, one in pools.items() if pool in (None, name)}
    claims = [row for row in known["claims"] if row["pool"] in found and claim in (None, row["claim"])]
    if claim is not None and not claims:
        raise BadInput([_unknown_claim(claim, sorted({row["claim"] for row in known["claims"]}))])
    rest = {} if claim else found
    return {
        "claims": [_held(row, found[row["pool"]]) for row in claims],
        "cleaning": [row for name, one in rest.items() for row in _waiting(pools[name], one, now)],
        "others": [row for name, one in rest.items() for row in _others(name, one)],
        "facts_since": len(book.state.of("node_event")),
    }


def _unknown_claim(claim: str, known: list[str]) -> Problem:
    return Problem(
        where="--claim",
        code="unknown_claim",
        message=f"no nodes are assigned to {claim!r}",
        remedy=f"claims are {', '.join(known) or 'none yet'}",
    )


def _held(row: Mapping[str, Any], nodes: Nodes) -> dict[str, Any]:
    places = {name: i for i, name in enumerate(nodes.claims)}
    numbers = np.flatnonzero(nodes.claim == places.get(row["claim"], len(places)))
    return {**row, "nodes": _named(row["pool"], numbers)}


def _named(pool: str, numbers: Ints) -> str:
    return f"{pool}[{format_nodes(numbers)}]" if len(numbers) else ""


def _waiting(pool: Pool, nodes: Nodes, now: int) -> list[dict[str, Any]]:
    """Nodes to be cleaned, by who was on them and since when."""
    hours = pool.topology.cleaning_hours
    numbers = np.flatnonzero(nodes.state == NodeState.CLEANING)
    groups, which = np.unique(
        np.stack([nodes.since[numbers], nodes.holder[numbers]]), axis=1, return_inverse=True
    )
    return [
        {
            "pool": pool.id,
            "nodes": _named(pool.id, numbers[which == i]),
            "count": int((which == i).sum()),
            "holder": nodes.holders[holder],
            "since": format_instant(since),
            "overdue": hours is not None and since + hours * HOUR_S < now,
        }
        for i, (since, holder) in enumerate(groups.T.tolist())
    ]


def _others(pool: str, nodes: Nodes) -> list[dict[str, Any]]:
    found = []
    for state in (NodeState.FREE, NodeState.SPARE, NodeState.FAILED, NodeState.ABSENT):
        numbers = np.flatnonzero(nodes.state == state)
        if len(numbers):
            found.append(
                {
                    "pool": pool,
                    "state": state.name.lower(),
                    "count": len(numbers),
                    "nodes": _named(pool, numbers),
                }
            )
    return found
