"""Metered energy at the tariff."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction

from offtake.agreements.clauses.power_pass_through import PowerPassThrough
from offtake.agreements.model import Agreement
from offtake.base.money import money_of, round_rate
from offtake.base.months import Month, days_in_month, plus_days
from offtake.rating.model import Charge, Kind, MonthFacts, charge


def rate_power_pass_through(
    agreement: Agreement, path: str, clause: PowerPassThrough, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """Energy × PUE × tariff; where no tariff is known for the month, a line says so and charges nothing."""
    kwh = Fraction(facts.energy_wh, 1000)
    tariff, term = _tariff(agreement, clause, facts.month)
    if not kwh:
        return
    said = "no tariff is known for it yet" if tariff is None else f"at {_shown(tariff)} {agreement.currency}"
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.PASS_THROUGH,
        text=f"Power for {facts.month}: {_shown(kwh)} kWh × PUE {clause.pue} {said}",
        amount=money_of(kwh * Fraction(clause.pue) * (tariff or 0), agreement.currency, agreement.rounding),
        basis=(f"{path}.{term}", f"{path}.pue"),
    )


def _tariff(agreement: Agreement, clause: PowerPassThrough, month: Month) -> tuple[Fraction | None, str]:
    """The tariff per kWh and the term it comes from."""
    if clause.tariff_per_kwh is not None:
        return Fraction(clause.tariff_per_kwh), "tariff_per_kwh"
    series = agreement.series.get(clause.series or "")
    first = date(month.year, month.month, 1)
    return series.mean(first, plus_days(first, days_in_month(month))) if series else None, "series"


def _shown(value: Fraction) -> str:
    exact: Decimal = round_rate(value, 6).normalize()
    return f"{exact:,f}"
