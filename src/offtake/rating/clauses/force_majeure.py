"""The fee that isn't owed for what force majeure takes."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.force_majeure import ForceMajeure
from offtake.agreements.events.relief import relieved
from offtake.agreements.model import Agreement
from offtake.base.money import Money, round_fraction
from offtake.rating.model import Charge, Kind, MonthFacts, charge, fee_of, gpu_hours


def rate_force_majeure(
    agreement: Agreement, path: str, clause: ForceMajeure, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The proportionate fee of what was out while relief lasted."""
    if not clause.fee_abates:
        return
    period = agreement.month(facts.month)
    part = {}
    for tranche, own in facts.tranches.items():
        spans = tuple(relieved(agreement, tranche, period))
        seconds = sum(curve.integrate(span) for curve in own.out.values() for span in spans)
        if seconds:
            part[tranche] = seconds
    if part:
        exact = fee_of(agreement, charges, facts, part)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.FEE,
            text=f"Fee abated in {facts.month}: {gpu_hours(sum(part.values()))} lost to force majeure",
            amount=Money(-round_fraction(exact, agreement.rounding), agreement.currency),
            basis=(f"{path}.fee_abates",),
        )
