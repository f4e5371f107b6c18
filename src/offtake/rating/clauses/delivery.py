"""The fee reduction after a short delivery that the offtaker accepted."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.delivery import Delivery, Remedy
from offtake.agreements.events.election import Election
from offtake.agreements.model import Agreement
from offtake.base.money import Money, share_of
from offtake.base.months import month_of_date
from offtake.rating.model import Charge, Kind, MonthFacts, charge, flat_fee, percent


def rate_delivery(
    agreement: Agreement, path: str, clause: Delivery, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """Fee × delivered / committed, or the discounted fee, as a negative line from the month of the choice on.

    Source: "accept the number delivered with a (proportional) fee reduction"; that proportional means
    delivered over committed, and from the month in which it is chosen, is our reading.
    """
    election = _latest(agreement, clause, facts)
    if election is None:
        return
    own = charges if clause.tranche is None else [c for c in charges if c.tranche == clause.tranche]
    fee = flat_fee(agreement, own)
    reduced, text, term = _reduced(agreement, clause, election, fee)
    if reduced == fee:
        return
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.FEE,
        text=f"{text} for {facts.month}",
        amount=reduced - fee,
        basis=(f"{path}.{term}", f"{path}.remedies"),
        tranche=clause.tranche,
    )


def _latest(agreement: Agreement, clause: Delivery, facts: MonthFacts) -> Election | None:
    made = [
        event
        for event, _ in agreement.events_of(Election)
        if event.tranche == clause.tranche and facts.month >= month_of_date(event.made)
    ]
    return made[-1] if made else None


def _reduced(
    agreement: Agreement, clause: Delivery, election: Election, fee: Money
) -> tuple[Money, str, str]:
    """The fee that is left, what its line says, and the term it rests on."""
    if election.choice is Remedy.PRO_RATA_FEE:
        share = Fraction(election.gpus, clause.gpus)
        text = f"Pro-rata fee: {election.gpus:,} of {clause.gpus:,} GPUs delivered and accepted,"
        return share_of(fee, share, agreement.rounding), text, "gpus"
    if election.choice is Remedy.DISCOUNTED_FEE and clause.discount is not None:
        left = share_of(fee, 1 - Fraction(clause.discount), agreement.rounding)
        return left, f"Discount of {percent(clause.discount)} after a short delivery,", "discount"
    return fee, "", "gpus"
