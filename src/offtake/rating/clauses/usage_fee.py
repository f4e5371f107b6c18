"""Take at a rate per GPU-hour."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.model import Agreement
from offtake.base.money import Money, money_of
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours


def usage_amount(agreement: Agreement, clause: UsageFee, gpu_seconds: int) -> Money:
    """GPU-seconds at the rate, rounded once."""
    return money_of(
        Fraction(clause.rate_per_gpu_h) * gpu_seconds / 3600, agreement.currency, agreement.rounding
    )


def rate_usage_fee(
    agreement: Agreement, path: str, clause: UsageFee, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """One line for the month's take."""
    if facts.taken:
        text = (
            f"{gpu_hours(facts.taken)} taken in {facts.month} at {clause.rate_per_gpu_h} {agreement.currency}"
        )
        amount = usage_amount(agreement, clause, facts.taken)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.USAGE,
            text=text,
            amount=amount,
            basis=(f"{path}.rate_per_gpu_h",),
        )
