"""Curves by example: edges, refusals and exactness."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

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
from offtake.base.time import HOUR_S, Interval, parse_instant

RAMP = Curve.from_steps([(10, 4), (20, 7), (30, 0)])


def test_a_value_holds_from_its_breakpoint_until_just_before_the_next() -> None:
    assert RAMP.at([9, 10, 19, 20, 29, 30, 1_000]).tolist() == [0, 4, 4, 7, 7, 0, 0]
    assert [RAMP.value_at(t) for t in (9, 10, 19, 20)] == [0, 4, 4, 7]


def test_the_last_value_holds_for_ever_and_nothing_holds_before_the_first() -> None:
    curve = Curve.from_steps([(10, 4)])
    assert curve.value_at(LATEST) == 4
    assert curve.value_at(EARLIEST) == 0


def test_canonical_form_drops_what_changes_nothing() -> None:
    wordy = Curve.from_arrays([1, 2, 10, 15, 20, 30, 40], [0, 0, 4, 4, 7, 0, 0])
    assert wordy == RAMP
    assert hash(wordy) == hash(RAMP)
    assert wordy.times.tolist() == [10, 20, 30]


def test_zero_is_the_curve_without_breakpoints() -> None:
    zero = Curve.zero()
    window = Interval(-5, 5)
    assert zero == Curve.constant(0) == Curve.constant(7, Interval(3, 3)) == RAMP - RAMP == RAMP * 0
    assert zero.at([1, 2]).tolist() == [0, 0]
    assert zero.at([]).tolist() == []
    assert (zero.integrate(window), zero.min_over(window), zero.max_over(window)) == (0, 0, 0)
    assert zero.integrals([0, 5, 9]).tolist() == [0, 0]
    assert zero.where_below(1, window) == (window,)
    assert zero.shift(5) == zero.restrict(window) == zero.floor_to(8) == -zero == zero
    assert combine([]) == combine([zero, zero]) == combine([zero, zero], "max") == zero
    assert [part.tolist() for part in zero.to_records(window)] == [[], [], []]


def test_a_constant_without_an_interval_holds_at_all_times() -> None:
    always = Curve.constant(5)
    assert always.value_at(EARLIEST) == always.value_at(LATEST) == 5
    assert always.shift(HOUR_S) == always
    assert Curve.constant(5, Interval(10, 20)).at([9, 10, 19, 20]).tolist() == [0, 5, 5, 0]


def test_equality_asks_for_the_same_scale_and_kind() -> None:
    assert Curve.constant(5, scale=2) != Curve.constant(5)
    assert Curve.constant(5).__eq__(FloatCurve.constant(5.0)) is NotImplemented
    assert Curve.constant(5) != FloatCurve.constant(5.0)


def test_local_clock_changes_leave_no_trace() -> None:
    # Europe's clocks went forward at 01:00Z: the day still has 24 h of 3,600 s here.
    day = Interval(parse_instant("2026-03-29T00:00:00Z"), parse_instant("2026-03-30T00:00:00Z"))
    curve = Curve.constant(8, day)
    assert curve.integrate(day) == 8 * 24 * HOUR_S
    assert curve.integrals(np.arange(day.start, day.end + 1, HOUR_S)).tolist() == [8 * HOUR_S] * 24


def test_arithmetic_at_every_step() -> None:
    other = Curve.from_steps([(15, -2), (25, 1)])
    assert (RAMP + other).at([10, 15, 20, 25, 30]).tolist() == [4, 2, 5, 8, 1]
    assert (RAMP - other).at([10, 15, 20, 25, 30]).tolist() == [4, 6, 9, 6, -1]
    assert (3 * RAMP).values.tolist() == [12, 21, 0]
    assert RAMP * -1 == -RAMP
    assert minimum(RAMP, other).at([5, 10, 15, 20, 25, 30]).tolist() == [0, 0, -2, -2, 1, 0]
    assert maximum(RAMP, other).at([5, 10, 15, 20, 25, 30]).tolist() == [0, 4, 4, 7, 7, 1]


def test_records_overlap_touch_and_may_be_empty() -> None:
    curve = Curve.from_records([0, 10, 5, 7], [10, 20, 15, 7], [3, 3, 1, 99])
    assert curve == Curve.from_steps([(0, 3), (5, 4), (15, 3), (20, 0)])
    starts, ends, values = curve.to_records(Interval(2, 12))
    assert (starts.tolist(), ends.tolist(), values.tolist()) == ([2, 5], [5, 12], [3, 4])


def test_clip_holds_before_the_first_breakpoint_too() -> None:
    assert RAMP.clip(hi=5).values.tolist() == [4, 5, 0]
    assert RAMP.clip(lo=5).at([EARLIEST, 10, 20, 30]).tolist() == [5, 5, 7, 5]
    assert RAMP.clip(hi=-1) == Curve.constant(-1)
    assert Curve.constant(9).clip(2, 4) == Curve.constant(4)
    assert RAMP.clip() == RAMP


def test_restrict_keeps_the_inside_and_closes_its_end() -> None:
    assert RAMP.restrict(Interval(15, 25)) == Curve.from_steps([(15, 4), (20, 7), (25, 0)])
    assert RAMP.restrict(Interval(10, 30)) == RAMP
    assert RAMP.restrict(Interval(15, 15)) == RAMP.restrict(Interval(0, 10)) == Curve.zero()


def test_shift_leaves_always_and_for_ever_where_they_are() -> None:
    assert RAMP.shift(-5).times.tolist() == [5, 15, 25]
    curve = Curve.from_arrays([EARLIEST, 10, LATEST], [1, 2, 0])
    assert curve.shift(5).times.tolist() == [EARLIEST, 15, LATEST]
    with pytest.raises(OverflowError, match=str(LATEST)):
        RAMP.shift(LATEST)


def test_rounding_to_multiples_goes_down_and_up_the_number_line() -> None:
    curve = Curve.from_steps([(0, 325_000), (1, -73), (2, 72)])
    assert curve.floor_to(72).values.tolist() == [324_936, -144, 72]
    assert curve.ceil_to(72).values.tolist() == [325_008, -72, 72]


def test_integrals_split_at_borders_inside_a_piece() -> None:
    assert RAMP.integrate(Interval(0, 100)) == 4 * 10 + 7 * 10
    assert RAMP.integrate(Interval(12, 22)) == 4 * 8 + 7 * 2
    assert RAMP.integrate(Interval(12, 12)) == 0
    assert RAMP.integrals([0, 12, 22, 100]).tolist() == [8, 46, 56]
    assert RAMP.integrals([0]).tolist() == []


def test_resample_holds_the_value_at_each_border() -> None:
    assert RAMP.resample([5, 15, 25]) == Curve.from_steps([(15, 4), (25, 7)])


def test_extremes_over_half_open_intervals() -> None:
    assert (RAMP.min_over(Interval(10, 30)), RAMP.max_over(Interval(10, 20))) == (4, 4)
    assert (RAMP.min_over(Interval(9, 30)), RAMP.max_over(Interval(10, 21))) == (0, 7)


def test_where_below_is_strict_and_joins_neighbours() -> None:
    window = Interval(0, 40)
    assert RAMP.where_below(7, window) == (Interval(0, 20), Interval(30, 40))
    assert RAMP.where_below(0, window) == ()
    assert RAMP.where_below(8, window) == (window,)
    assert RAMP.where_below(Curve.constant(5, Interval(12, 18)), window) == (Interval(12, 18),)
    assert RAMP.where_below(7, Interval(3, 3)) == ()


def test_segments_of_many_curves() -> None:
    other = Curve.from_steps([(15, 2), (50, 3)])
    borders = merged_times([RAMP, other], Interval(10, 40))
    assert borders.tolist() == [10, 15, 20, 30, 40]
    assert matrix([RAMP, other], borders).tolist() == [[4, 4, 7, 0], [0, 2, 2, 2]]
    assert RAMP.breakpoints(Interval(10, 30)).tolist() == [20]
    assert merged_times([], Interval(3, 3)).tolist() == [3]
    assert matrix([], [1, 2]).shape == (0, 1)
    assert matrix([RAMP], [3]).shape == (1, 0)


def test_a_segment_in_which_a_curve_changes_has_no_value() -> None:
    with pytest.raises(ValueError, match="curve 1 changes at 20"):
        matrix([Curve.zero(), RAMP], [10, 30])


def test_combining_many() -> None:
    curves = [RAMP, RAMP.shift(5), Curve.constant(-1), Curve.zero()]
    assert combine(curves) == RAMP + RAMP.shift(5) + Curve.constant(-1)
    assert combine(curves[:2], "min").at([9, 10, 15, 20, 25, 30, 35]).tolist() == [0, 0, 4, 4, 7, 0, 0]
    assert combine([RAMP, Curve.zero()], "max") == RAMP
    assert combine([-RAMP, Curve.zero()], "max") == Curve.zero()
    assert combine([RAMP], "max") is RAMP


@pytest.mark.parametrize("how", ["sum", "min", "max"])
def test_combining_over_the_whole_range_of_instants(how: Any) -> None:
    # Instant and position don't fit one integer here: the other way of sorting.
    curves = [Curve.from_arrays([EARLIEST + i, 0, LATEST - i], [3 + i, -i, 8 - i]) for i in range(5)]
    folded = {"sum": lambda a, b: a + b, "min": minimum, "max": maximum}[how]
    expected = curves[0]
    for curve in curves[1:]:
        expected = folded(expected, curve)
    assert combine(curves, how) == expected


def test_scales_must_match() -> None:
    cents, dollars = Curve.constant(5, scale=2), Curve.constant(5)
    jobs: list[Callable[[], object]] = [
        lambda: cents + dollars,
        lambda: cents - dollars,
        lambda: minimum(cents, dollars),
        lambda: maximum(cents, dollars),
        lambda: combine([cents, dollars]),
        lambda: combine([cents, cents, dollars], "max"),
        lambda: matrix([cents, dollars], [0, 1]),
        lambda: cents.where_below(dollars, Interval(0, 1)),
    ]
    for job in jobs:
        with pytest.raises(TypeError, match="scale"):
            job()


def test_every_result_keeps_its_scale() -> None:
    price = Curve.from_steps([(0, 527), (10, 410)], scale=2)
    window = Interval(0, 20)
    results = [
        price + price, -price, price * 2, price.clip(0, 500), price.restrict(window), price.shift(3),
        price.floor_to(10), price.ceil_to(10), price.resample([0, 5]), combine([price, price]),
        combine([price, price.shift(1)], "max"), minimum(price, price), pickle.loads(pickle.dumps(price)),
        Curve.from_records([0], [1], [2], scale=2), Curve.zero(2), price * 0,
    ]  # fmt: skip
    assert {result.scale for result in results} == {2}
    assert price.where_below(500, window) == (Interval(10, 20),)


def test_a_float_never_becomes_a_curve() -> None:
    jobs: list[Callable[[], object]] = [
        lambda: Curve.from_arrays([1], [1.0]),
        lambda: Curve.from_arrays([1.0], [1]),
        lambda: Curve.from_arrays(np.array([]), []),
        lambda: Curve.from_arrays([1], [True]),
        lambda: Curve.from_arrays([1], [Decimal(1)]),  # type: ignore[arg-type]
        lambda: Curve.from_arrays(["1"], [1]),
        lambda: Curve.from_steps([(1, 2.5)]),  # type: ignore[list-item]
        lambda: Curve.constant(1.0),  # type: ignore[arg-type]
        lambda: Curve.constant(True),
        lambda: Curve.from_records([0], [1], [0.5]),
        lambda: RAMP * 1.5,  # type: ignore[operator]
        lambda: RAMP + 1,  # type: ignore[operator]
        lambda: RAMP + FloatCurve.constant(1.0),  # type: ignore[operator]
        lambda: RAMP - FloatCurve.constant(1.0),  # type: ignore[operator]
        lambda: FloatCurve.constant(1.0) + RAMP,  # type: ignore[operator]
        lambda: minimum(RAMP, FloatCurve.constant(1.0)),  # type: ignore[type-var]
        lambda: maximum(FloatCurve.constant(1.0), RAMP),  # type: ignore[type-var]
        lambda: combine([FloatCurve.constant(1.0)]),  # type: ignore[list-item]
        lambda: combine([RAMP, FloatCurve.constant(1.0)]),  # type: ignore[list-item]
        lambda: matrix([FloatCurve.constant(1.0)], [0, 1]),  # type: ignore[list-item]
        lambda: RAMP.clip(lo=0.5),  # type: ignore[arg-type]
        lambda: RAMP.where_below(0.5, Interval(0, 1)),  # type: ignore[arg-type]
        lambda: RAMP.shift(0.5),  # type: ignore[arg-type]
        lambda: RAMP.at([0.5]),
        lambda: RAMP.value_at(0.5),  # type: ignore[arg-type]
        lambda: RAMP.integrals([0.0, 1.0]),
        lambda: RAMP.floor_to(2.0),  # type: ignore[arg-type]
        lambda: Curve.zero(1.0),  # type: ignore[arg-type]
    ]
    for number, job in enumerate(jobs):
        with pytest.raises(TypeError):
            pytest.fail(f"job {number} accepted a float: {job()}")


@pytest.mark.parametrize(
    ("job", "offending"),
    [
        (lambda: Curve.from_arrays([5, 5], [1, 2]), "5 is followed by 5"),
        (lambda: Curve.from_arrays([5, 4], [1, 2]), "5 is followed by 4"),
        (lambda: Curve.from_arrays([5, 6], [1]), "1 for 2"),
        (lambda: Curve.from_arrays([[5]], [[1]]), r"\(1, 1\)"),
        (lambda: Curve.from_arrays([2**62 + 1], [1]), str(2**62 + 1)),
        (lambda: Curve.from_records([5], [4], [1]), "5 .. 4"),
        (lambda: Curve.from_records([5], [6], [1, 2]), "2"),
        (lambda: Curve.from_records([-(2**62) - 1], [6], [1]), str(2**62 + 1)),
        (lambda: Curve.zero(-1), "-1"),
        (lambda: Curve.zero(19), "19"),
        (lambda: RAMP.clip(3, 2), "3 is above the upper limit 2"),
        (lambda: RAMP.floor_to(0), "0"),
        (lambda: RAMP.ceil_to(-8), "-8"),
        (lambda: RAMP.min_over(Interval(3, 3)), "empty"),
        (lambda: RAMP.max_over(Interval(3, 3)), "empty"),
        (lambda: RAMP.integrals([]), "none given"),
        (lambda: RAMP.integrals([3, 3]), "3 is followed by 3"),
        (lambda: RAMP.resample([3, 2]), "3 is followed by 2"),
        (lambda: RAMP.integrate(Interval(0, 2**62 + 1)), str(2**62 + 1)),
        (lambda: combine([RAMP], "mean"), "mean"),  # type: ignore[arg-type]
        (lambda: combine([], "min"), "min"),
        (lambda: FloatCurve.from_arrays([1], [float("nan")]), "nan"),
        (lambda: FloatCurve.from_arrays([1], [float("inf")]), "inf"),
        (lambda: FloatCurve.from_arrays([1], [[1.0]]), r"\(1, 1\)"),
        (lambda: FloatCurve.constant(1.0) * float("nan"), "nan"),
        (lambda: FloatCurve.constant(1.0).clip(2.0, 1.0), "2.0"),
        (lambda: FloatCurve.constant(1.0).quantise(0, "up"), "0"),
        (lambda: FloatCurve.constant(1.0).quantise(1, "sideways"), "sideways"),  # type: ignore[arg-type]
    ],
)
def test_bad_values_are_named(job: Callable[[], object], offending: str) -> None:
    with pytest.raises(ValueError, match=offending):
        job()


HUGE = Curve.constant(LARGEST, Interval(0, 10))


@pytest.mark.parametrize(
    ("job", "magnitude"),
    [
        (lambda: Curve.from_arrays([1], [2**63]), 2**63),
        (lambda: Curve.from_arrays([1], [-(2**63)]), 2**63),
        (lambda: Curve.from_arrays([1], np.array([2**63], dtype=np.uint64)), 2**63),
        (lambda: Curve.from_arrays([1], [2**70]), 2**70),
        (lambda: Curve.constant(2**63), 2**63),
        (lambda: HUGE + HUGE, 2 * LARGEST),
        (lambda: -HUGE - HUGE, 2 * LARGEST),
        (lambda: combine([HUGE, HUGE, HUGE]), 3 * LARGEST),
        (lambda: combine([-HUGE, -HUGE]), 2 * LARGEST),
        (lambda: Curve.from_records([0, 0], [1, 1], [LARGEST, 1]), LARGEST + 1),
        (lambda: HUGE * 2, 2 * LARGEST),
        (lambda: HUGE * -2, 2 * LARGEST),
        (lambda: HUGE.ceil_to(1000), (LARGEST // 1000 + 1) * 1000),
        (lambda: (-HUGE).floor_to(1000), (LARGEST // 1000 + 1) * 1000),
        (lambda: HUGE.integrals([0, 2]), 2 * LARGEST),
    ],
)
def test_overflow_is_raised_with_its_magnitude_and_never_wraps(
    job: Callable[[], object], magnitude: int
) -> None:
    with pytest.raises(OverflowError, match=str(magnitude)):
        job()


def test_what_just_fits_is_not_refused() -> None:
    # The cheap bound alone would refuse all of these; the exact answer fits.
    assert (HUGE - HUGE).times.size == 0
    assert combine([HUGE, -HUGE, HUGE]) == HUGE
    assert combine([HUGE, HUGE.shift(10), HUGE.shift(20)]) == Curve.constant(LARGEST, Interval(0, 30))
    assert Curve.from_records([0, 10], [10, 20], [LARGEST] * 2) == Curve.constant(LARGEST, Interval(0, 20))
    assert HUGE.integrate(Interval(0, 10)) == 10 * LARGEST
    assert HUGE.integrals([-5, 1]).tolist() == [LARGEST]
    assert HUGE.floor_to(1000).value_at(0) == LARGEST // 1000 * 1000
    assert combine([HUGE, -HUGE], "min") == -HUGE


def test_arrays_are_private_and_read_only() -> None:
    times, values = np.array([1, 2]), np.array([3, 4])
    curve = Curve.from_arrays(times, values)
    times[0], values[0] = 0, 0
    assert curve == Curve.from_steps([(1, 3), (2, 4)])
    for made in (
        curve,
        curve + curve,
        curve.shift(1),
        combine([curve, RAMP]),
        curve.restrict(Interval(0, 9)),
    ):
        for array in (made.times, made.values, made.breakpoints(Interval(0, 9))):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    with pytest.raises(AttributeError):
        curve.scale = 3  # type: ignore[misc]


@pytest.mark.parametrize("curve", [RAMP * 3, Curve.zero(4), FloatCurve.from_steps([(1, 0.1)])])
@pytest.mark.parametrize("remake", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy, copy.copy])
def test_copies_are_equal_and_read_only(curve: Curve | FloatCurve, remake: Callable[[Any], Any]) -> None:
    again = remake(curve)
    assert again == curve
    assert type(again) is type(curve)
    assert hash(again) == hash(curve)
    assert not again.times.flags.writeable
    assert not again.values.flags.writeable
    assert not hasattr(again, "__dict__")


def test_curves_print_their_first_steps() -> None:
    assert repr(RAMP * 1) == "Curve(10: 4, 20: 7, 30: 0)"
    assert repr(Curve.from_steps([(i, i) for i in range(1, 9)], scale=2)).endswith(
        "6: 6, ... 8 in all; scale 2)"
    )
    assert repr(FloatCurve.constant(0.5, Interval(0, 2))) == "FloatCurve(0: 0.5, 2: 0.0)"


FORECAST = FloatCurve.from_steps([(10, 0.25), (20, 1.5), (30, 0.0)])


def test_forecasts_have_the_same_algebra() -> None:
    window = Interval(0, 40)
    assert (FORECAST + FORECAST).values.tolist() == [0.5, 3.0, 0.0]
    assert FORECAST - FORECAST == FORECAST * 0.0 == FloatCurve.zero()
    assert (2 * FORECAST).value_at(20) == 3.0
    assert FORECAST.value_at(9) == 0.0
    assert FORECAST.integrate(window) == 17.5
    assert FORECAST.integrals([0, 20, 40]).tolist() == [2.5, 15.0]
    assert FORECAST.integrals([0]).tolist() == []
    assert (FORECAST.min_over(window), FORECAST.max_over(window)) == (0.0, 1.5)
    assert FORECAST.where_below(1.0, window) == (Interval(0, 20), Interval(30, 40))
    assert FORECAST.where_below(FORECAST + FORECAST, window) == (Interval(10, 30),)
    assert FORECAST.clip(0.5, 1.0).at([0, 10, 20]).tolist() == [0.5, 0.5, 1.0]
    assert minimum(FORECAST, FloatCurve.constant(1.0)).max_over(window) == 1.0
    assert FORECAST.restrict(Interval(15, 18)) == FloatCurve.constant(0.25, Interval(15, 18))
    assert FloatCurve.constant(2.0, Interval(3, 3)) == FloatCurve.zero()
    assert merged_times([FORECAST, RAMP], window).tolist() == [0, 10, 20, 30, 40]


def test_a_negative_zero_is_zero() -> None:
    negative = FloatCurve.from_steps([(0, 1.0), (5, -0.0)])
    positive = FloatCurve.from_steps([(0, 1.0), (5, 0.0)])
    assert negative == positive
    assert hash(negative) == hash(positive) == hash(positive * -0.0 + positive)


def test_a_forecast_that_leaves_the_range_of_floats_is_refused() -> None:
    vast = FloatCurve.constant(1e308)
    jobs: list[Callable[[], object]] = [
        lambda: vast + vast,
        lambda: vast * 10.0,
        lambda: vast.integrate(Interval(0, 1_000)),
        lambda: vast.integrals([0, 1_000]),
        lambda: vast.quantise(1, "up"),
    ]
    for job in jobs:
        with pytest.raises(OverflowError):
            job()
    with pytest.raises(TypeError, match="number"):
        vast * "2"  # type: ignore[operator]


def test_quantising_says_how_it_rounds() -> None:
    forecast = FloatCurve.from_steps([(0, 11.9), (1, 12.1), (2, -0.1), (3, 16.0), (4, 4.0)])
    assert forecast.quantise(8, "down").at(range(5)).tolist() == [8, 8, -8, 16, 0]
    assert forecast.quantise(8, "up").at(range(5)).tolist() == [16, 16, 0, 16, 8]
    assert forecast.quantise(8, "nearest").at(range(5)).tolist() == [8, 16, 0, 16, 0]
