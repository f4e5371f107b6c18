"""Importers on small traces made here: what they write, and what they refuse."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.errors import BadInput, BookFull
from offtake.base.months import Month
from offtake.base.time import format_instant, parse_instant
from offtake.formats import traces
from offtake.formats.folder import load_folder
from offtake.formats.trace_folder import write_folder
from offtake.formats.traces import assumed_limits, import_helios, import_philly
from offtake.formats.workload import load_jobs, load_recorded, save_jobs, save_recorded
from offtake.sim.run import Simulation
from offtake.workflows.book import Book

PHILLY_HEAD = "job_id,tenant,user,submit_ts,start_ts,end_ts,run_s,gpus,gpu_model,status,priority,kind"
GAUGE_HEAD = "ts,tenant,quota_gpus,running_gpus,pending_gpus,running_jobs,pending_jobs"
JOBS = [
    "j0,VC_a,,2017-09-04T17:30:41Z,,,7200,8,,,,training",
    "j1,vc_b,,2017-10-01T06:59:59Z,,,7200,4,,,,training",
    "j2,VC_a,,2017-10-31T00:00:00Z,,,86400,12,,,,training",
    "j3,vc_b,,2017-11-15T00:00:00Z,,,60,1,,,,training",
]


def written(directory: Path, name: str, lines: Sequence[str]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    with gzip.open(directory / name, "wt") as file:
        file.write("\n".join(lines) + "\n")
    return directory


def philly(directory: Path, lines: Sequence[str], head: str = PHILLY_HEAD) -> Path:
    return written(directory, "jobs.csv.gz", [head, *lines])


def helios(directory: Path, lines: Sequence[str]) -> Path:
    return written(directory, "vc_minute.csv.gz", [GAUGE_HEAD, *lines])


def codes(call: Callable[[], object]) -> list[str]:
    with pytest.raises(BadInput) as caught:
        call()
    return [problem.code for problem in caught.value.problems]


def test_philly_becomes_a_folder_that_loads(tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    steps: list[str] = []
    imported = import_philly(philly(tmp_path / "in", JOBS), out, gpus=16, on_step=steps.append)
    folder = load_folder(out)
    assert imported.rows == 3  # the last was submitted at the cut, not before it
    assert imported.gpu_seconds == 2 * 3600 * 8 + 2 * 3600 * 4 + 86400 * 12
    assert (imported.first, imported.last) == (Month(2017, 9), Month(2017, 10))
    assert folder.settings.workload is not None
    assert folder.settings.workload.jobs == "workload/jobs.parquet"
    assert sorted(folder.agreements) == ["vc_a", "vc_b"]
    assert steps[0] == "reading jobs"
    assumed = {path for path, _ in folder.agreements["vc_a"].sheet.assumptions()}
    assert {"usage_fee.rate_per_gpu_h", "tranche[0].quantity"} <= assumed


def test_the_run_ends_with_the_month_in_which_the_queue_drains(tmp_path: Path) -> None:
    late = [*JOBS[:3], "j4,VC_a,,2017-10-31T00:00:01Z,,,2678400,16,,,,training"]
    imported = import_philly(philly(tmp_path / "in", late), tmp_path / "out", gpus=16)
    assert format_instant(imported.ends) == "2017-12-02T00:00:00Z"
    assert imported.last == Month(2017, 12)


def test_a_limit_is_the_share_and_a_half_or_the_largest_job(tmp_path: Path) -> None:
    import_philly(philly(tmp_path / "in", JOBS), tmp_path / "out", gpus=80)
    jobs = load_jobs(tmp_path / "out" / "workload" / "jobs.parquet", "jobs")
    # 1,094,400 of 1,123,200 GPU-seconds: 0.974 x 1.5 x 80 = 116.9, up to 120; the other: 3.1, its job is 4
    assert assumed_limits(jobs, 80) == {"vc_a/main": 120, "vc_b/main": 8}


def test_jobs_survive_the_file(tmp_path: Path) -> None:
    import_philly(philly(tmp_path / "in", JOBS), tmp_path / "out", gpus=16)
    jobs = load_jobs(tmp_path / "out" / "workload" / "jobs.parquet", "jobs")
    assert jobs.ids == ("j0", "j1", "j2")
    assert [jobs.claims[code] for code in jobs.claim] == ["vc_a/main", "vc_b/main", "vc_a/main"]
    assert [format_instant(at) for at in jobs.submit.tolist()][1] == "2017-10-01T06:59:59Z"
    save_jobs(jobs, tmp_path / "again.parquet")
    again = load_jobs(tmp_path / "again.parquet", "jobs")
    assert (again.ids, again.run_s.tolist(), again.gpus.tolist()) == (
        jobs.ids,
        [7200, 7200, 86400],
        [8, 4, 12],
    )


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["j0,a,,2017-09-04T17:30:41Z,,,60,17,,,,training"], "above_cluster"),
        (["j0,a,,2017-09-04T17:30:41Z,,,0,1,,,,training"], "run_s"),
        (["j0,a,,2017-09-04T17:30:41Z,,,60,0,,,,training"], "gpus"),
        ([JOBS[0], JOBS[0]], "duplicate"),
        ([JOBS[0], JOBS[0].replace("j0,VC_a", "j9,vc_A")], "duplicate"),
        (["j0,a b,,2017-09-04T17:30:41Z,,,60,1,,,,training"], "bad_name"),
        (["j0,a,,2017-09-04T17:30:41Z,,,,1,,,,training"], "empty_cells"),
        (["j0,a,,yesterday,,,60,1,,,,training"], "bad_trace"),
        (["j0,a,,2017-09-04T17:30:41Z,,,60,1.5,,,,training"], "bad_trace"),
        (["j0,a,,2018-09-04T17:30:41Z,,,60,1,,,,training"], "empty"),
    ],
)
def test_a_trace_that_cannot_be_run_is_refused_and_nothing_written(
    tmp_path: Path, lines: list[str], code: str
) -> None:
    source, out = philly(tmp_path / "in", lines), tmp_path / "out"
    assert code in codes(lambda: import_philly(source, out, gpus=16))
    assert not out.exists()


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    source = philly(tmp_path / "in", ["1,2"], head="a,b")
    assert codes(lambda: import_philly(source, tmp_path / "out")) == ["bad_trace"]
    assert codes(lambda: import_philly(tmp_path / "absent", tmp_path / "out")) == ["bad_trace"]
    assert codes(lambda: import_helios(source / "jobs.csv.gz", tmp_path / "out")) == ["bad_trace"]


def test_terms_that_cannot_be_are_refused(tmp_path: Path) -> None:
    source = philly(tmp_path / "in", JOBS)
    found = codes(lambda: import_philly(source, tmp_path / "out", gpus=12, rate_usd_per_gpu_h=Decimal("NaN")))
    assert found == ["nodes", "rate"]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    source, out = philly(tmp_path / "in", JOBS), tmp_path / "out"
    out.mkdir()
    import_philly(source, out, gpus=16)  # empty: taken
    before = (out / "offtake.toml").read_text()
    assert codes(lambda: import_philly(source, out, gpus=32)) == ["not_empty"]
    assert (out / "offtake.toml").read_text() == before
    file = tmp_path / "file"
    file.write_text("mine")
    assert codes(lambda: import_philly(source, file, gpus=16)) == ["not_empty"]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device", str(folder))

    with pytest.raises(BookFull, match="No space left on device; make room"):
        write_folder(tmp_path / "out", {"offtake.toml": "x"}, full)
    assert list(tmp_path.iterdir()) == []


# --- gauges ---------------------------------------------------------------------------------------------

START = parse_instant("2020-04-30T16:00:00Z")


def gauge(minute: int, tenant: str, running: int, quota: int = 12) -> str:
    return f"{format_instant(START + 60 * minute)},{tenant},{quota},{running},0,1,0"


def test_runs_of_equal_samples_are_one_reading(tmp_path: Path) -> None:
    lines = [
        *(gauge(minute, "vcX", running) for minute, running in enumerate([3, 3, 0, 3, 5])),
        gauge(9, "vcX", 5),  # after a gap: nothing is known of the minutes between
        *(gauge(minute, "vcA", 5) for minute in (1, 0)),  # out of order
    ]
    imported = import_helios(helios(tmp_path / "in", lines), tmp_path / "out")
    readings = load_recorded(tmp_path / "out" / "workload" / "readings.parquet", "readings")
    rows = [
        (readings.claims[claim], (start - START) // 60, (end - START) // 60, gpus)
        for claim, start, end, gpus in zip(
            readings.claim, readings.start, readings.end, readings.gpus, strict=True
        )
    ]
    assert rows == [
        ("vca/quota", 0, 2, 5),
        ("vcx/quota", 0, 2, 3),
        ("vcx/quota", 3, 4, 3),
        ("vcx/quota", 4, 5, 5),
        ("vcx/quota", 9, 10, 5),
    ]
    assert imported.gpu_seconds == readings.gpu_seconds == 60 * (10 + 6 + 3 + 5 + 5)
    assert imported.entitled == 24 * 31 * 86400
    assert sum(pool.build_out[0].nodes for pool in load_folder(tmp_path / "out").fleet.pool) == 4
    save_recorded(readings, tmp_path / "again.parquet")
    assert load_recorded(tmp_path / "again.parquet", "readings").digest() == readings.digest()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=60))
def test_readings_hold_each_sample_for_its_minute(samples: list[tuple[int, int, int]]) -> None:
    once = {(tenant, minute): gpus for minute, tenant, gpus in samples}
    tenant, minute = (np.array(column, dtype=np.int64) for column in zip(*once, strict=True))
    running = np.array(list(once.values()), dtype=np.int64)
    readings = traces._gauge_readings(["a", "b"], tenant, START + 60 * minute, running, Path("f"))
    seen = {
        (code, (at - START) // 60): gpus
        for code, start, end, gpus in zip(
            readings.claim.tolist(),
            readings.start.tolist(),
            readings.end.tolist(),
            readings.gpus,
            strict=True,
        )
        for at in range(start, end, 60)
    }
    assert seen == {key: gpus for key, gpus in once.items() if gpus}
    assert len(set(readings.ids)) == len(readings)


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([gauge(0, "a", 1), gauge(0, "a", 1)], "close"),
        ([gauge(0, "a", 1), gauge(1, "a", -1)], "negative"),
        ([gauge(0, "a", 1), gauge(1, "a", 1, quota=16)], "quota"),
        ([gauge(0, "a", 0, quota=0)], "quota"),
        ([gauge(0, "a", 1), gauge(0, "A", 1)], "duplicate"),
        ([], "empty"),
    ],
)
def test_gauges_that_make_no_sense_are_refused(tmp_path: Path, lines: list[str], code: str) -> None:
    source = helios(tmp_path / "in", lines)
    assert code in codes(lambda: import_helios(source, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# --- folders with work in files -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import_philly(philly(tmp_path / "in", JOBS), tmp_path / "out", gpus=16)
    return tmp_path / "out"


def edited(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


def begun(folder: Path, book: Path) -> Simulation:
    return Simulation(Book(book, create=True), load_folder(folder))


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("agreements/vc_a.toml", 'queue = "queue"', 'queue = "line"', "unknown_queue"),
        ("agreements/vc_a.toml", '"interruptible"', '"firm"', "contradiction"),
        ("demand/queue.toml", "constant_gpus = 16", "", "one_of"),
        ("offtake.toml", 'jobs = "workload/jobs.parquet"', "", "one_of"),
        ("offtake.toml", "[workload]", '[workload]\nreadings = "a"', "one_of"),
        ("offtake.toml", "workload/jobs.parquet", "workload/job.parquet", "missing_file"),
    ],
)
def test_a_folder_that_contradicts_itself_is_refused(
    folder: Path, name: str, old: str, new: str, code: str
) -> None:
    edited(folder, name, old, new)
    assert code in codes(lambda: load_folder(folder))


def test_take_cannot_be_both_recorded_and_generated(folder: Path) -> None:
    (folder / "demand" / "take.toml").write_text(
        '[[take]]\nclaim = "vc_a/main"\nshare = { seed = 1, first = 0.5, last = 0.5 }\n'
    )
    assert codes(lambda: load_folder(folder)) == ["contradiction"]


@pytest.mark.parametrize(
    ("name", "old", "new", "code"),
    [
        ("agreements/vc_a.toml", "value = 24", "value = 8", "above_limit"),
        ("demand/queue.toml", "= 16", "= 8", "above_cluster"),
        ("agreements/vc_a.toml", "2017-10-31, assumed", "2017-10-30, assumed", "outside_term"),
        ("agreements/vc_b.toml", 'id = "main"', 'id = "other"', "unknown_claim"),
    ],
)
def test_jobs_that_do_not_fit_their_folder_are_refused_before_the_run(
    folder: Path, tmp_path: Path, name: str, old: str, new: str, code: str
) -> None:
    edited(folder, name, old, new)
    assert code in codes(lambda: begun(folder, tmp_path / "book"))


def test_a_queue_that_loses_gpus_under_its_jobs_is_refused_with_the_instant(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "scenario.toml").write_text(
        '[[outage]]\nid = "o"\npool = "gpus"\ngpus = 8\n'
        'start = "2017-10-31T05:00:00Z"\nend = "2017-10-31T06:00:00Z"\n'
    )
    with pytest.raises(
        BadInput, match=r"at 2017-10-31T05:00:00Z its jobs use 12 GPUs of gpus and it holds 8"
    ):
        begun(folder, tmp_path / "book").run()


def test_a_queued_tranche_is_metered_and_billed_but_entitles_to_nothing(folder: Path, tmp_path: Path) -> None:
    simulation = begun(folder, tmp_path / "book")
    simulation.run()
    book = Book(tmp_path / "book")
    settled = {
        id_: (body["entitled"], body["delivered"], body["taken"])
        for id_, body in book.items("settled").items()
    }
    assert settled == {
        "vc_a/2017-09": (0, 0, 57_600),
        "vc_a/2017-10": (0, 0, 1_036_800),
        "vc_b/2017-09": (0, 0, 4),  # submitted a second before local midnight: 4 GPUs for that second
        "vc_b/2017-10": (0, 0, 28_796),
    }
    claims = {claim for body in _plans(book) for claim in body}
    assert claims == {"queue"}
    book.close()


def _plans(book: Book) -> list[list[str]]:
    return [
        [row["claim"] for row in item.fact.body["claims"]]
        for item in book.database.facts_of(["allocation.planned"])
    ]


def test_recorded_readings_of_nobody_or_of_no_time_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    import_helios(helios(tmp_path / "in", [gauge(0, "a", 3), gauge(1, "a", 4)]), out)
    path = out / "workload" / "readings.parquet"
    readings = load_recorded(path, "readings")
    save_recorded(replace(readings, claims=("b/quota",), pools=("pool",)), path)
    assert codes(lambda: begun(out, tmp_path / "book")) == ["unknown_claim", "unknown_pool"]
    save_recorded(replace(readings, end=readings.start), path)
    assert codes(lambda: begun(out, tmp_path / "book")) == ["end_before_start"]
    path.write_bytes(b"PAR1 no more")
    assert codes(lambda: begun(out, tmp_path / "book")) == ["bad_workload"]
