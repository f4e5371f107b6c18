"""A fraction of other charges."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.percentage_fee import PercentageFee
from offtake.agreements.model import Agreement
from offtake.base.money import share_of, total
from offtake.rating.model import Charge, Kind, MonthFacts, charge, percent


def rate_percentage_fee(
    agreement: Agreement, path: str, clause: PercentageFee, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The share of the charges named, rounded once."""
    own = [c for c in charges if c.clause in clause.clauses or c.clause.partition("[")[0] in clause.clauses]
    whole = total((c.amount for c in own), agreement.currency)
    if not whole:
        return
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.FEE,
        text=f"{clause.what} for {facts.month}, {percent(clause.share)} of {whole}",
        amount=share_of(whole, Fraction(clause.share), agreement.rounding),
        basis=(f"{path}.share", f"{path}.clauses"),
    )
