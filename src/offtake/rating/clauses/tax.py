"""Tax on what the month's charges come to."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.tax import Tax
from offtake.agreements.model import Agreement
from offtake.base.money import Money, share_of, total
from offtake.rating.model import EARNED, Charge, Kind, MonthFacts, charge, percent

TAXED = (*EARNED, Kind.PASS_THROUGH)
"""Kinds that are supplies; prepayments, drawdowns, interest, damages and tax aren't."""


def rate_tax(
    agreement: Agreement, path: str, clause: Tax, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The rate on the sum of what is taxed, rounded once; negative for a month that credits more."""
    base = total(
        (c.amount for c in charges if c.kind in TAXED and c.clause.partition("[")[0] not in clause.exempt),
        agreement.currency,
    )
    if not base.minor:
        return
    amount = share_of(base, Fraction(clause.rate), agreement.rounding)
    text = f"{clause.what} of {percent(clause.rate)} on {base} for {facts.month}"
    if clause.reverse_charge:
        amount = Money.zero(agreement.currency)
        text = f"{clause.what} on {base} for {facts.month} is for {agreement.offtaker} to account for"
    yield charge(
        agreement, path, facts.month, kind=Kind.TAX, text=text, amount=amount, basis=(f"{path}.rate",)
    )
