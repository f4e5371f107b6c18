"""What is missing to a minimum."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from offtake.agreements.clauses.minimum_commitment import MinimumCommitment
from offtake.agreements.model import Agreement
from offtake.agreements.periods import closes
from offtake.base.money import Money, Rate, round_fraction
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, Move, charge, gpu_hours


def rate_minimum_commitment(
    agreement: Agreement,
    path: str,
    clause: MinimumCommitment,
    facts: MonthFacts,
    charges: tuple[Charge, ...],
) -> Iterable[Charge | Move]:
    """Counts what was spent or taken month by month; the period's last month charges what is missing."""
    spends = clause.amount is not None
    counted = _spent(clause, charges) if spends else facts.taken + facts.entitled - facts.delivered
    account = f"{path}/counted"
    if not closes(agreement, clause.period, facts.month):
        if counted:
            yield Move(account=account, month=facts.month, quantity=counted)
        return
    for lot in facts.carried.get(account, ()):
        counted += lot.quantity
        yield Move(account=account, month=lot.month, quantity=-lot.quantity)
    committed = clause.committed(agreement, facts.month)
    missing = committed - counted if spends else committed * HOUR_S - counted
    if missing <= 0:
        return
    if spends:
        amount = Money(round_fraction(missing, agreement.rounding), agreement.currency)
        said = Money(counted, agreement.currency)
        text = f"Minimum spend of the {_word(clause)} to {facts.month}: {said} charged"
        basis: tuple[str, ...] = (f"{path}.amount",)
    else:
        value = clause.rate_per_gpu_h or Decimal(0)
        rate = Rate(value=value, currency=agreement.currency, unit="GPU-hour")
        amount = rate.amount(missing / HOUR_S, agreement.rounding)
        text = (
            f"Minimum of the {_word(clause)} to {facts.month}: {gpu_hours(counted)} taken or excused, "
            f"{gpu_hours(round_fraction(missing))} missing at {rate}"
        )
        basis = (f"{path}.gpu_h", f"{path}.rate_per_gpu_h")
    yield charge(agreement, path, facts.month, kind=Kind.USAGE, text=text, amount=amount, basis=basis)


def _word(clause: MinimumCommitment) -> str:
    return clause.period.value.replace("_", " ")


def _spent(clause: MinimumCommitment, charges: Iterable[Charge]) -> int:
    return sum(c.amount.minor for c in charges if c.clause.partition("[")[0] in clause.counts)
