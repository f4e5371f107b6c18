"""Damages for a default that ended the agreement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from fractions import Fraction

from offtake.agreements.clauses.default import Damages, Default
from offtake.agreements.events.cause import DefaultNotice
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import fee_schedule, last_month
from offtake.base.money import Money, round_fraction
from offtake.base.months import days_in_month, plus_days
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, Move, charge, earned, left_of


def rate_default(
    agreement: Agreement, path: str, clause: Default, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """In the last month of an agreement that a default ended, what the offtaker owes for it."""
    ended = agreement.ended_by == path and facts.month == last_month(agreement)
    lesser = clause.damages is Damages.LESSER_OF
    on_demand = _on_demand(agreement, clause, facts) if lesser else 0
    sums = {}
    for word, quantity in (
        ("on_demand", on_demand or 0),
        ("charged", earned(agreement, charges).minor if lesser else 0),
        ("unknown", int(on_demand is None)),
    ):
        lots = facts.carried.get(f"{path}/{word}", ())
        sums[word] = left_of(lots) + quantity
        if quantity and not ended:
            yield Move(account=f"{path}/{word}", month=facts.month, quantity=quantity)
        if ended:
            for lot in lots:
                yield Move(account=f"{path}/{word}", month=lot.month, quantity=-lot.quantity)
    if not ended:
        return
    remaining, proceeds = _remaining(agreement, clause)
    owed, text = max(0, remaining - proceeds), "Accelerated fees after default"
    if lesser and sums["unknown"]:
        text += f" (not the lesser of two: no on-demand rate is known for {sums['unknown']} of its months)"
    elif lesser and (shortfall := max(0, sums["on_demand"] - sums["charged"])) < owed:
        owed, text = (
            shortfall,
            "What was taken at on-demand rates, less what was charged for it, after default",
        )
    money = agreement.currency
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.DAMAGES,
        text=f"{text}; {Money(remaining, money)} of fees fall away, {Money(proceeds, money)} of proceeds",
        amount=Money(owed, money),
        basis=(f"{path}.damages", f"{path}.share", f"{path}.cure_days"),
    )


def _remaining(agreement: Agreement, clause: Default) -> tuple[int, int]:
    """Scheduled fees that fall away, times the share, and what selling elsewhere brings.

    Units: minor units.
    """
    whole = fee_schedule(replace(agreement, ends_on=None, ended_by="")).total
    kept = fee_schedule(agreement).total
    notices = [event for event, _ in agreement.events_of(DefaultNotice) if event.cured is None]
    proceeds = agreement.money(notices[-1].proceeds).minor if notices else 0
    exact = (whole.minor - kept.minor) * Fraction(clause.share)
    return round_fraction(exact, agreement.rounding), proceeds


def _on_demand(agreement: Agreement, clause: Default, facts: MonthFacts) -> int | None:
    """What the month's take would have cost on demand, at the average of the month's rates or the last one
    before it; None where no rate is known.

    Units: minor units.
    """
    first = date(facts.month.year, facts.month.month, 1)
    series = agreement.series.get(clause.on_demand_series or "")
    rate = series.mean(first, plus_days(first, days_in_month(facts.month))) if series else None
    if rate is None and series is not None:
        last = series.at(first)
        rate = None if last is None else Fraction(last.value)
    if rate is None:
        return None
    return round_fraction(agreement.minor(rate) * Fraction(facts.taken, HOUR_S), agreement.rounding)
