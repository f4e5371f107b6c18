"""A prepayment, what is drawn of it, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.prepayment import Prepayment
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import last_month
from offtake.base.money import Money, round_fraction
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import EARNED, Charge, Kind, MonthFacts, Move, charge, left_of, oldest_first


def rate_prepayment(agreement: Agreement, path: str, clause: Prepayment, month: Month) -> Iterable[Charge]:
    """The prepayment, in the month in which it is due."""
    return scheduled_charges(agreement, path, clause, month, "Prepayment due")


def rate_drawdown(
    agreement: Agreement, path: str, clause: Prepayment, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """What is credited against the month's charges; in the last month, what is left is settled."""
    account = f"{path}/left"
    paid = sum(c.amount.minor for c in charges if c.clause == path and c.kind is Kind.PREPAYMENT)
    if paid:
        yield Move(account=account, month=facts.month, quantity=paid)
    lots = facts.carried.get(account, ())
    left = left_of(lots) + paid
    if not left:
        return
    drawn = min(left, _drawable(agreement, path, clause, facts.month, charges))
    moves, used = oldest_first(account, lots, drawn)
    yield from moves
    if drawn > used:
        yield Move(account=account, month=facts.month, quantity=used - drawn)
    if drawn:
        rest = Money(left - drawn, agreement.currency)
        yield _line(
            agreement,
            path,
            clause,
            facts.month,
            kind=Kind.DRAWDOWN,
            minor=-drawn,
            text=f"Prepayment drawn, {rest} left",
        )
    if facts.month == last_month(agreement) and left > drawn:
        yield from _close(agreement, path, clause, facts, left - drawn)
        yield from _emptied(account, facts, moves, paid - (drawn - used))


def _drawable(
    agreement: Agreement, path: str, clause: Prepayment, month: Month, charges: Iterable[Charge]
) -> int:
    """The most that may be drawn in a month: of its revenue less what other prepayments drew.

    Units: minor units.
    """
    if month < clause.starts(agreement).plus(clause.credit_from_month):
        return 0
    own = [c for c in charges if clause.tranche is None or c.tranche in (None, clause.tranche)]
    net = sum(c.amount.minor for c in own if c.kind in EARNED or c.kind is Kind.DRAWDOWN)
    earned = sum(c.amount.minor for c in own if c.kind in EARNED)
    capped = int(earned * Fraction(clause.cap_share))
    if clause.cap_amount is not None:
        capped = min(capped, round_fraction(agreement.minor(clause.cap_amount)))
    return max(0, min(net, capped))


def _close(
    agreement: Agreement, path: str, clause: Prepayment, facts: MonthFacts, left: int
) -> Iterable[Charge]:
    if clause.refundable:
        text = "Prepayment refunded, the agreement ends"
        yield _line(agreement, path, clause, facts.month, kind=Kind.PREPAYMENT, minor=-left, text=text)
        return
    text = "Prepayment forfeited, the agreement ends"
    yield _line(agreement, path, clause, facts.month, kind=Kind.DRAWDOWN, minor=-left, text=text)
    yield _line(agreement, path, clause, facts.month, kind=Kind.FEE, minor=left, text=text)


def _emptied(account: str, facts: MonthFacts, moves: Iterable[Move], this_month: int) -> Iterable[Move]:
    """Moves that leave nothing on the account."""
    used = {move.month: -move.quantity for move in moves}
    for lot in facts.carried.get(account, ()):
        yield Move(account=account, month=lot.month, quantity=used.get(lot.month, 0) - lot.quantity)
    yield Move(account=account, month=facts.month, quantity=-this_month)


def _line(
    agreement: Agreement, path: str, clause: Prepayment, month: Month, *, kind: Kind, minor: int, text: str
) -> Charge:
    terms = ("credit_from_month", "cap_share") if kind is Kind.DRAWDOWN else ("refundable",)
    return charge(
        agreement,
        path,
        month,
        kind=kind,
        text=f"{text} ({month})",
        amount=Money(minor, agreement.currency),
        basis=tuple(f"{path}.{name}" for name in terms),
        tranche=clause.tranche,
    )
