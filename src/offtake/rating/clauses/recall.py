"""The fee reduction for capacity that was recalled."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.recall import Recall
from offtake.agreements.model import Agreement
from offtake.base.money import Money, share_of
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours


def rate_recall(
    agreement: Agreement, path: str, clause: Recall, facts: MonthFacts, fee: Money
) -> Iterable[Charge]:
    """The fee falls in proportion to the GPU-seconds recalled."""
    if not facts.recalled:
        return
    amount = -share_of(fee, Fraction(facts.recalled, facts.entitled), agreement.rounding)
    text = f"Recall in {facts.month}: {gpu_hours(facts.recalled)} of {gpu_hours(facts.entitled)} taken back"
    yield charge(agreement, path, facts.month, Kind.FEE, text, amount, (f"{path}.notice_days",))
