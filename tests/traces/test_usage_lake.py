"""Real traces as usage records, taken in and billed end to end: totals to the GPU-second.

A record every five minutes is what CloudKitty's default period makes of Philly's jobs, a record every minute
what a per-minute biller makes of them; Helios' gauges are a reading a minute already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from offtake.base.money import Money, money_of
from offtake.base.time import parse_instant
from offtake.formats.folder import load_folder
from offtake.metering.expressions import Calendar, gpu_seconds
from offtake.metering.usage import COLUMNS, UsageRules
from offtake.store.usage import part_of
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.tick import tick
from offtake.workflows.unbilled import unbilled
from offtake.workflows.usage import Ingested, ingest
from tests.workflows.worlds import FLEET, SETTINGS

CUT = parse_instant("2017-11-15T00:00:00Z")
PHILLY_GPU_SECONDS = 2_783_692_441  # 773,247.90 GPU-hours
FIVE_MINUTE_RECORDS, MINUTE_RECORDS = 2_888_106, 14_294_689
HELIOS_GPU_MINUTES = 17_762_450
HELIOS_QUOTA_GPU_S = 470_208 * 3_600
OLD = UsageRules(late_window_s=400 * 86_400)

DEAL = """
[agreement]
id = "{id}"
operator = "Owner"
offtaker = "{id}"
signed = {start}
currency = "USD"
time_zone = "{zone}"

[[tranche]]
id = "main"
pools = ["p"]
quantity = {quota}
start = {start}
through = {through}
additive = true

[usage_fee]
rate_per_gpu_h = 2
"""

COMMITMENT = """
[minimum_commitment]
gpu_h = {gpu_h}
rate_per_gpu_h = 2
"""


@dataclass(frozen=True)
class Jobs:
    """Columns of the trace before the cut."""

    tenant: Any
    start: np.ndarray[Any, Any]
    run: np.ndarray[Any, Any]
    gpus: np.ndarray[Any, Any]

    def records(self, seconds: int) -> Iterator[pa.Table]:
        """A record for every so many seconds of a job, the last as long as is left; a table for some jobs."""
        for first in range(0, len(self.run), 4_000):
            some = slice(first, first + 4_000)
            run, start = self.run[some], self.start[some]
            count = -(-run // seconds)
            job = np.repeat(np.arange(len(run)), count)
            part = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
            begin = start[job] + part * seconds
            ids = pc.binary_join_element_wise(
                pa.array(job + first).cast(pa.string()), pa.array(part).cast(pa.string()), "."
            )
            yield table(
                kind=pa.repeat("allocation", len(job)),
                id=ids,
                subject=pc.binary_join_element_wise(
                    self.tenant.slice(first, 4_000).take(pa.array(job)), "main", "/"
                ),
                start=begin,
                end=np.minimum(begin + seconds, start[job] + run[job]),
                value=self.gpus[some][job],
            )


def table(**columns: Any) -> pa.Table:
    count = len(columns["start"])
    found = {"source": pa.repeat("trace", count), "pool": pa.repeat("p", count), **columns}
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS])
    return pa.table({name: found[name] for name, _ in COLUMNS}, schema=schema)


@pytest.fixture(scope="module")
def jobs(shared_data: Path) -> Jobs:
    found = pyarrow.csv.read_csv(shared_data / "jobs_philly_2017" / "jobs.csv.gz")
    submitted = found["submit_ts"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_numpy()
    kept = found.filter(pa.array(submitted < CUT))
    assert kept.num_rows == 64_306
    return Jobs(
        tenant=pc.replace_substring(kept["tenant"], "_", "-").combine_chunks(),
        start=submitted[submitted < CUT],
        run=kept["run_s"].to_numpy(),
        gpus=kept["gpus"].to_numpy(),
    )


def book_of(
    path: Path,
    tenants: list[str],
    *,
    zone: str,
    start: str,
    through: str,
    opened: int,
    quotas: dict[str, int] | None = None,
) -> Book:
    """A live book of an agreement for each tenant; a quota is a commitment for a month of 744 hours."""
    folder = path / "folder"
    (folder / "agreements").mkdir(parents=True)
    (folder / "offtake.toml").write_text(SETTINGS, encoding="utf-8")
    (folder / "fleet.toml").write_text(FLEET.replace("2026-01-01", "2017-01-01"), encoding="utf-8")
    for tenant in tenants:
        quota = (quotas or {}).get(tenant, 100_000)
        text = DEAL.format(id=tenant, zone=zone, start=start, through=through, quota=quota)
        if quotas:
            text += COMMITMENT.format(gpu_h=quota * 744)
        (folder / "agreements" / f"{tenant}.toml").write_text(text, encoding="utf-8")
    book = Book(path / "book", create=True)
    apply_folder(book, load_folder(folder), opened)
    return book


def charged(book: Book) -> Money:
    """Everything billed for use."""
    lines = [line for doc in book.items("document").values() for line in doc["lines"]]
    assert {line["clause"] for line in lines} == {"usage_fee"}
    return Money(sum(line["amount"]["minor"] for line in lines), "USD")


def owed(book: Book) -> Money:
    """What the settled months' take comes to at the rate, each month rounded by itself."""
    months = book.items("settled").values()
    return Money(sum(money_of(Fraction(2 * body["taken"], 3600), "USD").minor for body in months), "USD")


