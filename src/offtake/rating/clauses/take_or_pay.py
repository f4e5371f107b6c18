"""The deficiency of a month."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.model import Agreement
from offtake.rating.clauses.usage_fee import usage_amount
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours, percent


def deficiency(clause: TakeOrPay, facts: MonthFacts) -> int:
    """Committed - taken - excused, never below nothing; the commitment is rounded down to GPU-seconds.

    Excused: entitlement recalled or not delivered, whatever the cause, planned or not.

    Units: GPU-seconds.
    """
    excused = facts.entitled - facts.delivered
    return max(0, int(clause.share * facts.entitled) - facts.taken - excused)


def rate_take_or_pay(
    agreement: Agreement, path: str, clause: TakeOrPay, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """With a usage fee, the deficiency at its rate; with a flat fee, nothing more is owed."""
    usage = agreement.first_of(UsageFee)
    short = deficiency(clause, facts)
    if usage is None or not short:
        return
    text = (
        f"Deficiency of {gpu_hours(short)} in {facts.month}: {percent(clause.share)} of "
        f"{gpu_hours(facts.entitled)} committed, {gpu_hours(facts.taken)} taken"
    )
    basis = (f"{path}.share", f"{usage[0]}.rate_per_gpu_h")
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.USAGE,
        text=text,
        amount=usage_amount(agreement, usage[1], short),
        basis=basis,
    )
