"""Piecewise-constant functions of time on numpy arrays.

A curve is zero before its first breakpoint; each value holds from its breakpoint (included) to the next
one (excluded), and the last value holds for ever. Curves are canonical: no two neighbouring values are
equal and the first isn't zero, so that two curves are the same function exactly when their arrays are equal.

`Curve` holds whole numbers (GPUs, or prices and watts as scaled integers) and is exact: a result that
doesn't fit 64 bits raises OverflowError and never wraps. `FloatCurve` is for forecasts; nothing turns it
into a `Curve` but an explicit `quantise`, so that a float never becomes money by accident.
"""

# The functions at the end are part of the two classes: they reach into them, nobody else does.
# ruff: noqa: SLF001
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offtake.base.time import Interval

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Number = TypeVar("Number", bound=np.int64 | np.float64)

# A quarter of what 64 bits hold, so that the distance between any two instants always fits.
EARLIEST: Final = -(2**62)
LATEST: Final = 2**62
# Symmetric: the one negative number without a positive twin is refused, so negation never overflows.
LARGEST: Final = 2**63 - 1


def _whole_numbers(what: str, given: ArrayLike) -> Ints:
    """Check that an array-like is one-dimensional and whole, without ever converting a float."""
    array = np.asarray(given)
    if array.size == 0 and not isinstance(given, np.ndarray):
        array = array.astype(np.int64)
    if array.ndim != 1:
        raise ValueError(f"{what} of a curve have one dimension, not shape {array.shape}")
    if array.dtype.kind in "iu":
        # Compared before conversion: an unsigned 2**63 would turn negative.
        if array.size and (int(array.max()) > LARGEST or int(array.min()) < -LARGEST):
            raise OverflowError(f"{what} of a curve fit 64 bits, not {_largest(array)}")
        return array.astype(np.int64)
    if array.dtype.kind == "O" and all(type(item) is int for item in array):
        raise OverflowError(f"{what} of a curve fit 64 bits, not {_largest(array)}")
    raise TypeError(f"{what} of a curve are whole numbers, not {array.dtype}: {array[:1].tolist()}")


def _whole_number(what: str, given: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int | np.integer):
        raise TypeError(f"{what} is a whole number, not {given!r}")
    if abs(int(given)) > LARGEST:
        raise OverflowError(f"{what} fits 64 bits, not {given}")
    return int(given)


