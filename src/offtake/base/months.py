"""Local calendar time: the one place where months, dates and time zones become instants.

Agreements speak in local calendar months; everything else speaks in UTC instants. A local midnight
that a clock change skips is the first instant that exists on that date; one that occurs twice is the
first of the two (PEP 495, fold=0).
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from offtake.base.time import Interval


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month, such as 2026-07, in no particular time zone."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1 <= self.month <= 12 and 1900 <= self.year <= 9000):
            raise ValueError(f"{self.year:04d}-{self.month:02d} is no calendar month")

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    def plus(self, months: int) -> Month:
        """The month so many months later (earlier when negative)."""
        index = self.year * 12 + self.month - 1 + months
        return Month(index // 12, index % 12 + 1)

    def interval(self, zone: str) -> Interval:
        """From local midnight of its first day to local midnight of the next month's first day."""
        return _month_interval(self.year, self.month, zone)


def parse_month(text: str) -> Month:
    """Read ``2026-07``.

    Raises:
        ValueError: if the text isn't a year, a dash and a two-digit month.
    """
    year, dash, month = text.partition("-")
    if dash and len(year) == 4 and len(month) == 2 and year.isdigit() and month.isdigit():
        return Month(int(year), int(month))
    raise ValueError(f"{text!r} is no calendar month; write it like 2026-07")


def months_through(first: Month, last: Month) -> Iterator[Month]:
    """Every month from first to last, both included."""
    while first <= last:
        yield first
        first = first.plus(1)


def local_hours(interval: Interval, zone: str) -> list[tuple[int, int, int]]:
    """The clock hours of an interval that begins on one: start, local hour of the day, weekday (Monday is 0).

    Where clocks go back an hour comes twice, where they go forward one is missing.
    """
    info = ZoneInfo(zone)
    found = []
    for start in range(interval.start, interval.end, 3_600):
        local = datetime.fromtimestamp(start, info)
        found.append((start, local.hour, local.weekday()))
    return found


def check_zone(zone: str) -> None:
    """Refuse a time zone that the tz database doesn't know.

    Raises:
        ValueError: naming the zone.
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{zone!r} is no time zone of the tz database, such as America/Chicago") from error


@lru_cache(maxsize=65_536)
def local_midnight(day: date, zone: str) -> int:
    """The first instant of a local date.

    Where a clock change skips midnight, it is the first instant that exists that day.
    """
    info = ZoneInfo(zone)
    midnight = datetime.combine(day, time.min, info)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(info).replace(tzinfo=None) != midnight.replace(tzinfo=None):
        # Skipped midnight: fold=0 maps it past the gap by the old offset; step back to the gap's edge.
        after = midnight.replace(fold=1).astimezone(UTC)
        return _first_instant_of(
            day, info, int(min(instant, after).timestamp()), int(max(instant, after).timestamp())
        )
    return int(instant.timestamp())


def _first_instant_of(day: date, info: ZoneInfo, before: int, on: int) -> int:
    """Bisect the change of clocks for the first second whose local date is `day`."""
    while on - before > 1:
        middle = (before + on) // 2
        if datetime.fromtimestamp(middle, info).date() >= day:
            on = middle
        else:
            before = middle
    return on


@lru_cache(maxsize=65_536)
def _month_interval(year: int, month: int, zone: str) -> Interval:
    following = Month(year, month).plus(1)
    return Interval(
        local_midnight(date(year, month, 1), zone),
        local_midnight(date(following.year, following.month, 1), zone),
    )


def local_date(instant: int, zone: str) -> date:
    """The local date at an instant."""
    return datetime.fromtimestamp(instant, ZoneInfo(zone)).date()


def month_of(instant: int, zone: str) -> Month:
    """The local calendar month that holds an instant."""
    day = local_date(instant, zone)
    return Month(day.year, day.month)


def month_of_date(day: date) -> Month:
    """The calendar month of a date."""
    return Month(day.year, day.month)


def months_in(interval: Interval, zone: str) -> tuple[Month, ...]:
    """The local months that share at least one second with an interval."""
    if interval.seconds == 0:
        return ()
    return tuple(months_through(month_of(interval.start, zone), month_of(interval.end - 1, zone)))


def days_in_month(month: Month) -> int:
    """Calendar days."""
    return monthrange(month.year, month.month)[1]


def plus_months(day: date, months: int) -> date:
    """The same day so many months later, or the month's last day where that day doesn't exist."""
    target = Month(day.year, day.month).plus(months)
    return date(target.year, target.month, min(day.day, days_in_month(target)))


def plus_days(day: date, days: int) -> date:
    """So many calendar days later."""
    return day + timedelta(days=days)
