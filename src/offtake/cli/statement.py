"""Commands on statements: the signing key, runs, and what a holder is given."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.money import round_rate
from offtake.base.outcome import Refused
from offtake.cli.options import (
    BookDirectory,
    Json,
    RefusedByRule,
    check_agreement_known,
    opened,
    read_month,
    wall_clock,
)  # fmt: skip
from offtake.cli.show import emit, filled, hours, percent, table
from offtake.formats.files import write_whole
from offtake.formats.pdf import render_take
from offtake.formats.plain import to_plain
from offtake.formats.usage_file import read_usage
from offtake.store.keys import SigningKey, load_key, new_key
from offtake.workflows.book import Book
from offtake.workflows.check_statement import Check, check_statement
from offtake.workflows.render import take_plain
from offtake.workflows.state import is_simulated
from offtake.workflows.statement import bundle as bundle_of
from offtake.workflows.statement import commit as commit_to
from offtake.workflows.take import TakeStatement, take_statement

app = typer.Typer(help="Statements that an offtaker can check alone.", no_args_is_help=True)


@app.command()
def key(book: BookDirectory, json_: Json = False) -> None:
    """Make the key that statements are signed with, once; only its owner may read the file."""
    with opened(book) as target:
        made = new_key(target.directory)
    emit(
        json_,
        {"public": made.public},
        lambda out: out.print(f"Public key {made.public}\nGive it to offtakers on a way of its own."),
    )


@app.command()
def commit(book: BookDirectory, json_: Json = False) -> None:
    """Commit to what was settled since the last run: a root over all readings, chained and signed."""
    with opened(book) as target:
        run = commit_to(target, _key(target), wall_clock())

    def draw(out: Console) -> None:
        out.print(
            "Nothing was settled since the last run." if run is None else f"Run {run.number}, root {run.root}"
        )

    emit(json_, {"run": None if run is None else to_plain(run)}, draw)


@app.command()
def runs(book: BookDirectory, json_: Json = False) -> None:
    """Every run as it may be published: nothing in it tells one offtaker of another."""
    with opened(book) as target:
        found = [item.body["run"] for _, item in sorted(target.state.of("run").items())]

    def draw(out: Console) -> None:
        rows = table("", ">run", "root", "signature")
        for run in found:
            rows.add_row(str(run["number"]), run["root"], f"{run['signature'][:16]}…")
        out.print(rows)

    emit(json_, {"runs": found}, draw)


@app.command()
def bundle(
    book: BookDirectory,
    agreement: Annotated[str, typer.Argument(metavar="ID", help="The agreement.")],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    run: Annotated[int | None, typer.Option("--run", help="Of this run; the latest when left out.")] = None,
    json_: Json = False,
) -> None:
    """Write what an offtaker is given: its readings, proofs, agreement and lines; nothing of the others."""
    with opened(book) as target:
        check_agreement_known(target, agreement)
        found = bundle_of(target, _key(target), agreement, run)
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    said = f"{out}: {len(found['readings'])} readings of {', '.join(m['month'] for m in found['months'])}"
    emit(json_, {"bundle": str(out), "readings": len(found["readings"])}, lambda console: console.print(said))


@app.command()
def take(
    book: BookDirectory,
    month: Annotated[str, typer.Option("--month", help="YYYY-MM.")],
    holder: Annotated[
        str | None, typer.Option("--holder", help="Only this agreement or internal team.")
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", help="Write the statement as PDF to this file.")
    ] = None,
    json_: Json = False,
) -> None:
    """Who held and used the fleet in a month: leases, and the operator's own use beside them."""
    asked = read_month("--month", month)
    with opened(book) as target:
        simulated = is_simulated(target.state)
        found = take_statement(target, asked, target.state.now if simulated else wall_clock())
        operator = str((target.state.body("book", "book") or {})["operator"])
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    if holder is not None:
        found = _only(found, holder)
    if pdf is not None:
        write_whole(pdf, render_take(take_plain(found), operator=operator, simulated=simulated))
    emit(json_, take_plain(found), lambda out: _draw_take(out, found, pdf))


def _only(statement: TakeStatement, holder: str) -> TakeStatement:
    kept = tuple(one for one in statement.holders if one.id == holder)
    if not kept:
        names = ", ".join(one.id for one in statement.holders) or "nobody"
        problem = Problem(
            where="--holder",
            code="unknown_holder",
            message=f"{holder!r} holds nothing in {statement.month}",
            remedy=f"who does: {names}",
        )
        raise BadInput([problem])
    return replace(statement, holders=kept, available=None)


def _draw_take(out: Console, found: TakeStatement, pdf: Path | None) -> None:
    rows = []
    for one in found.holders:
        for i, line in enumerate(one.lines):
            last = i == len(one.lines) - 1
            figures = (line.entitled, line.delivered, line.taken, line.recalled, sum(line.lost.values()))
            cost = str(one.cost) if last and one.cost is not None else "–"
            rate = f"{round_rate(one.per_gpu_hour, 4)}" if last and one.per_gpu_hour is not None else "–"
            said = [hours(figure) if figure else "–" for figure in figures]
            rows.append([line.claim, "own" if line.own else "leased", *said, cost, rate])
    title = f"GPU-hours in {found.month}{'' if found.complete else ', which has not ended'}"
    columns = "claim", "whose", ">entitled", ">held", ">used", ">recalled", ">short", ">cost", ">per hour"
    out.print(filled(title, columns, rows))
    if found.available is not None:
        held = found.held
        out.print(
            f"Held {hours(held)} of {hours(found.available)} GPU-hours available"
            f" ({percent(Decimal(held) / found.available) if found.available else '–'}),"
            f" {hours(found.available - held)} idle."
        )
    if pdf is not None:
        out.print(f"PDF: {pdf}")


def _key(book: Book) -> SigningKey:
    found = load_key(book.directory)
    if found is None:
        problem = Problem(
            where=str(book.directory),
            code="no_key",
            message="it has no signing key",
            remedy="make one: offtake statement key BOOK",
        )
        raise BadInput([problem])
    return found


def verify_bundle(
    path: Path, *, known_key: str | None, published: Path | None, own: list[Path], as_json: bool
) -> None:
    """Check a bundle and say what was found; leaves with exit code 6 if anything doesn't hold."""
    mine = (
        [row for file in own for row in read_usage(file, source="", kind=None).to_pylist()] if own else None
    )
    runs_known = _json(published).get("runs", []) if published else []
    found = check_statement(_json(path), str(path), key=known_key, runs=runs_known, own=mine)
    emit(as_json, {"checks": [_plain(check) for check in found]}, lambda out: _draw(out, found))
    broken = [check for check in found if not check.holds]
    if broken and as_json:
        raise typer.Exit(6)
    if broken:
        names = ", ".join(check.name for check in broken)
        raise RefusedByRule(Refused(code="doesn_t_hold", sentence=f"{path}: {names} don't hold"))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadInput([Problem(where=str(path), code="unreadable", message=str(error))]) from error
    if not isinstance(found, dict):
        raise BadInput([Problem(where=str(path), code="no_statement", message="it is no JSON object")])
    return found


def _plain(check: Check) -> dict[str, Any]:
    return {"name": check.name, "holds": check.holds, "detail": list(check.detail)}


def _draw(out: Console, found: tuple[Check, ...]) -> None:
    for check in found:
        out.print(f"  {'holds ' if check.holds else 'BROKEN'}  {check.name}: {check.detail[0]}")
        for line in check.detail[1:]:
            out.print(f"          {line}")
