"""Microsoft Philly's 64,306 jobs, from the trace to the invoices."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from offtake.agreements.units import gpus_of
from offtake.base.curve import Curve
from offtake.base.months import month_of
from offtake.base.time import Interval, format_instant, parse_instant
from offtake.formats.folder import Folder, load_folder
from offtake.formats.traces import Imported, import_philly
from offtake.sim.run import Simulation
from offtake.sim.workloads import JobsWorkload, workload_of
from offtake.workflows.book import Book
from offtake.workflows.meter import readings_of

CUT = parse_instant("2017-11-15T00:00:00Z")
JOBS = 64_306
GPU_SECONDS = 2_783_692_441
"""773,247.90 GPU-hours."""


@dataclass(frozen=True)
class Run:
    imported: Imported
    folder: Folder
    workload: JobsWorkload
    book: Book


@pytest.fixture(scope="module")
def trace(shared_data: Path) -> list[dict[str, str]]:
    """The file's rows, read by the standard library alone."""
    with gzip.open(shared_data / "jobs_philly_2017" / "jobs.csv.gz", "rt", newline="") as file:
        return [row for row in csv.DictReader(file) if row["submit_ts"] < "2017-11-15T00:00:00Z"]


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    directory = tmp_path_factory.mktemp("philly")
    imported = import_philly(shared_data / "jobs_philly_2017", directory / "folder")
    folder = load_folder(directory / "folder")
    workload = workload_of(folder)
    assert isinstance(workload, JobsWorkload)
    book = Book(directory / "book", create=True)
    Simulation(book, folder, workload).run()
    yield Run(imported, folder, workload, book)
    book.close()


def work(trace: list[dict[str, str]]) -> int:
    return sum(int(row["gpus"]) * int(row["run_s"]) for row in trace)


def test_the_file_is_the_one_that_is_spoken_of(trace: list[dict[str, str]]) -> None:
    assert (len(trace), work(trace)) == (JOBS, GPU_SECONDS)
    assert round(Decimal(GPU_SECONDS) / 3600, 2) == Decimal("773247.90")


def test_the_queue_drains_and_the_metered_total_is_the_files(run: Run) -> None:
    assert run.imported.rows == JOBS
    assert run.imported.ends <= run.folder.settings.window.end
    assert month_of(run.imported.ends - 1, "America/Los_Angeles") == run.folder.settings.last
    metered = [item.fact.body["gpu_seconds"] for item in run.book.database.facts_of(["readings.received"])]
    assert sum(metered) == GPU_SECONDS
    assert sum(body["taken"] for body in run.book.items("settled").values()) == GPU_SECONDS
    assert sum(body["entitled"] for body in run.book.items("settled").values()) == 0


def test_each_tenants_take_is_the_sum_of_its_jobs(run: Run, trace: list[dict[str, str]]) -> None:
    expected: dict[str, int] = defaultdict(int)
    for row in trace:
        expected[row["tenant"]] += int(row["gpus"]) * int(row["run_s"])
    taken: dict[str, int] = defaultdict(int)
    for body in run.book.items("settled").values():
        taken[body["agreement"]] += body["taken"]
    assert taken == expected
    assert len(taken) == 13


def test_each_month_is_invoiced_with_one_rounding(run: Run) -> None:
    """Recomputed from the readings in the lake, with fractions."""
    take: dict[tuple[str, str], int] = defaultdict(int)
    for item in run.book.database.facts_of(["readings.received"]):
        readings = readings_of(run.book.lake.load(item.fact.body["rows"]))
        month = str(month_of(int(item.fact.body["start"]), "America/Los_Angeles"))
        for code, seconds in zip(
            readings.claim.tolist(), ((readings.end - readings.start) * readings.gpus).tolist(), strict=True
        ):
            take[readings.claims[code].partition("/")[0], month] += seconds
    expected = {key: round(Fraction(200, 3600) * seconds) for key, seconds in take.items()}
    documents = run.book.items("document").values()
    invoiced = {
        (doc["agreement"], f"{doc['month']['year']}-{doc['month']['month']:02d}"): doc["total"]["minor"]
        for doc in documents
    }
    assert invoiced == expected
    assert all(
        doc["total"]["minor"] == sum(line["amount"]["minor"] for line in doc["lines"]) for doc in documents
    )
    assert abs(sum(invoiced.values()) - Fraction(200, 3600) * GPU_SECONDS) <= Fraction(len(invoiced), 2)


def test_nothing_runs_beyond_the_fleet_or_a_tenants_limit(run: Run) -> None:
    (queue,) = run.workload.queues
    placements, jobs = queue.placements, queue.placements.jobs
    window = run.folder.settings.window
    assert Curve.from_records(placements.start, placements.end, jobs.gpus).max_over(window) <= 800
    for code, claim in enumerate(jobs.claims):
        own = jobs.claim == code
        agreement = run.folder.agreements[claim.partition("/")[0]]
        (tranche,) = agreement.tranches
        most = Curve.from_records(placements.start[own], placements.end[own], jobs.gpus[own]).max_over(window)
        assert most <= gpus_of(agreement, tranche)


def test_limits_bind_and_jobs_wait(run: Run) -> None:
    """Otherwise the schedule would prove nothing."""
    (queue,) = run.workload.queues
    waited = queue.placements.start - queue.placements.jobs.submit
    assert (waited > 0).sum() == 33_661
    assert format_instant(queue.placements.drained_at) == "2017-11-24T06:21:22Z"


def test_stopped_at_the_cut_finished_running_and_queued_add_up(run: Run) -> None:
    status = run.workload.status_at(CUT)["queue"]
    assert status.unsubmitted == 0
    assert status.finished + status.running + status.queued == GPU_SECONDS
    assert min(status.finished, status.elapsed, status.remaining, status.queued) > 0
    assert status.jobs_finished + status.jobs_running + status.jobs_queued == JOBS
    # the figures that examples/philly/README.md prints
    assert (status.finished, status.elapsed, status.remaining) == (2_587_276_132, 142_171_060, 45_231_022)
    assert (status.queued, status.jobs_running, status.jobs_queued) == (9_014_227, 81, 810)
    # what had run by then, from the readings in the lake
    ran = sum(
        gpus * (min(end, CUT) - start)
        for item in run.book.database.facts_of(["readings.received"])
        for rows in [run.book.lake.load(item.fact.body["rows"])]
        for start, end, gpus in zip(
            *(np.asarray(rows[name]).tolist() for name in ("start", "end", "gpus")), strict=True
        )
        if start < CUT
    )
    assert ran == status.finished + status.elapsed


def test_a_run_stopped_at_the_cut_goes_on_to_the_same_book(
    run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("stopped")
    stopped = Book(directory, create=True)
    Simulation(stopped, run.folder, run.workload).run(until=CUT)
    assert stopped.state.now <= CUT
    # what is metered by then: two whole months, and they hold no more than what ran
    first = Interval(run.folder.settings.window.start, parse_instant("2017-11-01T07:00:00Z"))
    assert stopped.state.body("meter", "simulated-cluster") == {"through": first.end}
    metered = sum(item.fact.body["gpu_seconds"] for item in stopped.database.facts_of(["readings.received"]))
    status = run.workload.status_at(first.end)["queue"]
    assert metered == status.finished + status.elapsed
    stopped.close()
    again = Book(directory)
    Simulation(again, load_folder(run.folder.path)).run()
    assert again.state.head == run.book.state.head
    again.close()
