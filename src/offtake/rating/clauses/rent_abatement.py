"""The fee that isn't owed for what stays broken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from offtake.agreements.clauses.rent_abatement import RentAbatement
from offtake.agreements.model import Agreement
from offtake.base.curve import Curve
from offtake.base.money import Money, round_fraction
from offtake.base.months import local_date, plus_days
from offtake.base.time import Interval
from offtake.base.workdays import plus_business_days
from offtake.rating.model import Carried, Charge, Kind, MonthFacts, Move, charge, fee_of, gpu_hours

Since = list[tuple[int, int]]
"""GPUs that are out, as (instant since when, how many), longest out first."""


def rate_rent_abatement(
    agreement: Agreement, path: str, clause: RentAbatement, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """The proportionate fee of GPU-seconds that are out for longer than the business days."""
    period = agreement.month(facts.month)
    part: dict[str, int] = {}
    for tranche, own in facts.tranches.items():
        for pool, curve in own.out.items() if clause.covers(tranche) else ():
            account = f"{path}/out/{tranche}/{pool}/"
            before = _carried(facts.carried, account)
            abated, left = _follow(agreement, clause, curve, before, period)
            part[tranche] = part.get(tranche, 0) + abated
            yield from _moves(account, facts, left)
    yield from _cleared(path, facts)
    seconds = sum(part.values())
    if seconds:
        exact = fee_of(agreement, charges, facts, part)
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.FEE,
            text=f"Fee abated in {facts.month}: {gpu_hours(seconds)} out for more than "
            f"{clause.business_days} business days",
            amount=Money(-round_fraction(exact, agreement.rounding), agreement.currency),
            basis=(f"{path}.business_days", f"{path}.place"),
        )


def _carried(carried: Carried, account: str) -> Since:
    """What was out when the month began."""
    found = [
        (int(name.removeprefix(account)), sum(lot.quantity for lot in lots))
        for name, lots in carried.items()
        if name.startswith(account)
    ]
    return sorted(found)


def _follow(
    agreement: Agreement, clause: RentAbatement, curve: Curve, before: Since, period: Interval
) -> tuple[int, Since]:
    """GPU-seconds abated within a period, and what is out at its end: the longest out are back first."""
    out, abated = before, 0
    borders = [period.start, *curve.breakpoints(period).tolist(), period.end]
    for start, end in pairwise(borders):
        out = _changed(out, start, curve.value_at(start))
        for since, gpus in out:
            due = _due(agreement, clause, since)
            abated += gpus * max(0, end - max(start, due))
    return abated, out


def _changed(out: Since, at: int, gpus: int) -> Since:
    """What is out once `gpus` are."""
    more = gpus - sum(count for _, count in out)
    if more >= 0:
        return [*out, (at, more)] if more else out
    kept: Since = []
    for since, count in out:
        back = min(count, -more)
        more += back
        if count > back:
            kept.append((since, count - back))
    return kept


def _due(agreement: Agreement, clause: RentAbatement, since: int) -> int:
    """The instant from which what is out since then costs nothing."""
    if not clause.business_days:
        return since
    day = plus_business_days(local_date(since, agreement.time_zone), clause.business_days, clause.place)
    return agreement.midnight(plus_days(day, 1))


def _moves(account: str, facts: MonthFacts, left: Since) -> Iterator[Move]:
    """What is out at the month's end is carried on, under the instant since when."""
    now = {f"{account}{since}": gpus for since, gpus in left}
    for name, lots in facts.carried.items():
        if name.startswith(account):
            change = now.pop(name, 0) - sum(lot.quantity for lot in lots)
            if change:
                yield Move(account=name, month=lots[0].month, quantity=change)
    for name, gpus in now.items():
        yield Move(account=name, month=facts.month, quantity=gpus)


def _cleared(path: str, facts: MonthFacts) -> Iterator[Move]:
    """What was out and isn't any more since the month began."""
    for name, lots in facts.carried.items():
        head, _, rest = name.partition("/out/")
        if head == path and rest:
            tranche, pool, _ = rest.split("/")
            if pool not in facts.tranches[tranche].out:
                yield from (Move(account=name, month=lot.month, quantity=-lot.quantity) for lot in lots)
