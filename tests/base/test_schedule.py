"""Fees are dated amounts by local month."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.schedule import Dated, Schedule

month_counts = st.lists(st.integers(0, 60), unique=True, max_size=20)


def dated(months_on: int, minor: int = 100, currency: str = "USD") -> Dated:
    return Dated(month=Month(2026, 7).plus(months_on), amount=Money(minor, currency), basis=("fee",))


def test_a_schedule_is_in_order_whatever_the_order_given() -> None:
    schedule = Schedule.of("USD", [dated(3), dated(0), dated(11)])
    assert [str(item.month) for item in schedule] == ["2026-07", "2026-10", "2027-06"]
    assert len(schedule) == 3


def test_a_month_is_charged_once() -> None:
    with pytest.raises(ValueError, match="2026-08 then 2026-08"):
        Schedule.of("USD", [dated(1), dated(1)])
    with pytest.raises(ValueError, match="must rise"):
        Schedule("USD", (dated(2), dated(1)))


def test_an_amount_in_another_currency_is_named() -> None:
    with pytest.raises(TypeError, match=r"2026-08: 1\.00 EUR in a schedule of USD"):
        Schedule.of("USD", [dated(0), dated(1, currency="EUR")])


def test_nothing_owed_sums_to_nothing_in_the_currency() -> None:
    assert Schedule.of("JPY", []).total == Money(0, "JPY")
    assert Schedule.of("JPY", []).at(Month(2026, 7)) is None


@given(month_counts, st.integers(0, 60))
def test_a_schedule_cut_at_a_month_keeps_what_is_up_to_it(counts: list[int], last: int) -> None:
    schedule = Schedule.of("USD", [dated(count, 100 + count) for count in counts])
    until = Month(2026, 7).plus(last)
    head = schedule.through(until)
    assert [item.month for item in head] == [item.month for item in schedule if item.month <= until]
    rest = Schedule("USD", schedule.items[len(head) :])
    assert head.total + rest.total == schedule.total
    for count in counts:
        found = schedule.at(Month(2026, 7).plus(count))
        assert found is not None
        assert found.amount.minor == 100 + count
