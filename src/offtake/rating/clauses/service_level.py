"""Credits of service levels: what counts as lost, over a window, and when it is given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from offtake.agreements.clauses.service_level import Measure, ServiceLevel
from offtake.agreements.derive import entitlement
from offtake.agreements.events.claim import claimed
from offtake.agreements.events.relief import excused
from offtake.agreements.model import Agreement
from offtake.agreements.periods import closes
from offtake.agreements.schedule import last_month
from offtake.base.curve import Curve, combine
from offtake.base.money import Money, round_fraction, round_rate
from offtake.base.months import Month
from offtake.base.time import Interval
from offtake.rating.model import (
    Carried,
    Charge,
    Kind,
    Lot,
    MonthFacts,
    Move,
    charge,
    fee_of,
    flat_fee,
    gpu_hours,
    left_of,
    percent,
)  # fmt: skip


def rate_service_level(
    agreement: Agreement, path: str, clause: ServiceLevel, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """What the month adds to its window; in the window's last month, the credit."""
    lost, base = unavailable(agreement, clause, facts)
    fee = scope_fee(agreement, clause, facts, charges)
    sums = {}
    for word, quantity in (("lost", lost), ("base", base), ("fee", fee)):
        account = f"{path}/{word}"
        lots = facts.carried.get(account, ())
        sums[word] = left_of(lots) + quantity
        if closes(agreement, clause.window, facts.month):
            yield from (Move(account=account, month=lot.month, quantity=-lot.quantity) for lot in lots)
        elif quantity:
            yield Move(account=account, month=facts.month, quantity=quantity)
    yield from _given_later(agreement, path, facts)
    if closes(agreement, clause.window, facts.month):
        yield from _credit(agreement, path, clause, facts, sums)
        yield from _note_failure(path, clause, facts, sums)


def _credit(
    agreement: Agreement, path: str, clause: ServiceLevel, facts: MonthFacts, sums: dict[str, int]
) -> Iterable[Charge | Move]:
    lost, base = sums["lost"], sums["base"]
    reached = clause.share(lost, base)
    if reached is None or not reached[1] or sums["fee"] <= 0:
        return
    if clause.claim_days is not None and not claimed(agreement, path, facts.month):
        return
    rung, credit = reached
    minor = round_fraction(sums["fee"] * Fraction(credit), agreement.rounding)
    if clause.later_months and facts.month.plus(clause.later_months) <= last_month(agreement):
        given = facts.month.plus(clause.later_months)
        yield Move(account=f"{path}/given", month=given, quantity=minor)
        return
    yield _line(agreement, path, facts.month, minor, _text(clause, facts.month, sums, rung))


def _text(clause: ServiceLevel, month: Month, sums: dict[str, int], rung: int) -> str:
    lost, base = sums["lost"], sums["base"]
    available = round_rate(Fraction(base - lost, base) * 100, 4)
    what = gpu_hours(lost) if clause.measure is Measure.CAPACITY else f"{lost / 60:,.0f} minutes"
    where = f" of {', '.join(clause.tranches)}" if clause.tranches else ""
    edge = "at or below" if clause.edges.value == "inclusive" else "below"
    credit = min(clause.band[rung].credit, clause.cap)
    return (
        f"Service credit{where} for {month}: {available} % available, {what} lost; {edge} "
        f"{percent(clause.band[rung].below)} earns {percent(credit)} of its fee"
    )


def _given_later(agreement: Agreement, path: str, facts: MonthFacts) -> Iterator[Charge | Move]:
    """Credits of earlier windows that are due by now; in the last month, whatever is left."""
    account = f"{path}/given"
    for lot in facts.carried.get(account, ()):
        if lot.month <= facts.month or facts.month == last_month(agreement):
            yield Move(account=account, month=lot.month, quantity=-lot.quantity)
            text = f"Service credit of an earlier window, due in {lot.month}"
            yield _line(agreement, path, facts.month, lot.quantity, text)


