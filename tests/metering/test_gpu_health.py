"""When a GPU counts as out of order: sticky gauges, restarts, targets that are down."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.time import HOUR_S, Interval
from offtake.metering.dcgm import Gpu, Samples
from offtake.metering.gpu_health import (
    BLANK,
    FATAL_XIDS,
    Fault,
    Health,
    HealthRules,
    Signs,
    check_health,
    down_times,
    follow,
)

GPU = Gpu("n1", "g")
WINDOW = Interval(0, HOUR_S)
RULES = HealthRules()


def every(minute: int, *values: int) -> Samples:
    """A value a minute."""
    return tuple(((minute + i) * 60_000, value) for i, value in enumerate(values))


def checked(signs: dict[Gpu, Signs], **more: Any) -> Health:
    words: dict[str, Any] = {
        "targets": {}, "window": WINDOW, "faults": {}, "sizes": {"n1": 8}, "known": {}, "rules": RULES,
    } | more  # fmt: skip
    return check_health(signs, **words)


def spans(found: Health) -> list[tuple[int, int, int]]:
    return [(one.start // 60, one.end // 60, one.gpus) for one in found.outings]


def test_a_fatal_xid_lasts_until_a_restart_shows_the_gpu_well() -> None:
    signs = Signs(xid=every(1, 0, 79, 79, 45, 0, 0), counter=every(1, 50, 60, 70, 80, 5, 6))
    found = checked({GPU: signs})
    assert spans(found) == [(2, 5, 1)]
    assert found.outings[0].evidence == ("g: XID 79 (GPU has fallen off the bus), since 1970-01-01T00:02:00Z")
    assert (found.faults, found.findings) == ({}, ())


def test_one_that_the_next_xid_hides_goes_on_and_so_does_the_next_window() -> None:
    signs = Signs(xid=every(58, 79, 45), counter=every(58, 50, 60))
    found = checked({GPU: signs})
    assert spans(found) == [(58, 60, 1)]
    second = Signs(xid=every(59, 45, 45, 45, 31), counter=every(59, 60, 70, 80, 2))
    after = checked({GPU: second}, faults=found.faults, window=Interval(HOUR_S, 2 * HOUR_S))
    assert spans(after) == [(60, 62, 1)]
    assert found.outings[0].evidence == after.outings[0].evidence


def test_a_gauge_that_was_only_cleared_is_named_and_the_fault_goes_on() -> None:
    signs = {GPU: Signs(xid=every(1, 79, 0, 0), counter=every(1, 5, 6, 7))}
    found = checked(signs)
    assert spans(found) == [(1, 60, 1)]
    assert [one.code for one in found.findings] == ["cleared_without_restart"]
    assert spans(checked(signs, rules=HealthRules(needs_restart=False))) == [(1, 2, 1)]


def test_a_gpu_without_a_counter_is_well_when_its_gauge_is_back_at_nothing() -> None:
    assert spans(checked({GPU: Signs(xid=every(1, 79, 45, 0))})) == [(1, 3, 1)]


def test_after_a_restart_what_was_wrong_must_be_seen_well() -> None:
    """The first scrape after a restart may not show everything yet."""
    signs = Signs(xid=((60_000, 79), (240_000, 0)), counter=every(1, 5, 1, 2, 3))
    assert spans(checked({GPU: signs})) == [(1, 4, 1)]
    hidden = Signs(xid=((60_000, 79), (120_000, 45), (240_000, 0)), counter=every(1, 5, 6, 1, 2))
    assert spans(checked({GPU: hidden})) == [(1, 4, 1)], "what it showed before the restart says nothing"
    again = Signs(xid=every(1, 79, 79), counter=every(1, 5, 1))
    assert spans(checked({GPU: again})) == [(1, 60, 1)], "it is as bad as before"


def test_memory_errors_and_failed_remapping_are_faults_too() -> None:
    signs = Signs(
        ecc=every(1, 0, 2, 2, 0),
        remap=every(1, 0, 0, 1, 0),
        xid=every(1, 0, 0, 0, 0),
        counter=every(1, 5, 6, 7, 0),
    )
    found = checked({GPU: signs})
    assert spans(found) == [(2, 4, 1)]
    assert "2 uncorrectable memory errors; remapping of rows failed" in found.outings[0].evidence
    assert spans(checked({GPU: signs}, rules=HealthRules(ecc_errors=0))) == [(3, 4, 1)]


@pytest.mark.parametrize("xid", [0, 13, 31, 43, 45, 63, 74, 94, 154, 155, BLANK])
def test_what_is_not_fatal_is_no_outage(xid: int) -> None:
    assert xid not in FATAL_XIDS
    assert spans(checked({GPU: Signs(xid=every(1, xid), ecc=every(1, BLANK))})) == []


def test_a_target_that_stays_down_is_a_node_out_of_order() -> None:
    up = every(-20, *[1] * 30, *[0] * 20, *[1] * 40)
    found = checked({GPU: Signs(xid=every(15, 79))}, targets={"n1": up, "n2": every(0, *[1] * 60)})
    assert spans(found) == [(10, 15, 8), (15, 29, 8), (29, 60, 1)]
    assert "n1 can't be scraped" in found.outings[0].evidence
    assert spans(checked({}, targets={"n1": every(10, *[0] * 16, 1)})) == [], "fifteen minutes aren't more"


def test_an_outage_over_the_end_of_a_window_is_in_both() -> None:
    up = every(50, *[0] * 20, 1)
    first = checked({}, targets={"n1": up})
    second = checked({}, targets={"n1": up}, window=Interval(HOUR_S, 2 * HOUR_S))
    assert (spans(first), spans(second)) == ([(50, 60, 8)], [(60, 69, 8)])
    assert (sorted(first.down), sorted(second.down)) == (["n1"], [])


def test_what_is_recorded_otherwise_is_not_counted_twice() -> None:
    up = every(10, *[0] * 30, 1)
    found = checked({}, targets={"n1": up}, known={"n1": [Interval(20 * 60, 25 * 60)]})
    assert spans(found) == [(10, 20, 8), (25, 39, 8)]


def test_a_target_that_went_away_is_down_until_its_last_failed_scrape() -> None:
    assert down_times(every(0, 1, 0, 0, 0), 60) == [(60_000, 180_000)]
    assert down_times(((0, 1),), 60) == []


SIGNS = st.lists(st.tuples(st.sampled_from([0, 31, 45, 79, 95]), st.integers(0, 9)), max_size=40)


@given(SIGNS, st.integers(1, 39))
def test_it_does_not_matter_where_a_window_ends(shown: list[tuple[int, int]], cut: int) -> None:
    signs = Signs(
        xid=every(0, *[xid for xid, _ in shown]), counter=every(0, *[counter for _, counter in shown])
    )
    whole, left = follow(GPU, signs, None, Interval(0, 2_400), RULES)
    first, fault = follow(GPU, signs, None, Interval(0, cut * 60), RULES)
    second, last = follow(GPU, signs, fault, Interval(cut * 60, 2_400), RULES)

    def minutes(spells: list[Any]) -> set[int]:
        return {m for one in spells for m in range(one.start // 60_000, one.end // 60_000)}

    assert minutes(whole) == minutes(first) | minutes(second)
    assert left == last
    assert not minutes(first) & minutes(second)


def test_a_fault_that_was_known_goes_on_without_any_scrape() -> None:
    fault = Fault(since=-60_000, kinds=("xid",), evidence="XID 79")
    found = checked({}, faults={GPU: fault})
    assert (spans(found), found.faults) == ([(0, 60, 1)], {GPU: fault})
