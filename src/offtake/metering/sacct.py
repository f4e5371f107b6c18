"""Slurm's accounting, row by row: which runs of which jobs held GPUs, from when to when.

A listing is what `sacct` prints with ``--parsable2`` and its header, times in seconds since the epoch. The
rules:

- A run is named by cluster and `DBIndex`: a requeued job has a row for each run, ids are used again, and the
  last task of an array has the array's own id.
- It is billed from start to end. `ElapsedRaw` leaves suspended time out, although the GPUs were held.
- The row after a resize has the first start of the job; it begins when it was submitted, which is the resize.
- A run without a numeric end waits, whatever its state: a row may read COMPLETED before its end is known.
- A pending row isn't billed. With a start, it is the trace of a controller that died before it saved its
  state.
- A row that a newer one of the same job overtook isn't billed, because one of the two is wrong: a finding.
- Steps repeat what their job held. They tell only how long the GPUs stayed held after the job's end.

Source: Slurm's documentation of sacct; each rule is tested on a real cluster, in tests/live.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from offtake.base.errors import BadInput, Problem
from offtake.metering.tres import gpus_of, parse_tres
from offtake.metering.usage import ReadingKind

NEEDED = ("DBIndex", "Account", "State", "Submit", "Start", "End", "AllocTRES")
"""Columns without which runs can't be billed."""

COLUMNS = (
    "JobIDRaw", "JobID", "DBIndex", "Cluster", "Account", "User", "QOS", "Partition", "State", "Submit",
    "Eligible", "Start", "End", "ElapsedRaw", "Suspended", "AllocTRES", "NodeList", "ReservationId", "Reason",
)  # fmt: skip
"""Columns that offtake asks for."""

LEFT_OUT = {
    "running": "still running: a reading once it has ended",
    "pending": "never started",
    "superseded": "overtaken by a newer row of the same job",
    "no_gpus": "held no GPUs",
    "no_time": "ended as it began",
    "step": "a step, which repeats what its job held",
}
"""Why a row makes no reading."""

FINDINGS = {
    "pending_started": "it is pending and has a start: the controller died before it saved that the job ran",
    "superseded": "a newer row of the same job overtook it: the job's id was used again, or its end is wrong",
}
"""What may be wrong with a row, by code. What really ran isn't known then, and isn't billed."""

UNKNOWN = ("Unknown", "None", "")
"""What Slurm prints for an instant that isn't known."""

_SPAN = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a job: what it held from when to when.

    Units: seconds since the epoch, and seconds.

    Attributes:
        cluster: that it ran on.
        index: `DBIndex`, which names it there.
        job: its job's id, which isn't unique.
        account: that it ran for.
        user: who submitted it.
        qos: its quality of service.
        partition: that it ran in.
        state: as the row has it.
        start: when it began to hold what it held, resizes considered.
        end: when it ended; None while that isn't known. Exclusive.
        gpus: that it held.
        tres: everything that it held.
        nodes: that it held, in Slurm's shorthand.
        reservation: id of the reservation that it ran in, or empty.
        suspended_s: how long it was suspended, holding its GPUs.
        overlap_s: how much earlier the row says that it began: before a resize, which Slurm counts twice.
        held_until: when its last step ended, where the listing has steps; else its end.
    """

    cluster: str
    index: str
    job: str
    account: str
    user: str
    qos: str
    partition: str
    state: str
    start: int
    end: int | None
    gpus: int
    tres: str
    nodes: str
    reservation: str
    suspended_s: int
    overlap_s: int
    held_until: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A row that can't be trusted.

    Attributes:
        code: one of `FINDINGS`.
        cluster: of the row.
        index: its `DBIndex`.
        job: its job's id.
        account: that it would be billed to.
        sentence: what is wrong, in plain English.
    """

    code: str
    cluster: str
    index: str
    job: str
    account: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """What a listing says.

    Attributes:
        runs: that ended and held GPUs, in the listing's order.
        unfinished: that hold GPUs and have no end yet.
        left_out: rows that make no reading, by reason.
        findings: rows that can't be trusted.
    """

    runs: tuple[Run, ...]
    unfinished: tuple[Run, ...]
    left_out: Mapping[str, int]
    findings: tuple[Finding, ...]


