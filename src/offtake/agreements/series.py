"""Published series that agreements refer to: price indices, power tariffs, on-demand rates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from offtake.base.declared import Declared


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One published value.

    Attributes:
        on: the day it is for.
        value: in the series' own unit.
        published: the day it became known; the day it is for when left out.
    """

    on: date
    value: Decimal
    published: date | None = None

    @property
    def known(self) -> date:
        """The day from which it may be used."""
        return self.published or self.on


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Declared):
    """A value of a series, as the book learns it.

    Attributes:
        series: name of the series, as agreements name it.
        on: the day it is for.
        value: in the series' own unit.
        published: the day it became known; the day it is for when left out.
    """

    series: str
    on: date
    value: Decimal
    published: date | None = None

    @property
    def point(self) -> Point:
        """As a point of its series."""
        return Point(on=self.on, value=self.value, published=self.published)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values by day, in order of days; a day may have a later revision after its first value.

    Attributes:
        name: as the agreement names it, such as ``SDH100RT``.
        points: in order of day, then of publication.
        unit: for people, such as ``USD per GPU-hour``.
        source: who publishes it.
    """

    name: str
    points: tuple[Point, ...] = ()
    unit: str = ""
    source: str = ""

    @classmethod
    def of(cls, name: str, points: Iterable[Point], **more: str) -> Series:
        """From points in any order."""
        return cls(name=name, points=tuple(sorted(points, key=lambda p: (p.on, p.known))), **more)

    def at(self, day: date, *, known: date | None = None) -> Point | None:
        """The latest first-published value for `day` or before it; later revisions are ignored.

        Args:
            day: for which a value is wanted.
            known: only what was published by then; everything when left out.
        """
        last = bisect_right(self.points, day, key=lambda point: point.on)
        best: Point | None = None
        for point in reversed(self.points[:last]):
            if best is not None and point.on != best.on:
                break
            if known is None or point.known <= known:
                best = point
        return best

    def first_values(self, start: date, end: date, *, known: date | None = None) -> tuple[Point, ...]:
        """The first-published value of every day in start <= day < end that has one."""
        found: dict[date, Point] = {}
        for point in self.points:
            if start <= point.on < end and (known is None or point.known <= known):
                found.setdefault(point.on, point)
        return tuple(found.values())

    def mean(self, start: date, end: date, *, known: date | None = None) -> Fraction | None:
        """The plain average of the days in start <= day < end that have a value, exact."""
        points = self.first_values(start, end, known=known)
        return sum((Fraction(p.value) for p in points), Fraction(0)) / len(points) if points else None
