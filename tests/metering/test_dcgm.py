"""Energy from scrapes, example by example; the laws are in tests/properties/test_power_laws.py."""

from __future__ import annotations

from typing import Any

from offtake.base.time import DAY_S, HOUR_S, Interval
from offtake.metering.dcgm import (
    FINDINGS,
    FORGET_S,
    WH_MJ,
    Energy,
    Gpu,
    Held,
    Rules,
    Samples,
    Scraped,
    Silent,
    meter_energy,
    names_of,
)

GPU = Gpu("n1", "g")
BEGIN = 100 * HOUR_S
WINDOW = Interval(BEGIN, BEGIN + HOUR_S)
ACME = Held((0,), ("acme/main",))


def every(*values: int, start: int = BEGIN, step: int = 60) -> Samples:
    return tuple(((start + i * step) * 1000, value) for i, value in enumerate(values))


def steady(watts: int, start: int, end: int) -> Samples:
    """A counter that rises evenly, scraped once a minute."""
    return tuple((t * 1000, watts * 1000 * (t - start)) for t in range(start, end + 1, 60))


def metered(gpus: dict[Gpu, Scraped], **more: Any) -> Energy:
    words: dict[str, Any] = {
        "window": WINDOW, "held": {"n1": ACME}, "silent": {}, "left_mj": {}, "rules": Rules(),
    } | more  # fmt: skip
    return meter_energy(gpus, **words)


def said(found: Energy) -> list[str]:
    assert {one.code for one in found.findings} <= FINDINGS.keys()
    return [f"{one.code} {one.seconds}" for one in found.findings]


def test_an_hour_is_cut_out_of_scrapes_around_it() -> None:
    found = metered({GPU: Scraped(counter=steady(700, BEGIN - 210, BEGIN + HOUR_S + 210))})
    assert [(row.agreement, row.start, row.end, row.wh) for row in found.rows] == [
        ("acme", BEGIN, BEGIN + HOUR_S, 700)
    ]
    assert (found.mj, found.left_mj, found.silent, found.findings) == ({"acme/main": 700 * WH_MJ}, {}, {}, ())


