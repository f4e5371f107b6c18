"""Jobs: work that asks for whole GPUs for a while, and the order in which a queue lets it run.

Pure: whoever asks (the simulated cluster, an importer that needs to know when a queue drains) gets the same
placements from the same jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from offtake.base.errors import Problem
from offtake.base.time import Interval, format_instant

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Jobs:
    """Jobs by column, in any order.

    Shapes: `ids`, `claim`, `submit`, `run_s`, `gpus` all of length n; `claim` indexes `claims`.
    Units: `submit` in seconds UTC; `run_s` seconds; GPUs.
    """

    ids: tuple[str, ...]
    claims: tuple[str, ...]
    claim: Ints
    submit: Ints
    run_s: Ints
    gpus: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def gpu_seconds(self) -> int:
        """What all jobs take when they have run."""
        return int((self.run_s * self.gpus).sum())

    def of(self, claims: Sequence[str]) -> Jobs:
        """The jobs of some claims, in the same order."""
        codes = [code for code, claim in enumerate(self.claims) if claim in claims]
        rows = np.isin(self.claim, codes)
        return Jobs(
            ids=tuple(np.asarray(self.ids, dtype=object)[rows]),
            claims=self.claims,
            claim=self.claim[rows],
            submit=self.submit[rows],
            run_s=self.run_s[rows],
            gpus=self.gpus[rows],
        )


def check_jobs(jobs: Jobs, *, gpus: int, limits: Mapping[str, int], where: str) -> list[Problem]:
    """Jobs that can never run: at most one problem of each kind, naming its first job.

    Args:
        jobs: the jobs.
        gpus: the cluster's.
        limits: GPUs that each claim may use at once.
        where: the file, for problems.
    """
    limit = np.array([limits.get(claim, gpus) for claim in jobs.claims], dtype=np.int64)[jobs.claim]
    known = np.array([claim in limits for claim in jobs.claims], dtype=bool)[jobs.claim]
    checks = (
        ("duplicate", _repeated(jobs.ids), "another job has the same id", "give each job its own id"),
        ("gpus", jobs.gpus <= 0, "it asks for no GPUs", "leave it out: it would take nothing"),
        ("run_s", jobs.run_s <= 0, "it runs for no time", "leave it out: it would take nothing"),
        (
            "unknown_claim",
            ~known,
            "no tranche with a queue has its claim",
            "claims with a queue: " + ", ".join(limits),
        ),
        ("above_cluster", jobs.gpus > gpus, f"it can never run on {gpus} GPUs", "enlarge the queue's claim"),
        (
            "above_limit",
            jobs.gpus > limit,
            "it can never run within its claim's limit",
            "raise the tranche's quantity",
        ),
    )
    problems = []
    for code, bad, message, remedy in checks:
        if bad.any():
            row = int(np.argmax(bad))
            size = f"{jobs.gpus[row]} GPUs, {jobs.run_s[row]} s"
            what = f"job {jobs.ids[row]!r} of {jobs.claims[jobs.claim[row]]} ({size})"
            problems.append(
                Problem(
                    where=where,
                    code=code,
                    message=f"{what}: {message}; {int(bad.sum())} such jobs",
                    remedy=remedy,
                )
            )
    return problems


def _repeated(ids: Sequence[str]) -> NDArray[np.bool_]:
    repeated = np.ones(len(ids), dtype=bool)
    repeated[np.unique(np.asarray(ids, dtype=str), return_index=True)[1]] = False
    return repeated


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QueueStatus:
    """Where a queue's work stands at an instant.

    Units: GPU-seconds, except the counts of jobs. `finished`, `elapsed`, `remaining`, `queued` and
    `unsubmitted` add up to the sum over all jobs.
    """

    finished: int
    elapsed: int
    remaining: int
    queued: int
    unsubmitted: int
    jobs_finished: int
    jobs_running: int
    jobs_queued: int

    @property
    def running(self) -> int:
        """What the jobs that run now take from their start to their end."""
        return self.elapsed + self.remaining


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placements:
    """When each job runs, in the order of the jobs.

    Shapes: `start` and `end` int64[n]. Units: seconds UTC, end exclusive.
    """

    jobs: Jobs
    start: Ints
    end: Ints

    @property
    def drained_at(self) -> int:
        """The instant at which the last job has ended; 0 without jobs."""
        return int(self.end.max(initial=0))

    def status_at(self, instant: int) -> QueueStatus:
        """Finished, running and queued work; a job that ends at the instant has finished."""
        jobs = self.jobs
        work = jobs.run_s * jobs.gpus
        finished, begun = self.end <= instant, self.start <= instant
        running, submitted = begun & ~finished, jobs.submit <= instant
        queued = submitted & ~begun
        return QueueStatus(
            finished=int(work[finished].sum()),
            elapsed=int(((instant - self.start) * jobs.gpus)[running].sum()),
            remaining=int(((self.end - instant) * jobs.gpus)[running].sum()),
            queued=int(work[queued].sum()),
            unsubmitted=int(work[~submitted].sum()),
            jobs_finished=int(finished.sum()),
            jobs_running=int(running.sum()),
            jobs_queued=int(queued.sum()),
        )

    def outside(self, claim: str, term: Interval) -> str | None:
        """What of a claim's work runs outside a term, in plain English, or None."""
        own = np.array([name == claim for name in self.jobs.claims], dtype=bool)[self.jobs.claim]
        bad = own & ((self.start < term.start) | (self.end > term.end))
        if not bad.any():
            return None
        row = int(np.argmax(bad))
        begin, end = format_instant(int(self.start[row])), format_instant(int(self.end[row]))
        return f"job {self.jobs.ids[row]!r} runs {begin} .. {end}, outside {term}; {int(bad.sum())} such jobs"


