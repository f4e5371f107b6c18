"""The fee reduction for capacity that was recalled."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.recall import Recall
from offtake.agreements.model import Agreement
from offtake.base.money import share_of
from offtake.rating.model import Charge, Kind, MonthFacts, charge, flat_fee, gpu_hours


def rate_recall(
    agreement: Agreement, path: str, clause: Recall, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The fee falls in proportion to the GPU-seconds recalled."""
    fee = flat_fee(agreement, charges)
    if not facts.recalled or not fee:
        return
    amount = -share_of(fee, Fraction(facts.recalled, facts.entitled), agreement.rounding)
    text = f"Recall in {facts.month}: {gpu_hours(facts.recalled)} of {gpu_hours(facts.entitled)} taken back"
    yield charge(
        agreement, path, facts.month, kind=Kind.FEE, text=text, amount=amount, basis=(f"{path}.notice_days",)
    )
