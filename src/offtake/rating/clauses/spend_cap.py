"""What of fees and use is beyond the cap, and so isn't owed."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.spend_cap import SpendCap
from offtake.agreements.model import Agreement
from offtake.agreements.periods import closes
from offtake.base.money import Money
from offtake.rating.model import Charge, Kind, MonthFacts, Move, charge, left_of


def rate_spend_cap(
    agreement: Agreement, path: str, clause: SpendCap, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """A negative line for what the month spends beyond what is left of the cap."""
    account = f"{path}/spent"
    lots = facts.carried.get(account, ())
    spent = sum(
        c.amount.minor
        for c in charges
        if c.kind in (Kind.FEE, Kind.USAGE)
        and (not clause.counts or c.clause.partition("[")[0] in clause.counts)
    )
    left = max(0, agreement.money(clause.amount).minor - left_of(lots))
    beyond = max(0, spent - left)
    if closes(agreement, clause.period, facts.month):
        yield from (Move(account=account, month=lot.month, quantity=-lot.quantity) for lot in lots)
    elif spent - beyond:
        yield Move(account=account, month=facts.month, quantity=spent - beyond)
    if beyond:
        cap = agreement.money(clause.amount)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.USAGE,
            text=f"Beyond the cap of {cap} for the {clause.period.value.replace('_', ' ')} ({facts.month})",
            amount=Money(-beyond, agreement.currency),
            basis=(f"{path}.amount", f"{path}.period"),
        )
