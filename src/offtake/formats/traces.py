"""Public traces as folders to run: Microsoft Philly's jobs, SenseTime Helios' gauges.

What a trace doesn't say (the fleet behind it, limits, prices) is written into the folder as assumed, so that
every figure that rests on it says so. The traces themselves are third parties' and are never part of offtake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from offtake.base.errors import BadInput, Problem
from offtake.base.ids import check_name
from offtake.base.months import Month, month_of
from offtake.base.time import parse_instant
from offtake.claims.jobs import Jobs, check_jobs, run_jobs
from offtake.formats.trace_folder import (
    FleetText,
    TenantText,
    fleet_toml,
    limit_toml,
    offtake_toml,
    queue_toml,
    quota_toml,
    write_folder,
)
from offtake.formats.workload import coded, save_jobs, save_recorded
from offtake.metering.readings import Readings

Ints = NDArray[np.int64]
Told = Callable[[str], None]

PHILLY_UNTIL = parse_instant("2017-11-15T00:00:00Z")
PHILLY_ZONE = "America/Los_Angeles"
HELIOS_ZONE = "Asia/Shanghai"
GPUS_PER_NODE = 8
RATE_USD_PER_GPU_H = Decimal("2.00")
LIMIT_OVER_SHARE = Fraction(3, 2)
MINUTE_S = 60

_SECONDS = pa.timestamp("s", tz="UTC")
_JOB_COLUMNS = {
    "job_id": pa.string(), "tenant": pa.string(), "submit_ts": _SECONDS, "run_s": pa.int64(),
    "gpus": pa.int64(),
}  # fmt: skip
_GAUGE_COLUMNS = {
    "ts": _SECONDS, "tenant": pa.string(), "quota_gpus": pa.int64(), "running_gpus": pa.int64(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import wrote.

    Attributes:
        folder: where.
        tenants: agreements, one for each.
        rows: jobs, or readings.
        gpu_seconds: what the rows add up to.
        entitled: GPU-seconds of quota over the run; 0 for jobs, whose tenants have limits only.
        first: first month of the run.
        last: last month of the run: for jobs, the month in which the queue drains.
        ends: the instant at which the last work ends.
    """

    folder: Path
    tenants: int
    rows: int
    gpu_seconds: int
    entitled: int
    first: Month
    last: Month
    ends: int