@pytest.mark.slow
@pytest.mark.shared_data
def test_philly_as_five_minute_records_is_billed_to_the_gpu_second(jobs: Jobs, tmp_path: Path) -> None:
    tenants = sorted(set(jobs.tenant.to_pylist()))
    end = parse_instant("2018-03-01T08:00:00Z")
    book = book_of(
        tmp_path, tenants, zone="America/Los_Angeles", start="2017-08-01", through="2018-02-28",
        opened=parse_instant("2017-08-01T07:00:00Z"),
    )  # fmt: skip
    records = 0
    for i, some in enumerate(jobs.records(300)):
        outcome = ingest(book, some, batch=f"b{i}", now=end, rules=OLD)
        assert isinstance(outcome, Ingested)
        records += sum(outcome.counts.values())
        assert outcome.verdicts is not None
        assert outcome.verdicts.num_rows == 0
    assert records == FIVE_MINUTE_RECORDS
    assert isinstance(ingest(book, table(**empty()), batch="end", now=end, through={"trace": end}), Ingested)
    tick(book, end)
    settled = book.items("settled").values()
    assert sum(body["taken"] for body in settled) == PHILLY_GPU_SECONDS
    assert len(settled) == 7 * len(tenants)
    assert charged(book) == owed(book)
    assert list(unbilled(book)) == []
    book.close()


@pytest.mark.slow
@pytest.mark.shared_data
def test_philly_as_job_minutes_adds_up_to_the_same(jobs: Jobs, tmp_path: Path) -> None:
    book = Book(tmp_path / "book", create=True)
    now = parse_instant("2018-03-01T08:00:00Z")
    records = 0
    for i, some in enumerate(jobs.records(60)):
        outcome = ingest(book, some, batch=f"b{i}", now=now, rules=OLD)
        assert isinstance(outcome, Ingested)
        records += sum(outcome.counts.values())
    assert records == MINUTE_RECORDS
    parts = [part_of(item.body) for item in book.state.of("usage_part").values()]
    engine, readings = book.usage.tables(parts)
    subjects = tuple(f"{tenant}/main" for tenant in sorted(set(jobs.tenant.to_pylist())))
    calendar = Calendar(subjects=subjects, borders=(parse_instant("2017-08-01T00:00:00Z"), now))
    sums = engine.to_pyarrow(gpu_seconds(readings, calendar))
    assert sum(sums["quantity"].to_pylist()) == PHILLY_GPU_SECONDS
    assert sum(sums["readings"].to_pylist()) == MINUTE_RECORDS
    book.close()


def empty() -> dict[str, Any]:
    none = np.zeros(0, dtype=np.int64)
    texts = pa.array([], pa.string())
    return {
        "kind": texts, "source": texts, "id": texts, "subject": texts, "pool": texts,
        "start": none, "end": none, "value": none,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.shared_data
def test_helios_gauges_are_billed_with_quotas_as_commitments(shared_data: Path, tmp_path: Path) -> None:
    found = pyarrow.csv.read_csv(shared_data / "usage_helios_earth_2020" / "vc_minute.csv.gz")
    busy = found.filter(pc.greater(found["running_gpus"], 0))
    quotas = dict(zip(found["tenant"].to_pylist(), found["quota_gpus"].to_pylist(), strict=True))
    names = {tenant: f"vc-{i:02d}" for i, tenant in enumerate(sorted(quotas))}
    opened, end = parse_instant("2020-04-30T16:00:00Z"), parse_instant("2020-05-31T16:00:00Z")
    book = book_of(
        tmp_path, sorted(names.values()), zone="Asia/Shanghai", start="2020-05-01", through="2020-05-31",
        opened=opened, quotas={names[tenant]: gpus for tenant, gpus in quotas.items()},
    )  # fmt: skip
    tick(book, opened)
    start = busy["ts"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_numpy()
    subject = pa.array([f"{names[tenant]}/main" for tenant in busy["tenant"].to_pylist()])
    gauges = table(
        kind=pa.repeat("gauge", busy.num_rows),
        id=pc.binary_join_element_wise(subject, pa.array(start).cast(pa.string()), "@"),
        subject=subject,
        start=start,
        end=start + 60,
        value=busy["running_gpus"],
    )
    outcome = ingest(book, gauges, batch="may", now=end, through={"trace": end})
    assert isinstance(outcome, Ingested)
    tick(book, end)
    settled = book.items("settled").values()
    assert sum(body["taken"] for body in settled) == HELIOS_GPU_MINUTES * 60
    assert sum(body["entitled"] for body in settled) == HELIOS_QUOTA_GPU_S
    # what isn't taken of a quota is owed all the same: every tenant pays for its whole quota
    for name, doc in ((doc["agreement"], doc) for doc in book.items("document").values()):
        quota = next(gpus for tenant, gpus in quotas.items() if names[tenant] == name)
        lines = {line["clause"]: line["amount"]["minor"] for line in doc["lines"]}
        assert abs(sum(lines.values()) - quota * 744 * 200) <= 1
        assert lines["minimum_commitment"] > 0
    assert len(book.items("document")) == 11
    book.close()
