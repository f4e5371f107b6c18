"""Business days against numpy's count over holidays entered by hand."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.workdays import check_place, is_business_day, plus_business_days

# the United States Office of Personnel Management's federal holidays of 2027, as observed
FEDERAL_2027 = [
    "2027-01-01", "2027-01-18", "2027-02-15", "2027-05-31", "2027-06-18", "2027-07-05", "2027-09-06",
    "2027-10-11", "2027-11-11", "2027-11-25", "2027-12-24",
]  # fmt: skip


@given(st.integers(0, 300), st.integers(1, 25))
def test_business_days_are_those_of_numpy_over_the_published_holidays(start: int, count: int) -> None:
    day = date(2027, 1, 1) + timedelta(days=start)
    expected = np.busday_offset(day + timedelta(days=1), count - 1, roll="forward", holidays=FEDERAL_2027)
    found = plus_business_days(day, count, "US")
    if found.year == 2027:
        assert np.datetime64(found) == expected
        assert is_business_day(found, "US")


def test_a_day_with_no_days_added_is_that_day() -> None:
    assert plus_business_days(date(2027, 2, 13), 0, "US") == date(2027, 2, 13)


def test_places_have_their_own_holidays() -> None:
    # Good Friday: the exchange is closed, federal offices aren't; Texas keeps Independence Day on 2 March
    assert not is_business_day(date(2027, 3, 26), "NYSE")
    assert is_business_day(date(2027, 3, 26), "US")
    assert is_business_day(date(2027, 7, 5), "DE")


@pytest.mark.parametrize("place", ["XX", "US-QQ", ""])
def test_an_unknown_place_is_refused_by_name(place: str) -> None:
    with pytest.raises(ValueError, match="aren't known"):
        check_place(place)


def test_years_beyond_the_forecast_are_refused() -> None:
    with pytest.raises(ValueError, match="2100"):
        is_business_day(date(2101, 1, 3), "US")