def run_jobs(jobs: Jobs, gpus: int, limits: Mapping[str, int]) -> Placements:
    """First come first served, with a limit for each claim.

    Whenever a job is submitted or ends, the queue is walked in order of (submit, id):

    - a job whose claim has no room left within its limit steps aside. It blocks nobody else, only the later
      jobs of its own claim: within a claim the order is strict;
    - the first job that its claim's limit allows but for which the cluster has no room blocks everything
      behind it. Nothing overtakes it (no backfill);
    - every other job starts. Once started it runs to its end.

    A GPU freed at an instant can be used from that instant on. Jobs aren't packed onto nodes: GPUs are
    interchangeable, so a job of 8 may be spread over what is free.

    Only the head of each claim's own queue can be the next to start, so a heap of those heads, less the ones
    that stepped aside, is all that is looked at: O(n log n) for n jobs, however long the queue.

    Args:
        jobs: the work; each job must be able to run (see `check_jobs`).
        gpus: the cluster's.
        limits: GPUs that each claim may use at once.

    Raises:
        ValueError: if a job can never run.
    """
    problems = check_jobs(jobs, gpus=gpus, limits=limits, where="jobs")
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    start = _Queue(jobs, gpus, [limits.get(claim, 0) for claim in jobs.claims]).run()
    return Placements(jobs=jobs, start=start, end=start + jobs.run_s)


class _Queue:
    """The state of a queue as time goes on. Jobs are known by their rank in order of (submit, id)."""

    def __init__(self, jobs: Jobs, gpus: int, limits: list[int]) -> None:
        self._order = np.lexsort((np.asarray(jobs.ids, dtype=str), jobs.submit))
        self._submit: list[int] = jobs.submit[self._order].tolist()
        self._run_s: list[int] = jobs.run_s[self._order].tolist()
        self._gpus: list[int] = jobs.gpus[self._order].tolist()
        self._claim: list[int] = jobs.claim[self._order].tolist()
        self._free = gpus
        self._room = limits
        self._waiting: list[deque[int]] = [deque() for _ in limits]
        self._aside = [False] * len(limits)
        # the first waiting job of each claim that its limit allows
        self._heads: list[int] = []
        self._running: list[tuple[int, int]] = []

    def run(self) -> Ints:
        """When each job starts, in the order in which the jobs were given."""
        started = np.zeros(len(self._order), dtype=np.int64)
        next_, total = 0, len(self._order)
        while next_ < total or self._running:
            now = min(self._submit[next_ : next_ + 1] + [end for end, _ in self._running[:1]])
            self._end(now)
            while next_ < total and self._submit[next_] == now:
                self._arrive(next_)
                next_ += 1
            for rank in self._startable():
                started[rank] = now
                heappush(self._running, (now + self._run_s[rank], rank))
        result = np.empty_like(started)
        result[self._order] = started
        return result

    def _end(self, now: int) -> None:
        while self._running and self._running[0][0] == now:
            _, rank = heappop(self._running)
            claim = self._claim[rank]
            self._free += self._gpus[rank]
            self._room[claim] += self._gpus[rank]
            if self._aside[claim]:
                self._look_at(claim)

    def _arrive(self, rank: int) -> None:
        waiting = self._waiting[self._claim[rank]]
        waiting.append(rank)
        if len(waiting) == 1:
            self._look_at(self._claim[rank])

    def _look_at(self, claim: int) -> None:
        """Put the claim's first waiting job among the heads, or aside."""
        if self._waiting[claim]:
            head = self._waiting[claim][0]
            self._aside[claim] = self._gpus[head] > self._room[claim]
            if not self._aside[claim]:
                heappush(self._heads, head)

    def _startable(self) -> list[int]:
        """Take what starts now off the queue."""
        ranks = []
        while self._heads and self._gpus[self._heads[0]] <= self._free:
            rank = heappop(self._heads)
            claim = self._claim[rank]
            self._waiting[claim].popleft()
            self._free -= self._gpus[rank]
            self._room[claim] -= self._gpus[rank]
            ranks.append(rank)
            self._look_at(claim)
        return ranks
