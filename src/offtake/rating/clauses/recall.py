"""What a recall costs the operator: the fee that isn't owed, and compensation."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.recall import Recall, governing_recall
from offtake.agreements.model import Agreement
from offtake.base.money import Money, money_of, round_fraction
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, charge, fee_of, gpu_hours


def rate_recall(
    agreement: Agreement, path: str, clause: Recall, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The reduction of the fee, and the compensation, for the GPU-seconds this clause took back.

    The fee of the whole agreement falls by their share of everything entitled, the fee of a tranche by its
    own share. Compensation is damages and not revenue, so that credits aren't measured on it.
    """
    own = _governed(agreement, path, facts)
    back = sum(own.values())
    if not back:
        return
    exact = fee_of(agreement, charges, facts, own) * Fraction(clause.fee_reduction)
    if exact:
        part = f", {clause.fee_reduction * 100:f} % of its fee not owed" if clause.fee_reduction != 1 else ""
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.FEE,
            text=f"Recall in {facts.month}: {gpu_hours(back)} of {gpu_hours(facts.entitled)} "
            f"taken back{part}",
            amount=Money(-round_fraction(exact, agreement.rounding), agreement.currency),
            basis=(f"{path}.notice_days", *((f"{path}.fee_reduction",) if part else ())),
        )
    if clause.compensation_per_gpu_h:
        rate = clause.compensation_per_gpu_h
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.DAMAGES,
            text=f"Compensation for recall in {facts.month}: {gpu_hours(back)} "
            f"at {rate:,f} {agreement.currency} per GPU-hour",
            amount=-money_of(Fraction(rate) * Fraction(back, HOUR_S), agreement.currency, agreement.rounding),
            basis=(f"{path}.compensation_per_gpu_h",),
        )


def _governed(agreement: Agreement, path: str, facts: MonthFacts) -> dict[str, int]:
    """GPU-seconds that were recalled under the clause at a path, by tranche."""
    found = {}
    for tranche, own in facts.tranches.items():
        governing = governing_recall(agreement, tranche)
        if own.recalled and governing is not None and governing[0] == path:
            found[tranche] = own.recalled
    return found
