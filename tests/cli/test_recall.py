"""Recalls by the command line: the plan, its file, its notices on their days, and bad input."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from offtake.base.months import local_midnight
from offtake.base.time import HOUR_S
from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock

RECALL = """[recall]
tranches = ["main"]
notice_days = 30
granularity_gpus = 8
retained_gpus = 256
minimum_days = 14
times_per_year = 2

[monthly_fee]"""
WISH = ("--gpus", 100, "--by", "2027-04-01", "--until", "2027-06-01")


@pytest.fixture
def fleet(tmp_path: Path, clock: WallClock) -> Path:
    folder = tmp_path / "fleet"
    succeeded("init", folder)
    edited(folder / "agreements" / "acme.toml", ("[monthly_fee]", RECALL))
    clock.set("2027-01-15T12:00:00Z")
    succeeded("apply", folder)
    return folder


def written(fleet: Path, *words: object) -> Path:
    """A plan as a file."""
    file = fleet / "plan.json"
    answer = offtake("recall", "plan", fleet, *words, "--json")
    assert answer.code == 0, answer
    file.write_text(answer.out, encoding="utf-8")
    return file


def test_a_recall_from_plan_to_giving_back(fleet: Path, clock: WallClock) -> None:
    file = written(fleet, *WISH, "--market-price", "2.50", "--name", "spring", "--hold-days", "40")
    found = json.loads(file.read_text(encoding="utf-8"))
    (call,) = found["plan"]["calls"]
    assert (call["notice"]["id"], call["notice"]["gpus"], call["notice"]["given"], call["effective"]) == (
        "spring-1", 104, "2027-03-02", "2027-04-01",
    )  # fmt: skip
    # two months of 104 of 1,024 GPUs, each rounded to the even cent
    assert call["fee"] == {"minor": 2 * 16_757_812, "currency": "USD"}
    buy = found["alternatives"][0]
    assert (buy["kind"], buy["cost"]["minor"]) == ("market", 250 * 100 * 61 * 24)
    assert "serve by" in offtake("recall", "plan", fleet, *WISH).said
    (waits,) = succeeded("recall", "issue", fleet, file, "--as", "ann")["calls"]
    assert waits["outcome"] == "waits"
    assert "No notice is due" in offtake("recall", "serve", fleet, "--as", "ann").said
    clock.set("2027-03-02T15:00:00Z")
    (due,) = succeeded("recall", "serve", fleet, "--as", "ann")["calls"]
    assert due["outcome"] == "proposed"
    assert succeeded("recall", "serve", fleet, "--as", "ann")["calls"] == []
    assert succeeded("recall", "issue", fleet, "spring", "--as", "ann")["calls"][0]["outcome"] == "known"
    (listed,) = succeeded("recall", "list", fleet)["plans"]
    assert (listed["stage"], listed["calls"][0]["step"]) == ("issued", "proposed")
    succeeded("approve", fleet, "recall.noticed/spring-1", "--as", "bob")
    assert succeeded("recall", "show", fleet, "spring")["stage"] == "draining"
    assert "hours aren't known" in offtake("recall", "show", fleet, "spring").said
    clock.set("2027-04-02T15:00:00Z")
    assert "completed" in offtake("recall", "list", fleet).said
    days = ("--from", "2027-04-05", "--through", "2027-04-10")
    free = succeeded("headroom", fleet, *days)["pools"][-1]["beside_leases"]
    hours, start = 6 * 24, local_midnight(date(2027, 4, 5), "America/New_York")
    columns = {"path": np.repeat(1, hours), "start": start + np.arange(hours) * HOUR_S}
    idle = fleet / "idle.parquet"
    pq.write_table(pa.table({**columns, "gpus": np.repeat(16, hours)}), idle)
    words = ("sellable", fleet, *days, "--notice", "1d", "--paths", idle)
    assert succeeded(*words)["notices"][0]["firm"] == free - 104
    assert "what spring called isn't lent again" in offtake(*words).said
    assert refused(6, "recall", "return", fleet, "spring")["error"] == "held"
    clock.set("2027-06-01T15:00:00Z")
    assert succeeded("recall", "return", fleet, "spring")["calls"][0]["outcome"] == "recorded"
    assert succeeded("recall", "return", fleet, "spring")["calls"][0]["outcome"] == "known"
    assert succeeded("recall", "show", fleet, "spring")["stage"] == "returned"


def test_what_somebody_else_planned_is_gone(fleet: Path) -> None:
    much = ("--gpus", 9_999, "--by", "2027-04-01")
    few = json.loads(written(fleet, *much).read_text(encoding="utf-8"))
    assert (few["plan"]["gpus"], few["short"]) == (768, 9_999 - 768)
    assert few["for_what_is_short"][0]["gpus"] == 9_999 - 768
    assert "Recalls give 9,231 GPUs too few" in offtake("recall", "plan", fleet, *much).said
    assert refused(6, "recall", "issue", fleet, fleet / "plan.json", "--as", "ann")["error"] == "short"
    first = written(fleet, "--gpus", 704, "--by", "2027-04-01").rename(fleet / "first.json")
    second = written(fleet, "--gpus", 128, "--by", "2027-04-01")
    succeeded("recall", "issue", fleet, first, "--as", "ann")
    over = refused(6, "recall", "issue", fleet, second, "--as", "bob")
    assert (over["error"], "64 of the 128 GPUs may still be called" in over["message"]) == ("retained", True)
    written(fleet, "--gpus", 64, "--by", "2027-04-01")
    succeeded("recall", "issue", fleet, second, "--as", "bob")
    third = offtake("recall", "plan", fleet, "--gpus", 8, "--by", "2027-04-01").said
    assert "No tranche can be called for 2027-04-01" in third
    assert "Passed over acme/main: nothing_to_call" in third or "too_often" in third


def test_paths_of_own_demand_say_how_likely_it_is(fleet: Path) -> None:
    start = local_midnight(date(2027, 4, 1), "America/New_York")
    hours = (local_midnight(date(2027, 6, 1), "America/New_York") - start) // HOUR_S
    columns = {
        "path": np.repeat([1, 2], hours),
        "start": np.tile(start + np.arange(hours) * HOUR_S, 2),
        # 2,048 GPUs stand, 1,024 are let
        "gpus": np.repeat([1_024, 1_030], hours),
    }
    file = fleet / "paths.parquet"
    pq.write_table(pa.table(columns), file)
    found = succeeded("recall", "plan", fleet, *WISH, "--paths", file)
    assert found["probability"] == {"paths": 2, "any": 1, "all": 0}
    assert (
        "Of 2 paths of demand, 1 need a recall"
        in offtake("recall", "plan", fleet, *WISH, "--paths", file).said
    )
    assert "isn't known" in offtake("recall", "plan", fleet, *WISH).said
    endless = refused(3, "recall", "plan", fleet, *WISH[:4], "--paths", file)
    assert endless["problems"][0]["code"] == "no_end"


def test_what_makes_no_sense_is_refused(fleet: Path, tmp_path: Path) -> None:
    for words, code in (
        (("--gpus", -8, "--by", "2027-04-01"), "not_positive"),
        (("--gpus", 0, "--by", "2027-04-01"), "not_positive"),
        (("--gpus", 8, "--by", "soon"), "bad_date"),
        (("--gpus", 8, "--by", "2027-04-01", "--until", "2027-03-01"), "end_before_start"),
        (("--gpus", 8, "--by", "2027-04-01", "--pool", "b200"), "unknown_pool"),
        (("--gpus", 8, "--by", "2027-04-01", "--hold-days", -1), "bad_range"),
        (("--gpus", 8, "--by", "2027-04-01", "--market-price", "dear"), "not_a_number"),
        (("--gpus", 8, "--by", "2027-04-01", "--name", "Über"), "bad_name"),
    ):
        assert refused(3, "recall", "plan", fleet, *words)["problems"][0]["code"] == code
    assert offtake("recall", "plan", fleet, "--gpus", "1.5", "--by", "2027-04-01").code == 2
    assert refused(6, "recall", "plan", fleet, "--gpus", 8, "--by", "2026-04-01")["error"] == "in_the_past"
    soon = date(2027, 1, 15) + timedelta(days=10)
    (early,) = succeeded("recall", "plan", fleet, "--gpus", 8, "--by", soon)["plan"]["passed"]
    assert (early["code"], "2027-02-14 at the earliest" in early["why"]) == ("too_late", True)
    for text in ("{", "[]", '{"plan": 1}', '{"plan": {"id": "x"}}'):
        (tmp_path / "bad.json").write_text(text, encoding="utf-8")
        bad = refused(3, "recall", "issue", fleet, tmp_path / "bad.json", "--as", "ann")
        assert bad["problems"][0]["code"] == "bad_plan"
    assert (
        refused(3, "recall", "issue", fleet, "nothing", "--as", "ann")["problems"][0]["code"] == "unreadable"
    )
    for command in ("return", "show"):
        assert refused(6, "recall", command, fleet, "nothing")["error"] == "no_plan"
    assert refused(6, "recall", "serve", fleet)["error"] == "who"
    assert succeeded("recall", "list", fleet)["plans"] == []
    assert "No recall was issued" in offtake("recall", "list", fleet).said


def test_a_simulated_book_recalls_nothing(small: Finished) -> None:
    for words in (("issue", small.folder, "x"), ("serve", small.folder), ("return", small.folder, "x")):
        assert refused(6, "recall", *words)["error"] == "simulated_book"
