"""Forecasts: laws on made series, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.forecast.backtest import backtest, chosen, lend
from offtake.forecast.model import Series, fitted, paths

SEEDS = st.integers(0, 2**31)


def made(seed: int, hours: int = 24 * 14, *, level: int = 400, swing: int = 120, noise: int = 25) -> Series:
    rng = np.random.default_rng(seed)
    t = np.arange(hours)
    values = level + swing * np.sin(t / 24 * 2 * np.pi) + np.cumsum(rng.normal(0, noise / 5, hours))
    values += rng.normal(0, noise, hours)
    return Series(start=0, step_s=3600, values=np.maximum(np.rint(values), 0).astype(np.int64))


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 96))
def test_paths_are_whole_and_never_below_nothing(seed: int, horizon: int) -> None:
    found = paths(fitted(made(seed, level=60)), horizon, 50, np.random.default_rng(seed))
    assert found.shape == (50, horizon)
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert (found == paths(fitted(made(seed, level=60)), horizon, 50, np.random.default_rng(seed))).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 5_000), st.integers(1, 48))
def test_what_never_changes_is_certain(level: int, horizon: int) -> None:
    series = Series(start=0, step_s=3600, values=np.full(240, level))
    assert (paths(fitted(series), horizon, 20, np.random.default_rng(1)) == level).all()
    assert backtest(series, horizon, learn=120).ours.width == pytest.approx(0, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(150, 300))
def test_a_forecast_knows_nothing_of_what_comes_later(seed: int, origin: int) -> None:
    series = made(seed)
    changed = series.values.copy()
    changed[origin + 1 :] = 9_999
    other = Series(start=0, step_s=3600, values=changed)
    at = np.array([origin])
    mine, theirs = fitted(series, 140), fitted(other, 140)
    assert np.array_equal(mine.ahead(at, 30), theirs.ahead(at, 30))
    assert np.array_equal(mine.known(origin, 30), theirs.known(origin, 30))


def weekly(seed: int, weeks: int) -> Series:
    """A day's wave, weekends that are lower and flatter, a level that wanders, and some noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(weeks * 168)
    values = 300 * (1 + 0.3 * np.sin(t / 24 * 2 * np.pi)) * np.where(t // 24 % 7 >= 5, 0.6, 1.0)
    values *= np.exp(np.cumsum(rng.normal(0, 0.005, len(t)))) * (1 + rng.normal(0, 0.05, len(t)))
    return Series(start=0, step_s=3600, values=np.rint(values).astype(np.int64), longer=168)


@settings(max_examples=2, deadline=None)
@given(SEEDS, st.integers(560, 700))
def test_with_two_seasons_a_forecast_knows_nothing_of_what_comes_later(seed: int, origin: int) -> None:
    series = weekly(seed, 5)
    changed = series.values.copy()
    changed[origin + 1 :] = 9_999
    mine, theirs = fitted(series, 540), fitted(replace(series, values=changed), 540)
    at = np.array([origin])
    assert np.array_equal(mine.ahead(at, 30), theirs.ahead(at, 30))
    assert np.array_equal(mine.known(origin, 30), theirs.known(origin, 30))


@pytest.mark.parametrize("seed", [1, 2])
def test_where_weekends_differ_two_seasons_are_taken_and_lose_half(seed: int) -> None:
    series, learn = weekly(seed, 6), 4 * 168
    picked = chosen(replace(series, longer=None), [24], learn=learn)
    assert picked.longer == 168
    both = backtest(series, 24, learn=learn).ours
    day = backtest(replace(series, longer=None), 24, learn=learn).ours
    assert both.pinball < day.pinball / 2
    assert 0.75 < both.coverage <= 1
    big = backtest(replace(series, values=series.values * 10), 24, learn=learn).ours
    assert big.width == pytest.approx(10 * both.width, rel=0.05)


def test_what_did_not_move_in_the_part_learnt_from_makes_no_wild_forecasts() -> None:
    values = np.where(np.arange(168 * 8) == 700, 500, 0)
    found = backtest(Series(start=0, step_s=3600, values=values, longer=168), 24, learn=700).ours
    assert found.width < 500


@pytest.mark.parametrize("level", [0, 40])
def test_with_two_seasons_what_never_changes_is_certain(level: int) -> None:
    series = Series(start=0, step_s=3600, values=np.full(168 * 4, level), longer=168)
    assert (paths(fitted(series), 48, 20, np.random.default_rng(1)) == level).all()


def test_where_a_day_says_all_a_week_is_not_taken() -> None:
    series = made(7, 168 * 8)
    assert chosen(series, [24], learn=168 * 4).longer is None


def test_errors_in_levels_count_a_level_below_the_usual_as_the_usual() -> None:
    values = np.concatenate([np.full(240, 2), np.full(480, 600), np.full(240, 1_200)])
    model = fitted(Series(start=0, step_s=3600, values=values, scaled=True), 480)
    usual = values[:480].mean()
    assert model.scale[100] == pytest.approx(usual)
    assert model.scale[700] == pytest.approx(600, rel=0.05)
    assert model.scale[-1] == pytest.approx(1_200, rel=0.05)


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_a_fleet_ten_times_as_big_has_bands_ten_times_as_wide(seed: int) -> None:
    series = made(seed)
    big = Series(start=0, step_s=3600, values=series.values * 10)
    small_s, big_s = backtest(series, 24, learn=168), backtest(big, 24, learn=168)
    assert big_s.ours.width == pytest.approx(10 * small_s.ours.width, rel=0.05)
    assert big_s.naive.coverage == small_s.naive.coverage


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_a_regular_day_is_forecast_better_than_by_yesterday_alone(seed: int) -> None:
    found = backtest(made(seed, 24 * 40), 24, learn=24 * 20)
    assert found.windows == 20
    assert found.ours.pinball < found.naive.pinball
    assert 0.75 < found.ours.coverage <= 1


def test_scaled_errors_double_with_demand_and_the_choice_looks_at_what_was_learnt_only() -> None:
    rng = np.random.default_rng(4)
    t = np.arange(24 * 60)
    level = np.where(t < 24 * 30, 100, 100 + (t - 24 * 30) * 0.5)
    noisy = Series(
        start=0, step_s=3600, values=np.rint(level * (1 + rng.normal(0, 0.1, len(t)))).astype(np.int64)
    )
    plain, scaled = (backtest(replace(noisy, scaled=one), 24, learn=24 * 40).ours for one in (False, True))
    assert scaled.pinball < plain.pinball
    assert abs(scaled.coverage - 0.9) < abs(plain.coverage - 0.9)
    picked = chosen(noisy, [24], learn=24 * 40)
    later = noisy.values.copy()
    later[24 * 40 :] = 7
    again = chosen(replace(noisy, values=later), [24], learn=24 * 40)
    assert (picked.longer, picked.scaled) == (again.longer, again.scaled)
    few = made(1, 100)
    assert chosen(few, [24], learn=50) is few


def test_lending_never_counts_what_isn_t_there() -> None:
    series = made(3, 24 * 40)
    for notice in (1, 24, 96):
        found = lend(series, 700, notice=notice, learn=24 * 20, confidence=0.9)
        demand = np.minimum(series.values, 700)[24 * 20 :]
        assert found.own + found.short == demand.sum()
        assert found.own + found.lent <= found.capacity == 700 * len(demand)
        assert found.short <= 0.15 * demand.sum()
        assert found.lent > 0
    nothing = lend(series, int(series.values.min()), notice=24, learn=24 * 20, confidence=0.9)
    assert (nothing.lent, nothing.recalls) == (0, 0)


def test_a_recall_comes_back_when_its_notice_has_run() -> None:
    values = np.full(24 * 30, 100)
    values[24 * 22 :] = 180
    series = Series(start=0, step_s=3600, values=values)
    found = lend(series, 200, notice=12, learn=24 * 20, confidence=0.9)
    assert found.recalls == 1
    assert 80 <= found.recalled <= 82
    # lent 100 until the notice has run, which is given a day after the rise; the rest of it stays lent
    assert found.lent == 100 * (24 * 2 + 24 + 12) + (100 - found.recalled) * (24 * 8 - 24 - 12)
    assert found.short == 80 * (24 + 12)


def test_what_is_too_short_says_what_it_takes() -> None:
    short = made(1, 80)
    with pytest.raises(ValueError, match="too few to look 24 ahead: it takes 96"):
        paths(fitted(short), 24, 10, np.random.default_rng(1))
    with pytest.raises(ValueError, match="too few to test a lead of 48"):
        backtest(made(1, 120), 48, learn=72)
    with pytest.raises(ValueError, match="two seasons of 24"):
        fitted(made(1, 60))
    with pytest.raises(ValueError, match="fewer than none"):
        Series(start=0, step_s=3600, values=np.array([-1]))
    with pytest.raises(ValueError, match="isn't longer than"):
        Series(start=0, step_s=3600, values=np.array([1]), season=24, longer=24)
    with pytest.raises(ValueError, match="two seasons of 168"):
        fitted(replace(made(1, 300), longer=168))
    with pytest.raises(ValueError, match="between 0 and 1"):
        backtest(made(1), 24, learn=100, band=1.0)
