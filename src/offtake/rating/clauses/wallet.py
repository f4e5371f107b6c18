"""Top-ups, what is taken from the balance, and what expires of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from offtake.agreements.clauses.wallet import Wallet
from offtake.agreements.events.top_up import TopUp
from offtake.agreements.model import Agreement
from offtake.base.money import Money
from offtake.base.months import Month, month_of_date
from offtake.rating.model import Charge, Kind, Lot, MonthFacts, Move, charge, left_of, oldest_first


def rate_wallet(
    agreement: Agreement, path: str, clause: Wallet, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """Top-ups first, then what the month takes, then what expires."""
    account = f"{path}/balance"
    topped = sum(
        agreement.money(event.amount).minor
        for event, _ in agreement.events_of(TopUp)
        if month_of_date(event.given) == facts.month
    )

    def line(kind: Kind, minor: int, text: str) -> Charge:
        return charge(
            agreement,
            path,
            facts.month,
            kind=kind,
            text=f"{text} ({facts.month})",
            amount=Money(minor, agreement.currency),
            basis=(f"{path}.expires_months",),
        )

    lots: tuple[Lot, ...] = tuple(facts.carried.get(account, ()))
    if topped:
        yield Move(account=account, month=facts.month, quantity=topped)
        yield line(Kind.PREPAYMENT, topped, "Balance topped up")
        lots = (*lots, Lot(month=facts.month, quantity=topped))
    due = sum(c.amount.minor for c in charges if c.kind is not Kind.PREPAYMENT)
    moves, used = oldest_first(account, lots, max(0, due))
    yield from moves
    if used:
        left = Money(left_of(lots) - used, agreement.currency)
        yield line(Kind.DRAWDOWN, -used, f"Taken from the balance, {left} left")
    for lot, rest in _expired(clause, facts.month, lots, {m.month: -m.quantity for m in moves}):
        yield Move(account=account, month=lot.month, quantity=-rest)
        text = f"What was left of the top-up of {lot.month} has expired"
        yield line(Kind.DRAWDOWN, -rest, text)
        yield line(Kind.FEE, rest, text)


def _expired(
    clause: Wallet, month: Month, lots: Iterable[Lot], used: dict[Month, int]
) -> Iterator[tuple[Lot, int]]:
    """Top-ups that expire with a month, and what is left of them."""
    for lot in lots if clause.expires_months is not None else ():
        rest = lot.quantity - used.get(lot.month, 0)
        if rest and lot.month.plus(clause.expires_months or 0) <= month:
            yield lot, rest
