"""Commands on usage: take readings in, list what isn't billed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.csv
import typer
import uvicorn
from rich.console import Console

from offtake.api.usage import usage_app
from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import format_instant, parse_instant
from offtake.cli.options import (
    BookDirectory,
    Json,
    RefusedByRule,
    check_agreement_known,
    opened,
    read_month,
    wall_clock,
)  # fmt: skip
from offtake.cli.show import emit, hours, table
from offtake.formats.usage_file import read_usage
from offtake.formats.webhooks_file import read_secret
from offtake.metering.usage import REASONS, ReadingKind, Verdict
from offtake.workflows.state import is_simulated
from offtake.workflows.statement import readings_for, within
from offtake.workflows.unbilled import unbilled
from offtake.workflows.usage import Ingested, ingest
from offtake.workflows.view import agreement_of

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


@app.command()
def show(
    book: BookDirectory,
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="Agreement and tranche, such as acme/main.")],
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2027-01.")],
    most: Annotated[int, typer.Option("--most", help="Rows to show; all are summed.")] = 20,
    json_: Json = False,
) -> None:
    """The readings behind a claim's month, the largest first, and what they add up to."""
    id_, _, tranche = claim.partition("/")
    wanted = read_month("MONTH", month)
    with opened(book) as target:
        check_agreement_known(target, id_)
        period = agreement_of(target.state, id_).month(wanted)
        found = readings_for(target, id_, [wanted], before=target.state.head[0] + 1).to_pylist()
    own = [(within(row, period), row) for row in found if row["subject"] == f"{id_}/{tranche}"]
    own.sort(key=lambda pair: (-pair[0], pair[1]["source"], pair[1]["id"]))
    whole = sum(seconds for seconds, _ in own)
    rows = [
        {
            "source": row["source"], "id": row["id"], "pool": row["pool"],
            "start": format_instant(row["start"]), "end": format_instant(row["end"]),
            "gpus": row["value"], "gpu_seconds": seconds,
        }
        for seconds, row in own[:most]
    ]  # fmt: skip

    def draw(out: Console) -> None:
        built = table(
            f"{claim} in {month}", "source", "id", "pool", "from", "to", ">GPUs", ">GPU-hours in it"
        )
        for row in rows:
            built.add_row(
                str(row["source"]), str(row["id"]), str(row["pool"]), str(row["start"]), str(row["end"]),
                f"{row['gpus']:,}", hours(int(row["gpu_seconds"])),
            )  # fmt: skip
        out.print(built)
        out.print(f"{len(own):,} readings, {hours(whole)} GPU-hours; {len(rows):,} shown.")

    emit(
        json_,
        {"claim": claim, "month": month, "readings": len(own), "gpu_seconds": whole, "rows": rows},
        draw,
    )


@app.command()
def serve(
    book: BookDirectory,
    token: Annotated[
        Path, typer.Option("--token-file", help="File with the token that senders show; mode 0600.")
    ],
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8_080,
    json_: Json = False,
) -> None:
    """Take readings in over HTTP: POST CloudEvents to /v1/usage/BATCH, until it is stopped."""
    secret = read_secret(token).decode()
    with opened(book) as target:
        directory = target.directory
        if is_simulated(target.state):
            sentence = f"the book in {book} was made by a simulation; nothing real belongs in it"
            raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))
    where = f"http://{host}:{port}/v1/usage/BATCH"
    emit(json_, {"listening": where}, lambda out: out.print(f"Listening on {where}"))
    uvicorn.run(usage_app(directory, secret), host=host, port=port, log_level="warning", access_log=False)
