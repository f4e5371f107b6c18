"""The deal desk: candidates chosen together beside a book, and what reallocation is worth."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished


@pytest.fixture
def offers(starter: Finished, tmp_path: Path) -> Path:
    """Three candidates beside acme's 1,024 of 4,096 GPUs: two that fit together, one that is too big."""
    folder = tmp_path / "offers"
    folder.mkdir()
    for name, gpus, fee in (
        ("dear", "2_048", 4_500_000),
        ("small", "512", 900_000),
        ("big", "4_096", 99_000_000),
    ):
        path = folder / f"{name}.toml"
        shutil.copy(starter.folder / "agreements" / "acme.toml", path)
        edited(
            path,
            ('id = "acme"', f'id = "{name}"'),
            ("quantity = 1_024", f"quantity = {gpus}"),
            ("start = 2027-01-01", "start = 2027-07-01"),
            ("amount = 1_650_000", f"amount = {fee}"),
            ('first = "2027-01"', 'first = "2027-07"'),
        )
    return folder


def test_candidates_are_chosen_together_with_reasons(starter: Finished, offers: Path) -> None:
    found = succeeded("deals", "choose", starter.folder, offers)
    assert [deal["id"] for deal in found["accepted"]] == ["dear", "small"]
    (place,) = found["accepted"][0]["places"]
    assert (place["claim"], place["pool"], place["gpus"]) == ("dear/main", "h200", 2_048)
    assert (place["start"], place["end"]) == ("2027-07-01T04:00:00Z", "2028-01-01T05:00:00Z")
    (big,) = found["rejected"]
    assert (big["id"], big["why"], big["loss"]) == ("big", "no_room", "0.00")
    assert big["short"] == [
        {"pool": "h200", "start": "2027-07-01T04:00:00Z", "end": "2028-01-01T05:00:00Z", "gpus": 1_024}
    ]
    assert found["already_short"] == []
    assert float(found["gap"]) <= 1e-4
    said = offtake("deals", "choose", starter.folder, offers, "--whole", "small", "--resets", "monthly").said
    assert "dear" in said
    assert "no room" in said
    assert "h200 1,024 from 2027-07-01 to 2028-01-01" in said


def test_what_a_team_s_work_is_worth_decides(starter: Finished, offers: Path) -> None:
    found = succeeded("deals", "choose", starter.folder, offers, "--rate", "our-training=900")
    why = {one["id"]: one for one in found["rejected"]}["small"]
    assert why["why"] == "worth_less"
    assert [lost["claim"] for lost in why["displaces"]] == ["our-training"]
    assert float(why["loss"]) > 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--rate", "acme=much"), "bad_rate"),
        (("--rate", "acme=-1"), "bad_rate"),
        (("--whole", "nobody"), "unknown_offer"),
        (("--resets", "daily"), "bad_cadence"),
    ],
)
def test_wrong_words_are_refused(starter: Finished, offers: Path, words: tuple[str, ...], code: str) -> None:
    assert refused(3, "deals", "choose", starter.folder, offers, *words)["problems"][0]["code"] == code


def test_offers_that_can_t_be_weighed_are_refused(starter: Finished, offers: Path) -> None:
    def code() -> str:
        return str(refused(3, "deals", "choose", starter.folder, offers)["problems"][0]["code"])

    edited(offers / "dear.toml", ('pools = ["h200"]', 'pools = ["gb300"]'))
    assert code() == "unknown_pool"
    edited(offers / "dear.toml", ('pools = ["gb300"]', 'pools = ["h200"]'), ('"USD"', '"EUR"'))
    assert code() == "other_currency"
    edited(offers / "dear.toml", ('"EUR"', '"USD"'), ('id = "dear"', 'id = "acme"'))
    assert code() == "twice"


def test_reallocation_is_worth_nothing_with_one_pool(starter: Finished) -> None:
    found = succeeded("deals", "reallocation", starter.folder, "--on", "2027-01-01")
    assert [one["cadence"] for one in found["cadences"]] == [
        "never", "yearly", "quarterly", "monthly", "freely",
    ]  # fmt: skip
    assert {one["loss"] for one in found["cadences"]} == {"0.000000"}
    assert "freely" in offtake("deals", "reallocation", starter.folder, "--on", "2027-01-01").said
    late = refused(3, "deals", "reallocation", starter.folder, "--on", "2031-01-01")
    assert late["problems"][0]["code"] == "nothing"
