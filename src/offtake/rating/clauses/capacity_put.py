"""Unsold capacity that the offtaker pays for."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.capacity_put import CapacityPut
from offtake.agreements.model import Agreement
from offtake.base.money import Money, round_fraction
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, Move, charge, gpu_hours, left_of


def rate_capacity_put(
    agreement: Agreement, path: str, clause: CapacityPut, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """The smaller of unsold × price and what is left of the cap."""
    unsold = sum(facts.unsold.get(pool, 0) for pool in clause.pools)
    account = f"{path}/used"
    left = agreement.money(clause.cap).minor - left_of(facts.carried.get(account, ()))
    exact = agreement.minor(clause.price_per_gpu_h) * Fraction(unsold, HOUR_S)
    owed = min(left, round_fraction(exact, agreement.rounding))
    if owed <= 0:
        return
    rest = Money(left - owed, agreement.currency)
    yield Move(account=account, month=facts.month, quantity=owed)
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.USAGE,
        text=f"Unsold capacity in {facts.month}: {gpu_hours(unsold)} at {clause.price_per_gpu_h:,f} "
        f"{agreement.currency}; {rest} left of the cap",
        amount=Money(owed, agreement.currency),
        basis=(f"{path}.price_per_gpu_h", f"{path}.cap", f"{path}.pools"),
    )
