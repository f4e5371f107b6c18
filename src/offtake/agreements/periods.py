"""Periods over which a commitment is counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from enum import StrEnum

from offtake.agreements.model import Agreement
from offtake.agreements.schedule import last_month
from offtake.base.months import Month, days_in_month, month_of_date, months_through, plus_days

_MONTHS = {"month": 1, "quarter": 3, "year": 12, "contract_year": 12}


class Period(StrEnum):
    """Calendar months, quarters or years, years from the first tranche's month, or the whole term."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    CONTRACT_YEAR = "contract_year"
    TERM = "term"


def period_of(agreement: Agreement, period: Period, month: Month) -> tuple[Month, Month]:
    """First and last month of the period that holds a month, within the agreement's months."""
    first, last = month_of_date(agreement.starts), last_month(agreement)
    if period is Period.TERM:
        return first, last
    start, length = _whole(agreement, period, month)
    return max(start, first), min(start.plus(length - 1), last)


def _whole(agreement: Agreement, period: Period, month: Month) -> tuple[Month, int]:
    """First month and length of the whole period that holds a month, not looking at the term."""
    length = _MONTHS[period.value]
    origin = month_of_date(agreement.starts) if period is Period.CONTRACT_YEAR else Month(month.year, 1)
    since = (month.year - origin.year) * 12 + month.month - origin.month
    return origin.plus(since // length * length), length


def share_of_period(agreement: Agreement, period: Period, month: Month) -> tuple[int, int]:
    """Months of the period that lie in the agreement's term, and months a whole period has."""
    first, last = period_of(agreement, period, month)
    inside = (last.year - first.year) * 12 + last.month - first.month + 1
    return inside, inside if period is Period.TERM else _MONTHS[period.value]


def days_of_period(agreement: Agreement, period: Period, month: Month) -> tuple[int, int]:
    """Days of the period that the agreement covers, and days a whole period has."""
    first, last = period_of(agreement, period, month)
    covered = sum(_covered_days(agreement, m) for m in months_through(first, last))
    if period is Period.TERM:
        return covered, covered
    start, length = _whole(agreement, period, month)
    return covered, sum(days_in_month(start.plus(i)) for i in range(length))


def _covered_days(agreement: Agreement, month: Month) -> int:
    first = date(month.year, month.month, 1)
    end = plus_days(first, days_in_month(month))
    return max(0, (min(end, agreement.ends) - max(first, agreement.starts)).days)


def months_of(agreement: Agreement, period: Period, month: Month) -> Iterator[Month]:
    """The months of the period that holds a month, as far as the agreement covers them."""
    return months_through(*period_of(agreement, period, month))


def closes(agreement: Agreement, period: Period, month: Month) -> bool:
    """Whether a month is the last of its period; an early end closes it."""
    return month == period_of(agreement, period, month)[1]


def term_months(agreement: Agreement) -> tuple[Month, Month]:
    """The first and the last month of the tranches."""
    return month_of_date(agreement.starts), month_of_date(plus_days(agreement.term_end, -1))
