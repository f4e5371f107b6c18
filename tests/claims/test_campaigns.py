"""Plans of campaigns: laws of their paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.time import DAY_S, HOUR_S, Interval
from offtake.claims.campaigns import Campaign, beyond, campaign_paths

HOURS = np.arange(0, 30 * DAY_S, HOUR_S)


def campaign(id_: str = "c", **changes: object) -> Campaign:
    said: dict[str, object] = {
        "gpus": 64, "earliest": 3 * DAY_S, "slack_days": 4, "days": (2, 5), "probability": 0.5,
    }  # fmt: skip
    return Campaign(id=id_, **(said | changes))  # type: ignore[arg-type]


@given(st.integers(0, 2**31), st.integers(0, 6), st.integers(1, 5), st.integers(0, 3))
def test_a_gang_runs_whole_once_within_its_days(seed: int, slack: int, shortest: int, more: int) -> None:
    one = campaign(slack_days=slack, days=(shortest, shortest + more))
    found = campaign_paths([one], HOURS, 40, np.random.default_rng(seed))
    assert set(np.unique(found)) <= {0, 64}
    for path in found:
        ran = np.flatnonzero(path)
        if len(ran):
            assert ran[-1] - ran[0] + 1 == len(ran), "without a break"
            assert shortest * 24 <= len(ran) <= (shortest + more) * 24
            assert 3 * 24 <= ran[0] <= (3 + slack) * 24


PLANS = st.lists(
    st.builds(
        campaign,
        gpus=st.integers(1, 4_096),
        earliest=st.integers(-5, 35).map(lambda day: day * DAY_S),
        slack_days=st.integers(0, 9),
        days=st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda two: (two[0], two[0] + two[1])),
        probability=st.floats(0.01, 1),
    ),
    max_size=4,
)


@given(st.integers(0, 2**31), PLANS, PLANS)
def test_a_plan_in_two_parts_is_the_sum_of_both(
    seed: int, one: list[Campaign], other: list[Campaign]
) -> None:
    whole = campaign_paths(one + other, HOURS, 12, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    first, second = (campaign_paths(part, HOURS, 12, rng) for part in (one, other))
    assert (whole == first + second).all()
    assert whole.min() >= 0
    assert whole.max() <= sum(c.gpus for c in one + other)


@given(st.integers(0, 2**31), PLANS)
def test_what_is_beyond_a_window_is_in_none_of_its_paths(seed: int, plan: list[Campaign]) -> None:
    window = Interval(start=0, end=30 * DAY_S)
    for one in plan:
        found = campaign_paths([replace(one, probability=1.0)], HOURS, 60, np.random.default_rng(seed))
        if beyond([one], window):
            assert not found.any()
        elif not one.slack_days and one.days[0] == one.days[1]:
            assert found.all(axis=0).any()


@given(st.integers(0, 2**31), PLANS)
def test_without_slack_and_with_certainty_all_paths_are_one(seed: int, plan: list[Campaign]) -> None:
    sure = [replace(c, slack_days=0, days=(c.days[0], c.days[0]), probability=1.0) for c in plan]
    found = campaign_paths(sure, HOURS, 7, np.random.default_rng(seed))
    runs = [(c.earliest <= HOURS) & (c.earliest + c.days[0] * DAY_S > HOURS) for c in sure]
    assert (
        found == sum((run * c.gpus for run, c in zip(runs, sure, strict=True)), np.zeros_like(HOURS))
    ).all()


def test_what_is_certain_is_the_same_in_every_path() -> None:
    sure = campaign(slack_days=0, days=(2, 2), probability=1.0)
    found = campaign_paths([sure], HOURS, 9, np.random.default_rng(1))
    assert (found == np.where((HOURS >= 3 * DAY_S) & (HOURS < 5 * DAY_S), 64, 0)).all()


def test_campaigns_add_up_and_come_as_often_as_they_should() -> None:
    found = campaign_paths([campaign()], HOURS, 4_000, np.random.default_rng(2))
    assert (found.max(axis=1) > 0).mean() == pytest.approx(0.5, abs=0.03)
    both = campaign_paths([campaign(), campaign("d", gpus=8)], HOURS, 4_000, np.random.default_rng(2))
    assert ((both - found).max(axis=1) > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert set(np.unique(both - found)) == {0, 8}


def test_what_makes_no_sense_is_refused() -> None:
    for changes in (
        {"gpus": 0},
        {"slack_days": -1},
        {"days": (3, 2)},
        {"days": (0, 2)},
        {"probability": 0.0},
    ):
        with pytest.raises(ValueError, match="campaign c"):
            campaign(**changes)