def parse_sacct(text: str, where: str) -> Accounting:
    """Runs from a listing.

    Args:
        text: what sacct printed, with its header.
        where: what it is called in problems.

    Raises:
        BadInput: for a missing column and every row that can't be understood; each is named.
    """
    runs, ended, left_out, problems = [], defaultdict[tuple[str, str], int](int), Counter[str](), []
    findings = []
    for number, row in _rows(text, where):
        key = (row.get("Cluster", ""), row["DBIndex"])
        if "." in row.get("JobIDRaw", ""):
            left_out["step"] += 1
            ended[key] = max(ended[key], int(row["End"]) if row["End"].isdigit() else 0)
        elif _is_pending(row):
            left_out["pending"] += 1
            findings += [_finding("pending_started", row)] if _has_begun(row) else []
        else:
            try:
                runs.append(_run(row))
            except BadInput as error:
                problems += [problem.within(f"{where}: row {number}") for problem in error.problems]
    if problems:
        raise BadInput(problems)
    overtaken = _overtaken(runs)
    left_out["superseded"] += len(overtaken)
    findings += [_finding_of(run) for run in runs if (run.cluster, run.index) in overtaken]
    sound = [_held(run, ended) for run in runs if (run.cluster, run.index) not in overtaken]
    return _sorted_out(sound, left_out, findings)


def billed_seconds(run: Run, start: int, end: int) -> int:
    """GPU-seconds that a run held from start to end, exclusive; one that hasn't ended holds on."""
    upto = end if run.end is None else min(run.end, end)
    return run.gpus * max(0, upto - max(run.start, start))


def reading_of(run: Run, subject: str) -> dict[str, Any]:
    """A run that ended as a row of the lake.

    Args:
        run: that ended.
        subject: the claim that its GPUs are for, such as ``acme/main``.
    """
    return {
        "kind": str(ReadingKind.ALLOCATION),
        "source": f"slurm/{run.cluster or 'cluster'}",
        "id": run.index,
        "subject": subject,
        "pool": run.partition,
        "start": run.start,
        "end": run.end,
        "value": run.gpus,
    }


def parts_of(run: Run, subject: str, borders: Sequence[int], through: int) -> list[dict[str, Any]]:
    """Readings of a run, cut where months end, so that each month has its own when it closes.

    The first part has the run's own name, so that a run whose end turns out to be earlier after all conflicts
    with what was read of it, and isn't billed twice.

    Args:
        run: that ended, or goes on.
        subject: the claim that its GPUs are for.
        borders: instants at which months end, rising.
        through: all that ended before is known. Of a run that goes on, no part beyond the last border before
            that is read yet.
    """
    cuts = [border for border in borders if run.start < border]
    if run.end is not None:
        ends = [*(cut for cut in cuts if cut < run.end), run.end]
    else:
        ends = [cut for cut in cuts if cut <= through]
    return [
        reading_of(
            replace(run, start=start, end=end, index=f"{run.index}/{i}" if i > 1 else run.index), subject
        )
        for i, (start, end) in enumerate(pairwise([run.start, *ends]), start=1)
    ]


