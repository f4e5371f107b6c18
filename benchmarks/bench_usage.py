"""Usage at scale: rating against a plain sum over the same Parquet, and taking readings in against a copy.

Limits: `SELECT subject, sum(value * (end - start)) GROUP BY subject` in the same engine over the same file;
a bare read and write of the same readings. Rates count CPU seconds of this process, the best of several runs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from offtake.formats.folder import load_folder
from offtake.metering.expressions import Calendar, gpu_seconds
from offtake.metering.usage import COLUMNS
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.tick import tick
from offtake.workflows.usage import Ingested, ingest

ROOT = Path(__file__).resolve().parents[1]
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
        if name == "months":
            rival(ROWS / spent)
    print(f"peak memory {peak_gb():.2f} GB with {ROWS:,} readings")


def rival(ours: float) -> None:
    """CloudKitty's hashmap rating in its own environment, in the same run.

    Args:
        ours: readings per CPU second, by months.
    """
    python = ROOT / ".venv" / "rivals" / "cloudkitty" / "bin" / "python"
    if not python.exists():
        print("CloudKitty isn't installed; `make bench` installs it")
        return
    script = ROOT / "benchmarks" / "rivals" / "cloudkitty_hashmap.py"
    done = subprocess.run([python, script, "200000"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    theirs = found["points"] / found["cpu_s"]
    print(
        f"CloudKitty 25 hashmap: {theirs / 1e6:.3f} million points per CPU second; "
        f"months are {ours / theirs:.0f} times that (aim 50)"
    )


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


FOLDER = {
    "offtake.toml": """
[operator]
name = "Operator"
time_zone = "UTC"
currency = "USD"

[run]
first = "2027-01"
last = "2027-03"
""",
    "fleet.toml": """
[[site]]
id = "s"
name = "S"
critical_it_mw = 100
pue = 1.2
region = "US"
time_zone = "UTC"

[[pool]]
id = "p"
site = "s"
gpu_model = "G"
gpus_per_node = 8
kw_per_gpu = 1

[[pool.build_out]]
id = "built"
in_service = 2026-01-01
nodes = 10_000
""",
}
DEAL = """
[agreement]
id = "agreement-{i}"
operator = "Operator"
offtaker = "Offtaker {i}"
signed = 2026-12-01
currency = "USD"
time_zone = "UTC"

[[tranche]]
id = "main"
pools = ["p"]
quantity = 64
start = 2027-01-01
through = 2027-03-31

[metered_fee]
tier = [{{ up_to = 10_000, rate = 2.5 }}, {{ rate = 2 }}]

[minimum_commitment]
amount = 10_000

[availability_credit]
band = [{{ below = 0.99, credit = 0.1 }}]
"""


def close(folder: Path) -> None:
    """Close a month of a thousand agreements and twenty million readings."""
    for name, text in FOLDER.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "agreements").mkdir()
    for i in range(AGREEMENTS):
        path = folder / "agreements" / f"agreement-{i}.toml"
        path.write_text(DEAL.format(i=i), encoding="utf-8")
    end = MONTH + DAYS * 86_400
    book = Book(folder / "book", create=True)
    apply_folder(book, load_folder(folder), MONTH)
    tick(book, MONTH + 1)
    start = time.perf_counter()
    for k in range(ROWS // BATCH):
        ingest(book, batch(k), batch=f"batch-{k}", now=end, through={"slurm": end})
    taken = time.perf_counter()
    recorded = tick(book, end)
    closed = time.perf_counter()
    if len(book.kept("document")) != AGREEMENTS:
        raise RuntimeError(f"{len(book.kept('document'))} documents of {AGREEMENTS} agreements")
    print(
        f"month of {AGREEMENTS:,} agreements and {ROWS:,} readings: taken in in {taken - start:.0f} s, "
        f"closed in {closed - taken:.0f} s ({len(recorded):,} facts); peak memory {peak_gb():.2f} GB"
    )
    book.close()


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        rate(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        take_in(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        close(Path(folder))


if __name__ == "__main__":
    main()
