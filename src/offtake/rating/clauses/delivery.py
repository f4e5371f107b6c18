"""The fee reduction after a short delivery that the offtaker accepted."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.delivery import Delivery, Remedy
from offtake.agreements.events.election import Election
from offtake.agreements.model import Agreement
from offtake.base.money import share_of
from offtake.base.months import month_of_date
from offtake.rating.model import Charge, Kind, MonthFacts, charge, flat_fee


def rate_delivery(
    agreement: Agreement, path: str, clause: Delivery, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """Fee × delivered / committed, as a negative line, from the month of the choice on.

    Source: "accept the number delivered with a (proportional) fee reduction"; that proportional means
    delivered over committed, and from the month in which it is chosen, is our reading.
    """
    made = [e for e, _ in agreement.events_of(Election) if facts.month >= month_of_date(e.made)]
    election = made[-1] if made else None
    if election is None or election.choice is not Remedy.PRO_RATA_FEE:
        return
    fee = flat_fee(agreement, charges)
    reduced = share_of(fee, Fraction(election.gpus, clause.gpus), agreement.rounding)
    if reduced == fee:
        return
    text = f"Pro-rata fee for {facts.month}: {election.gpus:,} of {clause.gpus:,} GPUs delivered and accepted"
    basis = (f"{path}.gpus", f"{path}.remedies")
    yield charge(agreement, path, facts.month, kind=Kind.FEE, text=text, amount=reduced - fee, basis=basis)
