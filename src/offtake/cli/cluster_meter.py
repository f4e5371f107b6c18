"""What was metered on a cluster, against its own sums; and what stood reserved without being used."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.adapters.slurm.runner import Runner
from offtake.adapters.slurm.scheduler import SlurmScheduler
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval, format_instant, parse_instant
from offtake.cli.options import Json, RefusedByRule, opened
from offtake.cli.show import emit, table
from offtake.formats.cluster_file import ClusterFile, read_cluster
from offtake.workflows.control_cluster import Idle, Line, control
from offtake.workflows.control_cluster import idle as idle_in

CLUSTER = "cluster.toml"

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="An applied folder with cluster.toml.", show_default=False)
]
Start = Annotated[
    str,
    typer.Option("--start", help="From this full hour, such as 2027-02-01T00:00:00Z.", show_default=False),
]
End = Annotated[str, typer.Option("--end", help="To this full hour, exclusive.", show_default=False)]


def runner_of(config: ClusterFile) -> Runner:
    """Runs commands where cluster.toml says."""
    return Runner(host=config.host, conf=config.conf)


def add_to(group: typer.Typer) -> None:
    """Add these commands to a group."""
    group.command()(reconcile)
    group.command()(idle)


def reconcile(folder: Folder, start: Start, end: End, json_: Json = False) -> None:
    """Hold what was taken in of a span against Slurm's rows and its own sums, by claim.

    Exit code 6 where anything wants an explanation.
    """
    config = read_cluster(folder / CLUSTER)
    span = Interval(parse_instant(start), parse_instant(end))
    with opened(folder) as book:
        found = control(book, runner_of(config), span)
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    emit(json_, _plain(span, found), partial(_draw, found=found))
    if not all(line.agrees for line in found):
        raise typer.Exit(6)


def idle(folder: Folder, start: Start, end: End, json_: Json = False) -> None:
    """GPU-hours that were reserved for each claim in a span, and that none of its jobs held."""
    config = read_cluster(folder / CLUSTER)
    runner = runner_of(config)
    span = Interval(parse_instant(start), parse_instant(end))
    with opened(folder) as book:
        actual = SlurmScheduler(runner).read()
        if isinstance(actual, Refused):
            raise RefusedByRule(actual)
        ours = {name for names in config.nodes.values() for name in names}
        found = idle_in(book, runner, span, {name: n for name, n in actual.nodes.items() if name in ours})
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    plain = {
        "start": format_instant(span.start),
        "end": format_instant(span.end),
        "claims": [
            {"claim": one.claim, "reserved_gpu_s": one.reserved, "idle_gpu_s": one.idle} for one in found
        ],
    }
    emit(json_, plain, partial(_draw_idle, found=found))


def _plain(span: Interval, found: tuple[Line, ...]) -> dict[str, Any]:
    return {
        "start": format_instant(span.start),
        "end": format_instant(span.end),
        "claims": [
            {
                "claim": line.claim,
                "agrees": line.agrees,
                "booked_gpu_s": line.booked,
                "expected_gpu_s": line.expected,
                **{f"slurm_{name}": value for name, value in asdict(line.control).items()},
            }
            for line in found
        ],
    }


def _draw(out: Console, found: tuple[Line, ...]) -> None:
    shown = table(
        "GPU-seconds", "Claim", ">In the book", ">Should be", ">Slurm's sum", ">Counted twice", ">Unexplained"
    )
    for line in found:
        told = line.control
        figures = (line.booked, line.expected, told.theirs, told.overlap, told.unexplained)
        shown.add_row(line.claim, *(f"{figure:,}" for figure in figures))
    out.print(shown)
    out.print(
        "GPU-seconds. Slurm counts the time before a resize twice; what runs on is booked once it has ended"
    )


def _draw_idle(out: Console, found: tuple[Idle, ...]) -> None:
    shown = table("Reserved for claims", "Claim", ">Reserved, GPU-h", ">Idle, GPU-h", ">Idle")
    for one in found:
        hours = (f"{one.reserved / HOUR_S:,.1f}", f"{one.idle / HOUR_S:,.1f}")
        shown.add_row(one.claim, *hours, f"{one.idle / one.reserved:.1%}")
    out.print(shown)
