"""Forecasts by the command line: figures, paths for what can be sold, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from offtake.base.time import format_instant
from tests.cli.calls import offtake, refused, succeeded

START = 1_798_761_600


@pytest.fixture
def demand(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    hours = np.arange(24 * 40)
    gpus = np.rint(300 + 80 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(0, 15, len(hours))).astype(int)
    return written(tmp_path / "demand.csv", START + hours * 3600, gpus.tolist())


def written(path: Path, starts: np.ndarray, gpus: list[object]) -> Path:
    rows = [f"{format_instant(int(at))},{count}" for at, count in zip(starts, gpus, strict=True)]
    path.write_text("\n".join(["start,gpus", *rows, ""]), encoding="utf-8")
    return path


def test_a_forecast_says_how_well_it_held(demand: Path, tmp_path: Path) -> None:
    out = tmp_path / "paths.parquet"
    found = succeeded(
        "forecast", demand, "--lead", "1d", "--lead", "7d", "--capacity", 500, "--paths", out, "--draws", 20
    )
    day, week = found["leads"]
    assert (found["hours"], found["learnt_from"], day["windows"], week["windows"]) == (960, 480, 20, 2)
    assert 0.8 < day["coverage"] <= 1
    assert day["pinball"] < day["naive_pinball"]
    assert [one["notice_hours"] for one in found["lent"]] == [24, 168]
    assert all(one["lent_gpu_hours"] > 0 for one in found["lent"])
    paths = pq.read_table(out)
    assert paths.num_rows == 20 * 168
    assert min(paths["start"].to_pylist()) == START + 960 * 3600
    said = offtake("forecast", demand, "--lead", "7d", "--capacity", 500).said
    assert "Few windows at 7 d" in said
    assert "used after" in said


def test_what_is_no_series_is_refused(demand: Path, tmp_path: Path) -> None:
    hours = START + np.arange(200) * 3600
    gap = np.delete(hours, 100)
    for name, starts, gpus, code in (
        ("gap", gap, [1] * 199, "gaps"),
        ("twice", np.sort(np.append(hours, hours[7])), [1] * 201, "out_of_order"),
        ("half", hours, [1.5] * 200, "not_whole"),
        ("below", hours, [-1] * 200, "negative"),
        ("short", hours[:60], [1] * 60, "too_short"),
        ("none", hours[:0], [], "bad_series"),
    ):
        path = written(tmp_path / f"{name}.csv", starts, list(gpus))
        assert refused(3, "forecast", path)["problems"][0]["code"] == code
    held = written(tmp_path / "gap.csv", gap, [1] * 199)
    assert succeeded("forecast", held, "--hold", "--lead", "6h")["hours"] == 200
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert refused(3, "forecast", tmp_path / "other.csv")["problems"][0]["code"] == "bad_series"
    assert refused(3, "forecast", demand, "--lead", "soon")["problems"][0]["code"] == "bad_length"
