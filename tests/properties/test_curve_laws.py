"""Laws of curve algebra, against a naive model: a sorted list of steps, walked in a loop."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offtake.base.curve import (
    EARLIEST,
    LARGEST,
    LATEST,
    Curve,
    FloatCurve,
    combine,
    matrix,
    maximum,
    merged_times,
    minimum,
)
from offtake.base.time import Interval

Steps = list[tuple[int, int]]

# Few instants and few values, so that breakpoints coincide and neighbours are equal; or anything at all.
INSTANTS = st.integers(-30, 30)
ANY_INSTANTS = st.integers(EARLIEST, LATEST)
VALUES = st.integers(-4, 4)
ANY_VALUES = st.integers(-LARGEST, LARGEST)


def steps_of(instants: st.SearchStrategy[int], values: st.SearchStrategy[int]) -> st.SearchStrategy[Steps]:
    return st.dictionaries(instants, values, max_size=12).map(lambda steps: sorted(steps.items()))


def curves_of(
    instants: st.SearchStrategy[int] = INSTANTS, values: st.SearchStrategy[int] = VALUES
) -> st.SearchStrategy[Curve]:
    return steps_of(instants, values).map(Curve.from_steps)


CURVES = st.one_of(curves_of(), curves_of(ANY_INSTANTS, st.integers(-(10**15), 10**15)))
SMALL = curves_of()
MANY = st.lists(CURVES, max_size=9)
WINDOWS = st.tuples(INSTANTS, INSTANTS).map(lambda ends: Interval(min(ends), max(ends)))
FILLED = WINDOWS.filter(lambda window: window.seconds > 0)
BORDERS = st.lists(INSTANTS, min_size=1, max_size=8, unique=True).map(sorted)


def naive_value(steps: Sequence[tuple[int, int]], instant: int) -> int:
    """The oracle: walk the steps up to an instant."""
    value = 0
    for since, level in steps:
        if since <= instant:
            value = level
    return value


def steps_in(curve: Curve) -> Steps:
    return list(zip(curve.times.tolist(), curve.values.tolist(), strict=True))


def probes(*curves: Curve) -> list[int]:
    """Every breakpoint, one second before each, and the two ends of time."""
    instants = {EARLIEST, LATEST, 0}
    for curve in curves:
        for t in curve.times.tolist():
            instants |= {t, max(t - 1, EARLIEST)}
    return sorted(instants)


def assert_canonical(curve: Curve | FloatCurve) -> None:
    times, values = curve.times.tolist(), curve.values.tolist()
    assert len(times) == len(values)
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(left != right for left, right in pairwise([0, *values]))
    assert not curve.times.flags.writeable
    assert not curve.values.flags.writeable


@given(steps_of(ANY_INSTANTS, ANY_VALUES) | steps_of(INSTANTS, VALUES))
def test_a_curve_is_what_its_steps_say(steps: Steps) -> None:
    curve = Curve.from_steps(steps)
    assert_canonical(curve)
    instants = probes(Curve.from_steps(steps))
    assert curve.at(instants).tolist() == [naive_value(steps, t) for t in instants]
    assert [curve.value_at(t) for t in instants] == curve.at(instants).tolist()


@given(CURVES, CURVES)
def test_equal_structure_means_equal_function(a: Curve, b: Curve) -> None:
    instants = probes(a, b)
    assert (a == b) == (a.at(instants).tolist() == b.at(instants).tolist())
    if a == b:
        assert hash(a) == hash(b)
    assert pickle.loads(pickle.dumps(a)) == a


@given(SMALL)
def test_redundant_steps_change_nothing(curve: Curve) -> None:
    every = list(range(-31, 32))
    assert Curve.from_arrays(every, curve.at(every)) == curve


@given(CURVES, CURVES, CURVES)
def test_addition_commutes_associates_and_is_undone(a: Curve, b: Curve, c: Curve) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert (a - b) + b == a
    assert a - a == Curve.zero()
    assert a + Curve.zero() == a
    assert Curve.zero() - a == -a
    assert_canonical(a + b)


@given(CURVES, st.integers(-50, 50), st.integers(-50, 50))
def test_multiples_distribute(a: Curve, j: int, k: int) -> None:
    assert a * j + a * k == a * (j + k)
    assert (a * j) * k == k * (j * a)


@given(CURVES, CURVES)
def test_every_pairwise_operation_is_pointwise(a: Curve, b: Curve) -> None:
    instants = probes(a, b)
    pairs = [(naive_value(steps_in(a), t), naive_value(steps_in(b), t)) for t in instants]
    assert (a + b).at(instants).tolist() == [x + y for x, y in pairs]
    assert (a - b).at(instants).tolist() == [x - y for x, y in pairs]
    assert minimum(a, b).at(instants).tolist() == [min(pair) for pair in pairs]
    assert maximum(a, b).at(instants).tolist() == [max(pair) for pair in pairs]
    assert minimum(a, b) + maximum(a, b) == a + b
    assert_canonical(minimum(a, b))


FOLDS: dict[str, Callable[[Curve, Curve], Curve]] = {
    "sum": lambda a, b: a + b,
    "min": minimum,
    "max": maximum,
}


@pytest.mark.parametrize("how", ["sum", "min", "max"])
@given(many=MANY)
def test_combining_at_once_is_folding_pair_by_pair(
    how: Literal["sum", "min", "max"], many: list[Curve]
) -> None:
    if not many and how != "sum":
        return
    combined = combine(many, how)
    assert combined == reduce(FOLDS[how], many, *([Curve.zero()] if how == "sum" else []))
    assert_canonical(combined)
    assert combine(many[::-1], how) == combined


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([60, 10_000, 2**61]))
def test_combining_curves_of_hundreds_of_steps(seed: int, count: int, span: int) -> None:
    """Long runs of pieces exercise every level of the table of least values."""
    rng = np.random.default_rng(seed)
    many = []
    for _ in range(count):
        times = np.sort(rng.integers(-span, span, size=rng.integers(0, 300)))
        keep = np.append(times[1:] != times[:-1], True)[: times.size]
        many.append(Curve.from_arrays(times[keep], rng.integers(-1_000, 1_000, size=int(keep.sum()))))
    instants = np.unique(np.concatenate([rng.integers(-span, span, size=50), *(c.times for c in many)]))
    dense = np.array([curve.at(instants) for curve in many])
    assert combine(many).at(instants).tolist() == dense.sum(axis=0).tolist()
    assert combine(many, "min").at(instants).tolist() == dense.min(axis=0).tolist()
    assert combine(many, "max").at(instants).tolist() == dense.max(axis=0).tolist()


@given(st.lists(curves_of(INSTANTS, ANY_VALUES), min_size=1, max_size=5))
@example([Curve.constant(LARGEST), Curve.constant(LARGEST), Curve.constant(-LARGEST)])
def test_sums_are_exact_or_refused_never_wrapped(many: list[Curve]) -> None:
    instants = probes(*many)
    exact = [sum(naive_value(steps_in(curve), t) for curve in many) for t in instants]
    largest = max(map(abs, exact))
    if largest <= LARGEST:
        assert combine(many).at(instants).tolist() == exact
    else:
        with pytest.raises(OverflowError, match=str(largest)):
            combine(many)


@given(curves_of(INSTANTS, ANY_VALUES), curves_of(INSTANTS, ANY_VALUES), ANY_VALUES, st.integers(1, LARGEST))
def test_arithmetic_is_exact_or_refused_never_wrapped(a: Curve, b: Curve, factor: int, unit: int) -> None:
    instants = probes(a, b)
    ours, theirs = a.at(instants).tolist(), b.at(instants).tolist()
    cases: list[tuple[Callable[[], Curve], list[int]]] = [
        (lambda: a + b, [x + y for x, y in zip(ours, theirs, strict=True)]),
        (lambda: a - b, [x - y for x, y in zip(ours, theirs, strict=True)]),
        (lambda: a * factor, [x * factor for x in ours]),
        (lambda: a.floor_to(unit), [x // unit * unit for x in ours]),
        (lambda: a.ceil_to(unit), [-(-x // unit) * unit for x in ours]),
    ]
    for job, exact in cases:
        if max(map(abs, exact)) <= LARGEST:
            assert job().at(instants).tolist() == exact
        else:
            with pytest.raises(OverflowError, match=str(max(map(abs, exact)))):
                job()


@given(SMALL, st.integers(1, 9))
def test_rounding_brackets_the_value_by_less_than_a_unit(curve: Curve, unit: int) -> None:
    down, up = curve.floor_to(unit), curve.ceil_to(unit)
    assert not (down.values % unit).any()
    assert not (up.values % unit).any()
    assert (curve - down).clip(0, unit - 1) == curve - down
    assert (up - curve).clip(0, unit - 1) == up - curve
    assert down.floor_to(unit) == down.ceil_to(unit) == down


@given(SMALL, INSTANTS, INSTANTS, INSTANTS)
def test_integrals_add_over_adjacent_intervals(curve: Curve, a: int, b: int, c: int) -> None:
    first, middle, last = sorted((a, b, c))
    whole = curve.integrate(Interval(first, last))
    assert whole == curve.integrate(Interval(first, middle)) + curve.integrate(Interval(middle, last))
    assert whole == sum(naive_value(steps_in(curve), t) for t in range(first, last))


@given(curves_of() | curves_of(INSTANTS, ANY_VALUES), BORDERS)
def test_buckets_sum_to_the_whole(curve: Curve, borders: list[int]) -> None:
    exact = [
        sum(naive_value(steps_in(curve), t) for t in range(left, right)) for left, right in pairwise(borders)
    ]
    assert sum(exact) == curve.integrate(Interval(borders[0], borders[-1]))
    if max(map(abs, exact), default=0) <= LARGEST:
        assert curve.integrals(borders).tolist() == exact
    else:
        with pytest.raises(OverflowError, match=str(max(map(abs, exact)))):
            curve.integrals(borders)


@given(SMALL, SMALL, WINDOWS)
def test_integration_is_linear(a: Curve, b: Curve, window: Interval) -> None:
    assert (a + b * 3).integrate(window) == a.integrate(window) + 3 * b.integrate(window)


@given(CURVES, WINDOWS, WINDOWS)
def test_restricting_twice_is_restricting_to_the_overlap(curve: Curve, one: Interval, two: Interval) -> None:
    inside = curve.restrict(one)
    assert inside.restrict(one) == inside
    common = one.overlap(two)
    assert inside.restrict(two) == (curve.restrict(common) if common else Curve.zero())
    assert inside.integrate(Interval(-100, 100)) == curve.integrate(one)
    assert_canonical(inside)
    for t in probes(curve, inside):
        assert inside.value_at(t) == (curve.value_at(t) if t in one else 0)


@given(SMALL, st.integers(-(10**12), 10**12), INSTANTS)
def test_shifting_moves_the_argument_and_is_undone(curve: Curve, seconds: int, instant: int) -> None:
    assert curve.shift(seconds).shift(-seconds) == curve
    assert curve.shift(seconds).value_at(instant + seconds) == curve.value_at(instant)


@given(CURVES, VALUES, VALUES)
def test_clipping_is_pointwise(curve: Curve, one: int, two: int) -> None:
    lo, hi = min(one, two), max(one, two)
    clipped = curve.clip(lo, hi)
    for t in probes(curve):
        assert clipped.value_at(t) == min(max(curve.value_at(t), lo), hi)
    assert clipped == maximum(minimum(curve, Curve.constant(hi)), Curve.constant(lo))
    assert_canonical(clipped)


@given(SMALL, FILLED)
def test_extremes_agree_with_a_scan(curve: Curve, window: Interval) -> None:
    scanned = [naive_value(steps_in(curve), t) for t in range(window.start, window.end)]
    assert (curve.min_over(window), curve.max_over(window)) == (min(scanned), max(scanned))


@given(SMALL, VALUES | SMALL, WINDOWS)
def test_where_below_agrees_with_a_scan(curve: Curve, level: int | Curve, window: Interval) -> None:
    limit = Curve.constant(level) if isinstance(level, int) else level
    found = curve.where_below(level, window)
    scanned = {t for t in range(window.start, window.end) if curve.value_at(t) < limit.value_at(t)}
    assert {t for part in found for t in range(part.start, part.end)} == scanned
    assert all(part.seconds > 0 for part in found)
    assert all(left.end < right.start for left, right in pairwise(found))  # maximal: neighbours never touch


@given(CURVES, WINDOWS)
def test_records_rebuild_the_curve_inside_the_window(curve: Curve, window: Interval) -> None:
    starts, ends, values = curve.to_records(window)
    assert Curve.from_records(starts, ends, values) == curve.restrict(window)
    assert (values != 0).all()
    assert all(window.start <= s < e <= window.end for s, e in zip(starts, ends, strict=True))


@given(st.lists(st.tuples(WINDOWS, ANY_VALUES | VALUES), max_size=10))
def test_records_sum_rectangles_exactly(records: list[tuple[Interval, int]]) -> None:
    exact = [sum(v for part, v in records if t in part) for t in range(-31, 32)]
    columns = [p.start for p, _ in records], [p.end for p, _ in records], [v for _, v in records]
    if max(map(abs, exact)) > LARGEST:
        with pytest.raises(OverflowError, match=str(max(map(abs, exact)))):
            Curve.from_records(*columns)
        return
    curve = Curve.from_records(*columns)
    assert curve.at(range(-31, 32)).tolist() == exact
    assert_canonical(curve)


@given(SMALL, BORDERS)
def test_resampling_holds_the_value_at_each_border(curve: Curve, borders: list[int]) -> None:
    held = [(t, curve.value_at(t)) for t in borders]
    assert curve.resample(borders).at(range(-31, 32)).tolist() == [
        naive_value(held, t) for t in range(-31, 32)
    ]


@given(st.lists(SMALL, max_size=6), FILLED)
def test_segments_tell_all_there_is_inside_a_window(many: list[Curve], window: Interval) -> None:
    borders = merged_times(many, window)
    inside = {t for curve in many for t in curve.times.tolist() if window.start < t < window.end}
    assert borders.tolist() == sorted(inside | {window.start, window.end})
    assert set(borders[1:-1].tolist()) == {t for curve in many for t in curve.breakpoints(window).tolist()}
    table = matrix(many, borders)
    assert table.shape == (len(many), borders.size - 1)
    for row, curve in zip(table, many, strict=True):
        assert Curve.from_arrays(borders, np.append(row, 0)) == curve.restrict(window)


@given(SMALL, SMALL, FILLED, st.integers(1, 9))
def test_forecasts_of_whole_numbers_agree_with_curves(
    a: Curve, b: Curve, window: Interval, unit: int
) -> None:
    """Small whole numbers are exact as floats, so that every shared operation has to give the same."""
    x, y = (FloatCurve.from_arrays(curve.times, curve.values) for curve in (a, b))
    pairs: list[tuple[FloatCurve, Curve]] = [
        (x + y, a + b), (x - y, a - b), (-x, -a), (x * unit, a * unit), (minimum(x, y), minimum(a, b)),
        (maximum(x, y), maximum(a, b)), (x.clip(-1, 2), a.clip(-1, 2)),
        (x.restrict(window), a.restrict(window)),
        (x.shift(unit), a.shift(unit)), (x.resample([0, 5, 9]), a.resample([0, 5, 9])),
    ]  # fmt: skip
    for forecast, curve in pairs:
        assert_canonical(forecast)
        assert forecast.quantise(1, "nearest") == curve
    assert x.quantise(unit, "up") == a.ceil_to(unit)
    assert x.quantise(unit, "down") == a.floor_to(unit)
    assert x.integrate(window) == a.integrate(window)
    assert x.integrals([-9, 0, 9]).tolist() == a.integrals([-9, 0, 9]).tolist()
    assert (x.min_over(window), x.max_over(window)) == (a.min_over(window), a.max_over(window))
    assert x.where_below(y, window) == a.where_below(b, window)
    assert x.value_at(0) == a.value_at(0)


@given(st.floats(-1e15, 1e15), st.integers(1, 10**6))
def test_quantising_up_and_down_brackets_the_forecast(value: float, unit: int) -> None:
    forecast = FloatCurve.constant(value)
    down, up, nearest = (forecast.quantise(unit, how).value_at(0) for how in ("down", "up", "nearest"))
    assert down <= value <= up
    assert up - down in (0, unit)
    assert nearest in (down, up)
