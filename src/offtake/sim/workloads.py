"""Work from files: jobs that queue within a claim, and readings as recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offtake.adapters.jobs import clipped, job_readings
from offtake.agreements.model import Agreement, Tranche
from offtake.agreements.units import gpus_of
from offtake.base.curve import Curve
from offtake.base.errors import BadInput, Problem
from offtake.base.months import plus_days
from offtake.base.time import Interval, format_instant
from offtake.claims.jobs import Jobs, Placements, QueueStatus, check_jobs, run_jobs
from offtake.formats.demand import Demand
from offtake.formats.folder import Folder
from offtake.formats.workload import load_jobs, load_recorded
from offtake.metering.readings import Readings, check_readings
from offtake.sim.world import CurveWorkload, Workload, curve_workload
from offtake.workflows.allocate import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class JobQueue:
    """Jobs that run within what one claim holds of one pool.

    Attributes:
        claim: the claim that holds the GPUs.
        pool: where they are.
        placements: when each job runs.
    """

    claim: str
    pool: str
    placements: Placements


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsWorkload:
    """Jobs in queues; what isn't in a queue runs as its curve says.

    When each job runs is settled before the run begins, on all that the queue's claim asks for. Jobs are
    not preempted: a run whose plan gives the claim less than its jobs use ends with a problem that says so.
    """

    queues: tuple[JobQueue, ...]
    rest: Workload

    def readings(self, held: Rows, window: Interval, prefix: str) -> Readings:
        """One reading for each job that ran in the window, then those of the rest.

        Raises:
            BadInput: if a queue's claim holds less than its jobs use.
        """
        parts = [self._of_queue(queue, held, window) for queue in self.queues]
        return joined([*parts, self.rest.readings(held, window, prefix)])

    def _of_queue(self, queue: JobQueue, held: Rows, window: Interval) -> Readings:
        readings = job_readings(queue.placements, queue.pool, window)
        running = Curve.from_records(readings.start, readings.end, readings.gpus)
        own = held.of(queue.claim)
        there = own.other == queue.pool
        holds = Curve.from_records(own.start[there], own.end[there], own.gpus[there])
        short = holds.where_below(running, window)
        if short:
            at = short[0].start
            raise BadInput([_short(queue, at, running.value_at(at), holds.value_at(at))])
        return readings

    def status_at(self, instant: int) -> Mapping[str, QueueStatus]:
        """Finished, running and queued work of each queue, by its claim."""
        return {queue.claim: queue.placements.status_at(instant) for queue in self.queues}


def _short(queue: JobQueue, at: int, running: int, holds: int) -> Problem:
    return Problem(
        where=f"workload: queue {queue.claim}",
        code="queue_short",
        message=f"at {format_instant(at)} its jobs use {running} GPUs of {queue.pool} and it holds {holds}; "
        "jobs aren't preempted",
        remedy="keep outages and higher ranked claims off the queue's pool, or lower constant_gpus",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedWorkload:
    """What ran, as somebody's meters recorded it; claims without a record run as their curve says.

    A record is a fact: it is neither limited to what a claim holds nor moved to another pool.
    """

    recorded: Readings
    rest: Workload

    def readings(self, held: Rows, window: Interval, prefix: str) -> Readings:
        """The recorded readings in the window, cut at its borders, then those of the rest."""
        return joined([clipped(self.recorded, window), self.rest.readings(held, window, prefix)])


def joined(parts: Sequence[Readings]) -> Readings:
    """Several batches as one, in order."""
    claims = tuple(dict.fromkeys(claim for part in parts for claim in part.claims))
    pools = tuple(dict.fromkeys(pool for part in parts for pool in part.pools))
    return Readings(
        claims=claims,
        pools=pools,
        ids=tuple(id_ for part in parts for id_ in part.ids),
        claim=np.concatenate([_recoded(part.claims, claims)[part.claim] for part in parts]),
        pool=np.concatenate([_recoded(part.pools, pools)[part.pool] for part in parts]),
        start=np.concatenate([part.start for part in parts]),
        end=np.concatenate([part.end for part in parts]),
        gpus=np.concatenate([part.gpus for part in parts]),
    )


def _recoded(names: Sequence[str], among: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    place = {name: i for i, name in enumerate(among)}
    return np.array([place[name] for name in names], dtype=np.int64)


def workload_of(folder: Folder) -> Workload:
    """The work that a folder describes: its jobs, its recorded readings, or its curves.

    Raises:
        BadInput: if a file can't be read, or what it says doesn't fit the folder.
    """
    files = folder.settings.workload
    if files is None:
        return curve_workload(folder)
    if files.jobs is not None:
        return jobs_workload(folder, load_jobs(folder.path / files.jobs, "offtake.toml: workload.jobs"))
    assert files.readings is not None  # one of the two: checked when the folder was read
    recorded = load_recorded(folder.path / files.readings, "offtake.toml: workload.readings")
    problems = _check_recorded(folder, recorded, files.readings)
    if problems:
        raise BadInput(problems)
    return RecordedWorkload(recorded=recorded, rest=_rest(folder, recorded.claims))


def jobs_workload(folder: Folder, jobs: Jobs) -> JobsWorkload:
    """Jobs run first come first served (see `run_jobs`) in the queues that the folder's tranches name.

    A queue's GPUs are the least that its demand asks for during the run.

    Raises:
        BadInput: for jobs that can never run, or that run outside their tranche's days.
    """
    where = folder.settings.workload.jobs if folder.settings.workload else None
    demands = {demand.declaration.id: demand for demand in folder.demands}
    queues, problems = [], _check_claims(jobs, dict(_queued(folder)), where or "jobs")
    for id_ in dict.fromkeys(tranche.queue for _, (_, tranche) in _queued(folder)):
        own = {claim: pair for claim, pair in _queued(folder) if pair[1].queue == id_}
        queue, found = _queue(folder, demands[str(id_)], own, jobs.of(list(own)), where or "jobs")
        problems += found
        queues += queue
    if problems:
        raise BadInput(problems)
    return JobsWorkload(queues=tuple(queues), rest=_rest(folder, [queue.claim for queue in queues]))


def _queued(folder: Folder) -> Iterable[tuple[str, tuple[Agreement, Tranche]]]:
    for agreement in folder.agreements.values():
        for tranche in agreement.tranches:
            if tranche.queue is not None:
                yield f"{agreement.id}/{tranche.id}", (agreement, tranche)


def _check_claims(jobs: Jobs, known: Mapping[str, object], where: str) -> list[Problem]:
    return [
        Problem(
            where=where,
            code="unknown_claim",
            message=f"{int((jobs.claim == code).sum())} jobs are of {claim!r}: no such tranche has a queue",
            remedy=f"tranches with a queue are {', '.join(known) or 'none'}",
        )
        for code, claim in enumerate(jobs.claims)
        if claim not in known
    ]


def _queue(
    folder: Folder, demand: Demand, own: Mapping[str, tuple[Agreement, Tranche]], jobs: Jobs, where: str
) -> tuple[list[JobQueue], list[Problem]]:
    declaration = demand.declaration
    if len(declaration.pools) != 1:
        message = f"a queue's jobs run in one pool, not in {', '.join(declaration.pools)}"
        return [], [Problem(where=f"demand {declaration.id}: pools", code="one_pool", message=message)]
    gpus = demand.curve.min_over(folder.settings.window)
    limits = {claim: gpus_of(agreement, tranche) for claim, (agreement, tranche) in own.items()}
    problems = check_jobs(jobs, gpus=gpus, limits=limits, where=where)
    if problems:
        return [], problems
    placements = run_jobs(jobs, gpus, limits)
    problems = [
        Problem(
            where=where,
            code="outside_term",
            message=f"{claim}: {outside}",
            remedy="let the tranche's days cover the work, or raise limits so that it ends sooner",
        )
        for claim, (agreement, tranche) in own.items()
        if (outside := placements.outside(claim, _term(agreement, tranche))) is not None
    ]
    return [JobQueue(claim=declaration.id, pool=declaration.pools[0], placements=placements)], problems


def _term(agreement: Agreement, tranche: Tranche) -> Interval:
    return Interval(agreement.midnight(tranche.start), agreement.midnight(plus_days(tranche.through, 1)))


def _check_recorded(folder: Folder, recorded: Readings, where: str) -> list[Problem]:
    """Names that the folder doesn't have, and rows that can't be."""
    claims = {f"{a.id}/{tranche.id}" for a in folder.agreements.values() for tranche in a.tranches}
    claims |= {demand.declaration.id for demand in folder.demands}
    pools = {pool.id for pool in folder.fleet.pool}
    borders = np.concatenate([recorded.start, recorded.end, [folder.settings.window.start]])
    problems = check_readings(recorded, Interval(int(borders.min()), int(borders.max())), where)
    for what, names, known in (("claim", recorded.claims, claims), ("pool", recorded.pools, pools)):
        problems += [
            Problem(
                where=where,
                code=f"unknown_{what}",
                message=f"there is no {what} {name!r}",
                remedy=f"{what}s are {', '.join(sorted(known))}",
            )
            for name in names
            if name not in known
        ]
    return problems


def _rest(folder: Folder, without: Sequence[str]) -> CurveWorkload:
    wanted = curve_workload(folder).wanted
    return CurveWorkload({claim: curve for claim, curve in wanted.items() if claim not in without})
