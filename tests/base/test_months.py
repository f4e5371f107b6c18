"""Local calendar months become instants in one place, clock changes included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from offtake.base.months import (
    Month,
    check_zone,
    days_in_month,
    local_date,
    local_midnight,
    month_of,
    month_of_date,
    months_in,
    months_through,
    parse_month,
    plus_days,
    plus_months,
)
from offtake.base.time import DAY_S, HOUR_S, Interval, format_instant, parse_instant

CHICAGO = "America/Chicago"

zones = st.sampled_from(sorted(available_timezones()))
months = st.builds(Month, st.integers(1971, 2037), st.integers(1, 12))
days = st.dates(date(1971, 1, 1), date(2037, 12, 31))


@pytest.mark.parametrize(
    ("month", "zone", "hours"),
    [
        (Month(2026, 11), CHICAGO, 721),
        (Month(2027, 3), CHICAGO, 743),
        (Month(2026, 7), CHICAGO, 744),
        (Month(2028, 2), CHICAGO, 696),
        (Month(2026, 10), "Europe/Berlin", 745),
        (Month(2026, 11), "UTC", 720),
        (Month(2011, 12), "Pacific/Apia", 30 * 24),  # Samoa skipped 30 December
    ],
)
def test_a_month_has_the_hours_that_its_clocks_showed(month: Month, zone: str, hours: int) -> None:
    assert month.interval(zone).seconds == hours * HOUR_S


def test_a_month_is_half_open_from_midnight_to_midnight() -> None:
    assert Month(2026, 11).interval(CHICAGO) == Interval(
        parse_instant("2026-11-01T05:00:00Z"), parse_instant("2026-12-01T06:00:00Z")
    )


@pytest.mark.parametrize(
    ("day", "zone", "first"),
    [
        # clocks went from 00:00 to 01:00: the day begins at 01:00
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        # the whole day is skipped: it begins, empty, where the next one does
        (date(2011, 12, 30), "Pacific/Apia", "2011-12-30T10:00:00Z"),
        (date(2011, 12, 31), "Pacific/Apia", "2011-12-30T10:00:00Z"),
        # clocks went from 23:30 to 00:30: the day begins at 00:30
        (date(1919, 3, 31), "America/Toronto", "1919-03-31T04:30:00Z"),
        # midnight occurs twice (01:00 became 00:00): the first counts
        (date(2026, 11, 1), "America/Havana", "2026-11-01T04:00:00Z"),
        # not a change at midnight
        (date(2026, 11, 1), CHICAGO, "2026-11-01T05:00:00Z"),
    ],
)
def test_a_day_begins_with_the_first_instant_that_exists(day: date, zone: str, first: str) -> None:
    assert format_instant(local_midnight(day, zone)) == first


@given(days, zones)
@example(date(2018, 11, 4), "America/Sao_Paulo")
@example(date(2011, 12, 30), "Pacific/Apia")
@example(date(1919, 3, 31), "America/Toronto")
def test_the_second_before_midnight_is_an_earlier_day(day: date, zone: str) -> None:
    at = local_midnight(day, zone)
    info = ZoneInfo(zone)
    assert datetime.fromtimestamp(at, info).date() >= day
    assert datetime.fromtimestamp(at - 1, info).date() < day


@given(days, zones, st.integers(1, 40))
def test_midnights_never_run_backwards(day: date, zone: str, later: int) -> None:
    assert local_midnight(day, zone) <= local_midnight(day + timedelta(days=later), zone)


@given(months, zones)
@example(Month(2011, 12), "Pacific/Apia")
@example(Month(2026, 10), "Australia/Lord_Howe")
def test_consecutive_months_tile_the_line(month: Month, zone: str) -> None:
    this, following = month.interval(zone), month.plus(1).interval(zone)
    assert this.end == following.start
    # between 27 days (a short February less a skipped day) and 31 days and an hour or so
    assert 27 * DAY_S <= this.seconds <= 31 * DAY_S + 3 * HOUR_S


@given(months, zones, st.integers(1, 24))
def test_months_in_an_interval_are_the_ones_that_tile_it(first: Month, zone: str, count: int) -> None:
    whole = Interval(first.interval(zone).start, first.plus(count).interval(zone).start)
    found = months_in(whole, zone)
    assert found == tuple(months_through(first, first.plus(count - 1)))
    assert sum(month.interval(zone).seconds for month in found) == whole.seconds


# Since 2015 no zone sets its clocks back across midnight; before, a local date could come twice.
@given(st.integers(1_420_070_400, 2_100_000_000), zones)
def test_an_instant_is_in_the_month_that_is_found_for_it(instant: int, zone: str) -> None:
    month = month_of(instant, zone)
    assert instant in month.interval(zone)
    assert month == month_of_date(local_date(instant, zone))


def test_an_interval_touches_a_month_only_if_it_shares_a_second() -> None:
    border = Month(2026, 12).interval(CHICAGO).start
    assert months_in(Interval(border - 1, border), CHICAGO) == (Month(2026, 11),)
    assert months_in(Interval(border - 1, border + 1), CHICAGO) == (Month(2026, 11), Month(2026, 12))
    assert months_in(Interval(border, border), CHICAGO) == ()


@pytest.mark.parametrize(
    ("day", "months_later", "expected"),
    [
        (date(2026, 5, 3), 3, date(2026, 8, 3)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 9, 30), 1, date(2026, 10, 30)),
        (date(2026, 3, 31), -1, date(2026, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
    ],
)
def test_months_later_clamps_to_the_last_day(day: date, months_later: int, expected: date) -> None:
    assert plus_months(day, months_later) == expected


@given(days, st.integers(-60, 60))
def test_months_later_lands_in_that_month_on_that_day_or_its_last(day: date, months_later: int) -> None:
    later = plus_months(day, months_later)
    target = month_of_date(day).plus(months_later)
    assert month_of_date(later) == target
    assert later.day == min(day.day, days_in_month(target))


@given(months, st.integers(-300, 300), st.integers(-300, 300))
def test_adding_months_is_adding(month: Month, a: int, b: int) -> None:
    assert month.plus(a).plus(b) == month.plus(a + b)
    assert (month.plus(a) > month) == (a > 0)


@given(months)
def test_a_month_reads_as_it_is_written(month: Month) -> None:
    assert parse_month(str(month)) == month
    assert month.interval("UTC").seconds == days_in_month(month) * DAY_S


@pytest.mark.parametrize(
    "text", ["2026-7", "2026/07", "26-07", "2026-13", "2026-00", "july", "", "2026-07-01"]
)
def test_what_isn_t_a_month_is_refused_by_its_text(text: str) -> None:
    with pytest.raises(ValueError, match="no calendar month"):
        parse_month(text)


@pytest.mark.parametrize("zone", ["Chicago", "america", "", "../etc/passwd", "UTC+6"])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone") as refused:
        check_zone(zone)
    assert repr(zone) in str(refused.value)


def test_days_later_cross_months() -> None:
    # 90 days after 3 August is 1 November: the published first exit of the first agreement
    assert plus_days(date(2026, 8, 3), 90) == date(2026, 11, 1)
    assert plus_days(date(2027, 1, 1), 90) == date(2027, 4, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [("2026-07-01T00:00:00", "no time zone"), ("2026-07-01T00:00:00.5Z", "fraction"), ("soon", "soon")],
)
def test_an_instant_needs_an_offset_and_whole_seconds(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_instant(text)


@given(st.integers(0, 4_000_000_000))
def test_an_instant_reads_as_it_is_written(instant: int) -> None:
    assert parse_instant(format_instant(instant)) == instant
    assert parse_instant(datetime.fromtimestamp(instant, UTC).isoformat()) == instant


def test_an_interval_can_t_end_before_it_starts_but_may_be_empty() -> None:
    with pytest.raises(ValueError, match="before it starts"):
        Interval(5, 4)
    assert Interval(5, 5).seconds == 0
    assert 5 not in Interval(5, 5)


@given(*[st.integers(-50, 50)] * 4)
def test_an_overlap_holds_exactly_the_common_instants(a: int, b: int, c: int, d: int) -> None:
    one, other = Interval(min(a, b), max(a, b)), Interval(min(c, d), max(c, d))
    common = one.overlap(other)
    instants = [t for t in range(-51, 52) if t in one and t in other]
    assert (list(range(common.start, common.end)) if common else []) == instants
    assert common == other.overlap(one)
