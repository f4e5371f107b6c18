"""The live loop on a real cluster."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.adapters.rehearsal import SimulatedScheduler
from offtake.adapters.slurm.accounting import OVERLAP_S, read_outages
from offtake.adapters.slurm.runner import Runner
from offtake.adapters.slurm.scheduler import SlurmScheduler
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.cli import cluster_meter
from offtake.cli.capacity import length_of
from offtake.cli.cluster_meter import CLUSTER, Folder, runner_of
from offtake.cli.cluster_power import draw_power, plain_power, read_power
from offtake.cli.live import refuse_simulated
from offtake.cli.options import Json, opened, wall_clock
from offtake.cli.show import emit
from offtake.enforcement.model import Finding
from offtake.formats.cluster_file import ClusterFile, read_cluster
from offtake.workflows.book import Book
from offtake.workflows.control_cluster import control_daily
from offtake.workflows.desired import Wiring
from offtake.workflows.enforce import Done, Scheduler, Turn, take_turn
from offtake.workflows.read_cluster import Metered, first_position, meter_turn, note_outages
from offtake.workflows.read_power import PowerMetered

REHEARSED = "cluster.simulated.json"
"""What a simulated cluster was told, beside cluster.toml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What one turn did, for people and programs."""

    at: int
    turn: Turn
    metered: Metered | Refused | None
    power: PowerMetered | Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metering:
    """What was taken in, and what of it doesn't agree with the cluster's own sums."""

    metered: Metered | Refused | None
    findings: tuple[Finding, ...] = ()


def add_to(app: typer.Typer) -> None:
    """Add this command to the root."""
    app.command()(live)
    group = typer.Typer(help="What a cluster enforces, against what it should.", no_args_is_help=True)
    group.command()(check)
    cluster_meter.add_to(group)
    app.add_typer(group, name="cluster")


def live(
    folder: Folder,
    every: Annotated[str, typer.Option("--every", help="Pause between turns, such as 60s or 5min.")] = "60s",
    once: Annotated[bool, typer.Option("--once", help="One turn, then stop.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the commands; nothing is recorded or changed.")
    ] = False,
    meter_only: Annotated[
        bool, typer.Option("--meter-only", help="Read what ran, and enforce nothing.")
    ] = False,
    set_back: Annotated[
        bool, typer.Option("--set-back", help="Also set back what somebody changed by hand.")
    ] = False,
    json_: Json = False,
) -> None:
    """Keep a cluster as the book says, turn by turn, until stopped; and read in what ran.

    A turn decides what is due, assigns nodes, compares limits and reservations with what should be, and
    converges. It goes on where the last one stopped, whatever happened in between.
    """
    config = read_cluster(folder / CLUSTER)
    pause = length_of(every, "--every")
    how = _How(dry_run=dry_run, meter_only=meter_only, set_back=set_back)
    scheduler = scheduler_of(config, folder)
    with opened(folder) as book:
        refuse_simulated(book, folder)
        if not dry_run:
            book.hold()
        since: dict[str, int] = {}
        while True:
            said = _turn(book, config, scheduler, since, how)
            if not dry_run:
                said = replace(said, power=read_power(book, config, folder, wall_clock()))
            emit(json_, _plain(said), partial(_draw, said=said))
            if once or dry_run:
                break
            time.sleep(pause)
    if any(isinstance(one, Refused) for one in (said.turn.stopped, said.metered, said.power)):
        raise typer.Exit(1)


def check(
    folder: Folder,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set right what is offtake's, whoever changed it.")
    ] = False,
    json_: Json = False,
) -> None:
    """Compare a cluster with the plan: what differs, how to set it right, and what is in the way.

    Also what of the scheduler's own settings stands in the way, such as tenants who could see each other.
    Exit code 6 where anything is found that isn't repaired.
    """
    config = read_cluster(folder / CLUSTER)
    scheduler = scheduler_of(config, folder)
    with opened(folder) as book:
        refuse_simulated(book, folder)
        if repair:
            book.hold()
        turn = take_turn(
            book, scheduler, wiring_of(config), wall_clock, since={}, dry_run=not repair, set_back=True
        )
        settings = scheduler.settings()
    if isinstance(settings, Refused):
        turn = replace(turn, stopped=turn.stopped or settings)
    else:
        turn = replace(turn, findings=(*settings, *turn.findings))
    said = _Said(at=wall_clock(), turn=turn, metered=None)
    emit(json_, _plain(said), partial(_draw, said=said))
    if turn.stopped is not None:
        raise typer.Exit(1)
    left = [one for one in turn.done if one.answer is None or one.answer.outcome != "done"]
    if left or turn.findings:
        raise typer.Exit(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class _How:
    """What a turn may do."""

    dry_run: bool
    meter_only: bool
    set_back: bool


def scheduler_of(config: ClusterFile, folder: Path) -> SlurmScheduler | SimulatedScheduler:
    """The cluster that cluster.toml names."""
    if config.backend == "simulated":
        return SimulatedScheduler(path=folder / REHEARSED)
    return SlurmScheduler(runner_of(config))


def wiring_of(config: ClusterFile) -> Wiring:
    """How things are called there."""
    return Wiring(
        nodes=config.nodes, users=config.users, grace_s=config.grace_s, types=config.types,
        holds=config.hold_nodes, operator=config.operator,
    )  # fmt: skip


def _turn(book: Book, config: ClusterFile, scheduler: Scheduler, since: dict[str, int], how: _How) -> _Said:
    slurm = scheduler.runner if isinstance(scheduler, SlurmScheduler) else None
    turn = Turn(decided=0, done=())
    down = None if slurm is None or how.dry_run or how.meter_only else _down(book, slurm, config)
    if not how.meter_only:
        turn = take_turn(
            book, scheduler, wiring_of(config), wall_clock, since=since, dry_run=how.dry_run,
            set_back=how.set_back,
        )  # fmt: skip
    if down is not None and turn.stopped is None:
        turn = replace(turn, stopped=down)
    metering = _Metering(metered=None)
    if slurm is not None and not how.dry_run:
        metering = _meter(book, slurm, config, how)
    turn = replace(turn, findings=(*turn.findings, *metering.findings))
    return _Said(at=wall_clock(), turn=turn, metered=metering.metered)


def _down(book: Book, runner: Runner, config: ClusterFile) -> Refused | None:
    """Note nodes that are down, or say why that can't be; what is decided doesn't wait for it."""
    since = max(0, first_position(book) - OVERLAP_S)
    found = read_outages(runner, since, wall_clock())
    if isinstance(found, Refused):
        return found
    return next(iter(note_outages(book, found, config.nodes, wall_clock())), None)


def _meter(book: Book, runner: Runner, config: ClusterFile, how: _How) -> _Metering:
    """Take in what ended, and hold the days that are complete against the cluster's own sums."""
    every_s = 0 if how.meter_only else config.meter_every_s
    metered = meter_turn(book, runner, config.nodes, wall_clock(), lag_s=config.lag_s, every_s=every_s)
    if not isinstance(metered, Metered):
        return _Metering(metered=metered)
    found = control_daily(book, runner, wall_clock())
    if isinstance(found, Refused):
        found = (Finding(code=found.code, sentence=f"sums weren't compared: {found.sentence}"),)
    return _Metering(metered=metered, findings=found)


