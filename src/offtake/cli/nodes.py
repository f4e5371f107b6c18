"""Commands on nodes: who holds which, what happened to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from offtake.base.canonical import digest
from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, format_instant, parse_instant
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, table
from offtake.fleet.capacity import unknown_pool
from offtake.placement.model import Ints, Nodes, NodeState
from offtake.placement.ranges import format_nodes
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import (
    FAILED,
    RESTORED,
    SANITISED,
    Placed,
    decide_placement,
    nodes_of,
    plain,
)
from offtake.workflows.place import place as place_claims
from offtake.workflows.state import is_simulated
from offtake.workflows.view import fleet_of

app = typer.Typer(help="What happens to nodes.", no_args_is_help=True)

PoolName = Annotated[str, typer.Argument(metavar="POOL", help="The nodes' pool.", show_default=False)]
Numbers = Annotated[
    str, typer.Argument(metavar="NODES", help="Numbers of nodes, such as 0-17,36.", show_default=False)
]
At = Annotated[str | None, typer.Option("--at", help="When it was so, such as 2027-02-01T08:00:00Z; now.")]


def add_to(root: typer.Typer) -> None:
    """Add these commands to the root."""
    root.command()(place)
    root.command()(nodes)


def place(
    book: BookDirectory,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show it.")] = False,
    json_: Json = False,
) -> None:
    """Decide which nodes each claim has, as the plan gives them out. Twice changes nothing.

    What stays with its claim isn't moved; a node passes to another holder only once it is known to be clean.
    """
    with opened(book) as target:
        _refuse_simulated(book, target)
        now = wall_clock()
        placed = decide_placement(target, now) if dry_run else place_claims(target, now)
    if isinstance(placed, Refused):
        raise RefusedByRule(placed)
    recorded = placed.fact is not None and not dry_run
    answer = {"recorded": recorded, "pools": _pools(placed), "claims": _claims(placed)}
    emit(json_, answer, lambda out: _draw_placed(out, placed, dry_run))


def _pools(placed: Placed) -> list[dict[str, Any]]:
    return [
        {
            "pool": pool,
            "states": {state.name.lower(): n for state, n in one.states.items()},
            "spares_wanted": one.spares_wanted,
            "domains_split": one.domains_split,
            "units_shared": one.units_shared,
        }
        for pool, one in placed.figures.items()
    ]


def _claims(placed: Placed) -> list[dict[str, Any]]:
    return [{"pool": pool, **plain(claim)} for pool, one in placed.figures.items() for claim in one.claims]


def _draw_placed(out: Console, placed: Placed, dry_run: bool) -> None:
    columns = (">wanted", ">held", ">given", ">taken", ">moved", ">domains", ">fewest", ">units", ">fewest")
    drawn = table("Claims", "claim", "pool", *columns)
    keys = ("wanted", "held", "given", "taken", "moved", "domains", "domains_min", "units", "units_min")
    for row in _claims(placed):
        drawn.add_row(row["claim"], row["pool"], *(f"{row[key]:,}" for key in keys))
    out.print(drawn)
    for row in _claims(placed):
        for reason in row["reasons"]:
            out.print(f"  {row['claim']} in {row['pool']}: {reason['sentence']}")
    for row in _pools(placed):
        out.print(
            f"  {row['pool']}: "
            + ", ".join(f"{n:,} {state}" for state, n in row["states"].items() if n)
            + f"; {row['domains_split']} domains split, {row['units_shared']} units shared"
        )
    if placed.fact is None:
        out.print("Nothing changes.")
    else:
        out.print("Nothing was recorded." if dry_run else "Recorded.")


def nodes(
    book: BookDirectory,
    pool: Annotated[str | None, typer.Option("--pool", help="Only of this pool.")] = None,
    claim: Annotated[str | None, typer.Option("--claim", help="Only of this claim.")] = None,
    json_: Json = False,
) -> None:
    """Show who holds which nodes, which wait for cleaning, and why a claim isn't compact."""
    with opened(book) as target:
        pools = {one.id: one for one in fleet_of(target.state).pool}
        if pool is not None and pool not in pools:
            raise BadInput([unknown_pool("--pool", pool, sorted(pools))])
        known = target.state.body("assigned", "nodes")
        if known is None:
            raise RefusedByRule(
                Refused(code="not_placed", sentence="no nodes are assigned yet; run `offtake place`")
            )
        now = max(wall_clock(), target.state.now)
        found = {name: nodes_of(target, one, now) for name, one in pools.items() if pool in (None, name)}
        since = len(target.state.of("node_event"))
    claims = [row for row in known["claims"] if row["pool"] in found and claim in (None, row["claim"])]
    if claim is not None and not claims:
        raise BadInput([_unknown_claim(claim, sorted({row["claim"] for row in known["claims"]}))])
    held = [_held(row, found[row["pool"]]) for row in claims]
    waiting = [] if claim else [row for name, one in found.items() for row in _waiting(name, one)]
    for row in waiting:
        hours = pools[row["pool"]].topology.cleaning_hours
        row["overdue"] = hours is not None and row["since"] + hours * HOUR_S < now
        row["since"] = format_instant(row["since"])
    others = [] if claim else [row for name, one in found.items() for row in _others(name, one)]
    answer = {"claims": held, "cleaning": waiting, "others": others, "facts_since": since}
    emit(json_, answer, lambda out: _draw_nodes(out, answer))


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


