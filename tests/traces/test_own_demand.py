"""Forecasts of real demand, tested on what was kept back, and what lending idle capacity would have done.

Philly's demand is what its jobs asked for hour by hour, from their submission on; Helios' is what ran.
Figures are of the traces and no promise: 30 days' lead on 72 days is one trial.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from offtake.base.curve import Curve
from offtake.base.time import HOUR_S, parse_instant
from offtake.forecast.backtest import Calibration, Lent, backtest, chosen, lend
from offtake.forecast.model import Series

CUT = parse_instant("2017-11-15T00:00:00Z")
PHILLY_GPUS, HELIOS_GPUS = 800, 632
"""Of the examples: Philly's assumed fleet, Helios' mean quota."""


def seconds(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.cast(pc.cast(column, pa.timestamp("s", "UTC")), pa.int64()))


@pytest.fixture(scope="module")
def philly(shared_data: Path) -> Series:
    jobs = pyarrow.csv.read_csv(shared_data / "jobs_philly_2017" / "jobs.csv.gz")
    submitted = seconds(jobs["submit_ts"])
    counted = submitted < CUT
    start, run, gpus = (
        submitted[counted],
        np.asarray(jobs["run_s"])[counted],
        np.asarray(jobs["gpus"])[counted],
    )
    first = int(start.min()) // HOUR_S * HOUR_S
    some = run > 0
    wanted = Curve.from_records(start[some], (start + run)[some], gpus[some])
    return Series(start=first, step_s=HOUR_S, values=wanted.at(np.arange(first, CUT, HOUR_S)))


@pytest.fixture(scope="module")
def helios(shared_data: Path) -> Series:
    gauges = pyarrow.csv.read_csv(shared_data / "usage_helios_earth_2020" / "vc_minute.csv.gz")
    minute = seconds(gauges["ts"]) // 60
    first = int(minute.min())
    total = np.bincount(minute - first, np.asarray(gauges["running_gpus"])).astype(np.int64)
    hours = total[: len(total) // 60 * 60].reshape(-1, 60).max(axis=1)
    return Series(start=first * 60, step_s=HOUR_S, values=hours)


def tried(series: Series, days: int) -> Calibration:
    learn = len(series.values) // 2
    found = backtest(series, days * 24, learn=learn)
    print(f"{days} days ahead: {found}")
    picked = chosen(series, [24, days * 24], learn=learn)
    other = backtest(picked, days * 24, learn=learn)
    print(f"  chosen: seasons {picked.season} {picked.longer}, scaled {picked.scaled}: {other.ours}")
    assert other.ours.pinball < 1.01 * found.ours.pinball
    assert abs(other.ours.coverage - 0.9) <= abs(found.ours.coverage - 0.9)
    return found


def test_philly_at_one_seven_and_thirty_days(philly: Series) -> None:
    assert len(philly.values) // 24 == 71
    day, week, month = (tried(philly, days) for days in (1, 7, 30))
    assert (day.windows, week.windows, month.windows) == (35, 5, 1)
    assert 0.8 <= day.ours.coverage <= 0.98
    assert week.ours.coverage >= 0.9
    assert day.ours.pinball <= day.naive.pinball
    assert week.ours.pinball <= week.naive.pinball
    # one trial, and it failed: the second half of the trace asks for twice as much as the first weeks did
    assert month.ours.coverage < 0.1


def test_helios_at_one_and_seven_days(helios: Series) -> None:
    assert len(helios.values) == 31 * 24
    day, week = (tried(helios, days) for days in (1, 7))
    assert (day.windows, week.windows) == (15, 2)
    assert day.ours.coverage >= 0.9
    assert week.ours.coverage >= 0.9
    assert day.ours.pinball <= day.naive.pinball


def share(found: Lent) -> tuple[float, float, float]:
    """Used before, used after, own work that went short."""
    wanted = found.own + found.short
    return wanted / found.capacity, (found.own + found.lent) / found.capacity, found.short / wanted


@pytest.mark.parametrize(("name", "gpus"), [("philly", PHILLY_GPUS), ("helios", HELIOS_GPUS)])
def test_idle_capacity_lent_by_notice(request: pytest.FixtureRequest, name: str, gpus: int) -> None:
    series: Series = request.getfixturevalue(name)
    used = []
    for notice in (7 * 24, 24, 2):
        found = lend(series, gpus, notice=notice, learn=len(series.values) // 2, confidence=0.9)
        before, after, short = share(found)
        print(f"{name}, {notice} h: {before:.3f} used before, {after:.3f} after, {short:.4f} short, {found}")
        assert before < after <= 1
        assert short < 0.1
        used.append(after)
    assert used == sorted(used), "a shorter notice lends more"


@pytest.mark.parametrize(("model", "missing"), [("m-mid", 8), ("m-small", 1)])
def test_requests_as_inference(shared_data: Path, model: str, missing: int) -> None:
    """ServeGen's requests an hour, scaled so that the busiest hour takes 1,000 GPUs; gaps are held."""
    path = shared_data / "demand_servegen_2025" / f"{model}_requests_hourly.csv"
    with path.open(encoding="utf-8", newline="") as file:
        said = {int(row["hour"]): int(row["requests"]) for row in csv.DictReader(file)}
    values = np.array([said.get(hour, 0) for hour in range(max(said) + 1)])
    gaps = np.flatnonzero(values == 0)
    assert len(gaps) == missing
    for hour in gaps.tolist():
        values[hour] = values[hour - 1]
    series = Series(start=0, step_s=HOUR_S, values=np.rint(values / values.max() * 1_000).astype(np.int64))
    found = tried(series, 1)
    assert found.windows == 7
    assert found.ours.pinball < 1.05 * found.naive.pinball
    assert found.ours.coverage > 0.5  # seven days: how far a fortnight's record can be trusted, not a target
