"""What Slurm records beside runs of jobs: outages of nodes, reservations, and its own sums of usage.

Everything here is what ``sacctmgr --parsable2`` and ``sreport --parsable2`` print, times in seconds since the
epoch. Slurm's sums are a control of ours, with two known differences: a resize, whose time before it Slurm
counts twice, and suspended time, which `ElapsedRaw` leaves out while sums and bills have it.

Source: Slurm's documentation of sacctmgr and sreport; the differences are measured in tests/live.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from offtake.base.errors import BadInput, Problem
from offtake.metering.sacct import UNKNOWN, Run, billed_seconds
from offtake.metering.tres import parse_tres

EVENT_COLUMNS = ("Cluster", "NodeName", "TimeStart", "TimeEnd", "State", "Reason", "User")
RESERVATION_COLUMNS = ("Cluster", "Name", "ID", "TimeStart", "TimeEnd", "TRES", "UnusedWall")
CONTROL_COLUMNS = ("Cluster", "Account", "Login", "Proper Name", "TRES Name", "Used")

NO_RUNAWAYS = "No runaway jobs"
RUNAWAY_COLUMNS = ("ID", "Name", "Partition", "Cluster", "State", "TimeSubmit", "TimeStart", "TimeEnd")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOutage:
    """A node that wasn't available for a while.

    Units: seconds since the epoch.

    Attributes:
        cluster: of the node.
        node: its name.
        start: when Slurm noticed that it is down, or when it was empty after it was told to drain.
        end: exclusive; None while it lasts.
        state: as Slurm has it, such as DOWN or DRAIN.
        reason: as it was given.
        who: gave the reason, such as ``root(0)``.
    """

    cluster: str
    node: str
    start: int
    end: int | None
    state: str
    reason: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservedTime:
    """A reservation between two changes of it.

    Units: seconds since the epoch, and seconds.

    Attributes:
        cluster: of the reservation.
        name: its name.
        id: which names it together with `start`.
        start: of this part.
        end: of this part, exclusive.
        cpus: that it has; reservations are of whole nodes, and Slurm's record names no GPUs.
        unused_s: how long it stood idle, by CPUs.
    """

    cluster: str
    name: str
    id: str
    start: int
    end: int
    cpus: int
    unused_s: Fraction

    def within(self, start: int, end: int) -> ReservedTime:
        """The same between two instants; `unused_s` stays that of the whole."""
        return replace(self, start=max(self.start, start), end=max(self.start, start, min(self.end, end)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """An account's GPU-seconds by our rules and by Slurm's sums, and what explains the difference.

    Attributes:
        account: that both are of.
        ours: billed, or to be billed once what runs has ended.
        theirs: Slurm's sum.
        suspended: of these runs, in or out of the span: in both sums, and missing from `ElapsedRaw`.
        overlap: before a resize, counted twice by Slurm.
        unfinished: of `ours`, what has no end yet.
        unexplained: theirs − ours − overlap. Anything but nothing wants an explanation.
    """

    account: str
    ours: int
    theirs: int
    suspended: int
    overlap: int
    unfinished: int
    unexplained: int


def parse_events(text: str) -> tuple[NodeOutage, ...]:
    """Outages from ``sacctmgr show event``; events of the cluster as a whole are left out.

    Raises:
        BadInput: for another header, or a line that can't be understood.
    """
    found = []
    for where, line in _lines(text, EVENT_COLUMNS):
        # whoever gave the reason may have written a bar
        cluster, node, start, end, state, *reason, who = line.split("|")
        if node:
            found.append(
                NodeOutage(
                    cluster=cluster, node=node, start=_instant(where, start), end=_open_instant(where, end),
                    state=state, reason="|".join(reason), who=who,
                )
            )  # fmt: skip
    return tuple(found)


def parse_reservations(text: str) -> tuple[ReservedTime, ...]:
    """Parts of reservations from ``sacctmgr show reservation``: one for each change.

    Raises:
        BadInput: for another header, or a line that can't be understood.
    """
    found = []
    for where, line in _lines(text, RESERVATION_COLUMNS):
        cluster, name, id_, start, end, tres, unused = line.split("|")
        try:
            cpus, unused_s = int(parse_tres(tres).get("cpu", (Fraction(0), ""))[0]), Fraction(unused)
        except ValueError as error:
            raise _bad(where, "bad_reservation", str(error)) from error
        found.append(
            ReservedTime(
                cluster=cluster, name=name, id=id_, start=_instant(where, start), end=_instant(where, end),
                cpus=cpus, unused_s=unused_s,
            )
        )  # fmt: skip
    return tuple(found)


def idle_gpu_seconds(
    parts: Iterable[ReservedTime], runs: Iterable[Run], *, cpus_per_node: int, gpus_per_node: int
) -> int:
    """GPU-seconds that were reserved and that no run of the reservation held.

    Slurm's own `UnusedWall` doesn't say it: it is weighed by CPUs, so that a job with one CPU and all GPUs of
    a node leaves it almost whole.

    Args:
        parts: of reservations of whole nodes, alike.
        runs: any; those of these reservations count.
        cpus_per_node: as Slurm has them.
        gpus_per_node: as Slurm has them.

    Raises:
        BadInput: for a reservation that isn't of whole nodes.
    """
    by_id = defaultdict[tuple[str, str], list[Run]](list)
    for run in {(run.cluster, run.index): run for run in runs}.values():
        by_id[run.cluster, run.reservation].append(run)
    idle = 0
    for part in parts:
        nodes, rest = divmod(part.cpus, cpus_per_node)
        if rest:
            raise _bad(part.name, "part_of_a_node", f"{part.cpus} CPUs aren't whole nodes of {cpus_per_node}")
        held = sum(billed_seconds(run, part.start, part.end) for run in by_id[part.cluster, part.id])
        idle += nodes * gpus_per_node * (part.end - part.start) - held
    return idle


def parse_control(text: str) -> dict[str, int]:
    """GPU-seconds by account, from ``sreport cluster AccountUtilizationByUser``.

    Lines of users are added up: those of accounts hold what accounts under them used, too.

    Raises:
        BadInput: for another header, or a line that can't be understood.
    """
    found = defaultdict[str, int](int)
    for where, line in _lines(text, CONTROL_COLUMNS):
        _, account, login, *_, tres, used = line.split("|")
        if login and tres == "gres/gpu":
            found[account] += _instant(where, used)
    return dict(found)


def parse_runaways(text: str) -> tuple[str, ...]:
    """Ids of jobs that accounting holds for running and that the controller doesn't know.

    Raises:
        BadInput: for another header.
    """
    if NO_RUNAWAYS in text or not text.strip():
        return ()
    lines = [line for line in text.splitlines() if line.count("|") >= len(RUNAWAY_COLUMNS) - 1]
    return tuple(line.split("|")[0] for _, line in _lines("\n".join(lines), RUNAWAY_COLUMNS))


def reconcile(
    runs: Iterable[Run], control: Mapping[str, int], *, start: int, end: int
) -> tuple[Reconciled, ...]:
    """Our GPU-seconds against Slurm's sums, by account.

    Args:
        runs: that ended, and those that haven't, each once.
        control: Slurm's sums from start to end.
        start: where the sums begin, at a full hour.
        end: where they end, exclusive.
    """
    by_account = defaultdict[str, list[Run]](list)
    for run in {(run.cluster, run.index): run for run in runs}.values():
        by_account[run.account].append(run)
    return tuple(
        _reconciled(account, by_account.get(account, []), control.get(account, 0), start, end)
        for account in sorted({*by_account, *control})
        if control.get(account) or any(billed_seconds(run, start, end) for run in by_account[account])
    )


def _reconciled(account: str, runs: list[Run], theirs: int, start: int, end: int) -> Reconciled:
    ours = sum(billed_seconds(run, start, end) for run in runs)
    overlap = sum(
        run.gpus * max(0, min(run.start, end) - max(run.start - run.overlap_s, start)) for run in runs
    )
    return Reconciled(
        account=account,
        ours=ours,
        theirs=theirs,
        suspended=sum(run.gpus * run.suspended_s for run in runs),
        overlap=overlap,
        unfinished=sum(billed_seconds(run, start, end) for run in runs if run.end is None),
        unexplained=theirs - ours - overlap,
    )


def _lines(text: str, columns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Lines after the header, each with its place; anything before the header is a title."""
    header = "|".join(columns)
    lines = text.splitlines()
    if header not in lines:
        raise _bad("header", "missing_column", f"Slurm's answer has no line {header}: {text[:200]!r}")
    first = lines.index(header)
    for number, line in enumerate(lines[first + 1 :], start=first + 2):
        if line.count("|") < len(columns) - 1:
            raise _bad(f"line {number}", "garbled", f"{line!r} has too few fields")
        yield f"line {number}", line


def _open_instant(where: str, text: str) -> int | None:
    return None if text in UNKNOWN else _instant(where, text)


def _instant(where: str, text: str) -> int:
    if not text.isdigit():
        raise _bad(where, "bad_instant", f"{text!r} is no number of seconds")
    return int(text)


def _bad(where: str, code: str, message: str) -> BadInput:
    return BadInput([Problem(where=where, code=code, message=message)])
