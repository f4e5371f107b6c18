"""Usage at scale: rating against a plain sum over the same Parquet, and taking readings in against a copy.

Limits: `SELECT subject, sum(value * (end - start)) GROUP BY subject` in the same engine over the same file;
a bare read and write of the same readings. Rates count CPU seconds of this process, the best of several runs.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from offtake.metering.expressions import Calendar, gpu_seconds
from offtake.metering.usage import COLUMNS
from offtake.workflows.book import Book
from offtake.workflows.usage import Ingested, ingest

ROWS = 20_000_000
AGREEMENTS = 1_000
BATCH = 1_000_000
BATCHES = 12
MONTH = 1_798_761_600
"""January 2027, UTC."""
DAYS = 31


def cpu() -> float:
    """CPU seconds of this process, threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def best(work: Callable[[], Any], runs: int = 3) -> float:
    """The least CPU seconds of several runs."""
    found = []
    for _ in range(runs):
        start = cpu()
        work()
        found.append(cpu() - start)
    return min(found)


def peak_gb() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def readings(path: Path) -> None:
    """A month of readings of a thousand agreements, in pieces that fit memory."""
    schema = pa.schema(
        [(name, pa.type_for_alias(kind)) for name, kind in COLUMNS if name not in ("kind", "source", "id")]
    )
    rng = np.random.default_rng(1)
    names = pa.array([f"agreement-{i}/main" for i in range(AGREEMENTS)])
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for _ in range(ROWS // BATCH):
            start = MONTH + rng.integers(0, DAYS * 86_400 - 7_200, BATCH)
            table = pa.table(
                {
                    "subject": names.take(pa.array(rng.integers(0, AGREEMENTS, BATCH))),
                    "pool": pa.repeat("p", BATCH),
                    "start": start,
                    "end": start + rng.integers(60, 7_200, BATCH),
                    "value": rng.integers(1, 64, BATCH),
                },
                schema=schema,
            )
            writer.write_table(table, row_group_size=262_144)


def rate(folder: Path) -> None:
    """Months and daily segments against the plain sum."""
    path = folder / "readings.parquet"
    readings(path)
    engine = ibis.duckdb.connect(memory_limit="700MB")
    engine.raw_sql("SET enable_progress_bar = false")
    table = engine.read_parquet(path)
    subjects = tuple(f"agreement-{i}/main" for i in range(AGREEMENTS))
    month = Calendar(subjects=subjects, borders=(MONTH, MONTH + DAYS * 86_400))
    days = Calendar(subjects=subjects, borders=tuple(MONTH + day * 86_400 for day in range(DAYS + 1)))
    plain = (
        f"SELECT subject, sum(value * (\"end\" - start)) AS q FROM read_parquet('{path}') GROUP BY subject"
    )
    limit = best(lambda: engine.raw_sql(plain).fetchall())
    expected = sum(int(row[1]) for row in engine.raw_sql(plain).fetchall())
    print(f"limit, a plain sum: {ROWS / limit / 1e6:.1f} million readings per CPU second")
    for name, calendar, aim in (("months", month, 4), ("daily segments", days, 12)):
        expression = gpu_seconds(table, calendar)
        spent = best(lambda expression=expression: engine.to_pyarrow(expression))
        found = sum(engine.to_pyarrow(expression)["quantity"].to_pylist())
        if found != expected:
            raise RuntimeError(f"{name}: {found} GPU-seconds, {expected} by the plain sum")
        print(
            f"{name}: {ROWS / spent / 1e6:.1f} million readings per CPU second, "
            f"1/{spent / limit:.1f} of the limit (aim 1/{aim})"
        )
    print(f"peak memory {peak_gb():.2f} GB with {ROWS:,} readings")


def batch(k: int) -> pa.Table:
    """A batch of readings with names of their own."""
    rng = np.random.default_rng(k)
    start = MONTH + rng.integers(0, DAYS * 86_400 - 7_200, BATCH)
    return pa.table(
        {
            "kind": pa.repeat("allocation", BATCH),
            "source": pa.repeat("slurm", BATCH),
            "id": pa.array([f"job-{k}-{i}" for i in range(BATCH)]),
            "subject": pa.array([f"agreement-{i}/main" for i in range(AGREEMENTS)]).take(
                pa.array(rng.integers(0, AGREEMENTS, BATCH))
            ),
            "pool": pa.repeat("p", BATCH),
            "start": start,
            "end": start + 3_600,
            "value": np.full(BATCH, 8),
        },
        schema=pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS]),
    )


def take_in(folder: Path) -> None:
    """Batch after batch into a book, against a bare copy of the same readings, in one loop."""
    book = Book(folder / "book", create=True)
    now = MONTH + DAYS * 86_400
    spent: list[float] = []
    copied: list[float] = []
    for k in range(BATCHES):
        table = batch(k)
        source = folder / "source.parquet"
        pq.write_table(table, source, compression="zstd", compression_level=1)
        start = time.perf_counter()
        pq.write_table(
            pq.read_table(source), folder / "copy.parquet", compression="zstd", compression_level=1
        )
        middle = time.perf_counter()
        outcome = ingest(book, pq.read_table(source), batch=f"batch-{k}", now=now)
        end = time.perf_counter()
        if not isinstance(outcome, Ingested) or sum(outcome.counts.values()) != BATCH:
            raise RuntimeError(f"batch {k}: {outcome}")
        copied.append(middle - start)
        spent.append(end - middle)
    whole, bare = sum(spent), sum(copied)
    print(
        f"taking in: {BATCH * BATCHES / whole / 1e6:.2f} million readings a second, "
        f"1/{whole / bare:.1f} of a bare copy (aim 1/4)"
    )
    later, first = sum(spent[-3:]) / sum(copied[-3:]), sum(spent[:3]) / sum(copied[:3])
    print(
        f"a batch after {BATCHES - 3} million readings in the late window costs {later / first:.2f} times "
        "one at the beginning, each against its copy"
    )
    print(f"peak memory {peak_gb():.2f} GB")
    book.close()


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        rate(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        take_in(Path(folder))


if __name__ == "__main__":
    main()
