"""Take at a rate per GPU-hour."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.burst import Burst
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.model import Agreement
from offtake.base.money import Money, Rate
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours


def usage_rate(agreement: Agreement, clause: UsageFee) -> Rate:
    """The rate, per GPU-hour in the agreement's currency."""
    return Rate(value=clause.rate_per_gpu_h, currency=agreement.currency, unit="GPU-hour")


def usage_amount(agreement: Agreement, clause: UsageFee, gpu_seconds: int) -> Money:
    """GPU-seconds at the rate, rounded once."""
    return usage_rate(agreement, clause).amount(Fraction(gpu_seconds, 3600), agreement.rounding)


def rate_usage_fee(
    agreement: Agreement, path: str, clause: UsageFee, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """One line for the month's take; a burst clause charges what is beyond the entitlement."""
    taken = facts.taken - (facts.over if agreement.first_of(Burst) else 0)
    if taken:
        text = f"{gpu_hours(taken)} taken in {facts.month} at {usage_rate(agreement, clause)}"
        amount = usage_amount(agreement, clause, taken)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.USAGE,
            text=text,
            amount=amount,
            basis=(f"{path}.rate_per_gpu_h",),
        )
