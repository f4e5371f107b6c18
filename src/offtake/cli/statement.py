"""Commands on statements: the signing key, runs, and what a holder is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.cli.options import BookDirectory, Json, RefusedByRule, check_agreement_known, opened, wall_clock
from offtake.cli.show import emit, table
from offtake.formats.plain import to_plain
from offtake.formats.usage_file import read_usage
from offtake.store.keys import SigningKey, load_key, new_key
from offtake.workflows.book import Book
from offtake.workflows.check_statement import Check, check_statement
from offtake.workflows.statement import bundle as bundle_of
from offtake.workflows.statement import commit as commit_to

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
