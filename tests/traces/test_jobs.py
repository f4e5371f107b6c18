"""First come first served with limits: stories, laws, and a scheduler that looks at every second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappush
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.adapters.jobs import job_readings
from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.claims.jobs import Jobs, check_jobs, run_jobs

Row = tuple[str, str, int, int, int]
"""id, claim, submit, run_s, gpus"""


def jobs_of(rows: Sequence[Row]) -> Jobs:
    claims = tuple(sorted({row[1] for row in rows}))
    return Jobs(
        ids=tuple(row[0] for row in rows),
        claims=claims,
        claim=np.array([claims.index(row[1]) for row in rows], dtype=np.int64),
        submit=np.array([row[2] for row in rows], dtype=np.int64),
        run_s=np.array([row[3] for row in rows], dtype=np.int64),
        gpus=np.array([row[4] for row in rows], dtype=np.int64),
    )


def starts(rows: Sequence[Row], gpus: int, limits: Mapping[str, int]) -> dict[str, int]:
    placements = run_jobs(jobs_of(rows), gpus, limits)
    return dict(zip(placements.jobs.ids, placements.start.tolist(), strict=True))


def starts_by_looking_at_every_second(
    rows: Sequence[Row], gpus: int, limits: Mapping[str, int]
) -> dict[str, int]:
    """The rule as it reads, with no heap: each second the whole queue is walked."""
    queue = sorted(rows, key=lambda row: (row[2], row[0]))
    started: dict[str, int] = {}
    running: list[tuple[int, str, int]] = []
    now = 0
    while len(started) < len(rows):
        running = [job for job in running if job[0] > now]
        aside: set[str] = set()
        for id_, claim, submit, run_s, size in queue:
            if id_ in started or submit > now or claim in aside:
                continue
            if sum(used for _, other, used in running if other == claim) + size > limits[claim]:
                aside.add(claim)
                continue
            if sum(used for _, _, used in running) + size > gpus:
                break
            started[id_] = now
            running.append((now + run_s, claim, size))
        now += 1
    return started


def test_a_job_starts_when_it_is_submitted_if_there_is_room() -> None:
    assert starts([("a", "t", 5, 10, 4)], 8, {"t": 8}) == {"a": 5}


def test_a_freed_gpu_is_used_in_the_same_second() -> None:
    assert starts([("a", "t", 0, 10, 8), ("b", "t", 1, 1, 8)], 8, {"t": 8}) == {"a": 0, "b": 10}


def test_a_tenant_at_its_limit_steps_aside_and_blocks_nobody_else() -> None:
    rows = [("a", "t", 0, 10, 4), ("b", "t", 1, 10, 4), ("c", "u", 2, 10, 4)]
    assert starts(rows, 16, {"t": 4, "u": 16}) == {"a": 0, "b": 10, "c": 2}


def test_a_job_that_steps_aside_holds_back_its_own_tenants_later_jobs() -> None:
    rows = [("a", "t", 0, 10, 3), ("b", "t", 1, 10, 4), ("c", "t", 2, 1, 1)]
    assert starts(rows, 16, {"t": 4}) == {"a": 0, "b": 10, "c": 20}


def test_the_first_job_without_room_blocks_all_behind_it() -> None:
    rows = [("a", "t", 0, 10, 6), ("b", "u", 1, 10, 8), ("c", "v", 2, 1, 1)]
    assert starts(rows, 8, {"t": 8, "u": 8, "v": 8}) == {"a": 0, "b": 10, "c": 20}


def test_jobs_submitted_together_go_in_order_of_their_ids() -> None:
    assert starts([("b", "t", 0, 5, 8), ("a", "t", 0, 5, 8)], 8, {"t": 8}) == {"a": 0, "b": 5}


def test_nothing_to_run() -> None:
    placements = run_jobs(jobs_of([]), 8, {})
    assert placements.drained_at == 0
    assert placements.status_at(10).finished == 0


def test_every_kind_of_job_that_can_never_run_is_named_at_once() -> None:
    rows = [
        ("a", "t", 0, 1, 9),
        ("b", "t", 0, 1, 5),
        ("b", "t", 0, 1, 1),
        ("c", "x", 0, 1, 1),
        ("d", "t", 0, 0, 1),
        ("e", "t", 0, 1, 0),
    ]
    problems = check_jobs(jobs_of(rows), gpus=8, limits={"t": 4}, where="jobs.parquet")
    assert {problem.code: problem.message.split()[1] for problem in problems} == {
        "duplicate": "'b'",
        "gpus": "'e'",
        "run_s": "'d'",
        "unknown_claim": "'c'",
        "above_cluster": "'a'",
        "above_limit": "'a'",
    }
    with pytest.raises(ValueError, match="can never run on 8 GPUs"):
        run_jobs(jobs_of(rows[:1]), 8, {"t": 16})


def test_where_the_work_stands() -> None:
    rows = [("a", "t", 0, 10, 8), ("b", "t", 1, 10, 8), ("c", "t", 2, 10, 8), ("d", "t", 99, 1, 8)]
    placements = run_jobs(jobs_of(rows), 8, {"t": 8})
    status = placements.status_at(14)
    assert (status.finished, status.elapsed, status.remaining) == (80, 32, 48)
    assert (status.running, status.queued, status.unsubmitted) == (80, 80, 8)
    assert (status.jobs_finished, status.jobs_running, status.jobs_queued) == (1, 1, 1)
    turn = placements.status_at(20)  # b ends and c starts at this instant
    assert (turn.jobs_finished, turn.jobs_running, turn.jobs_queued) == (2, 1, 0)
    assert (turn.finished, turn.elapsed, turn.remaining) == (160, 0, 80)


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Row], int, dict[str, int]]:
    gpus = draw(st.integers(1, 12))
    limits = {claim: draw(st.integers(1, 14)) for claim in ("t", "u", "v")}
    rows = [
        (
            f"j{draw(st.integers(0, 9))}-{i}",  # ids don't follow the order of the file
            claim,
            draw(st.integers(0, 15)),
            draw(st.integers(1, 8)),
            draw(st.integers(1, min(gpus, limits[claim]))),
        )
        for i, claim in enumerate(draw(st.lists(st.sampled_from(sorted(limits)), max_size=14)))
    ]
    return rows, gpus, limits


@given(queues())
@settings(max_examples=200)
def test_it_is_the_rule_second_by_second(queue: tuple[list[Row], int, dict[str, int]]) -> None:
    assert starts(*queue) == starts_by_looking_at_every_second(*queue)


@given(queues())
@settings(max_examples=100)
def test_laws_of_the_queue(queue: tuple[list[Row], int, dict[str, int]]) -> None:
    rows, gpus, limits = queue
    jobs = jobs_of(rows)
    placements = run_jobs(jobs, gpus, limits)
    window = Interval(0, placements.drained_at + 1)
    assert (placements.start >= jobs.submit).all()
    assert (placements.end - placements.start == jobs.run_s).all()
    running = Curve.from_records(placements.start, placements.end, jobs.gpus)
    assert running.max_over(window) <= gpus
    assert running.integrate(window) == jobs.gpu_seconds
    for code, claim in enumerate(jobs.claims):
        own = np.flatnonzero(jobs.claim == code)
        curve = Curve.from_records(placements.start[own], placements.end[own], jobs.gpus[own])
        assert curve.max_over(window) <= limits[claim]
        in_order = sorted(own.tolist(), key=lambda row: (jobs.submit[row], jobs.ids[row]))
        assert (np.diff(placements.start[in_order]) >= 0).all()


@given(queues(), st.lists(st.integers(1, 60), max_size=3, unique=True))
@settings(max_examples=100)
def test_readings_of_windows_that_meet_are_the_whole_work_once(
    queue: tuple[list[Row], int, dict[str, int]], cuts: list[int]
) -> None:
    rows, gpus, limits = queue
    placements = run_jobs(jobs_of(rows), gpus, limits)
    borders = [0, *sorted(cuts), 61 + placements.drained_at]
    parts = [job_readings(placements, "pool", Interval(start, end)) for start, end in pairwise(borders)]
    assert sum(part.gpu_seconds for part in parts) == placements.jobs.gpu_seconds
    ids = [id_ for part in parts for id_ in part.ids]
    assert len(set(ids)) == len(ids)
    for instant in cuts:
        status = placements.status_at(instant)
        before = job_readings(placements, "pool", Interval(0, instant))
        assert before.gpu_seconds == status.finished + status.elapsed
        total = status.finished + status.running + status.queued + status.unsubmitted
        assert total == placements.jobs.gpu_seconds


@pytest.mark.parametrize("jobs", [4_000, 16_000])
def test_a_long_queue_costs_no_walk(jobs: int) -> None:
    """Counted in steps, not seconds: a job enters the heap of heads once and leaves it once."""
    pushed = 0

    def counting(heap: list[int], item: int) -> None:
        nonlocal pushed
        pushed += 1
        heappush(heap, item)

    rows = [(f"j{i:06d}", "tuv"[i % 3], 0, 1 + i % 7, 1 + i % 4) for i in range(jobs)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("offtake.claims.jobs.heappush", counting)
        run_jobs(jobs_of(rows), 8, {"t": 4, "u": 6, "v": 8})
    assert pushed == 2 * jobs  # once among the heads, once among the running
