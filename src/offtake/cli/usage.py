"""Commands on usage: take readings in, list what isn't billed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.csv
import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import parse_instant
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, hours, table
from offtake.formats.usage_file import read_usage
from offtake.metering.usage import REASONS, ReadingKind, Verdict
from offtake.workflows.state import is_simulated
from offtake.workflows.unbilled import unbilled
from offtake.workflows.usage import Ingested, ingest

app = typer.Typer(help="Usage readings: take them in, list what isn't billed.", no_args_is_help=True)


@app.command("ingest")
def ingest_(
    book: BookDirectory,
    file: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="CloudEvents, CSV, Parquet or Arrow; a batch each."),
    ],
    source: Annotated[str | None, typer.Option("--source", help="Source of readings that name none.")] = None,
    kind: Annotated[
        ReadingKind | None, typer.Option("--kind", help="Kind of readings that name none.")
    ] = None,
    through: Annotated[
        list[str] | None,
        typer.Option("--through", metavar="SOURCE=INSTANT", help="A source has sent everything up to then."),
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option("--verdicts", help="Write what wasn't simply accepted, row by row, as CSV.")
    ] = None,
    json_: Json = False,
) -> None:
    """Take readings in, each once: what was accepted before is known, and nothing is billed twice."""
    until = dict(_through(one) for one in through or ())
    found: list[Ingested] = []
    with opened(book) as target:
        if is_simulated(target.state):
            sentence = f"the book in {book} was made by a simulation; nothing real belongs in it"
            raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))
        for path in file:
            readings = read_usage(path, source=source, kind=kind)
            last = until if path == file[-1] else {}
            outcome = ingest(target, readings, batch=path.name, now=wall_clock(), through=last)
            if isinstance(outcome, Refused):
                raise RefusedByRule(outcome)
            found.append(outcome)
    if verdicts is not None:
        pyarrow.csv.write_csv(_named(found), verdicts)
    emit(json_, {"batches": [_plain(one) for one in found]}, lambda out: _draw(out, found))


def _through(text: str) -> tuple[str, int]:
    source, _, instant = text.partition("=")
    try:
        return source, parse_instant(instant)
    except ValueError as error:
        problem = Problem(
            where="--through",
            code="bad_instant",
            message=str(error),
            remedy="write SOURCE=2027-02-01T00:00:00Z",
        )
        raise BadInput([problem]) from error


def _named(found: list[Ingested]) -> pa.Table:
    tables = [
        one.verdicts.append_column("batch", pa.repeat(one.batch, one.verdicts.num_rows))
        for one in found
        if one.verdicts is not None
    ]
    return (
        pa.concat_tables(tables)
        if tables
        else pa.table({"row": [], "verdict": [], "reason": [], "batch": []})
    )


def _plain(one: Ingested) -> dict[str, Any]:
    return {
        "batch": one.batch,
        "again": one.again,
        "counts": {str(verdict): count for verdict, count in one.counts.items()},
        "reasons": dict(one.reasons),
    }


def _draw(out: Console, found: list[Ingested]) -> None:
    rows = table("", "batch", *(f">{verdict}" for verdict in Verdict))
    for one in found:
        rows.add_row(one.batch, *(f"{one.counts.get(verdict, 0):,}" for verdict in Verdict))
    out.print(rows)
    for one in found:
        if one.again:
            out.print(f"{one.batch} was taken in before; nothing was recorded.")
        for code, count in one.reasons.items():
            out.print(f"{one.batch}: {count:,} rejected, {code}: {REASONS[code]}")
        if one.counts.get(Verdict.CONFLICT):
            out.print(
                f"{one.batch}: {one.counts[Verdict.CONFLICT]:,} conflict with what was accepted before under "
                "the same source and id; the first reading counts. --verdicts lists them."
            )


@app.command("unbilled")
def unbilled_(book: BookDirectory, json_: Json = False) -> None:
    """What was accepted and isn't charged for, by claim and month, with the reason."""
    with opened(book) as target:
        found = list(unbilled(target))
    rows = [
        {
            "claim": one.subject,
            "month": None if one.month is None else str(one.month),
            "gpu_seconds": one.gpu_seconds,
            "readings": one.readings,
            "why": one.why.name.lower(),
        }
        for one in found
    ]

    def draw(out: Console) -> None:
        if not found:
            out.print("Everything that was accepted is charged for.")
            return
        built = table("Accepted and not charged for", "claim", "month", ">GPU-hours", ">readings", "why")
        for one in found:
            built.add_row(
                one.subject, str(one.month or "–"), hours(one.gpu_seconds), f"{one.readings:,}", one.why.value
            )
        out.print(built)

    emit(json_, {"unbilled": rows}, draw)
