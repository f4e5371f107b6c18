"""Rates by time of day, and a commitment for each hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.base.declared import Declared
from offtake.base.errors import Problem


class Days(StrEnum):
    """Days of the week, in the agreement's time zone."""

    ALL = "all"
    WEEKDAYS = "weekdays"
    WEEKENDS = "weekends"


@dataclass(frozen=True, slots=True, kw_only=True)
class HourBand(Declared):
    """Hours of the day with a rate of their own.

    Attributes:
        name: for the line.
        from_hour: the first hour of the day, local.
        until_hour: the hour before which it ends; 24 for midnight.
        days: "all" days, "weekdays" or "weekends".
        rate_per_gpu_h: the rate.
        commitment: the least that an hour of it costs, where `true_up`; above it `overage_factor` counts.
        overage_factor: by how much the rate is multiplied for what exceeds the commitment.
        true_up: whether an hour that costs less than the commitment owes the difference.
    """

    name: str = ""
    from_hour: Annotated[int, Ge(0), Le(23)] = 0
    until_hour: Annotated[int, Ge(1), Le(24)] = 24
    days: Days = Days.ALL
    rate_per_gpu_h: Annotated[Decimal, Ge(0), Le(10**9)]
    commitment: Annotated[Decimal, Ge(0), Le(10**12)] = Decimal(0)
    overage_factor: Annotated[Decimal, Ge(0), Le(1_000)] = Decimal(1)
    true_up: bool = False

    def holds(self, hour: int, weekday: int) -> bool:
        """Whether it is for a local hour of a weekday (Monday is 0)."""
        of_week = {Days.ALL: True, Days.WEEKDAYS: weekday < 5, Days.WEEKENDS: weekday >= 5}[self.days]
        return of_week and self.from_hour <= hour < self.until_hour


@dataclass(frozen=True, slots=True, kw_only=True)
class HourlyFee(Clause):
    """What is taken in each hour, at the rate of the first band that holds for the hour.

    Attributes:
        band: the bands; the last must hold for every hour, so that nothing is without a price.
        tranche: only what is taken under this tranche.
        what: what it is for, to be printed on its lines.

    Units: rates and commitments in major units of the agreement's currency, a commitment per hour.
    Source: commitments by window and by time of day with an overage factor, as Flexprice has them.
    """

    NAME: ClassVar[str] = "hourly_fee"
    band: Annotated[tuple[HourBand, ...], MinLen(1)]
    tranche: str | None = None
    what: str = "Take by the hour"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """No hour may be without a band."""
        yield from check_tranches(agreement, path, self.tranche)
        last = len(self.band) - 1
        if not all(self.band[last].holds(hour, day) for hour in range(24) for day in range(7)):
            yield Problem(
                where=f"{path}.band[{last}]",
                code="hours_without_rate",
                message="the last band doesn't hold for every hour of every day",
                remedy="end with a band that names neither hours nor days",
            )
        for i, band in enumerate(self.band):
            if band.until_hour <= band.from_hour:
                yield Problem(
                    where=f"{path}.band[{i}].until_hour",
                    code="end_before_start",
                    message=f"it ends at {band.until_hour}, not after {band.from_hour}",
                    remedy="write two bands for hours across midnight",
                )