def import_philly(
    source: Path,
    out: Path,
    *,
    gpus: int = 800,
    rate_usd_per_gpu_h: Decimal = RATE_USD_PER_GPU_H,
    until: int = PHILLY_UNTIL,
    on_step: Told = lambda _: None,
) -> Imported:
    """Write a folder in which the Philly trace's jobs run first come first served.

    Each virtual cluster becomes an agreement with a usage fee and a limit; all of them run within one queue,
    an interruptible claim of the whole fleet. The trace names neither fleet, limits nor prices: they are
    assumed (see `assumed_limits` for the limits). The run ends with the month in which the queue drains,
    which is found by scheduling the jobs here exactly as the simulation will (`run_jobs`).

    Args:
        source: the trace's directory, with ``jobs.csv.gz``, or that file.
        out: folder to write; must not exist, or be empty.
        gpus: of the fleet, in nodes of eight.
        rate_usd_per_gpu_h: assumed rate.
        until: jobs submitted before this instant are taken.
        on_step: told of each step, in plain English.

    Raises:
        BadInput: if the trace can't be read, a job can never run, or `out` isn't empty.
    """
    where = str(_file(source, "jobs.csv.gz"))
    _check_terms(gpus, rate_usd_per_gpu_h)
    on_step("reading jobs")
    jobs = _philly_jobs(_file(source, "jobs.csv.gz"), until)
    limits = assumed_limits(jobs, gpus)
    _refuse(check_jobs(jobs, gpus=gpus, limits=limits, where=where))
    on_step(f"running {len(jobs):,} jobs to see when the queue drains")
    placements = run_jobs(jobs, gpus, limits)
    first = month_of(int(jobs.submit.min()), PHILLY_ZONE)
    last = month_of(placements.drained_at - 1, PHILLY_ZONE)
    on_step("writing the folder")
    tenant = partial(_philly_tenant, first=first, last=last, rate=rate_usd_per_gpu_h)
    texts = {
        "offtake.toml": offtake_toml(
            "Philly (2017 trace)", PHILLY_ZONE, first, last, ("jobs", "workload/jobs.parquet")
        ),
        "fleet.toml": fleet_toml(
            FleetText(site="philly", zone=PHILLY_ZONE, region="US", nodes=gpus // GPUS_PER_NODE, since=first)
        ),
        "demand/queue.toml": queue_toml("queue", gpus),
    }
    for claim, limit in limits.items():
        texts[f"agreements/{claim.partition('/')[0]}.toml"] = limit_toml(
            tenant(claim, limit), "queue", limit_reason(jobs, claim, gpus)
        )
    write_folder(out, texts, lambda folder: save_jobs(jobs, folder / "workload" / "jobs.parquet"))
    return Imported(
        folder=out,
        tenants=len(limits),
        rows=len(jobs),
        gpu_seconds=jobs.gpu_seconds,
        entitled=0,
        first=first,
        last=last,
        ends=placements.drained_at,
    )


def _philly_tenant(claim: str, gpus: int, *, first: Month, last: Month, rate: Decimal) -> TenantText:
    return TenantText(
        id=claim.partition("/")[0],
        operator="Philly (2017 trace)",
        zone=PHILLY_ZONE,
        first=first,
        last=last,
        gpus=gpus,
        rate=rate,
        trace="Microsoft Philly trace, Jeon et al., USENIX ATC 2019, CC-BY-4.0",
    )


def _philly_jobs(file: Path, until: int) -> Jobs:
    table = _read(file, _JOB_COLUMNS)
    submit = _ints(table, "submit_ts")
    table = table.filter(pa.array(submit < until))
    if not table.num_rows:
        raise BadInput(
            [Problem(where=str(file), code="empty", message="no job was submitted before the cut")]
        )
    tenants, tenant = coded(table.column("tenant"))
    return Jobs(
        ids=tuple(table.column("job_id").to_pylist()),
        claims=tuple(f"{name}/main" for name in _names(tenants, file)),
        claim=tenant,
        submit=submit[submit < until],
        run_s=_ints(table, "run_s"),
        gpus=_ints(table, "gpus"),
    )


def assumed_limits(jobs: Jobs, gpus: int) -> dict[str, int]:
    """A limit for each claim, where the trace names none.

    One and a half times the claim's share of all GPU-seconds, as a share of the fleet, or its largest job if
    that is more; rounded up to whole nodes. The limits add up to more than the fleet, so that one tenant's
    idle share is another's: a limit only keeps a tenant from taking everything.

    Units: GPUs.
    """
    total = max(1, jobs.gpu_seconds)
    limits = {}
    for code, claim in enumerate(jobs.claims):
        own = jobs.claim == code
        share = Fraction(int((jobs.gpus * jobs.run_s)[own].sum()), total)
        wanted = max(int(jobs.gpus[own].max(initial=1)), ceil(LIMIT_OVER_SHARE * share * gpus))
        limits[claim] = ceil(Fraction(wanted, GPUS_PER_NODE)) * GPUS_PER_NODE
    return limits


def limit_reason(jobs: Jobs, claim: str, gpus: int) -> str:
    """Why a claim's limit is what it is, for the file."""
    own = jobs.claim == jobs.claims.index(claim)
    share = Decimal(int((jobs.gpus * jobs.run_s)[own].sum())) / max(1, jobs.gpu_seconds)
    return (
        f"not public: 1.5 x its {share:.2%} of the trace's GPU-seconds, of {gpus} GPUs, "
        f"or its largest job ({int(jobs.gpus[own].max(initial=0))}), up to whole nodes"
    )


def import_helios(
    source: Path,
    out: Path,
    *,
    rate_usd_per_gpu_h: Decimal = RATE_USD_PER_GPU_H,
    on_step: Told = lambda _: None,
) -> Imported:
    """Write a folder in which Helios' quotas are firm claims and its minute gauges the take against them.

    Each virtual cluster becomes an agreement with a firm tranche of its quota through the months of the
    gauges, a usage fee and take-or-pay of all of it at an assumed rate. A sample of the gauge holds for its
    minute; runs of equal samples are one reading. Samples of pending work aren't used.

    Args:
        source: the extract's directory, with ``vc_minute.csv.gz``, or that file.
        out: folder to write; must not exist, or be empty.
        rate_usd_per_gpu_h: assumed rate.
        on_step: told of each step, in plain English.

    Raises:
        BadInput: if the file can't be read, a quota changes or a sample repeats, or `out` isn't empty.
    """
    file = _file(source, "vc_minute.csv.gz")
    _check_terms(GPUS_PER_NODE, rate_usd_per_gpu_h)
    on_step("reading gauges")
    table = _read(file, _GAUGE_COLUMNS)
    if not table.num_rows:
        raise BadInput([Problem(where=str(file), code="empty", message="there is no sample")])
    tenants, tenant = coded(table.column("tenant"))
    ids = _names(tenants, file)
    at, running = _ints(table, "ts"), _ints(table, "running_gpus")
    quotas = _quotas(ids, tenant, _ints(table, "quota_gpus"), file)
    readings = _gauge_readings(ids, tenant, at, running, file)
    first, last = month_of(int(at.min()), HELIOS_ZONE), month_of(int(at.max()), HELIOS_ZONE)
    on_step("writing the folder")
    write_folder(
        out,
        _helios_texts(quotas, first, last, rate_usd_per_gpu_h),
        lambda folder: save_recorded(readings, folder / "workload" / "readings.parquet"),
    )
    seconds = last.interval(HELIOS_ZONE).end - first.interval(HELIOS_ZONE).start
    return Imported(
        folder=out,
        tenants=len(quotas),
        rows=len(readings),
        gpu_seconds=readings.gpu_seconds,
        entitled=sum(quotas.values()) * seconds,
        first=first,
        last=last,
        ends=int(at.max()) + MINUTE_S,
    )


def _helios_texts(quotas: Mapping[str, int], first: Month, last: Month, rate: Decimal) -> dict[str, str]:
    """Every file of the folder but the readings; the fleet has whole nodes for each quota."""
    nodes = sum(ceil(Fraction(quota, GPUS_PER_NODE)) for quota in quotas.values())
    operator = "Helios Earth (2020 trace)"
    texts = {
        "offtake.toml": offtake_toml(
            operator, HELIOS_ZONE, first, last, ("readings", "workload/readings.parquet")
        ),
        "fleet.toml": fleet_toml(
            FleetText(site="earth", zone=HELIOS_ZONE, region="CN", nodes=nodes, since=first)
        ),
    }
    for id_, quota in quotas.items():
        tenant = TenantText(
            id=id_, operator=operator, zone=HELIOS_ZONE, first=first, last=last, gpus=quota, rate=rate,
            trace="Helios, Hu et al., SC 2021, MIT and CC-BY-4.0",
        )  # fmt: skip
        texts[f"agreements/{id_}.toml"] = quota_toml(tenant)
    return texts


def _quotas(ids: Sequence[str], tenant: Ints, quota: Ints, file: Path) -> dict[str, int]:
    """Each tenant's quota.

    Raises:
        BadInput: if one changes, or there is none.
    """
    problems, quotas = [], {}
    for code, id_ in enumerate(ids):
        found = np.unique(quota[tenant == code]).tolist()
        if len(found) != 1 or found[0] < 1:
            message = f"the quota of {id_} is {', '.join(map(str, found))}; one quota above zero is needed"
            remedy = "cut the file where a quota changes, and import each part"
            problems.append(
                Problem(where=f"{file}: quota_gpus", code="quota", message=message, remedy=remedy)
            )
        else:
            quotas[id_] = int(found[0])
    _refuse(problems)
    return quotas


def _gauge_readings(ids: Sequence[str], tenant: Ints, at: Ints, running: Ints, file: Path) -> Readings:
    """Runs of equal, unbroken samples of a tenant as readings; runs of nothing are left out."""
    order = np.lexsort((at, tenant))
    tenant, at, running = tenant[order], at[order], running[order]
    step = np.diff(at, prepend=at[0] - MINUTE_S)
    same = np.diff(tenant, prepend=-1) == 0
    _check_samples(same & (step < MINUTE_S), running < 0, [ids[code] for code in tenant], file)
    first = np.flatnonzero(~same | (step != MINUTE_S) | (np.diff(running, prepend=-1) != 0))
    last = np.append(first[1:], len(at)) - 1
    kept = running[first] > 0
    first, last = first[kept], last[kept]
    return Readings(
        claims=tuple(f"{id_}/quota" for id_ in ids),
        pools=("gpus",),
        ids=tuple(f"{ids[tenant[row]]}-{i:06d}" for i, row in enumerate(first.tolist())),
        claim=tenant[first],
        pool=np.zeros(len(first), dtype=np.int64),
        start=at[first],
        end=at[last] + MINUTE_S,
        gpus=running[first],
    )


def _check_samples(
    close: NDArray[np.bool_], negative: NDArray[np.bool_], names: Sequence[str], file: Path
) -> None:
    checks = (
        ("close", close, "samples less than a minute apart"),
        ("negative", negative, "samples below zero"),
    )
    _refuse(
        [
            Problem(
                where=f"{file}: ts" if code == "close" else f"{file}: running_gpus",
                code=code,
                message=f"{names[int(np.argmax(bad))]} has {what}; {int(bad.sum())} such rows",
                remedy="each tenant has one sample a minute",
            )
            for code, bad, what in checks
            if bad.any()
        ]
    )


def _check_terms(gpus: int, rate: Decimal) -> None:
    problems = []
    if gpus < 1 or gpus % GPUS_PER_NODE:
        message = f"{gpus} GPUs aren't whole nodes of {GPUS_PER_NODE}"
        problems.append(Problem(where="gpus", code="nodes", message=message))
    if not rate.is_finite() or rate < 0:
        problems.append(Problem(where="rate", code="rate", message=f"{rate} is no rate per GPU-hour"))
    _refuse(problems)


def _names(tenants: Sequence[str], file: Path) -> tuple[str, ...]:
    """Tenants as names of agreements: in lower case.

    Raises:
        BadInput: if that is no valid name, or two tenants would share one.
    """
    problems = []
    names = tuple(tenant.lower() for tenant in tenants)
    for tenant, name in zip(tenants, names, strict=True):
        try:
            check_name(name)
        except ValueError as error:
            problems.append(Problem(where=f"{file}: tenant", code="bad_name", message=str(error)))
        if names.count(name) > 1:
            message = f"{tenant!r} isn't the only tenant called {name!r} in lower case"
            problems.append(Problem(where=f"{file}: tenant", code="duplicate", message=message))
    _refuse(problems)
    return names


def _file(source: Path, name: str) -> Path:
    return source / name if source.is_dir() else source


def _read(file: Path, columns: Mapping[str, pa.DataType]) -> pa.Table:
    """The named columns of a CSV file, compressed or not.

    Raises:
        BadInput: if it can't be read, lacks a column or has empty cells.
    """
    options = pa_csv.ConvertOptions(column_types=dict(columns), include_columns=list(columns))
    try:
        table = pa_csv.read_csv(file, convert_options=options)
    except (OSError, KeyError, pa.ArrowException) as error:
        remedy = "a CSV file with columns " + ", ".join(columns)
        raise BadInput(
            [Problem(where=str(file), code="bad_trace", message=str(error), remedy=remedy)]
        ) from error
    empty = [name for name in columns if pc.any(pc.is_null(table.column(name))).as_py()]
    message = "empty cells"
    _refuse([Problem(where=f"{file}: {name}", code="empty_cells", message=message) for name in empty])
    return table


def _ints(table: pa.Table, name: str) -> Ints:
    values: Ints = table.column(name).cast(pa.int64()).to_numpy()
    return values


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise BadInput(problems)
