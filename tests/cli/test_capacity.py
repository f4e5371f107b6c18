"""What can be sold, by the command line, on the starter's fleet."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from offtake.base.time import HOUR_S, parse_instant
from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import WallClock

DAYS = ("--from", "2027-02-01", "--through", "2027-04-30")
START = parse_instant("2027-02-01T00:00:00Z")


@pytest.fixture
def live(tmp_path: Path, clock: WallClock) -> Path:
    folder = tmp_path / "fleet"
    succeeded("init", folder)
    edited(folder / "offtake.toml", ('time_zone = "America/New_York"', 'time_zone = "UTC"'))
    clock.set("2027-01-01T12:00:00Z")
    succeeded("apply", folder)
    return folder


def test_headroom_is_what_is_there_less_what_is_taken(live: Path) -> None:
    pool, together = succeeded("headroom", live, *DAYS)["pools"]
    assert pool["pool"] == "h200"
    assert pool["available"] > pool["beside_firm"] >= pool["beside_leases"] >= pool["beside_all"] >= 0
    assert together["pool"] is None
    assert [together[k] for k in list(pool)[1:]] == [pool[k] for k in list(pool)[1:]]
    assert "Together: as one block" in offtake("headroom", live, *DAYS, "--pool", "h200").said


def test_shorter_notice_sells_more_and_prices_split_it(live: Path) -> None:
    words = ("sellable", live, *DAYS, "--draws", 40, "--confidence", "0.9", "--rebate", "0.5")
    found = succeeded(*words, "--firm-price", 2, "--recallable-price", "1.5", "--own-value", 6)
    free = succeeded("headroom", live, *DAYS)["pools"][0]["beside_leases"]
    assert [one["notice_seconds"] for one in found["notices"]] == [90 * 86_400, 30 * 86_400, 7 * 86_400, 120]
    sold = [one["firm"] + one["recallable"] for one in found["notices"]]
    assert sold == sorted(sold)
    assert 0 <= found["notices"][0]["firm"] <= sold[-1] <= free
    assert found["own_demand"]["least"] >= 0
    assert found["split"]["firm"] + found["split"]["recallable"] <= free
    assert Decimal(found["split"]["profit_per_hour"]) > 0
    assert found == succeeded(*words, "--firm-price", 2, "--recallable-price", "1.5", "--own-value", 6)
    said = offtake(*words, "--firm-price", 2, "--recallable-price", "1.5", "--own-value", 6).said
    assert "Earning most" in said
    assert "draws of its declared generator" in said


def test_what_a_notice_is_worth_is_shown_pool_by_pool(live: Path) -> None:
    words = ("sellable", live, *DAYS, "--draws", 40, "--firm-price", 2, "--own-value", 6, "--each")
    found = succeeded(*words, "--rebate", "0.2")
    assert found["each"] == {"h200": found["notices"]}
    for one in found["notices"]:
        share = Decimal(one["recalled_share"])
        even = (max(2 - 6 * share, Decimal(0)) + Decimal("0.2") * share) / (1 - share)
        assert Decimal(one["even_price"]) == pytest.approx(even, abs=Decimal("0.00001"))
        assert Decimal(one["discount"]) == pytest.approx(max(1 - even / 2, 0), abs=Decimal("0.00001"))
        assert one["month_hours"] == 720
        assert Decimal(one["recall_in_a_month"]) >= share * bool(one["recallable"])
    assert "recallable earns as much as firm" in offtake(*words).said


def test_a_quote_has_a_floor_and_an_expiry_and_becomes_an_agreement(
    live: Path, tmp_path: Path, clock: WallClock
) -> None:
    words = ("quote", "capacity", live, *DAYS, "--draws", 40)
    sold = succeeded("sellable", live, *DAYS, "--draws", 40)["notices"]
    week = next(one for one in sold if one["notice_seconds"] == 7 * 86_400)
    firm = succeeded(*words, "--gpus", week["firm"])
    assert firm["left"] == 0
    assert (firm["firmness"], firm["recalled_share"]) == ("firm", "0.000000")
    assert Decimal(firm["floor"]) <= Decimal(firm["price"]) == Decimal(firm["firm_price"])
    assert firm["own_value"] == "1.80"
    assert firm["stands_until"] == "2027-01-08T12:00:00Z"
    most = week["firm"] + week["recallable"]
    draft = tmp_path / "big.toml"
    asked = (*words, "--gpus", most, "--notice", "7d", "--rebate", "0.1")
    found = succeeded(*asked, "--draft", draft, "--offtaker", "Big & Co")
    assert Decimal(found["floor"]) <= Decimal(found["price"])
    assert 0 < Decimal(found["recalled_share"]) <= Decimal(found["recall_in_a_month"])
    assert "stands until" in offtake(*words, "--gpus", 8).said
    text = draft.read_text(encoding="utf-8")
    assert 'id = "big-co"' in text
    (live / "agreements" / "big.toml").write_text(text, encoding="utf-8")
    succeeded("apply", live)
    no = refused(6, *words, "--gpus", most)
    assert no["error"] == "not_enough"
    assert refused(6, *words, "--gpus", 10**6, "--notice", "7d")["error"] == "not_enough"


def test_without_prices_a_quote_asks_for_them(live: Path) -> None:
    edited(live / "demand" / "internal.toml", ("transfer_price = 1.80", ""))
    succeeded("apply", live)
    words = ("quote", "capacity", live, *DAYS, "--gpus", 8, "--draws", 10)
    assert refused(6, *words)["error"] == "no_price"
    assert succeeded(*words, "--firm-price", 2, "--own-value", 6)["firm_price"] == "2"


def test_what_may_fail_is_not_sold(live: Path) -> None:
    words = ("sellable", live, *DAYS, "--draws", 40, "--notice", "7d")
    (sound,) = succeeded(*words)["notices"]
    (frail,) = succeeded(*words, "--failures", "0.02")["notices"]
    (burnt,) = succeeded(*words, "--loss", "512,6,14d")["notices"]
    for one in (frail, burnt):
        assert one["firm"] < sound["firm"]
    assert "failures are drawn" in offtake(*words, "--failures", "0.02").said


def paths(file: Path, gpus: np.ndarray, **columns: object) -> Path:
    count, hours = gpus.shape
    table = {
        "path": np.repeat(np.arange(count), hours),
        "start": np.tile(START + np.arange(hours) * HOUR_S, count),
        "gpus": gpus.ravel(),
    }
    pq.write_table(pa.table(table | columns), file)
    return file


def test_paths_of_a_forecast_take_the_place_of_declared_demand(live: Path, tmp_path: Path) -> None:
    hours = 89 * 24
    free = succeeded("headroom", live, *DAYS)["pools"][0]["beside_leases"]
    demand = np.zeros((10, hours), dtype=np.int64)
    demand[0] = 100
    demand[:, 500:] += 64
    file = paths(tmp_path / "paths.parquet", demand)
    words = ("sellable", live, *DAYS, "--notice", "7d", "--notice", "90d", "--paths")
    week, quarter = succeeded(*words, file, "--confidence", "0.9")["notices"]
    assert (week["firm"], week["recallable"]) == (free - 64, 64)
    assert (quarter["firm"], quarter["recallable"]) == (free - 64, 0)
    (sure,) = succeeded("sellable", live, *DAYS, "--paths", file, "--notice", "7d", "--confidence", 1)[
        "notices"
    ]
    assert (sure["firm"], sure["recallable"]) == (free - 168, 64)  # 164 GPUs take 21 nodes
    for gpus, code in ((demand[:, 1:], "gaps"), (demand - 1, "negative"), (demand / 2, "not_whole")):
        wrong = refused(3, *words, paths(tmp_path / "wrong.parquet", gpus))
        assert wrong["problems"][0]["code"] == code
    pq.write_table(pa.table({"path": [1]}), tmp_path / "few.parquet")
    assert refused(3, *words, tmp_path / "few.parquet")["problems"][0]["code"] == "missing_column"
    (tmp_path / "text").write_text("no", encoding="utf-8")
    assert refused(3, *words, tmp_path / "text")["problems"][0]["code"] == "unreadable"


def test_the_plan_of_years_prints_its_gap_and_prices(live: Path) -> None:
    plan = succeeded("horizon", live, *DAYS)
    assert 0 <= Decimal(plan["gap"]) < Decimal("0.0025")
    assert Decimal(plan["objective"]) <= Decimal(plan["bound"])
    assert set(plan["prices"]["h200"]) == {"2027-02", "2027-03", "2027-04"}
    assert "below the best that whole nodes allow" in offtake("horizon", live, *DAYS).said
    edited(live / "demand" / "internal.toml", ("gpus = [256, 1024]", "gpus = [256, 9000]"))
    succeeded("apply", live)
    short = succeeded("horizon", live, *DAYS)["short"]
    assert {row["claim"] for row in short} <= {"our-training"}
    assert all(row["why"] == "outbid" for row in short)


def test_what_can_t_be_asked_is_refused(live: Path) -> None:
    for words, code in (
        (("headroom", live, "--from", "2027-03-01", "--through", "2027-02-01"), "empty_window"),
        (("headroom", live, *DAYS, "--pool", "b200"), "unknown_pool"),
        (("sellable", live, *DAYS, "--notice", "soon"), "bad_length"),
        (("sellable", live, *DAYS, "--confidence", "1.5"), "bad_confidence"),
        (("sellable", live, *DAYS, "--rebate", "much"), "not_a_number"),
        (("sellable", live, *DAYS, "--loss", "9600"), "bad_loss"),
        (("sellable", live, *DAYS, "--failures", "0.1", "--repair", "long"), "bad_length"),
        (("sellable", live, *DAYS, "--rebate", "-1"), "not_a_number"),
        (("sellable", live, *DAYS, "--firm-price", "2"), "incomplete"),
        (("sellable", live, *DAYS, "--recallable-price", "2"), "incomplete"),
        (("quote", "capacity", live, *DAYS, "--gpus", "8", "--draft", "x.toml"), "no_offtaker"),
        (("quote", "capacity", live, *DAYS, "--gpus", "8", "--draft", live, "--offtaker", "B"), "exists"),
        (
            ("sellable", live, *DAYS, "--firm-price", 2, "--recallable-price", 1, "--own-value", 2),
            "bad_prices",
        ),
    ):
        assert refused(3, *words)["problems"][0]["code"] == code


def offer(live: Path, folder: Path, id_: str, gpus: int, fee: int, **changes: str) -> Path:
    text = (live / "agreements" / "acme.toml").read_text(encoding="utf-8")
    for old, new in {
        'id = "acme"': f'id = "{id_}"', "1_024": str(gpus), "1_650_000": str(fee), **changes,
    }.items():  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    folder.mkdir(exist_ok=True)
    (folder / f"{id_}.toml").write_text(text, encoding="utf-8")
    return folder


def test_offers_are_chosen_together(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "offers"
    left = min(row["beside_firm"] for row in succeeded("headroom", live, "--through", "2027-12-31")["pools"])
    offer(live, folder, "big", left, 1_000_000)
    offer(live, folder, "half", left // 2, 700_000)
    offer(live, folder, "other", left // 2, 650_000)
    found = succeeded("deals", "choose", live, folder)
    assert found["accepted"] == ["half", "other"]
    assert Decimal(found["worth"]) <= Decimal(found["bound"])
    assert float(found["gap"]) <= 1e-4
    held = {claim: sum(p["gpus"] for p in found["places"][f"{claim}/main"]) for claim in found["accepted"]}
    assert held == {"half": left // 2, "other": left // 2}
    big = found["rejected"]["big"]
    assert big["why"] == "worth_less"
    assert {lack["pool"] for lack in big["lacking"]} == {"h200"}
    assert set(big["displaces"]) & {"half/main", "other/main"}
    assert Decimal(big["loss"]) > 0
    said = offtake("deals", "choose", live, folder, "--whole", "half", "--resets", "freely").said
    assert "Accept half, other" in said
    assert "Not big: what would have to give way is worth more" in said
    offer(live, folder, "huge", left + 8, 99_000_000)
    found = succeeded("deals", "choose", live, folder)
    assert found["rejected"]["huge"]["why"] == "no_room"
    assert [lack["gpus"] for lack in found["rejected"]["huge"]["lacking"]] == [8]
    assert refused(6, "deals", "choose", live, folder, "--whole", "none")["error"] == "unknown_offer"


def test_own_work_that_is_worth_more_keeps_its_gpus(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "offers"
    left = min(row["beside_firm"] for row in succeeded("headroom", live, "--through", "2027-12-31")["pools"])
    offer(live, folder, "all", left, 1_000_000)
    assert succeeded("deals", "choose", live, folder)["accepted"] == ["all"]
    edited(live / "demand" / "internal.toml", ("transfer_price = 1.80", "transfer_price = 900"))
    succeeded("apply", live)
    found = succeeded("deals", "choose", live, folder)
    assert found["accepted"] == []
    assert found["rejected"]["all"]["why"] == "worth_less"
    assert set(found["rejected"]["all"]["displaces"]) == {"our-training"}


def test_offers_that_can_t_be_weighed_are_refused(live: Path, tmp_path: Path) -> None:
    for id_, changes, code in (
        ("acme", {}, "known_agreement"),
        ("far", {'pools = ["h200"]': 'pools = ["b200"]'}, "unknown_pool"),
        ("euro", {'currency = "USD"': 'currency = "EUR"'}, "other_currency"),
    ):
        wrong = offer(live, tmp_path / id_, id_, 8, 1, **changes)
        assert refused(6, "deals", "choose", live, wrong)["error"] == code
