"""What the operator charges for entitlement that is passed on."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.resale import Resale
from offtake.agreements.events.transfer import transferred
from offtake.agreements.model import Agreement
from offtake.base.money import money_of
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours


def rate_resale(
    agreement: Agreement, path: str, clause: Resale, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The fee for each GPU-hour that others held."""
    period = agreement.month(facts.month)
    seconds = sum(curve.integrate(period) for curve in transferred(agreement).values())
    if seconds and clause.fee_per_gpu_h:
        exact = Fraction(clause.fee_per_gpu_h) * Fraction(seconds, HOUR_S)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.FEE,
            text=f"Transferred in {facts.month}: {gpu_hours(seconds)} at {clause.fee_per_gpu_h:,f} "
            f"{agreement.currency} per GPU-hour",
            amount=money_of(exact, agreement.currency, agreement.rounding),
            basis=(f"{path}.fee_per_gpu_h",),
        )
