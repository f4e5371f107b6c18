"""Commands that turn public traces into folders, and other programs' records into readings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.cli.options import Json
from offtake.cli.show import emit
from offtake.formats.files import disk_errors
from offtake.formats.sacct_file import read_sacct
from offtake.formats.traces import import_helios, import_philly
from offtake.metering.sacct import LEFT_OUT
from offtake.metering.tres import Combination

app = typer.Typer(
    help="Import public traces as folders to run, and Slurm's records as readings.", no_args_is_help=True
)

Source = Annotated[Path, typer.Argument(metavar="SOURCE", help="Directory with the trace's files.")]
Target = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder to write; must not exist or be empty.")
]


@app.command()
def philly(source: Source, folder: Target, json_: Json = False) -> None:
    """Microsoft Philly, 2017: training jobs, first come first served on 800 GPUs."""
    import_philly(source, folder)
    _done(folder, json_)


@app.command()
def helios(source: Source, folder: Target, json_: Json = False) -> None:
    """SenseTime Helios, May 2020: quotas as firm claims, minute gauges as take."""
    import_helios(source, folder)
    _done(folder, json_)


@app.command()
def sacct(
    listing: Annotated[Path, typer.Argument(metavar="LISTING", help="What sacct printed; see the how-to.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write, for `offtake usage ingest`.")],
    account: Annotated[
        list[str] | None,
        typer.Option("--account", metavar="ACCOUNT=CLAIM", help="Whose GPUs an account's are; repeat."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--tres-weights", help="Slurm's TRESBillingWeights, to check and add up.")
    ] = None,
    combination: Annotated[
        Combination, typer.Option("--combination", help="As the partition's flags have it.")
    ] = Combination.SUM,
    json_: Json = False,
) -> None:
    """A Slurm accounting listing as readings: each run of a job once, as it was held."""
    accounts = {}
    for text in account or ():
        name, _, claim = text.partition("=")
        if not name or not claim:
            problem = Problem(
                where="--account", code="bad_account", message=f"{text!r} isn't ACCOUNT=CLAIM",
                remedy="write physics=acme/main",
            )  # fmt: skip
            raise BadInput([problem])
        accounts[name] = claim
    found = read_sacct(listing, accounts, weights=weights, combination=combination)
    with disk_errors(out):
        pq.write_table(found.readings, out)
    plain = {
        "readings": found.readings.num_rows,
        "left_out": dict(found.left_out),
        "findings": [{"code": f.code, "sentence": f.sentence} for f in found.findings],
        "billing_unit_seconds": found.units,
        "differs": list(found.differs),
    }

    def draw(console: Console) -> None:
        console.print(f"{out}: {found.readings.num_rows:,} readings. Next: offtake usage ingest BOOK {out}")
        for why, count in found.left_out.items():
            console.print(f"{count:,} rows left out: {LEFT_OUT[why]}")
        for finding in found.findings:
            console.print(f"Not billed, look into it: {finding.sentence}")
        if found.units is not None:
            console.print(f"Billing units by these weights: {found.units:,} unit-seconds")
        if found.differs:
            some = ", ".join(found.differs[:10])
            console.print(f"{len(found.differs):,} runs state other billing units than these weights: {some}")

    emit(json_, plain, draw)


def _done(folder: Path, as_json: bool) -> None:
    def draw(out: Console) -> None:
        out.print(f"Wrote {folder}. Next: offtake run {folder}")

    emit(as_json, {"folder": str(folder)}, draw)
