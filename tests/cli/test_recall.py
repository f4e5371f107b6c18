"""A recall from the plan to giving back, by the command line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import WallClock

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


def test_a_recall_from_plan_to_giving_back(fleet: Path, clock: WallClock) -> None:
    found = succeeded("recall", "plan", fleet, *WISH, "--market-price", "2.50")
    (call,) = found["calls"]
    assert (call["claim"], call["gpus"], call["serve"], call["effective"]) == (
        "acme/main", 104, "2027-03-02", "2027-04-01",
    )  # fmt: skip
    assert Decimal(found["costs"]["USD"]) == Decimal(call["cost"]) > 0
    assert Decimal(found["alternatives"]["buy"]) == Decimal("2.50") * 100 * 61 * 24
    assert set(found["alternatives"]["delay_own_gpu_hours"]) == {"our-training"}
    assert "serve by" in offtake("recall", "plan", fleet, *WISH).said
    assert succeeded("recall", "issue", fleet, "spring", *WISH)["outcome"] == "recorded"
    assert succeeded("recall", "issue", fleet, "spring", *WISH)["outcome"] == "known already"
    assert refused(6, "recall", "issue", fleet, "spring", "--gpus", 8, *WISH[2:])["error"] == "conflict"
    assert succeeded("recall", "serve", fleet, "--as", "ann")["notices"] == []
    assert "No notice is due" in offtake("recall", "serve", fleet).said
    clock.set("2027-03-02T15:00:00Z")
    (due,) = succeeded("recall", "list", fleet)["recalls"]
    assert due["state"] == "due"
    (served,) = succeeded("recall", "serve", fleet, "--as", "ann")["notices"]
    assert served["outcome"] == "proposed"
    assert succeeded("recall", "serve", fleet, "--as", "ann")["notices"] == []
    assert succeeded("recall", "list", fleet)["recalls"][0]["state"] == "proposed"
    succeeded("approve", fleet, "recall.noticed/spring-acme-main", "--as", "bob")
    (draining,) = succeeded("recall", "list", fleet)["recalls"]
    assert (draining["state"], draining["effective"]) == ("draining", "2027-04-01")
    clock.set("2027-04-02T15:00:00Z")
    assert "in effect" in offtake("recall", "list", fleet).said
    (soon,) = refused(6, "recall", "return", fleet, "spring", "--as", "ann")["notices"]
    assert "too_soon" in soon["outcome"]
    clock.set("2027-06-01T15:00:00Z")
    (back,) = succeeded("recall", "return", fleet, "spring", "--as", "ann")["notices"]
    assert back["outcome"] == "recorded"
    assert succeeded("recall", "list", fleet)["recalls"][0]["state"] == "returned"
    assert succeeded("recall", "return", fleet, "spring", "--as", "ann")["notices"] == []


def test_what_somebody_else_called_is_gone(fleet: Path) -> None:
    first = succeeded("recall", "plan", fleet, "--gpus", 9_999, "--by", "2027-04-01")
    most = first["gpus"]
    assert most == first["calls"][0]["can_be_called"] < 9_999
    assert (
        f"{9_999 - most:,} of 9,999 GPUs can't be called"
        in offtake("recall", "plan", fleet, "--gpus", 9_999, "--by", "2027-04-01").said
    )
    few = refused(6, "recall", "issue", fleet, "all", "--gpus", 9_999, "--by", "2027-04-01")
    assert few["error"] == "not_enough"
    succeeded("recall", "issue", fleet, "ann", "--gpus", most - 64, "--by", "2027-04-01")
    second = succeeded("recall", "plan", fleet, "--gpus", 9_999, "--by", "2027-04-01")
    assert second["gpus"] == 64
    succeeded("recall", "issue", fleet, "bob", "--gpus", 64, "--by", "2027-04-01")
    third = succeeded("recall", "plan", fleet, "--gpus", 8, "--by", "2027-04-01")
    assert (third["gpus"], list(third["not_callable"])) == (0, ["acme/main"])
    assert refused(6, "recall", "issue", fleet, "eve", "--gpus", 8, "--by", "2027-04-01")["error"] == (
        "nothing_to_call"
    )


def test_what_makes_no_sense_is_refused(fleet: Path, small: object) -> None:
    for words, code in (
        (("--gpus", 8, "--by", "soon"), "bad_date"),
        (("--gpus", 8, "--by", "2027-04-01", "--until", "2027-03-01"), "empty_window"),
        (("--gpus", 8, "--by", "2027-04-01", "--pool", "b200"), "unknown_pool"),
        (("--gpus", 8, "--by", "2027-04-01", "--market-price", "dear"), "not_a_number"),
    ):
        assert refused(3, "recall", "plan", fleet, *words)["problems"][0]["code"] == code
    assert offtake("recall", "plan", fleet, "--gpus", 0, "--by", "2027-04-01").code == 2
    assert offtake("recall", "plan", fleet, "--gpus", "1.5", "--by", "2027-04-01").code == 2
    past = succeeded("recall", "plan", fleet, "--gpus", 8, "--by", "2026-04-01")
    assert (past["gpus"], "can't run by 2026-04-01" in past["not_callable"]["acme/main"]) == (0, True)
    assert refused(6, "recall", "return", fleet, "nothing")["error"] == "no_plan"
    assert succeeded("recall", "list", fleet)["recalls"] == []
    assert "No recall is planned" in offtake("recall", "list", fleet).said


def test_a_simulated_book_recalls_nothing(small: object) -> None:
    folder = small.folder  # type: ignore[attr-defined]
    for words in (("issue", folder, "x", *WISH), ("serve", folder), ("return", folder, "x")):
        assert refused(6, "recall", *words)["error"] == "simulated_book"
