"""What follows from an agreement: entitlement, fees, values, deadlines, implied price.

Every figure carries the terms it rests on. Money here is owed under the agreement's own text; what was
delivered and taken meets it in `offtake.rating`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.renewal import with_every_renewal
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.events.suspension import suspended
from offtake.agreements.model import Agreement, Deadline, Tranche
from offtake.agreements.schedule import figure_of, value_schedule
from offtake.agreements.terms import HOURS_PER_MONTH, Denominator, Figure, HoursConvention, Side
from offtake.agreements.units import conversion_basis, gpus_of
from offtake.base.curve import Curve
from offtake.base.money import Money, round_rate
from offtake.base.months import plus_days
from offtake.base.schedule import Schedule
from offtake.base.time import Interval

FIRST_INSTANT = -(2**62)
"""Before anything an agreement can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """An agreement's worth, three ways, and what options would add.

    Attributes:
        headline: every scheduled fee and every minimum through the term.
        firm: the least that is owed whatever the offtaker does: it gives notice on the first day it may, or
            stays where that costs it less.
        cancellable: headline - firm.
        with_options: the headline if every option to extend is exercised.
        firm_notice: that first day, or None where the offtaker can't leave, or wouldn't.
        firm_end: the first day no longer covered after such a notice, or the end of the term.
        headline_by_month: the headline by service month.
        firm_by_month: what is firm by service month.
    """

    headline: Figure[Money]
    firm: Figure[Money]
    cancellable: Figure[Money]
    with_options: Figure[Money]
    firm_notice: date | None
    firm_end: date
    headline_by_month: Schedule
    firm_by_month: Schedule


def entitlement(agreement: Agreement, tranche: Tranche) -> Figure[Curve]:
    """GPUs the offtaker may hold under a tranche, over time.

    Units: GPUs. Steps first, then the full quantity; nothing after an early end, nor while delivery is
    suspended. Where an amendment changed the tranche, each text counts for the days on which it held.
    """
    basis: list[str] = []
    curve = Curve.zero()
    for text, since, until in agreement.texts():
        own = next((t for t in text.tranches if t.id == tranche.id), None)
        if own is None:
            continue
        part, terms = _entitled(text, own)
        if since is not None:
            part = part - part.restrict(Interval(FIRST_INSTANT, text.midnight(since)))
        if until is not None:
            part = part.restrict(Interval(FIRST_INSTANT, text.midnight(until)))
        curve = curve + part
        basis += terms
    for interval in suspended(agreement):
        curve = curve - curve.restrict(interval)
    return figure_of(agreement, curve, basis)


def _entitled(agreement: Agreement, tranche: Tranche) -> tuple[Curve, list[str]]:
    """One text's entitlement, with the terms it rests on."""
    index = next(i for i, other in enumerate(agreement.tranches) if other.id == tranche.id)
    base = f"tranche[{index}]"
    end = min(plus_days(tranche.through, 1), agreement.ends)
    basis = [f"{base}.quantity", f"{base}.start", f"{base}.through", *conversion_basis(agreement, tranche)]
    steps = [(step.start, gpus_of(agreement, tranche, step.quantity)) for step in tranche.steps]
    if steps:
        basis += [f"{base}.steps", f"{base}.full_from"]
    steps.append((tranche.full_from or tranche.start, gpus_of(agreement, tranche)))
    if end <= tranche.start:
        return Curve.zero(), basis
    curve = Curve.from_steps([(agreement.midnight(day), gpus) for day, gpus in steps])
    return curve.restrict(Interval(agreement.midnight(tranche.start), agreement.midnight(end))), basis


def values(agreement: Agreement, on: date | None = None) -> Values:
    """Headline, firm and cancellable value.

    Args:
        agreement: as it stands.
        on: a notice isn't given before this day; the first day allowed when left out.

    Source: firm value is the enforceable part in the sense of ASC 606-10-25-3, read from the offtaker's
    right to leave for convenience; what leaving costs it counts as owed.
    """
    headline = value_schedule(agreement)
    firm, end = headline, agreement.ends
    notice: date | None = None
    basis: tuple[str, ...] = ()
    # an end that counts is settled: nothing can be cancelled any more
    exits = [] if agreement.ends_on is not None else exits_of(agreement, Side.OFFTAKER, on)
    for path, clause in exits:
        leaving = clause.earliest_end(agreement, on)
        left = value_schedule(agreement.ending(leaving, by=path))
        if left.total < firm.total or (left.total == firm.total and leaving < end):
            firm, end = left, leaving
            notice, basis = clause.first_notice(agreement, on), clause.basis(path)
    head_basis = tuple(path for item in headline for path in item.basis)
    firm_basis = tuple(path for item in firm for path in item.basis) + basis
    extended = value_schedule(with_every_renewal(agreement))
    return Values(
        headline=figure_of(agreement, headline.total, head_basis),
        firm=figure_of(agreement, firm.total, firm_basis),
        cancellable=figure_of(agreement, headline.total - firm.total, head_basis + basis),
        with_options=figure_of(
            agreement, extended.total, tuple(path for item in extended for path in item.basis)
        ),
        firm_notice=notice,
        firm_end=end,
        headline_by_month=headline,
        firm_by_month=firm,
    )


def exits_of(agreement: Agreement, side: Side, on: date | None = None) -> list[tuple[str, Termination]]:
    """Clauses by which a side may leave for convenience before the term ends, soonest first."""
    exits = [
        (path, clause)
        for path, clause in agreement.all_of(Termination)
        if side in clause.by and clause.earliest_end(agreement, on) < agreement.ends
    ]
    return sorted(exits, key=lambda pair: pair[1].earliest_end(agreement, on))


def deadlines(agreement: Agreement) -> tuple[Deadline, ...]:
    """Every date that follows from the clauses, and the end of the term, in order."""
    found = [deadline for _, clause in agreement.clauses for deadline in clause.deadlines(agreement)]
    found.append(
        Deadline(
            on=agreement.ends,
            what="the agreement ends" if agreement.ends_on is None else "the agreement ends early",
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
    number of GPUs isn't stated. `agreements.measures` compares agreements with other fees and units.

    Units: major units of the currency per GPU-hour. The calendar convention uses 8,760 / 12 hours.
    """
    fee = agreement.first_of(MonthlyFee)
    if fee is None or any(tranche.denominator is not Denominator.GPUS for tranche in agreement.tranches):
        return None
    gpus = sum(gpus_of(agreement, tranche) for tranche in agreement.tranches)
    hours = HOURS_PER_MONTH.get(convention or agreement.hours, Decimal(8760) / 12)
    rate = round_rate(Fraction(fee[1].amount) / gpus / Fraction(hours), places)
    basis = (f"{fee[0]}.amount", *(f"tranche[{i}].quantity" for i in range(len(agreement.tranches))))
    return figure_of(agreement, rate, basis)
