"""What of credits and damages is beyond the cap, and so isn't owed."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.liability_cap import LiabilityCap
from offtake.agreements.model import Agreement
from offtake.agreements.periods import closes
from offtake.base.money import Money, round_fraction
from offtake.rating.model import Charge, Kind, MonthFacts, Move, charge, left_of

OWED = (Kind.CREDIT, Kind.DAMAGES)
"""What the operator owes for what it does wrong, where it is negative."""


def rate_liability_cap(
    agreement: Agreement, path: str, clause: LiabilityCap, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """A positive line for each kind, so that no more than the cap is owed in the period."""
    used_lots = facts.carried.get(f"{path}/used", ())
    fee_lots = facts.carried.get(f"{path}/fees", ())
    used = left_of(used_lots)
    fees = sum(c.amount.minor for c in charges if c.kind in (Kind.FEE, Kind.USAGE))
    cap = _cap(agreement, clause, left_of(fee_lots) + fees)
    left, given = max(0, cap - used), 0
    for kind in OWED:
        owed = -sum(c.amount.minor for c in charges if c.kind is kind and _counts(c))
        beyond = max(0, owed - (left - given))
        given += owed - beyond
        if beyond:
            yield charge(
                agreement,
                path,
                facts.month,
                kind=kind,
                text=f"Beyond the liability cap of {Money(cap, agreement.currency)} "
                f"for the {clause.period.value.replace('_', ' ')} ({facts.month})",
                amount=Money(beyond, agreement.currency),
                basis=(f"{path}.amount" if clause.amount is not None else f"{path}.share_of_fees",),
            )
    for word, lots, quantity in (("used", used_lots, given), ("fees", fee_lots, fees)):
        account = f"{path}/{word}"
        if closes(agreement, clause.period, facts.month):
            yield from (Move(account=account, month=lot.month, quantity=-lot.quantity) for lot in lots)
        elif quantity:
            yield Move(account=account, month=facts.month, quantity=quantity)


def _counts(line: Charge) -> bool:
    """What a recall costs is its price, not a wrong."""
    return line.amount.minor < 0 and line.clause.partition("[")[0] != "recall"


def _cap(agreement: Agreement, clause: LiabilityCap, fees: int) -> int:
    if clause.amount is not None:
        return agreement.money(clause.amount).minor
    return round_fraction(fees * Fraction(clause.share_of_fees or 0), agreement.rounding)
