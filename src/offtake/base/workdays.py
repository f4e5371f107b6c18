"""Business days: days that are neither Saturday, Sunday nor a public holiday of a named place."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays

from offtake.base.months import plus_days

LAST_YEAR = 2100
"""Holidays of years beyond it aren't forecast."""


def check_place(place: str) -> None:
    """Refuse a place whose holidays aren't known.

    Args:
        place: a country such as ``US``, with a part of it such as ``US-TX``, or an exchange such as ``NYSE``.

    Raises:
        ValueError: naming the place.
    """
    try:
        _calendar(place)
    except NotImplementedError as error:
        raise ValueError(
            f"the holidays of {place!r} aren't known; write a country such as US, a part of it such as "
            "US-TX, or an exchange such as NYSE"
        ) from error


@lru_cache(maxsize=64)
def _calendar(place: str) -> holidays.HolidayBase:
    if place in holidays.list_supported_financial():
        return holidays.financial_holidays(place)
    country, _, part = place.partition("-")
    return holidays.country_holidays(country, subdiv=part or None)


@lru_cache(maxsize=65_536)
def is_business_day(day: date, place: str) -> bool:
    """Whether a day is a business day in a place.

    Raises:
        ValueError: beyond the last year for which holidays are forecast.
    """
    if day.year > LAST_YEAR:
        raise ValueError(f"{day} is after {LAST_YEAR}, and holidays aren't forecast that far")
    return day.weekday() < 5 and day not in _calendar(place)


def plus_business_days(day: date, count: int, place: str) -> date:
    """The last of so many business days after a day; the day itself isn't counted."""
    while count > 0:
        day = plus_days(day, 1)
        count -= is_business_day(day, place)
    return day
