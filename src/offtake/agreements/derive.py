"""What follows from an agreement: entitlement, fees, values, deadlines, implied price.

Every figure carries the terms it rests on. Money here is owed under the agreement's own text; what was
delivered and taken meets it in `offtake.rating`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.model import Agreement, Clause, Deadline, Tranche
from offtake.agreements.terms import HOURS_PER_MONTH, Denominator, Figure, HoursConvention, Side
from offtake.base.curve import Curve
from offtake.base.money import Money, round_rate, share_of
from offtake.base.months import Month, days_in_month, month_of_date, plus_days
from offtake.base.schedule import Dated, Schedule
from offtake.base.time import Interval

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """An agreement's worth, three ways.

    Attributes:
        headline: every scheduled fee through the term.
        firm: what is owed if the offtaker gives notice on the first day it may.
        cancellable: headline - firm.
        firm_notice: that first day, or None where the offtaker can't leave for convenience.
        firm_end: the first day no longer covered after such a notice, or the end of the term.
    """

    headline: Figure[Money]
    firm: Figure[Money]
    cancellable: Figure[Money]
    firm_notice: date | None
    firm_end: date


def entitlement(agreement: Agreement, tranche: Tranche) -> Figure[Curve]:
    """GPUs the offtaker may hold under a tranche, over time.

    Units: GPUs. Steps first, then the full quantity; nothing after an early end.
    """
    index = agreement.tranches.index(tranche)
    base = f"tranche[{index}]"
    end = min(plus_days(tranche.through, 1), agreement.ends)
    basis = [f"{base}.quantity", f"{base}.start", f"{base}.through"]
    if tranche.denominator is Denominator.CRITICAL_IT_MW:
        basis.append(f"{base}.kw_per_gpu")
    steps = [(step.start, tranche.gpus(step.quantity)) for step in tranche.steps]
    if steps:
        basis += [f"{base}.steps", f"{base}.full_from"]
    steps.append((tranche.full_from or tranche.start, tranche.gpus(tranche.quantity)))
    curve = Curve.from_steps([(agreement.midnight(day), gpus) for day, gpus in steps])
    if end <= tranche.start:
        return _figure(agreement, Curve.zero(), basis)
    return _figure(
        agreement, curve.restrict(Interval(agreement.midnight(tranche.start), agreement.midnight(end))), basis
    )


def _figure(agreement: Agreement, value: T, basis: list[str] | tuple[str, ...]) -> Figure[T]:
    paths = tuple(dict.fromkeys(basis))
    return Figure(value=value, basis=paths, assumed=agreement.sheet.assumed(paths))


def fee_schedule(agreement: Agreement) -> Schedule:
    """Every fixed fee by service month, up to the end of the agreement.

    A month cut by an early end owes the share of its days that are covered, rounded once.
    """
    amounts: dict[Month, Money] = {}
    basis: dict[Month, list[str]] = defaultdict(list)
    for _, clause in agreement.clauses:
        for item in owed_by(agreement, clause):
            amounts[item.month] = amounts.get(item.month, Money.zero(agreement.currency)) + item.amount
            basis[item.month] += item.basis
    items = (
        Dated(month=month, amount=amounts[month], basis=tuple(basis[month])) for month in sorted(amounts)
    )
    return Schedule(agreement.currency, tuple(items))


def owed_by(agreement: Agreement, clause: Clause) -> Iterator[Dated]:
    """What one clause schedules, as far as the agreement covers it: the one place where a fee is prorated."""
    for item in clause.scheduled(agreement):
        if covered_days(agreement, item.month):
            yield replace(item, amount=covered_part(agreement, item.month, item.amount))


def covered_days(agreement: Agreement, month: Month) -> int:
    """Days of a month before the agreement's end; a late first day is not prorated."""
    end = agreement.ends
    last = month_of_date(end)
    if month < last:
        return days_in_month(month)
    return end.day - 1 if month == last else 0


def covered_part(agreement: Agreement, month: Month, amount: Money) -> Money:
    """The part of a month's fee owed when the agreement ends during that month."""
    covered, days = covered_days(agreement, month), days_in_month(month)
    return amount if covered == days else share_of(amount, Fraction(covered, days), agreement.rounding)


