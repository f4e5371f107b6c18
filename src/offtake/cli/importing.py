"""Commands that turn public traces into folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from offtake.cli.options import Json
from offtake.cli.show import emit
from offtake.formats.traces import import_helios, import_philly

app = typer.Typer(help="Import public traces as folders to run.", no_args_is_help=True)

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


def _done(folder: Path, as_json: bool) -> None:
    def draw(out: Console) -> None:
        out.print(f"Wrote {folder}. Next: offtake run {folder}")

    emit(as_json, {"folder": str(folder)}, draw)
