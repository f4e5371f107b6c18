"""The fee of days on which delivery was suspended."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.suspension import Suspension
from offtake.agreements.events.suspension import suspended
from offtake.agreements.model import Agreement
from offtake.base.money import share_of
from offtake.rating.model import Charge, Kind, MonthFacts, charge, flat_fee


def rate_suspension(
    agreement: Agreement, path: str, clause: Suspension, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The share of the fee for the part of the month that was suspended, where it doesn't continue."""
    period = agreement.month(facts.month)
    parts = [part for span in suspended(agreement) if (part := span.overlap(period)) is not None]
    seconds = sum(part.seconds for part in parts)
    fee = flat_fee(agreement, charges)
    if clause.fee_continues or not seconds or fee.minor <= 0:
        return
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.FEE,
        text=f"Fee for {facts.month} not owed while delivery was suspended, {seconds / 86_400:,.2f} days",
        amount=-share_of(fee, Fraction(seconds, period.seconds), agreement.rounding),
        basis=(f"{path}.fee_continues", f"{path}.notice_days"),
    )