def first_month(agreement: Agreement) -> Month:
    """The first month to settle: of the first tranche, or of the first fee if that is earlier."""
    firsts = (next(iter(clause.scheduled(agreement)), None) for _, clause in agreement.clauses)
    return min([month_of_date(agreement.starts), *(item.month for item in firsts if item is not None)])


def last_month(agreement: Agreement) -> Month:
    """The last month of which at least a day is covered."""
    return month_of_date(plus_days(agreement.ends, -1))


def fee_basis(agreement: Agreement) -> tuple[str, ...]:
    """Terms that the fee schedule rests on."""
    return tuple(dict.fromkeys(path for item in fee_schedule(agreement) for path in item.basis))


def values(agreement: Agreement) -> Values:
    """Headline, firm and cancellable value.

    Source: firm value is the enforceable part in the sense of ASC 606-10-25-3, read from the offtaker's
    right to leave for convenience.
    """
    headline = fee_schedule(agreement)
    # an end that counts is settled: nothing can be cancelled any more
    exit_ = None if agreement.ends_on is not None else earliest_exit(agreement, Side.OFFTAKER)
    firm, end = headline, agreement.ends
    notice: date | None = None
    basis: tuple[str, ...] = ()
    if exit_ is not None:
        path, clause = exit_
        notice, end, basis = (
            clause.first_notice(agreement),
            clause.earliest_end(agreement),
            clause.basis(path),
        )
        firm = fee_schedule(agreement.ending(end))
    head_basis = fee_basis(agreement)
    firm_basis = tuple(path for item in firm for path in item.basis) + basis
    return Values(
        headline=_figure(agreement, headline.total, head_basis),
        firm=_figure(agreement, firm.total, firm_basis),
        cancellable=_figure(agreement, headline.total - firm.total, head_basis + basis),
        firm_notice=notice,
        firm_end=end,
    )


def earliest_exit(agreement: Agreement, side: Side) -> tuple[str, Termination] | None:
    """The clause by which a side can leave soonest, or None where it can't before the term ends."""
    exits = [
        (path, clause)
        for path, clause in agreement.all_of(Termination)
        if side in clause.by and clause.earliest_end(agreement) < agreement.ends
    ]
    return min(exits, key=lambda pair: pair[1].earliest_end(agreement), default=None)


def deadlines(agreement: Agreement) -> tuple[Deadline, ...]:
    """Every date that follows from the clauses, and the end of the term, in order."""
    found = [deadline for _, clause in agreement.clauses for deadline in clause.deadlines(agreement)]
    found.append(
        Deadline(
            on=agreement.ends,
            what="the agreement ends" if agreement.ends_on is None else "the agreement ends early, by notice",
            side=None,
            basis=tuple(f"tranche[{i}].through" for i in range(len(agreement.tranches))),
        )
    )
    return tuple(sorted(found, key=lambda deadline: deadline.on))


def delivered_at(agreement: Agreement, held: Mapping[str, int], instant: int) -> int:
    """GPUs delivered at an instant: held by each tranche, but no more than it entitles to.

    Args:
        agreement: as it stands.
        held: GPUs by tranche.
        instant: seconds since the epoch.
    """
    return sum(
        min(held.get(tranche.id, 0), entitlement(agreement, tranche).value.value_at(instant))
        for tranche in agreement.tranches
    )


def implied_rate(
    agreement: Agreement, convention: HoursConvention | None = None, places: int = 4
) -> Figure[Decimal] | None:
    """The full monthly fee per GPU-hour of the full quantity, for display.

    A bundle rate: the fee also pays for CPUs, network and power. None where there is no flat fee or the
    number of GPUs isn't stated.

    Units: major units of the currency per GPU-hour. The calendar convention uses 8,760 / 12 hours.
    """
    fee = agreement.first_of(MonthlyFee)
    if fee is None or any(tranche.denominator is not Denominator.GPUS for tranche in agreement.tranches):
        return None
    gpus = sum(tranche.gpus(tranche.quantity) for tranche in agreement.tranches)
    hours = HOURS_PER_MONTH.get(convention or agreement.hours, Decimal(8760) / 12)
    rate = round_rate(Fraction(fee[1].amount) / gpus / Fraction(hours), places)
    basis = (f"{fee[0]}.amount", *(f"tranche[{i}].quantity" for i in range(len(agreement.tranches))))
    return _figure(agreement, rate, basis)