def _plain(said: _Said) -> dict[str, Any]:
    turn, metered = said.turn, said.metered
    stopped = next((one for one in (turn.stopped, metered, said.power) if isinstance(one, Refused)), None)
    return {
        "at": format_instant(said.at),
        "decided": turn.decided,
        "steps": [_step(one) for one in turn.done],
        "findings": [{"code": one.code, "sentence": one.sentence} for one in turn.findings],
        "metered": None if metered is None or isinstance(metered, Refused) else _read(metered),
        "power": plain_power(said.power),
        "stopped": None if stopped is None else {"code": stopped.code, "why": stopped.sentence},
    }


def _step(one: Done) -> dict[str, Any]:
    return {
        "step": str(one.step.kind),
        "target": one.step.target,
        "why": one.step.why,
        "words": list(one.command),
        "outcome": None if one.answer is None else str(one.answer.outcome),
        "said": None if one.answer is None else one.answer.why,
    }


def _read(metered: Metered) -> Mapping[str, Any]:
    return {
        "readings": metered.readings,
        "through": format_instant(metered.through),
        "unfinished": metered.unfinished,
        "unknown_accounts": list(metered.unknown),
        "findings": [one.sentence for one in metered.findings],
    }


def _draw(out: Console, said: _Said) -> None:
    turn, metered = said.turn, said.metered
    out.print(f"{format_instant(said.at)}: {turn.decided} decisions, {len(turn.done)} steps")
    for one in turn.done:
        ended = "" if one.answer is None else f"  {one.answer.outcome}"
        out.print(f"  {shlex.join(one.command)}{ended}", soft_wrap=True)
        out.print(f"    {one.step.why}" + (f"; {one.answer.why}" if one.answer and one.answer.why else ""))
    for finding in turn.findings:
        out.print(f"  Look into it: {finding.sentence}")
    if isinstance(metered, Metered):
        out.print(f"  {metered.readings} readings through {format_instant(metered.through)}")
        for found in metered.findings:
            out.print(f"  Not billed, look into it: {found.sentence}")
    draw_power(out, said.power)
    for refused in (turn.stopped, metered, said.power):
        if isinstance(refused, Refused):
            out.print(f"  Stopped: {refused.code}: {refused.sentence}")
