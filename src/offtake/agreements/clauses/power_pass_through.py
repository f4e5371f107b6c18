"""Power that the offtaker pays as it is metered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPassThrough(Clause):
    """Energy metered at the offtaker's equipment × power usage effectiveness × tariff.

    It is passed-through cost, not revenue: credits and minimums aren't measured on it.

    Attributes:
        tariff_per_kwh: what a kilowatt-hour costs.
        series: instead, name of a series of tariffs; its average over the month counts.
        pue: kilowatt-hours drawn from the utility for one that reaches the equipment.

    Units: `tariff_per_kwh` and the series in major units of the agreement's currency per kWh.
    Source: triple-net and pass-through leases (Hut 8, Core Scientific).
    """

    NAME: ClassVar[str] = "power_pass_through"
    tariff_per_kwh: Annotated[Decimal, Ge(0), Le(1_000)] | None = None
    series: str | None = None
    pue: Annotated[Decimal, Ge(1), Le(10)] = Decimal(1)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """One way of saying the tariff, not two and not none."""
        if (self.tariff_per_kwh is None) == (self.series is None):
            yield Problem(
                where=path,
                code="missing" if self.series is None else "contradiction",
                message="the tariff is a price or a series",
                remedy="write one of tariff_per_kwh and series",
            )
