"""Take beyond the entitlement."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.burst import Burst
from offtake.agreements.model import Agreement
from offtake.base.money import Rate
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours


def rate_burst(
    agreement: Agreement, path: str, clause: Burst, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """One line for what was taken beyond the entitlement, up to the cap."""
    if not facts.over:
        return
    rate = Rate(value=clause.rate_per_gpu_h, currency=agreement.currency, unit="GPU-hour")
    hours = Fraction(facts.over, HOUR_S)
    text = f"{gpu_hours(facts.over)} beyond the entitlement in {facts.month} at {rate}"
    basis = [f"{path}.rate_per_gpu_h"]
    if clause.cap_gpu_h is not None and hours > clause.cap_gpu_h:
        hours = Fraction(clause.cap_gpu_h)
        text += f", {clause.cap_gpu_h:,f} GPU-hours charged at most"
        basis.append(f"{path}.cap_gpu_h")
    amount = rate.amount(hours, agreement.rounding)
    yield charge(agreement, path, facts.month, kind=Kind.USAGE, text=text, amount=amount, basis=tuple(basis))
