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


PLAN = """
[[campaign]]
id = "big"
gpus = 512
earliest = 2027-02-10
days = [14, 14]

[[campaign]]
id = "maybe"
gpus = 128
earliest = 2027-02-11
latest = 2027-02-13
days = [1, 3]
probability = 0.5
"""


def test_a_plan_adds_to_what_a_series_says_or_stands_alone(demand: Path, tmp_path: Path) -> None:
    plan, alone, fitted, both = (
        tmp_path / name for name in ("plan.toml", "a.parquet", "f.parquet", "b.parquet")
    )
    plan.write_text(PLAN, encoding="utf-8")
    end = format_instant(START + 960 * 3600)[:10]
    words = ("--draws", 50, "--lead", "1d", "--lead", "2d", "--horizon", "7d", "--paths")
    succeeded("forecast", "--plan", plan, "--from", end, *words, alone)
    succeeded("forecast", demand, *words, fitted)
    found = succeeded("forecast", demand, "--plan", plan, *words, both)
    tables = [pq.read_table(path).to_pydict() for path in (alone, fitted, both)]
    assert tables[0]["start"] == tables[1]["start"] == tables[2]["start"]
    sums = [a + b for a, b in zip(tables[0]["gpus"], tables[1]["gpus"], strict=True)]
    assert tables[2]["gpus"] == sums
    assert set(tables[0]["gpus"]) == {512, 640}
    at_lead = [g for g, t in zip(sums, tables[2]["start"], strict=True) if t == START + (960 + 23) * 3600]
    assert found["demand"][0] == {
        "lead_hours": 24, "median": sorted(at_lead)[24], "most": sorted(at_lead)[44],
    }  # fmt: skip
    assert "90 % stay below" in offtake("forecast", "--plan", plan, "--from", end).said


def test_the_season_is_chosen_by_what_was_learnt(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    hours = np.arange(24 * 7 * 8)
    weekend = (hours // 24 % 7) >= 5
    gpus = np.rint(300 - 200 * weekend + 40 * np.sin(hours / 24 * 2 * np.pi) + rng.normal(0, 5, len(hours)))
    weekly = written(tmp_path / "w.csv", START + hours * 3600, gpus.astype(int).tolist())
    found = succeeded("forecast", weekly, "--lead", "1d")
    assert (found["season_hours"], found["season_chosen"]) == ([24, 168], True)
    daily = succeeded("forecast", weekly, "--lead", "1d", "--season", 24)
    assert found["leads"][0]["pinball"] < daily["leads"][0]["pinball"]
    words = ("forecast", weekly, "--lead", "1d", "--season", 168, "--season", 24)
    said = offtake(*words).said
    assert "A season of a day and a week" in said
    assert "as asked" in said
    for wrong in ((24, 24), (24, 168, 300)):
        seasons = [word for one in wrong for word in ("--season", one)]
        assert refused(3, "forecast", weekly, *seasons)["problems"][0]["code"] == "bad_range"


def test_campaigns_that_no_path_reaches_are_named(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN, encoding="utf-8")
    words = ("forecast", "--plan", plan, "--from", "2027-02-08", "--lead", "3d")
    assert succeeded(*words)["not_in_paths"] == ["maybe"]
    assert "Nothing of maybe falls into the 3 d that paths go." in offtake(*words).said
    assert succeeded(*words, "--lead", "4d")["not_in_paths"] == []


def test_what_is_no_plan_is_refused(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace('"maybe"', '"big"').replace("[1, 3]", "[3, 1]"), encoding="utf-8")
    assert [p["code"] for p in refused(3, "forecast", "--plan", plan)["problems"]] == [
        "duplicate",
        "bad_range",
    ]
    plan.write_text(PLAN.replace("latest = 2027-02-13", "latest = 2027-02-01"), encoding="utf-8")
    assert refused(3, "forecast", "--plan", plan)["problems"][0]["code"] == "bad_range"
    for wrong in ("gpus = 1.5", "gpus = -8", "gpus = 0"):
        plan.write_text(PLAN.replace("gpus = 512", wrong), encoding="utf-8")
        assert "gpus" in refused(3, "forecast", "--plan", plan)["problems"][0]["where"]
    assert refused(3, "forecast", "--plan", tmp_path / "none")["problems"][0]["code"] == "unreadable"
    assert refused(3, "forecast")["problems"][0]["code"] == "nothing_given"


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
