"""Slurm's accounting, read through its commands: runs of jobs, outages, reservations, control sums.

Runs are read in windows that follow each other: from where the last one ended, less an overlap, to some
minutes ago. A row may come late, and a run is named, so reading it again changes nothing. A window closes
only when the controller answers and has nothing left to tell slurmdbd (its "DBD Agent queue"): then all that
happened before it is written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from offtake.adapters.slurm.runner import Runner, time_text
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, HOUR_S
from offtake.metering.sacct import COLUMNS, Accounting, parse_sacct
from offtake.metering.slurm_records import (
    NodeOutage,
    ReservedTime,
    parse_control,
    parse_events,
    parse_reservations,
    parse_runaways,
)

T = TypeVar("T")

LAG_S = 120
"""How long ago a window ends at least."""

OVERLAP_S = DAY_S
"""How far a window reaches back behind the last one: a restarted controller ends lost jobs in the past."""

_QUEUE = re.compile(r"^DBD Agent queue size:\s*(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What one window says.

    Attributes:
        accounting: runs, what is left out and why, and findings.
        start: of the window, seconds since the epoch.
        through: its end: all that ended before it is in it. The position to read on from.
    """

    accounting: Accounting
    start: int
    through: int


def read_runs(
    runner: Runner,
    position: int,
    now: int,
    *,
    lag_s: int = LAG_S,
    overlap_s: int = OVERLAP_S,
    steps: bool = False,
) -> Read | Refused:
    """The next window of runs.

    Args:
        runner: of the cluster.
        position: how far the last window went, in seconds since the epoch.
        now: the present instant there.
        lag_s: how long ago the window ends.
        overlap_s: how far it reaches back behind `position`.
        steps: list steps, too, for how long GPUs stayed held after a job's end.

    Returns:
        The window; or `nothing_new` (it would be empty), `accounting_behind` (events wait to be written
        down), `slurm_unreached` or `slurm_refused`. Then the position stays as it is, and nothing is lost.

    Raises:
        BadInput: for rows that can't be understood.
    """
    through = now - lag_s
    if through <= position:
        return Refused(code="nothing_new", sentence="All up to the closing lag has been read.")
    waiting = dbd_queue(runner)
    if isinstance(waiting, Refused):
        return waiting
    if waiting:
        return Refused(
            code="accounting_behind",
            sentence=f"The controller has {waiting} events that slurmdbd doesn't know yet.",
            facts={"waiting": str(waiting)},
        )
    start = max(0, position - overlap_s)
    listed = ask_runs(runner, start, through, steps=steps)
    return listed if isinstance(listed, Refused) else Read(accounting=listed, start=start, through=through)


def ask_runs(runner: Runner, start: int, end: int, *, steps: bool = False) -> Accounting | Refused:
    """What ran between two instants, as the accounting has it now."""
    return _asked(runner, sacct_words(start, end, steps=steps), lambda out: parse_sacct(out, "sacct"))


def sacct_words(start: int, end: int, *, steps: bool = False) -> list[str]:
    """The query for what ran between two instants.

    No states are named: with them sacct would list only what *ended* in the window. Duplicates are asked for,
    because otherwise only the last run of a requeued job is shown.
    """
    only_jobs = () if steps else ("--allocations",)
    return [
        "sacct", "--duplicates", *only_jobs, "--allusers", "--noconvert", "--parsable2",
        f"--format={','.join(COLUMNS)}", f"--starttime={time_text(start)}", f"--endtime={time_text(end)}",
    ]  # fmt: skip


def dbd_queue(runner: Runner) -> int | Refused:
    """How many events the controller has that slurmdbd hasn't taken yet."""
    ran = runner.run(["sdiag"])
    refused = ran.refusal()
    if refused is not None:
        return refused
    match = _QUEUE.search(ran.out)
    if match is None:
        return Refused(
            code="slurm_refused", sentence="sdiag named no DBD Agent queue.", facts={"said": ran.out[:200]}
        )
    return int(match[1])


def read_outages(runner: Runner, start: int, end: int) -> tuple[NodeOutage, ...] | Refused:
    """Outages of nodes between two instants."""
    words = [
        "sacctmgr", "--parsable2", "show", "event",
        "format=cluster,nodename,start,end,state,reason,user", f"start={time_text(start)}",
        f"end={time_text(end)}",
    ]  # fmt: skip
    return _asked(runner, words, parse_events)


def read_reservations(runner: Runner, start: int, end: int) -> tuple[ReservedTime, ...] | Refused:
    """Reservations between two instants, a part for each change of one, with how long each stood idle."""
    words = [
        "sacctmgr", "--parsable2", "show", "reservation", "format=cluster,name,id,start,end,tres,unused",
        f"start={time_text(start)}", f"end={time_text(end)}",
    ]  # fmt: skip
    return _asked(runner, words, parse_reservations)


def read_control(runner: Runner, start: int, end: int) -> Mapping[str, int] | Refused:
    """Slurm's own sums of GPU-seconds by account, between two full hours.

    Returns:
        The sums; or `not_full_hours`, because Slurm sums by hours and would answer for others without a word.
    """
    if start % HOUR_S or end % HOUR_S:
        return Refused(
            code="not_full_hours",
            sentence="Slurm sums usage by full hours.",
            facts={"start": str(start), "end": str(end)},
        )
    words = [
        "sreport", "--parsable2", "-t", "seconds", "-T", "gres/gpu", "cluster", "AccountUtilizationByUser",
        f"start={time_text(start)}", f"end={time_text(end)}",
    ]  # fmt: skip
    return _asked(runner, words, parse_control)


def read_runaways(runner: Runner) -> tuple[str, ...] | Refused:
    """Ids of jobs that accounting holds for running and the controller doesn't know.

    Slurm offers to "fix" them, which would make their use nothing; the answer is always no.
    """
    return _asked(runner, ["sacctmgr", "--parsable2", "show", "runawayjobs"], parse_runaways, stdin="n\n")


def _asked(runner: Runner, words: list[str], parse: Callable[[str], T], *, stdin: str = "") -> T | Refused:
    ran = runner.run(words, stdin=stdin)
    refused = ran.refusal()
    return parse(ran.out) if refused is None else refused
