"""Fees that follow a published index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.clauses.escalator import check_moved
from offtake.agreements.model import Agreement, Clause, Factor
from offtake.base.errors import Problem
from offtake.base.months import Month, days_in_month, plus_days


class Observed(StrEnum):
    """Which value of the index sets a fee: the month's average, or the last value before it begins."""

    AVERAGE = "average"
    LAST = "last"


class Fallback(StrEnum):
    """What holds while the index is disrupted: its last value, or the base (the fee as it is written)."""

    LAST_VALUE = "last_value"
    BASE = "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexLink(Clause):
    """Fees are multiplied by an index over its base, from a month on, set anew every so many months.

    Of each day the value that was published first counts; later revisions are ignored. The index is
    disrupted when nothing was published for too long; then the fallback holds.

    Attributes:
        series: name of the index, such as "SDH100RT".
        administrator: who publishes it, for people.
        base: the value of the index for which the fees are written.
        first: the first month whose fees follow it.
        every_months: months for which a setting holds.
        observed: "average" of the calendar month before the setting, or the "last" value before it.
        weight: fraction of the fee that follows the index; the rest stays.
        floor: the factor is never below this.
        ceiling: the factor is never above this.
        disrupted_days: days without a new value after which the index is disrupted.
        fallback: what holds then: "last_value", or the "base".
        clauses: sections whose fees follow it.

    Source: Kalshi's rule for the Ornn index (the most recent value, revisions ignored); citation annexes of
    index administrators name definition, disruption and fallback.
    """

    NAME: ClassVar[str] = "index_link"
    series: Annotated[str, MinLen(1)]
    administrator: str = ""
    base: Annotated[Decimal, Gt(0), Le(10**9)]
    first: Month
    every_months: Annotated[int, Gt(0), Le(1_200)] = 1
    observed: Observed = Observed.AVERAGE
    weight: Annotated[Decimal, Gt(0), Le(1)] = Decimal(1)
    floor: Annotated[Decimal, Ge(0), Le(1_000)] | None = None
    ceiling: Annotated[Decimal, Gt(0), Le(1_000)] | None = None
    disrupted_days: Annotated[int, Gt(0), Le(3_650)] = 10
    fallback: Fallback = Fallback.LAST_VALUE
    clauses: Annotated[tuple[str, ...], MinLen(1)] = ("monthly_fee", "capacity_fee", "usage_fee")

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Sections that carry a fee; a floor under the ceiling."""
        yield from check_moved(self.clauses, path)
        if self.floor is not None and self.ceiling is not None and self.ceiling < self.floor:
            yield Problem(
                where=f"{path}.ceiling",
                code="contradiction",
                message=f"the ceiling {self.ceiling} is below the floor {self.floor}",
            )

    def factor(self, agreement: Agreement, path: str, month: Month) -> Factor | None:
        """1 - weight + weight × index / base, within floor and ceiling."""
        if path.partition("[")[0] not in self.clauses or month < self.first:
            return None
        own = agreement.path_of(self)
        index, said = self.observation(agreement, month)
        share = Fraction(self.weight)
        value = 1 - share + share * index / Fraction(self.base)
        if self.floor is not None:
            value = max(value, Fraction(self.floor))
        if self.ceiling is not None:
            value = min(value, Fraction(self.ceiling))
        return Factor(value=value, basis=(f"{own}.series", f"{own}.base"), note=said)

    def observation(self, agreement: Agreement, month: Month) -> tuple[Fraction, str]:
        """The index that sets a month's fee, and what is to be said of it."""
        since = (month.year - self.first.year) * 12 + month.month - self.first.month
        setting = self.first.plus(since // self.every_months * self.every_months)
        day = date(setting.year, setting.month, 1)
        series = agreement.series.get(self.series)
        last = None if series is None else series.at(plus_days(day, -1))
        if series is None or last is None:
            return Fraction(self.base), f"{self.series} isn't known, its base {self.base} taken"
        if (day - last.on).days > self.disrupted_days:
            if self.fallback is Fallback.BASE:
                return Fraction(self.base), f"{self.series} disrupted since {last.on}, its base taken"
            return Fraction(
                last.value
            ), f"{self.series} disrupted since {last.on}, its last value {last.value}"
        if self.observed is Observed.LAST:
            return Fraction(last.value), f"{self.series} {last.value} on {last.on}"
        before = setting.plus(-1)
        begin = date(before.year, before.month, 1)
        mean = series.mean(begin, plus_days(begin, days_in_month(before)))
        if mean is None:
            return Fraction(
                last.value
            ), f"{self.series} has no value in {before}, its last {last.value} taken"
        return mean, f"{self.series} averaged {float(mean):.4f} in {before}"