def _finite_floats(given: ArrayLike) -> Floats:
    array = np.array(given, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"values of a curve have one dimension, not shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"values of a curve are finite, not {array[~np.isfinite(array)][0]}")
    return array


def _in_range(values: Floats) -> Floats:
    """Refuse results of arithmetic that left the range of floats."""
    if not np.isfinite(values).all():
        raise OverflowError(f"a forecast leaves the range of floats: {values[~np.isfinite(values)][0]}")
    return values


def _rising(times: Ints) -> Ints:
    """Check instants: strictly increasing and near enough that differences fit 64 bits."""
    stuck = np.flatnonzero(times[1:] <= times[:-1])
    if stuck.size:
        first = int(stuck[0])
        raise ValueError(
            f"instants must rise: {times[first]} is followed by {times[first + 1]} at {first + 1}"
        )
    if times.size and (times[0] < EARLIEST or times[-1] > LATEST):
        raise ValueError(f"instants lie within ±2**62 seconds: {times[0]} .. {times[-1]}")
    return times


def _borders(given: ArrayLike) -> Ints:
    borders = _rising(_whole_numbers("borders", given))
    if borders.size == 0:
        raise ValueError("borders of buckets need at least one instant, none given")
    return borders


def _span(window: Interval) -> tuple[int, int]:
    if window.start < EARLIEST or window.end > LATEST:
        raise ValueError(f"instants lie within ±2**62 seconds: {window.start} .. {window.end}")
    return window.start, window.end


def _largest(values: NDArray[Any]) -> int:
    """The greatest magnitude, as an exact Python integer."""
    return max(int(values.max()), -int(values.min())) if values.size else 0


def _narrowed(what: str, exact: NDArray[Any]) -> Ints:
    """Exact Python integers as 64-bit ones.

    Raises:
        OverflowError: naming the greatest magnitude, if one doesn't fit.
    """
    largest = _largest(exact)
    if largest > LARGEST:
        raise OverflowError(f"{what} reaches {largest}, more than 64 bits hold ({LARGEST})")
    return exact.astype(np.int64)


def _distinct(ordered: Ints) -> NDArray[np.bool_]:
    """True at the first of each run of equal numbers."""
    first = np.empty(ordered.size, dtype=np.bool_)
    first[:1] = True
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first


def _union(*instants: Ints) -> Ints:
    # Not np.unique: numpy 2.4 hashes before it sorts, many times slower on a million instants.
    merged = np.concatenate(instants)
    merged.sort()
    return merged[_distinct(merged)]


def _sorted_with_order(times: Ints) -> tuple[Ints, Ints]:
    """Sorted instants, and where each came from; the order among equals isn't promised.

    Instant and position are packed into one integer where they fit, because numpy sorts plain integers
    faster than it finds an order (a million on a CPU with AVX-512: 6.5 ms against 14 ms).
    """
    if times.size == 0:
        return times, np.empty(0, dtype=np.int64)
    bits = int(times.size - 1).bit_length()
    base = int(times.min())
    if bits + (int(times.max()) - base).bit_length() > 63:
        order = np.argsort(times)
        return times[order], order
    packed = times - base
    packed <<= bits
    packed |= np.arange(times.size)
    packed.sort()
    order = packed & ((1 << bits) - 1)
    packed >>= bits
    packed += base
    return packed, order


def _canonical(times: Ints, values: NDArray[Number]) -> tuple[Ints, NDArray[Number]]:
    """Drop breakpoints at which nothing changes, and lock the arrays."""
    keep = np.empty(values.size, dtype=np.bool_)
    keep[:1] = values[:1] != 0
    np.not_equal(values[1:], values[:-1], out=keep[1:])
    if not keep.all():
        times, values = times[keep], values[keep]
    times.flags.writeable = False
    values.flags.writeable = False
    return times, values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Steps(Generic[Number]):
    """What both kinds of curve share: everything that doesn't depend on how values are added up."""

    times: Ints
    values: NDArray[Number]

    def __post_init__(self) -> None:
        times = _rising(_whole_numbers("times", self.times))
        values = self._checked(self.values)
        if times.size != values.size:
            raise ValueError(f"a curve has one value per instant, not {values.size} for {times.size}")
        times, values = _canonical(times, values)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    @staticmethod
    @abstractmethod
    def _checked(given: ArrayLike) -> NDArray[Number]:
        """A private copy of values of the right kind."""

    @abstractmethod
    def _like(self, times: Ints, values: NDArray[Number]) -> Self:
        """A curve of the same kind from arrays known to be valid and not yet canonical."""

    @abstractmethod
    def _twin(self, other: Self) -> None:
        """Refuse another curve that this one can't be combined with."""

    def _merged(self, other: Self) -> tuple[Ints, NDArray[Number], NDArray[Number]]:
        """All breakpoints of two curves and the values of each at them."""
        self._twin(other)
        times = _union(self.times, other.times)
        return times, self._sampled(times), other._sampled(times)

    def _sampled(self, instants: Ints) -> NDArray[Number]:
        found = np.searchsorted(self.times, instants, side="right")
        if self.times.size == 0:
            return np.zeros(instants.size, dtype=self.values.dtype)
        # A position of -1 reads the last value; those are then the zeros before the first breakpoint.
        sampled = self.values[found - 1]
        sampled[found == 0] = 0
        return sampled

    def _pieces(self, window: Interval) -> tuple[Ints, NDArray[Number]]:
        """Borders (one more than pieces) and values of the constant pieces that fill a window."""
        start, end = _span(window)
        after = int(np.searchsorted(self.times, start, side="right"))
        until = int(np.searchsorted(self.times, end, side="left"))
        at_start = self.values[after - 1 : after] if after else np.zeros(1, dtype=self.values.dtype)
        borders = np.concatenate(([start], self.times[after:until], [end]), dtype=np.int64)
        return borders, np.concatenate((at_start, self.values[after:until]))

    def _cut(self, borders: Ints) -> tuple[NDArray[Number], Ints, Ints]:
        """Values and lengths of the pieces that fill the buckets, and where each bucket's pieces begin."""
        inside = self.breakpoints(Interval(int(borders[0]), int(borders[-1])))
        cuts = _union(borders, inside)
        return self._sampled(cuts[:-1]), np.diff(cuts), np.searchsorted(cuts, borders[:-1])

    def __repr__(self) -> str:
        """The first few steps, for people."""
        shown = [f"{t}: {v}" for t, v in zip(self.times[:6].tolist(), self.values[:6].tolist(), strict=True)]
        rest = [f"... {self.times.size} in all"] if self.times.size > len(shown) else []
        scale = getattr(self, "scale", 0)
        return f"{type(self).__name__}({', '.join(shown + rest)}{f'; scale {scale}' if scale else ''})"

    def at(self, instants: ArrayLike) -> NDArray[Number]:
        """Values at instants, in any order.

        Shapes: ``int64[n]`` to ``[n]``.
        """
        return self._sampled(_whole_numbers("instants", instants))

    def restrict(self, interval: Interval) -> Self:
        """The same inside an interval, zero outside (its end is outside)."""
        if interval.seconds == 0:
            return self._like(self.times[:0], self.values[:0])
        borders, values = self._pieces(interval)
        return self._like(borders, np.concatenate((values, np.zeros(1, dtype=values.dtype))))

    def shift(self, seconds: int) -> Self:
        """Everything so much later (earlier when negative).

        `EARLIEST` and `LATEST` stand for always and for ever: breakpoints there stay where they are.

        Raises:
            OverflowError: if a breakpoint would leave the instants between those two.
        """
        offset = _whole_number("a shift", seconds)
        moving = self.times[(self.times != EARLIEST) & (self.times != LATEST)]
        if moving.size == 0:
            return self
        first, last = int(moving[0]) + offset, int(moving[-1]) + offset
        if first <= EARLIEST or last >= LATEST:
            raise OverflowError(f"a shift by {offset} s moves instants out of range: {first} .. {last}")
        pinned = (self.times == EARLIEST) | (self.times == LATEST)
        return self._like(np.where(pinned, self.times, self.times + offset), self.values)

    def resample(self, borders: ArrayLike) -> Self:
        """The value at each border, held to the next; after the last for ever, before the first zero."""
        instants = _borders(borders)
        return self._like(instants, self._sampled(instants))

    def breakpoints(self, window: Interval) -> Ints:
        """Instants strictly inside a window at which the value changes."""
        start, end = _span(window)
        after, until = np.searchsorted(self.times, start, side="right"), np.searchsorted(self.times, end)
        return self.times[after:until]

    def to_records(self, window: Interval) -> tuple[Ints, Ints, NDArray[Number]]:
        """Starts, ends and values of the non-zero runs inside a window; ends are exclusive."""
        if window.seconds == 0:
            return self.times[:0], self.times[:0], self.values[:0]
        borders, values = self._pieces(window)
        filled = values != 0
        return borders[:-1][filled], borders[1:][filled], values[filled]

    def _filled(self, window: Interval) -> NDArray[Number]:
        if window.seconds == 0:
            raise ValueError(f"a curve has no least or greatest value over an empty interval: {window}")
        return self._pieces(window)[1]

    def _below(self, level: Self, window: Interval) -> tuple[Interval, ...]:
        """Maximal intervals of a window in which this curve lies strictly below another."""
        self._twin(level)
        if window.seconds == 0:
            return ()
        borders = _union(np.array(_span(window)), self.breakpoints(window), level.breakpoints(window))
        below = np.zeros(borders.size + 1, dtype=np.bool_)
        below[1:-1] = self._sampled(borders[:-1]) < level._sampled(borders[:-1])
        # Runs begin and end, alternately, where the answer changes.
        turns = borders[below[1:] != below[:-1]].tolist()
        return tuple(map(Interval, turns[::2], turns[1::2]))

    def _limited(self, low: NDArray[Number] | None, high: NDArray[Number] | None) -> Self:
        """Clip; where zero itself lies outside the limits, the curve holds a limit since always."""
        values, before = self.values, np.zeros(1, dtype=self.values.dtype)
        if low is not None:
            values, before = np.maximum(values, low), np.maximum(before, low)
        if high is not None:
            values, before = np.minimum(values, high), np.minimum(before, high)
        if before[0] == 0 or self.times[:1].tolist() == [EARLIEST]:
            return self._like(self.times, values)
        return self._like(np.concatenate(([EARLIEST], self.times)), np.concatenate((before, values)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Curve(_Steps[np.int64]):
    """A piecewise-constant function of time with whole values, exact or refused.

    Shapes: `times` ``int64[n]`` strictly increasing, `values` ``int64[n]``; both read-only.
    Units: `times` in seconds since the epoch, UTC; actual value = `values` / 10**`scale`.

    Raises:
        TypeError: if times or values aren't whole numbers.
        ValueError: if instants don't rise or the arrays don't match.
        OverflowError: if a value doesn't fit 64 bits.
    """

    scale: int = 0

    def __post_init__(self) -> None:
        if type(self.scale) is not int:
            raise TypeError(f"a curve's scale is a whole number, not {self.scale!r}")
        if not 0 <= self.scale <= 18:
            raise ValueError(f"a curve's scale is from 0 to 18 decimal places, not {self.scale}")
        # Named, because a dataclass with slots is a new class that a bare super() doesn't know.
        _Steps.__post_init__(self)

    @classmethod
    def zero(cls, scale: int = 0) -> Curve:
        """Zero at all times."""
        return cls.from_arrays([], [], scale)

    @classmethod
    def constant(cls, value: int, interval: Interval | None = None, scale: int = 0) -> Curve:
        """One value inside an interval and zero outside; without an interval, at all times."""
        whole = _whole_number("a value", value)
        if interval is None:
            return cls.from_arrays([EARLIEST], [whole], scale)
        if interval.seconds == 0:
            return cls.zero(scale)
        return cls.from_arrays([interval.start, interval.end], [whole, 0], scale)

    @classmethod
    def from_steps(cls, steps: Iterable[tuple[int, int]], scale: int = 0) -> Curve:
        """From pairs of an instant and the value that holds from then on, in order."""
        pairs = list(steps)
        return cls.from_arrays([t for t, _ in pairs], [v for _, v in pairs], scale)

    @classmethod
    def from_arrays(cls, times: ArrayLike, values: ArrayLike, scale: int = 0) -> Curve:
        """From breakpoints in order and their values, checked and copied, never sorted."""
        return cls(times=times, values=values, scale=scale)  # type: ignore[arg-type]  # checked when built

    @classmethod
    def from_records(cls, starts: ArrayLike, ends: ArrayLike, values: ArrayLike, scale: int = 0) -> Curve:
        """The sum of rectangles: each value from its start (included) to its end (excluded).

        Shapes: ``int64[n]`` each, in any order; rectangles may overlap and may be empty.

        Raises:
            ValueError: if the arrays differ in length or a rectangle ends before it starts.
            OverflowError: if the sum doesn't fit 64 bits.
        """
        left, right = _whole_numbers("starts", starts), _whole_numbers("ends", ends)
        heights = _whole_numbers("values", values)
        if not left.size == right.size == heights.size:
            raise ValueError(f"records need equal lengths, not {left.size}, {right.size} and {heights.size}")
        backward = np.flatnonzero(right < left)
        if backward.size:
            at = int(backward[0])
            raise ValueError(f"record {at} ends before it starts: {left[at]} .. {right[at]}")
        if left.size and (left.min() < EARLIEST or right.max() > LATEST):
            raise ValueError(f"instants lie within ±2**62 seconds: {left.min()} .. {right.max()}")
        if _largest(heights) * heights.size > LARGEST:
            heights = heights.astype(object)
        deltas = np.concatenate((heights, -heights))
        return cls.zero(scale)._like(*_accumulated(np.concatenate((left, right)), deltas))

    @staticmethod
    def _checked(given: ArrayLike) -> Ints:
        return _whole_numbers("values", given)

    def _like(self, times: Ints, values: Ints) -> Self:
        return self._rebuilt(*_canonical(times, values), self.scale)

    @classmethod
    def _rebuilt(cls, times: Ints, values: Ints, scale: int) -> Self:
        curve = object.__new__(cls)
        object.__setattr__(curve, "times", times)
        object.__setattr__(curve, "values", values)
        object.__setattr__(curve, "scale", scale)
        return curve

    def _twin(self, other: Self) -> None:
        if not isinstance(other, Curve):
            raise TypeError(f"a Curve can't be combined with {other!r}")
        if other.scale != self.scale:
            raise TypeError(f"curves of scale {self.scale} and {other.scale} can't be combined")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the checks; arrays come back read-only, which numpy alone would forget."""
        return type(self).from_arrays, (self.times, self.values, self.scale)

    def __eq__(self, other: object) -> bool:
        """The same function of time at the same scale."""
        if not isinstance(other, Curve):
            return NotImplemented
        return (
            self.scale == other.scale
            and np.array_equal(self.times, other.times)
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return hash((self.times.tobytes(), self.values.tobytes(), self.scale))

    def __add__(self, other: Curve) -> Curve:
        if not isinstance(other, Curve):
            return NotImplemented
        times, mine, theirs = self._merged(other)
        if _largest(mine) + _largest(theirs) <= LARGEST:
            return self._like(times, mine + theirs)
        return self._like(times, _narrowed("a sum of curves", mine.astype(object) + theirs))

    def __sub__(self, other: Curve) -> Curve:
        if not isinstance(other, Curve):
            return NotImplemented
        return self + -other

    def __neg__(self) -> Curve:
        return self._like(self.times, -self.values)

    def __mul__(self, factor: int) -> Curve:
        whole = _whole_number("a factor", factor)
        largest = _largest(self.values) * abs(whole)
        if largest > LARGEST:
            raise OverflowError(
                f"a curve times {whole} reaches {largest}, more than 64 bits hold ({LARGEST})"
            )
        return self._like(self.times, self.values * whole)

    __rmul__ = __mul__

    def clip(self, lo: int | None = None, hi: int | None = None) -> Curve:
        """The value brought within limits at every instant, those before the first breakpoint included.

        Raises:
            ValueError: if the lower limit is above the upper.
        """
        if lo is not None and hi is not None and lo > hi:
            raise ValueError(f"the lower limit {lo} is above the upper limit {hi}")
        low = None if lo is None else np.array([_whole_number("a limit", lo)])
        return self._limited(low, None if hi is None else np.array([_whole_number("a limit", hi)]))

    def floor_to(self, multiple: int) -> Curve:
        """Each value brought down (towards minus infinity) to a multiple.

        Raises:
            ValueError: if the multiple isn't positive.
        """
        unit = _whole_number("a multiple", multiple)
        if unit <= 0:
            raise ValueError(f"values are brought to multiples of a positive number, not {unit}")
        if _largest(self.values) + unit <= LARGEST:
            return self._like(self.times, self.values // unit * unit)
        exact = self.values.astype(object) // unit * unit
        return self._like(self.times, _narrowed(f"a curve in multiples of {unit}", exact))

    def ceil_to(self, multiple: int) -> Curve:
        """Each value brought up (towards plus infinity) to a multiple.

        Raises:
            ValueError: if the multiple isn't positive.
        """
        return -((-self).floor_to(multiple))

    def value_at(self, instant: int) -> int:
        """The value at one instant."""
        found = int(np.searchsorted(self.times, _whole_number("an instant", instant), side="right"))
        return int(self.values[found - 1]) if found else 0

    def integrate(self, interval: Interval) -> int:
        """Exact value-seconds over an interval, whatever their size.

        Units: units of `values` (10**-scale) times seconds.
        """
        borders, values = self._pieces(interval)
        lengths = np.diff(borders)
        if _largest(values) * interval.seconds <= LARGEST:
            return int(np.dot(values, lengths))
        return int(np.dot(values.astype(object), lengths.astype(object)))

    def integrals(self, borders: ArrayLike) -> Ints:
        """Exact value-seconds in each bucket from one border to the next.

        Shapes: ``int64[K+1]`` strictly increasing to ``int64[K]``.

        Raises:
            OverflowError: if one bucket doesn't fit 64 bits; `integrate` has no such limit.
        """
        edges = _borders(borders)
        if edges.size == 1:
            return np.empty(0, dtype=np.int64)
        values, lengths, heads = self._cut(edges)
        if _largest(values) * int(np.diff(edges).max()) <= LARGEST:
            return np.add.reduceat(values * lengths, heads)
        return _narrowed("an integral", np.add.reduceat(values.astype(object) * lengths, heads))

    def min_over(self, interval: Interval) -> int:
        """The least value in an interval that isn't empty."""
        return int(self._filled(interval).min())

    def max_over(self, interval: Interval) -> int:
        """The greatest value in an interval that isn't empty."""
        return int(self._filled(interval).max())

    def where_below(self, level: int | Curve, window: Interval) -> tuple[Interval, ...]:
        """Maximal intervals of a window in which this curve is strictly below a level or another curve.

        Units: a level given as a number is in units of `values`.
        """
        other = level if isinstance(level, Curve) else Curve.constant(level, None, self.scale)
        return self._below(other, window)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class FloatCurve(_Steps[np.float64]):
    """A piecewise-constant forecast; it can't be mixed with a `Curve` and so can't reach rating.

    Shapes: `times` ``int64[n]`` strictly increasing, `values` ``float64[n]``, finite; both read-only.
    Units: `times` in seconds since the epoch, UTC.

    Raises:
        TypeError: if times aren't whole numbers.
        ValueError: if instants don't rise, the arrays don't match or a value isn't finite.
    """

    @classmethod
    def zero(cls) -> FloatCurve:
        """Zero at all times."""
        return cls.from_arrays([], [])

    @classmethod
    def constant(cls, value: float, interval: Interval | None = None) -> FloatCurve:
        """One value inside an interval and zero outside; without an interval, at all times."""
        if interval is None:
            return cls.from_arrays([EARLIEST], [value])
        if interval.seconds == 0:
            return cls.zero()
        return cls.from_arrays([interval.start, interval.end], [value, 0])

    @classmethod
    def from_steps(cls, steps: Iterable[tuple[int, float]]) -> FloatCurve:
        """From pairs of an instant and the value that holds from then on, in order."""
        pairs = list(steps)
        return cls.from_arrays([t for t, _ in pairs], [v for _, v in pairs])

    @classmethod
    def from_arrays(cls, times: ArrayLike, values: ArrayLike) -> FloatCurve:
        """From breakpoints in order and their values, checked and copied, never sorted."""
        return cls(times=times, values=values)  # type: ignore[arg-type]  # checked when built

    @staticmethod
    def _checked(given: ArrayLike) -> Floats:
        # Adding zero turns -0.0 into 0.0: equal curves must have equal bytes, and so equal hashes.
        return _finite_floats(given) + 0.0

    def _like(self, times: Ints, values: Floats) -> Self:
        curve = object.__new__(type(self))
        times, values = _canonical(times, _in_range(values) + 0.0)
        object.__setattr__(curve, "times", times)
        object.__setattr__(curve, "values", values)
        return curve

    def _twin(self, other: Self) -> None:
        if not isinstance(other, FloatCurve):
            raise TypeError(f"a FloatCurve can't be combined with {other!r}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle through the checks; arrays come back read-only."""
        return type(self).from_arrays, (self.times, self.values)

    def __eq__(self, other: object) -> bool:
        """The same function of time, to the last bit."""
        if not isinstance(other, FloatCurve):
            return NotImplemented
        return np.array_equal(self.times, other.times) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.times.tobytes(), self.values.tobytes()))

    def __add__(self, other: FloatCurve) -> FloatCurve:
        if not isinstance(other, FloatCurve):
            return NotImplemented
        times, mine, theirs = self._merged(other)
        with np.errstate(over="ignore"):
            return self._like(times, mine + theirs)

    def __sub__(self, other: FloatCurve) -> FloatCurve:
        if not isinstance(other, FloatCurve):
            return NotImplemented
        return self + -other

    def __neg__(self) -> FloatCurve:
        return self._like(self.times, -self.values)

    def __mul__(self, factor: float) -> FloatCurve:
        if not isinstance(factor, int | float | np.floating | np.integer):
            raise TypeError(f"a forecast is multiplied by a number, not {factor!r}")
        if not np.isfinite(factor):
            raise ValueError(f"a forecast is multiplied by a finite number, not {factor}")
        with np.errstate(over="ignore"):
            return self._like(self.times, self.values * float(factor))

    __rmul__ = __mul__

    def clip(self, lo: float | None = None, hi: float | None = None) -> FloatCurve:
        """The value brought within limits at every instant, those before the first breakpoint included.

        Raises:
            ValueError: if the lower limit is above the upper or one isn't finite.
        """
        if lo is not None and hi is not None and lo > hi:
            raise ValueError(f"the lower limit {lo} is above the upper limit {hi}")
        low = None if lo is None else _finite_floats([lo])
        return self._limited(low, None if hi is None else _finite_floats([hi]))

    def value_at(self, instant: int) -> float:
        """The value at one instant."""
        found = int(np.searchsorted(self.times, _whole_number("an instant", instant), side="right"))
        return float(self.values[found - 1]) if found else 0.0

    def integrate(self, interval: Interval) -> float:
        """Value-seconds over an interval.

        Units: units of `values` times seconds.
        """
        borders, values = self._pieces(interval)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(_in_range(np.dot(values, np.diff(borders))))

    def integrals(self, borders: ArrayLike) -> Floats:
        """Value-seconds in each bucket from one border to the next.

        Shapes: ``int64[K+1]`` strictly increasing to ``float64[K]``.
        """
        edges = _borders(borders)
        if edges.size == 1:
            return np.empty(0, dtype=np.float64)
        values, lengths, heads = self._cut(edges)
        with np.errstate(over="ignore", invalid="ignore"):
            return _in_range(np.add.reduceat(values * lengths, heads))

    def min_over(self, interval: Interval) -> float:
        """The least value in an interval that isn't empty."""
        return float(self._filled(interval).min())

    def max_over(self, interval: Interval) -> float:
        """The greatest value in an interval that isn't empty."""
        return float(self._filled(interval).max())

    def where_below(self, level: float | FloatCurve, window: Interval) -> tuple[Interval, ...]:
        """Maximal intervals of a window in which this curve is strictly below a level or another curve."""
        other = level if isinstance(level, FloatCurve) else FloatCurve.constant(level)
        return self._below(other, window)

    def quantise(self, unit: int, how: Literal["nearest", "up", "down"]) -> Curve:
        """Whole multiples of a unit: the one way from a forecast to a curve, and it says how it rounds.

        Up is towards plus infinity, down towards minus infinity, both exact; nearest is the multiple
        nearest to the value divided by the unit as a float, half to even.

        Raises:
            ValueError: if the unit isn't positive or `how` isn't one of the three.
            OverflowError: if a value doesn't fit 64 bits.
        """
        if _whole_number("a unit", unit) <= 0:
            raise ValueError(f"values are brought to multiples of a positive number, not {unit}")
        largest = float(np.abs(self.values).max(initial=0))
        # 2**62 and not 2**63: a float has no digits to tell a value just inside the limit from one outside.
        if largest + unit > LATEST:
            raise OverflowError(f"a forecast of {largest} in multiples of {unit} doesn't fit 64 bits")
        match how:
            case "nearest":
                return Curve.from_arrays(self.times, np.rint(self.values / unit).astype(np.int64) * unit)
            case "up":
                return Curve.from_arrays(self.times, np.ceil(self.values).astype(np.int64)).ceil_to(unit)
            case "down":
                return Curve.from_arrays(self.times, np.floor(self.values).astype(np.int64)).floor_to(unit)
        raise ValueError(f"a forecast is rounded 'nearest', 'up' or 'down', not {how!r}")


Either = TypeVar("Either", Curve, FloatCurve)


def minimum(a: Either, b: Either) -> Either:
    """The lower of two curves of one kind at every instant."""
    times, mine, theirs = a._merged(b)
    return a._like(times, np.minimum(mine, theirs))


def maximum(a: Either, b: Either) -> Either:
    """The higher of two curves of one kind at every instant."""
    times, mine, theirs = a._merged(b)
    return a._like(times, np.maximum(mine, theirs))


def combine(curves: Iterable[Curve], how: Literal["sum", "min", "max"] = "sum") -> Curve:
    """Many curves at once into one, in the time of one sort of all their breakpoints.

    The sum of no curves is zero at scale 0; no curves have no least or greatest.

    Raises:
        TypeError: if scales differ.
        ValueError: if there is no curve to take the least or greatest of, or `how` is unknown.
        OverflowError: if a sum doesn't fit 64 bits.
    """
    if how not in ("sum", "min", "max"):
        raise ValueError(f"curves combine by 'sum', 'min' or 'max', not {how!r}")
    many = tuple(curves)
    if not many:
        if how == "sum":
            return Curve.zero()
        raise ValueError(f"no curves have no {how}")
    _ensure_alike(many)
    if len(many) == 1:
        return many[0]
    sizes = np.array([curve.times.size for curve in many])
    times = np.concatenate([curve.times for curve in many])
    values = np.concatenate([curve.values for curve in many])
    if times.size == 0:
        return many[0]
    if how == "sum":
        return many[0]._like(*_accumulated(times, _changes(values, sizes)))
    return many[0]._like(*_extreme(times, values, sizes, np.minimum if how == "min" else np.maximum))


def _ensure_alike(curves: Sequence[Curve]) -> None:
    """Refuse forecasts and mixed scales; typing alone would let a forecast slip through at run time."""
    for curve in curves:
        Curve._twin(curves[0], curve)


def _changes(values: Ints, sizes: Ints) -> NDArray[Any]:
    """By how much each breakpoint changes its curve, in 64 bits where no sum of them can overflow."""
    # Differences may wrap around, but so do the sums made of them; what counts is that totals fit.
    held: NDArray[Any] = values if _largest(values) * sizes.size <= LARGEST else values.astype(object)
    changes = held.copy()
    changes[1:] -= held[:-1]
    firsts = np.cumsum(sizes)[:-1][sizes[1:] > 0]
    changes[firsts] = held[firsts]
    return changes


def _accumulated(times: Ints, changes: NDArray[Any]) -> tuple[Ints, Ints]:
    """Running totals of dated changes: one sort, one sum; exact when changes are Python integers."""
    ordered, order = _sorted_with_order(times)
    totals = np.cumsum(changes[order])
    last = np.empty(ordered.size, dtype=np.bool_)
    last[-1:] = True
    np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
    totals = totals[last]
    return ordered[last], _narrowed("a sum of curves", totals) if totals.dtype == object else totals


def _extreme(times: Ints, values: Ints, sizes: Ints, pick: np.ufunc) -> tuple[Ints, Ints]:
    """The least or greatest of many curves, without a matrix of curves by instants.

    Each constant piece covers a run of the merged instants. A run of length n is the union of two
    (overlapping) runs of length 2**k <= n; a table holds the extreme of all runs of that length by their
    first instant. From the longest down, each table is folded into the two halves of its runs. Least and
    greatest don't mind that a run is counted twice, which is why sums are not made this way.

    Source: the sparse table of Bender and Farach-Colton, The LCA Problem Revisited (2000), section 3,
        run backwards: updates by range, then a read of every point.
    """
    ordered, order = _sorted_with_order(times)
    fresh = _distinct(ordered)
    left = np.empty(times.size, dtype=np.int64)
    left[order] = np.cumsum(fresh) - 1
    instants = ordered[fresh]
    right = np.empty_like(left)
    right[:-1] = left[1:]
    right[np.cumsum(sizes)[sizes > 0] - 1] = instants.size
    # Each curve is zero until its first breakpoint, so zero counts until the last curve has begun.
    firsts = (np.cumsum(sizes) - sizes)[sizes > 0]
    begun = int(left[firsts].max()) if sizes.all() else instants.size
    if begun:
        left, right, values = np.append(left, 0), np.append(right, begun), np.append(values, 0)
    return instants, _painted(left, right, values, instants.size, pick)


def _painted(left: Ints, right: Ints, values: Ints, size: int, pick: np.ufunc) -> Ints:
    """The extreme at each position of values laid over ranges [left, right) that cover every position."""
    # The exponent of a float is the place of the leading bit; exact, as no range is 2**53 long.
    level = (np.frexp(right - left)[1] - 1).astype(np.int8)
    by_level = np.argsort(level, kind="stable")
    edges = np.searchsorted(level[by_level], np.arange(int(level.max()) + 2))
    table = np.full(size, LARGEST if pick is np.minimum else -LARGEST, dtype=np.int64)
    for k in range(edges.size - 2, -1, -1):
        chosen = by_level[edges[k] : edges[k + 1]]
        pick.at(table, left[chosen], values[chosen])
        pick.at(table, right[chosen] - (1 << k), values[chosen])
        if k:
            half = 1 << (k - 1)
            folded = table.copy()
            pick(table[half:], table[:-half], out=folded[half:])
            table = folded
    return table


def merged_times(curves: Iterable[Curve | FloatCurve], window: Interval) -> Ints:
    """Every instant of a window at which any curve changes, with the window's start and end.

    Shapes: ``int64[K+1]``, the borders of K segments on which every curve is constant.
    """
    return _union(np.array(_span(window)), *(curve.breakpoints(window) for curve in curves))


def matrix(curves: Sequence[Curve], times: ArrayLike) -> Ints:
    """The value of each curve on each segment from one instant to the next.

    Shapes: n curves and ``int64[K+1]`` borders, as from `merged_times`, to ``int64[n, K]``.

    Raises:
        ValueError: if a curve changes inside a segment, where it has no one value; `Curve.at` samples.
        TypeError: if scales differ.
    """
    borders = _borders(times)
    window = Interval(int(borders[0]), int(borders[-1]))
    table = np.zeros((len(curves), borders.size - 1), dtype=np.int64)
    _ensure_alike(curves)
    for row, curve in enumerate(curves):
        inside = curve.breakpoints(window)
        missed = inside[borders[np.searchsorted(borders, inside)] != inside]
        if missed.size:
            raise ValueError(f"curve {row} changes at {missed[0]}, inside a segment")
        table[row] = curve._sampled(borders[:-1])
    return table