def _waiting(pool: str, nodes: Nodes) -> list[dict[str, Any]]:
    """Nodes to be cleaned, by who was on them and since when."""
    numbers = np.flatnonzero(nodes.state == NodeState.CLEANING)
    groups, which = np.unique(
        np.stack([nodes.since[numbers], nodes.holder[numbers]]), axis=1, return_inverse=True
    )
    return [
        {
            "pool": pool,
            "nodes": _named(pool, numbers[which == i]),
            "count": int((which == i).sum()),
            "holder": nodes.holders[holder],
            "since": since,
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


def _draw_nodes(out: Console, answer: Mapping[str, Any]) -> None:
    for row in answer["claims"]:
        out.print(f"{row['claim']}: {row['held']:,} of {row['wanted']:,} nodes  {row['nodes']}")
        for reason in row["reasons"]:
            out.print(f"  {reason['sentence']}")
    for row in answer["cleaning"]:
        late = "; overdue" if row["overdue"] else ""
        out.print(
            f"cleaning: {row['count']:,} nodes  {row['nodes']}  {row['holder']} left at {row['since']}{late}"
        )
    for row in answer["others"]:
        out.print(f"{row['state']}: {row['count']:,} nodes  {row['nodes']}")
    if answer["facts_since"]:
        out.print(f"{answer['facts_since']} facts about nodes since then; `offtake place` looks at them.")


@app.command()
def failed(
    book: BookDirectory,
    pool: PoolName,
    nodes: Numbers,
    because: Annotated[str, typer.Option("--because", help="What is known of it.")] = "",
    at: At = None,
    json_: Json = False,
) -> None:
    """Record that nodes failed: the next `offtake place` puts spares in their place."""
    _record(book, FAILED, pool, nodes, at, {"because": because}, json_)


@app.command()
def restored(book: BookDirectory, pool: PoolName, nodes: Numbers, at: At = None, json_: Json = False) -> None:
    """Record that nodes which had failed work again."""
    _record(book, RESTORED, pool, nodes, at, {}, json_)


@app.command()
def sanitised(
    book: BookDirectory,
    pool: PoolName,
    nodes: Numbers,
    evidence: Annotated[
        str,
        typer.Option("--evidence", help="A file, kept by its hash, or a sentence.", show_default=False),
    ],
    at: At = None,
    json_: Json = False,
) -> None:
    """Record that nothing of their last holder is left on nodes, so that another may have them."""
    _record(book, SANITISED, pool, nodes, at, _evidence(evidence), json_)


def _evidence(text: str) -> dict[str, Any]:
    path = Path(text)
    if not re.search(r"\s", text.strip()) or path.is_file():
        try:
            return {"evidence": path.name, "sha256": digest(path.read_bytes())}
        except OSError as error:
            problem = Problem(
                where="--evidence",
                code="unreadable",
                message=f"{text!r} is no file that can be read",
                remedy="name the log or certificate, or write a sentence that says who cleaned and how",
            )
            raise BadInput([problem]) from error
    return {"evidence": text.strip(), "sha256": None}


def _record(
    book: Path, what: str, pool: str, nodes: str, at: str | None, said: Mapping[str, Any], as_json: bool
) -> None:
    with opened(book) as target:
        _refuse_simulated(book, target)
        now = wall_clock()
        outcome = record_nodes(target, what, pool, nodes, at=_instant(at, now), now=now, said=said)
    if isinstance(outcome, Refused):
        raise RefusedByRule(outcome)
    word = "recorded" if isinstance(outcome, Recorded) else "known"
    answer = {"fact": f"{what} {outcome.fact.id}", "outcome": word}
    emit(as_json, answer, lambda out: out.print(f"  {what} {pool}[{outcome.fact.body['nodes']}]  {word}"))


def _instant(text: str | None, now: int) -> int:
    if text is None:
        return now
    try:
        return parse_instant(text)
    except ValueError as error:
        problem = Problem(
            where="--at", code="bad_instant", message=str(error), remedy="write 2027-02-01T08:00:00Z"
        )
        raise BadInput([problem]) from error


def _refuse_simulated(directory: Path, book: Book) -> None:
    if is_simulated(book.state):
        raise RefusedByRule(
            Refused(
                code="simulated_book",
                sentence=f"the book in {directory} was made by a simulation; nothing real belongs in it",
            )
        )