def _line(agreement: Agreement, path: str, month: Month, minor: int, text: str) -> Charge:
    return charge(
        agreement,
        path,
        month,
        kind=Kind.CREDIT,
        text=text,
        amount=Money(-minor, agreement.currency),
        basis=(f"{path}.band", f"{path}.cap", f"{path}.window", f"{path}.measure"),
    )


def _note_failure(path: str, clause: ServiceLevel, facts: MonthFacts, sums: dict[str, int]) -> Iterable[Move]:
    """Keep which of the last windows failed."""
    if clause.chronic is None:
        return
    account = f"{path}/windows"
    lots = facts.carried.get(account, ())
    failed = sums["base"] > 0 and sums["base"] - sums["lost"] < clause.chronic.below * sums["base"]
    # a window that held is kept, too, as 1; one that failed as 2
    yield Move(account=account, month=facts.month, quantity=2 if failed else 1)
    for lot in lots[: max(len(lots) + 1 - clause.chronic.of, 0)]:
        yield Move(account=account, month=lot.month, quantity=-lot.quantity)


def failed_windows(carried: Carried, path: str) -> tuple[Month, ...]:
    """The last months of those of the latest windows that failed."""
    lots: tuple[Lot, ...] = tuple(carried.get(f"{path}/windows", ()))
    return tuple(lot.month for lot in lots if lot.quantity == 2)


def scope_fee(
    agreement: Agreement, clause: ServiceLevel, facts: MonthFacts, charges: Iterable[Charge]
) -> int:
    """The fixed fee and use of what is in scope.

    Units: minor units. Of a fee for the whole agreement, the share of what is in scope.
    """
    lines = tuple(charges)
    used = sum(c.amount.minor for c in lines if c.kind is Kind.USAGE)
    if not clause.tranches:
        return flat_fee(agreement, lines).minor + used
    part = {t: facts.tranches[t].entitled for t in clause.tranches if t in facts.tranches}
    exact = fee_of(agreement, lines, facts, part)
    if facts.entitled:
        exact += used * Fraction(sum(part.values()), facts.entitled)
    return round_fraction(exact, agreement.rounding)


def unavailable(agreement: Agreement, clause: ServiceLevel, facts: MonthFacts) -> tuple[int, int]:
    """What of a month counts as lost, and of how much.

    Units: GPU-seconds, or seconds of the month, as the clause measures.
    """
    period = agreement.month(facts.month)
    scope = [t for t in clause.governed(agreement) if t in facts.tranches]
    out = Curve.zero()
    for tranche in scope:
        free = excused(agreement, tranche, facts.month)
        for pool, curve in facts.tranches[tranche].out.items():
            if not clause.pools or pool in clause.pools:
                out = out + _counted(curve, free, clause.minimum_minutes * 60, period)
    if clause.measure is Measure.CAPACITY:
        own = [facts.tranches[t] for t in scope]
        return out.integrate(period), sum(t.entitled - t.recalled for t in own)
    whole = combine([entitlement(agreement, agreement.tranche_of(t)).value for t in scope]).restrict(period)
    there = period.seconds - sum(i.seconds for i in whole.where_below(1, period))
    if clause.measure is Measure.ANY:
        return period.seconds - sum(i.seconds for i in out.where_below(1, period)), there
    # nothing entitled isn't out
    lasting = sum(i.seconds for i in (whole - out).where_below(1, period))
    return lasting - (period.seconds - there), there


def _counted(curve: Curve, free: Iterable[Interval], minimum_s: int, period: Interval) -> Curve:
    """What is out, less what is excused and what is too short to count."""
    for interval in free:
        curve = curve - curve.restrict(interval)
    if minimum_s:
        for interval in _runs(curve, period):
            if interval.seconds < minimum_s:
                curve = curve - curve.restrict(interval)
    return curve


def _runs(curve: Curve, period: Interval) -> Iterator[Interval]:
    """Intervals in which something is out."""
    since = period.start
    for quiet in curve.where_below(1, period):
        if quiet.start > since:
            yield Interval(since, quiet.start)
        since = quiet.end
    if since < period.end:
        yield Interval(since, period.end)