def test_what_is_left_of_a_watt_hour_goes_into_the_next_hour() -> None:
    scraped = {GPU: Scraped(counter=every(0, WH_MJ // 2, step=120))}
    first = metered(scraped)
    assert (first.rows, first.left_mj) == ((), {"acme": WH_MJ // 2})
    second = metered(scraped, left_mj=first.left_mj)
    assert ([row.wh for row in second.rows], second.left_mj) == ([1], {})


def test_nodes_that_nobody_holds_and_own_demand_are_the_operators() -> None:
    held = Held((0, BEGIN + 1_800, BEGIN + 2_700), ("acme/main", "", "research"))
    found = metered({GPU: Scraped(counter=steady(720, BEGIN, BEGIN + HOUR_S))}, held={"n1": held})
    assert found.mj == {"": 180 * WH_MJ, "acme/main": 360 * WH_MJ, "research": 180 * WH_MJ}
    assert [(row.agreement, row.wh) for row in found.rows] == [("", 360), ("acme", 360)]
    assert metered({GPU: Scraped(counter=every(0, WH_MJ))}, held={}).mj == {"": WH_MJ}


def test_a_counter_that_began_anew_counts_from_nothing() -> None:
    found = metered({GPU: Scraped(counter=every(5 * WH_MJ, 5 * WH_MJ, 1_000, 2_000))})
    assert found.mj == {"acme/main": 2_000}
    assert "restart 0" in said(found)


def test_a_counter_that_says_too_much_is_not_counted() -> None:
    """A dip would otherwise count everything since the GPU was made."""
    found = metered({GPU: Scraped(counter=every(10**12, 10, 10**12, 10**12 + 50))})
    assert found.mj == {"acme/main": 60}
    assert said(found) == ["gap 3420", "implausible 0", "restart 0"]


def test_power_is_integrated_where_there_is_no_counter() -> None:
    found = metered({GPU: Scraped(power=every(*[600_000] * 31, *[900_000] * 30))})
    assert found.gauge_mj == sum(found.mj.values()) == 60_000 * (30 * 600 + 750 + 29 * 900)
    assert said(found) == ["by_gauge 0"]
    both = Scraped(counter=every(0, 60), power=every(600_000, 600_000))
    assert metered({GPU: both}).gauge_mj == 0, "the counter goes before"


def test_nothing_is_assumed_in_a_gap_of_power() -> None:
    found = metered(
        {GPU: Scraped(power=every(500_000, 500_000) + every(500_000, 500_000, start=BEGIN + 1_860))}
    )
    assert found.mj == {"acme/main": 2 * 60 * 500_000}
    assert said(found) == ["by_gauge 0", "gap 1800", "gap 1680"]


def test_a_gap_is_named_in_each_hour_and_caught_up_when_the_gpu_is_back() -> None:
    first = metered({GPU: Scraped(counter=steady(100, BEGIN, BEGIN + 1_800))})
    assert said(first) == ["gap 1800"]
    assert first.silent == {GPU: Silent(at=(BEGIN + 1_800) * 1000, counter=180_000_000)}
    second = metered({}, window=Interval(WINDOW.end, WINDOW.end + HOUR_S), silent=first.silent)
    assert (said(second), second.mj, second.silent) == (["gap 3600"], {}, first.silent)
    back = every(180_000_000 + 9 * WH_MJ, 180_000_000 + 9 * WH_MJ, start=BEGIN + 9_000)
    third = metered(
        {GPU: Scraped(counter=back)},
        window=Interval(BEGIN + 2 * HOUR_S, BEGIN + 3 * HOUR_S),
        silent=second.silent,
    )
    assert said(third) == ["caught_up 0", "gap 1800", "gap 1740"]
    assert [(row.start, row.wh) for row in third.rows] == [
        (BEGIN, 2), (BEGIN + HOUR_S, 4), (BEGIN + 2 * HOUR_S, 3),
    ]  # fmt: skip
    assert third.mj == {"acme/main": 9 * WH_MJ}


def test_a_gap_that_ends_as_a_window_does_is_that_windows() -> None:
    scraped = {GPU: Scraped(counter=every(0, 6 * WH_MJ, 7 * WH_MJ, start=BEGIN + 3_000, step=600))}
    first = metered(scraped)
    second = metered(scraped, window=Interval(WINDOW.end, WINDOW.end + HOUR_S), silent=first.silent)
    assert (first.mj, second.mj) == ({"acme/main": 6 * WH_MJ}, {"acme/main": WH_MJ})


def test_a_node_changes_hands_at_the_second() -> None:
    held = {"n1": Held((0, BEGIN + 30), ("acme/main", "other/main"))}
    assert metered({GPU: Scraped(counter=every(0, 6_000))}, held=held).mj == {
        "acme/main": 3_000, "other/main": 3_000,
    }  # fmt: skip


def test_what_was_drawn_while_a_silent_node_changed_hands_is_the_operators() -> None:
    held = {"n1": Held((0, BEGIN + 600), ("acme/main", "other/main"))}
    found = metered({GPU: Scraped(counter=every(0, 6 * WH_MJ, step=1_200))}, held=held)
    assert found.mj == {"": 6 * WH_MJ}
    assert "changed_hands 0" in said(found)


def test_a_gpu_that_is_silent_for_a_week_was_taken_away_unless_its_node_is_down() -> None:
    silent = {GPU: Silent(at=(BEGIN - FORGET_S) * 1000, counter=5)}
    found = metered({}, silent=silent)
    assert (found.silent, said(found)) == ({}, ["gap 3600", "gone 0"])
    assert metered({}, silent=silent, down=frozenset({"n1"})).silent == silent
    assert metered({}, silent={GPU: Silent(at=(BEGIN - DAY_S) * 1000, counter=5)}).silent


def test_rows_are_cut_where_a_month_ends() -> None:
    found = metered(
        {GPU: Scraped(counter=steady(720, BEGIN, BEGIN + HOUR_S))}, borders=[BEGIN - DAY_S, BEGIN + 1_800]
    )
    assert [(row.start - BEGIN, row.end - BEGIN, row.wh) for row in found.rows] == [
        (0, 1_800, 360), (1_800, 3_600, 360),
    ]  # fmt: skip


def test_nodes_are_known_without_their_port_and_domain() -> None:
    found = names_of(["n1", "n2.dc.example", "n3:9400", "n4.dc.example:9400", "x1"], ["n1", "n2", "n3", "n4"])
    assert found == {"n1": "n1", "n2.dc.example": "n2", "n3:9400": "n3", "n4.dc.example:9400": "n4"}
