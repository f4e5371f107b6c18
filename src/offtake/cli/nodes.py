"""Commands on nodes: who holds which, what happened to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.base.canonical import digest
from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import parse_instant
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, table
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import (
    FAILED,
    RESTORED,
    SANITISED,
    Placed,
    decide_placement,
)
from offtake.workflows.place import place as place_claims
from offtake.workflows.show_nodes import show_nodes
from offtake.workflows.state import is_simulated

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
    answer = {"recorded": recorded, "pools": placed.body["pools"], "claims": placed.body["claims"]}
    emit(json_, answer, lambda out: _draw_placed(out, placed, dry_run))


def _draw_placed(out: Console, placed: Placed, dry_run: bool) -> None:
    columns = (">wanted", ">held", ">given", ">taken", ">moved", ">domains", ">fewest", ">units", ">fewest")
    drawn = table("Claims", "claim", "pool", *columns)
    keys = ("wanted", "held", "given", "taken", "moved", "domains", "domains_min", "units", "units_min")
    for row in placed.body["claims"]:
        drawn.add_row(row["claim"], row["pool"], *(f"{row[key]:,}" for key in keys))
    out.print(drawn)
    for row in placed.body["claims"]:
        for reason in row["reasons"]:
            out.print(f"  {row['claim']} in {row['pool']}: {reason['sentence']}")
    for row in placed.body["pools"]:
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
        answer = show_nodes(target, max(wall_clock(), target.state.now), pool=pool, claim=claim)
    if isinstance(answer, Refused):
        raise RefusedByRule(answer)
    emit(json_, answer, lambda out: _draw_nodes(out, answer))


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
