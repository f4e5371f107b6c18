"""The service-level credit of a month, applied without a claim."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.availability_credit import AvailabilityCredit
from offtake.agreements.model import Agreement
from offtake.base.money import round_rate, share_of
from offtake.rating.model import Charge, Kind, MonthFacts, charge, earned, gpu_hours, percent


def rate_availability_credit(
    agreement: Agreement,
    path: str,
    clause: AvailabilityCredit,
    facts: MonthFacts,
    charges: tuple[Charge, ...],
) -> Iterable[Charge]:
    """The rung reached, as a negative share of the month's fee."""
    lost, entitled = facts.lost.get("outage", 0), facts.entitled - facts.recalled
    reached = clause.share(lost, entitled)
    fee = earned(agreement, charges)
    if reached is None or not reached[1] or fee.minor <= 0:
        return
    rung, credit = reached
    availability = round_rate(Fraction(entitled - lost, entitled) * 100, 4)
    text = (
        f"Availability credit for {facts.month}: {availability} % available, "
        f"{gpu_hours(lost)} lost to outages; below {percent(clause.band[rung].below)} "
        f"earns {percent(credit)} of the fee"
    )
    basis = (f"{path}.band[{rung}].below", f"{path}.band[{rung}].credit", f"{path}.cap")
    amount = -share_of(fee, Fraction(credit), agreement.rounding)
    yield charge(agreement, path, facts.month, kind=Kind.CREDIT, text=text, amount=amount, basis=basis)