def parse_span(text: str) -> int:
    """Seconds of Slurm's spans: ``05:00``, ``01:05:00`` or ``2-01:05:00``.

    Raises:
        ValueError: for anything else.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no span, such as 2-01:05:00")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _rows(text: str, where: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(text.splitlines(), delimiter="|", quoting=csv.QUOTE_NONE)
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        remedy = f"ask sacct for --parsable2 --format={','.join(NEEDED)} with its header"
        raise _bad(where, "missing_column", f"it has no column {', '.join(missing)}", remedy)
    for row in reader:
        if None in row or None in row.values():
            raise _bad(f"{where}: row {reader.line_num}", "garbled", "it hasn't as many fields as the header")
        yield reader.line_num, row


def _is_pending(row: Mapping[str, str]) -> bool:
    return row["State"].startswith("PENDING") or row["Start"] in UNKNOWN


def _has_begun(row: Mapping[str, str]) -> bool:
    return row["Start"].isdigit() and int(row["Start"]) > 0 and row["End"] in UNKNOWN


def _run(row: Mapping[str, str]) -> Run:
    """A row that began; its place in a problem is left to the caller."""
    start, submit = _instant("Start", row["Start"]), _instant("Submit", row["Submit"])
    end = None if row["End"] in UNKNOWN else _instant("End", row["End"])
    try:
        gpus = gpus_of(parse_tres(row["AllocTRES"]))
        suspended_s = parse_span(row["Suspended"]) if row.get("Suspended") else 0
    except ValueError as error:
        raise _bad("", "bad_tres" if "span" not in str(error) else "bad_span", str(error)) from error
    return Run(
        cluster=row.get("Cluster", ""),
        index=row["DBIndex"],
        job=row.get("JobIDRaw", ""),
        account=row["Account"],
        user=row.get("User", ""),
        qos=row.get("QOS", ""),
        partition=row.get("Partition", ""),
        state=row["State"],
        start=max(start, submit),
        end=end,
        gpus=gpus,
        tres=row["AllocTRES"],
        nodes=row.get("NodeList", ""),
        reservation=row.get("ReservationId", ""),
        suspended_s=suspended_s,
        overlap_s=max(0, submit - start),
        held_until=end,
    )


def _overtaken(runs: Iterable[Run]) -> set[tuple[str, str]]:
    """Runs that hadn't ended when a newer one of the same job began: one of the two is wrong."""
    by_job = defaultdict[tuple[str, str], dict[str, Run]](dict)
    for run in runs:
        if run.job:
            by_job[run.cluster, run.job][run.index] = run  # a row that is there twice is one row
    found = set()
    for rows in by_job.values():
        next_start: int | None = None
        for run in sorted(rows.values(), key=lambda run: int(run.index), reverse=True):
            if next_start is not None and (run.end is None or run.end > max(run.start, next_start)):
                found.add((run.cluster, run.index))
            else:
                next_start = run.start if next_start is None else min(next_start, run.start)
    return found


def _held(run: Run, ended: Mapping[tuple[str, str], int]) -> Run:
    last = ended.get((run.cluster, run.index), 0)
    return run if run.end is None else replace(run, held_until=max(run.end, last))


def _sorted_out(sound: Iterable[Run], left_out: Counter[str], findings: list[Finding]) -> Accounting:
    runs, unfinished = [], []
    for run in sound:
        if not run.gpus:
            left_out["no_gpus"] += 1
        elif run.end is None:
            left_out["running"] += 1
            unfinished.append(run)
        elif run.end <= run.start:
            left_out["no_time"] += 1
        else:
            runs.append(run)
    return Accounting(
        runs=tuple(runs),
        unfinished=tuple(unfinished),
        left_out={why: count for why, count in left_out.items() if count},
        findings=tuple(dict.fromkeys(findings)),
    )


def _finding(code: str, row: Mapping[str, str]) -> Finding:
    return _told(code, row.get("Cluster", ""), row["DBIndex"], row.get("JobIDRaw", ""), row["Account"])


def _finding_of(run: Run) -> Finding:
    return _told("superseded", run.cluster, run.index, run.job, run.account)


def _told(code: str, cluster: str, index: str, job: str, account: str) -> Finding:
    sentence = f"job {job or '?'} of {account}, row {index}: {FINDINGS[code]}"
    return Finding(code=code, cluster=cluster, index=index, job=job, account=account, sentence=sentence)


def _instant(name: str, text: str) -> int:
    if not text.isdigit():
        remedy = "list with TZ=UTC SLURM_TIME_FORMAT=%s: a local time says too little"
        raise _bad("", "bad_instant", f"{name} is {text!r}, no number of seconds", remedy)
    return int(text)


def _bad(where: str, code: str, message: str, remedy: str = "") -> BadInput:
    return BadInput([Problem(where=where, code=code, message=message, remedy=remedy)])
