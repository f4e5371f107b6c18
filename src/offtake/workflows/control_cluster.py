"""Does what was taken in agree with the cluster's own sums, and what stood reserved without being used?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offtake.adapters.slurm.accounting import ask_runs, read_control, read_reservations
from offtake.adapters.slurm.runner import Runner
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, HOUR_S, Interval, format_instant
from offtake.enforcement.model import Finding, Node
from offtake.metering.sacct import Accounting
from offtake.metering.slurm_records import Reconciled, idle_gpu_seconds, reconcile
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.desired import accounts_of
from offtake.workflows.read_cluster import SOURCE, billing_zones, expected_parts, first_position
from offtake.workflows.settle import taken_over_time
from offtake.workflows.view import opened_at

RECONCILED = "usage.reconciled"
"""A fact: a span of readings was held against the cluster's own sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An account in a span: GPU-seconds.

    Attributes:
        claim: whose account it is.
        booked: in the book.
        expected: that should be in the book: of all that ended, and of what runs on up to a month's end.
        control: by the cluster's rows against its sums.
    """

    claim: str
    booked: int
    expected: int
    control: Reconciled

    @property
    def agrees(self) -> bool:
        """Whether there is nothing that wants an explanation."""
        return self.booked == self.expected and not self.control.unexplained


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What stood reserved for a claim in a span: GPU-seconds.

    Attributes:
        claim: for which it was reserved.
        reserved: nodes that were held for it.
        idle: of these, what none of its jobs held.
    """

    claim: str
    reserved: int
    idle: int


def control(book: Book, runner: Runner, span: Interval) -> tuple[Line, ...] | Refused:
    """What was taken in of a span, held against the cluster's rows and its own sums.

    Refusals: `not_read_yet` where the span isn't taken in to its end, `not_full_hours`, and those of a
    cluster that can't be reached.
    """
    through = first_position(book)
    if span.end > through:
        return Refused(
            code="not_read_yet",
            sentence=f"the accounting has been read up to {format_instant(through)} so far",
        )
    listed = ask_runs(runner, span.start, span.end)
    if isinstance(listed, Refused):
        return listed
    sums = read_control(runner, span.start, span.end)
    if isinstance(sums, Refused):
        return sums
    claims = accounts_of(book)
    curves = taken_over_time(book, list(claims.values()), span)
    booked = {claim: curve.integrate(span) for claim, curve in curves.items()}
    expected = _expected(book, listed, claims, span, through)
    found = reconcile((*listed.runs, *listed.unfinished), sums, start=span.start, end=span.end)
    return tuple(
        Line(
            claim=claims[one.account], control=one, booked=booked.get(claims[one.account], 0),
            expected=expected.get(claims[one.account], 0),
        )
        for one in found
        if one.account in claims
    )  # fmt: skip


def _expected(
    book: Book, listed: Accounting, claims: Mapping[str, str], span: Interval, through: int
) -> dict[str, int]:
    found: dict[str, int] = {}
    zones = billing_zones(book)
    for run in {(run.cluster, run.index): run for run in (*listed.runs, *listed.unfinished)}.values():
        if run.account in claims:
            claim = claims[run.account]
            for part in expected_parts(run, claim, zones[claim], through):
                seconds = min(part["end"], span.end) - max(part["start"], span.start)
                found[claim] = found.get(claim, 0) + part["value"] * max(0, seconds)
    return found


def control_daily(book: Book, runner: Runner, now: int) -> tuple[Finding, ...] | Refused:
    """Hold the days that have been read since the last time against the cluster's sums, and record it.

    Returns:
        What wants an explanation; nothing where no day is due.

    Refusals: those of `control`; then the same days are due again.
    """
    through = first_position(book)
    last = book.state.body("reconciled", SOURCE)
    start = int(last["through"]) if last else opened_at(book.state) // DAY_S * DAY_S
    end = (through - HOUR_S) // DAY_S * DAY_S  # Slurm adds up an hour some minutes after it
    if end <= start:
        return ()
    lines = control(book, runner, Interval(start, end))
    if isinstance(lines, Refused):
        return lines
    wrong = [line for line in lines if not line.agrees]
    body = {
        "source": SOURCE, "start": start, "end": end, "claims": len(lines),
        "wrong": [
            {
                "claim": line.claim, "booked": line.booked, "expected": line.expected,
                "unexplained": line.control.unexplained,
            }
            for line in wrong
        ],
    }  # fmt: skip
    id_ = f"{SOURCE}/{end}"
    with book.writing():
        book.append([Fact(kind=RECONCILED, id=id_, effective_at=end, recorded_at=now, body=body)])
    days = f"{format_instant(start)} to {format_instant(end)}"
    return tuple(
        Finding(
            code="sums_differ",
            sentence=f"{line.claim}, {days}: {line.booked} GPU-seconds are in the book and {line.expected} "
            f"should be; Slurm's own sum is {line.control.unexplained} off",
        )
        for line in wrong
    )


def idle(book: Book, runner: Runner, span: Interval, nodes: Mapping[str, Node]) -> tuple[Idle, ...] | Refused:
    """What was reserved for each claim in a span, and how much of it none of its jobs held.

    Args:
        book: only read.
        runner: of the cluster.
        span: what to look at.
        nodes: as the cluster has them.

    Refusals: `unlike_nodes` where nodes differ, because Slurm's record of a reservation counts CPUs; and
    those of a cluster that can't be reached.
    """
    sizes = {(node.cpus, node.gpus) for node in nodes.values()}
    if len(sizes) != 1:
        return Refused(
            code="unlike_nodes",
            sentence="nodes differ in CPUs or GPUs, and Slurm records a reservation's CPUs only",
        )
    ((cpus, gpus),) = sizes
    parts = read_reservations(runner, span.start, span.end)
    if isinstance(parts, Refused):
        return parts
    listed = ask_runs(runner, span.start, span.end)
    if isinstance(listed, Refused):
        return listed
    runs = (*listed.runs, *listed.unfinished)
    found = []
    for account, claim in sorted(accounts_of(book).items()):
        own = [part.within(span.start, span.end) for part in parts if part.name == account]
        own = [part for part in own if part.end > part.start]
        held = sum(part.cpus // cpus * gpus * (part.end - part.start) for part in own)
        if held:
            free = idle_gpu_seconds(own, runs, cpus_per_node=cpus, gpus_per_node=gpus)
            found.append(Idle(claim=claim, reserved=held, idle=free))
    return tuple(found)
