"""The deficiency of a period, make-up and carry-forward."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from offtake.agreements.clauses.burst import Burst
from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.model import Agreement
from offtake.agreements.periods import closes
from offtake.base.money import Money, Rate
from offtake.base.months import Month
from offtake.base.time import HOUR_S
from offtake.rating.model import (
    Charge,
    Kind,
    Lot,
    MonthFacts,
    Move,
    charge,
    gpu_hours,
    oldest_first,
    percent,
)


def deficiency(clause: TakeOrPay, facts: MonthFacts) -> int:
    """A month's committed - taken - excused, never below nothing; the commitment is rounded down.

    Excused: entitlement recalled or not delivered, whatever the cause, planned or not.

    Units: GPU-seconds.
    """
    return max(0, int(clause.share * facts.entitled) - facts.taken - (facts.entitled - facts.delivered))


def rate_take_or_pay(
    agreement: Agreement, path: str, clause: TakeOrPay, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """At the period's end, the deficiency at its rate; take beyond the minimum uses or makes lots."""
    found = clause.rate(agreement)
    if found is None:
        return
    taken = facts.taken - _beyond(agreement, facts)
    month = {
        "committed": int(clause.share * facts.entitled),
        "taken": taken,
        "excused": facts.entitled - facts.delivered,
    }
    accounts = {name: f"{path}/{name}" for name in month}
    if not closes(agreement, clause.period, facts.month):
        yield from (
            Move(account=accounts[name], month=facts.month, quantity=quantity)
            for name, quantity in month.items()
            if quantity
        )
        return
    for name, account in accounts.items():
        for lot in facts.carried.get(account, ()):
            month[name] += lot.quantity
            yield Move(account=account, month=lot.month, quantity=-lot.quantity)
    owed = month["committed"] - month["taken"] - month["excused"]
    if owed > 0:
        yield from _short(agreement, path, clause, facts, short=owed, counted=month, found=found)
    elif owed < 0:
        yield from _surplus(agreement, path, clause, facts, -owed)


def _beyond(agreement: Agreement, facts: MonthFacts) -> int:
    """Take that a burst clause keeps apart from the minimum."""
    burst = agreement.first_of(Burst)
    return facts.over if burst is not None and not burst[1].counts_to_minimum else 0


def _short(
    agreement: Agreement,
    path: str,
    clause: TakeOrPay,
    facts: MonthFacts,
    *,
    short: int,
    counted: dict[str, int],
    found: tuple[Decimal, str],
) -> Iterable[Charge | Move]:
    account = f"{path}/carry_forward"
    open_, gone = _still_open(facts.carried.get(account, ()), facts.month, clause.carry_forward_months)
    yield from (Move(account=account, month=lot.month, quantity=-lot.quantity) for lot in gone)
    moves, used = oldest_first(account, open_, short)
    yield from moves
    short -= used
    if not short:
        return
    rate, term = found
    priced = Rate(value=rate, currency=agreement.currency, unit="GPU-hour")
    amount = priced.amount(Fraction(short, HOUR_S), agreement.rounding)
    carried = f", {gpu_hours(used)} carried forward" if used else ""
    text = (
        f"Deficiency of {gpu_hours(short)} in {facts.month}: {percent(clause.share)} of the entitlement, "
        f"{gpu_hours(counted['committed'])}, committed; {gpu_hours(counted['taken'])} taken, "
        f"{gpu_hours(counted['excused'])} excused{carried}"
    )
    basis = (f"{path}.share", term)
    yield charge(agreement, path, facts.month, kind=Kind.USAGE, text=text, amount=amount, basis=basis)
    if clause.make_up_months:
        yield Move(account=f"{path}/make_up", month=facts.month, quantity=short)
        yield Move(account=f"{path}/paid", month=facts.month, quantity=amount.minor)


def _surplus(
    agreement: Agreement, path: str, clause: TakeOrPay, facts: MonthFacts, surplus: int
) -> Iterable[Charge | Move]:
    """Take beyond the minimum: first what was paid for already, then carried forward."""
    account, paid = f"{path}/make_up", f"{path}/paid"
    open_, gone = _still_open(facts.carried.get(account, ()), facts.month, clause.make_up_months)
    money = {lot.month: lot.quantity for lot in facts.carried.get(paid, ())}
    for lot in gone:
        yield Move(account=account, month=lot.month, quantity=-lot.quantity)
        yield Move(account=paid, month=lot.month, quantity=-money.get(lot.month, 0))
    moves, used = oldest_first(account, open_, surplus)
    back = 0
    quantities = {lot.month: lot.quantity for lot in open_}
    for move in moves:
        # a part gives back its share rounded down, the last part all that is left: never more than was paid
        part = money.get(move.month, 0) * -move.quantity // quantities[move.month]
        back += part
        yield move
        yield Move(account=paid, month=move.month, quantity=-part)
    if used:
        text = f"Make-up in {facts.month}: {gpu_hours(used)} of the take were paid for as deficiency"
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.USAGE,
            text=text,
            amount=Money(-back, agreement.currency),
            basis=(f"{path}.make_up_months",),
        )
    if clause.carry_forward_months and surplus > used:
        yield Move(account=f"{path}/carry_forward", month=facts.month, quantity=surplus - used)


def _still_open(lots: Iterable[Lot], month: Month, months: int) -> tuple[tuple[Lot, ...], tuple[Lot, ...]]:
    """Lots that may still be used in a month, and those that have expired."""
    lots = tuple(lots)
    open_ = tuple(lot for lot in lots if month <= lot.month.plus(months))
    return open_, tuple(lot for lot in lots if lot not in open_)
