"""Early-payment discount and late interest on documents that were paid in the month."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.payment import Payment
from offtake.agreements.model import Agreement
from offtake.base.money import share_of
from offtake.base.months import plus_days
from offtake.rating.model import Charge, Kind, MonthFacts, Paid, charge, percent

DAYS_OF_MONTH = 30
"""Days that a month of interest counts."""


def rate_payment(
    agreement: Agreement, path: str, clause: Payment, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """A line for each document that was paid early or late."""
    for paid in facts.paid:
        yield from _late(agreement, path, clause, facts, paid)
        yield from _early(agreement, path, clause, facts, paid)


def _late(
    agreement: Agreement, path: str, clause: Payment, facts: MonthFacts, paid: Paid
) -> Iterable[Charge]:
    days = (paid.paid - paid.due).days
    if days > clause.late_grace_days and clause.late_interest_per_month and paid.amount.minor > 0:
        share = Fraction(clause.late_interest_per_month) * Fraction(days, DAYS_OF_MONTH)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.INTEREST,
            text=f"Late interest on {paid.document}: {paid.amount} paid {days} days after {paid.due}, "
            f"{percent(clause.late_interest_per_month)} a month",
            amount=share_of(paid.amount, share, agreement.rounding),
            basis=(f"{path}.late_interest_per_month", f"{path}.late_grace_days", f"{path}.net_days"),
        )


def _early(
    agreement: Agreement, path: str, clause: Payment, facts: MonthFacts, paid: Paid
) -> Iterable[Charge]:
    if clause.discount is None or clause.discount_days is None or paid.amount.minor <= 0:
        return
    last = plus_days(paid.due, clause.discount_days - clause.net_days)
    if paid.paid <= last:
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.CREDIT,
            text=f"Discount of {percent(clause.discount)} on {paid.document}: {paid.amount} paid "
            f"{paid.paid}, by {last}",
            amount=-share_of(paid.amount, Fraction(clause.discount), agreement.rounding),
            basis=(f"{path}.discount", f"{path}.discount_days"),
        )
