"""Months as someone supposes them: what would be owed if this happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from offtake.agreements.derive import entitlement
from offtake.agreements.events.recall import recalled
from offtake.agreements.model import Agreement, Tranche
from offtake.base.curve import Curve, combine, maximum, minimum
from offtake.base.money import round_fraction
from offtake.base.months import Month, months_through
from offtake.base.time import HOUR_S, Interval
from offtake.rating.measure import OUTAGE, by_pool
from offtake.rating.model import MonthFacts, Paid, TrancheFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SupposedMonth:
    """What is supposed of a month, for all tranches or for one.

    Attributes:
        month: which.
        tranche: only this one, or None for all.
        taken: share of what was delivered that was taken.
        taken_gpu_h: GPU-hours taken instead, by the tranche; for all together where none is named.
        over_gpu_h: GPU-hours taken beyond the entitlement.
        energy_wh: metered for the agreement.
        unsold: by pool, GPU-hours nobody had claimed.
    """

    month: Month
    tranche: str | None = None
    taken: Fraction = Fraction(1)
    taken_gpu_h: Fraction | None = None
    over_gpu_h: Fraction = Fraction(0)
    energy_wh: int = 0
    unsold: Mapping[str, Fraction] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SupposedOutage:
    """GPUs of a tranche that are lost over an interval; the pool is empty where it doesn't matter."""

    tranche: str
    interval: Interval
    gpus: int
    pool: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupposedHour:
    """GPUs of a tranche that are taken for the hour that begins at an instant."""

    tranche: str
    at: int
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """What is supposed to happen, beside the agreement's own events."""

    months: tuple[SupposedMonth, ...] = ()
    outages: tuple[SupposedOutage, ...] = ()
    hours: tuple[SupposedHour, ...] = ()
    paid: tuple[Paid, ...] = ()


def supposed_months(
    agreement: Agreement, supposed: Supposed, first: Month, last: Month
) -> Iterator[MonthFacts]:
    """The facts of every month from first to last, delivered and taken in full where nothing else is said."""
    back = recalled(agreement)
    curves = {
        tranche.id: (entitlement(agreement, tranche).value, back.get(tranche.id, Curve.zero()))
        for tranche in agreement.tranches
    }
    for month in months_through(first, last):
        own = [s for s in supposed.months if s.month == month]
        yield MonthFacts(
            month=month,
            tranches={
                t.id: _tranche(agreement, t, curves[t.id], months=own, month=month, supposed=supposed)
                for t in agreement.tranches
            },
            energy_wh=sum(s.energy_wh for s in own),
            unsold={pool: round_fraction(gpu_h * HOUR_S) for s in own for pool, gpu_h in s.unsold.items()},
            paid=tuple(paid for paid in supposed.paid if _month(paid) == month),
        )


def _month(paid: Paid) -> Month:
    return Month(paid.paid.year, paid.paid.month)


def _tranche(
    agreement: Agreement,
    tranche: Tranche,
    curves: tuple[Curve, Curve],
    *,
    month: Month,
    months: Sequence[SupposedMonth],
    supposed: Supposed,
) -> TrancheFacts:
    """A month of a tranche; `curves` are its entitlement and what is recalled of it."""
    period = agreement.month(month)
    owed = curves[0].restrict(period)
    back = minimum(curves[1], owed)
    here = owed - back
    out = Curve.zero()
    by: dict[str, Curve] = {}
    for outage in supposed.outages:
        if outage.tranche == tranche.id:
            part = Curve.constant(outage.gpus, outage.interval)
            out = out + part
            by[outage.pool] = by.get(outage.pool, Curve.zero()) + part
    out = minimum(out, here)
    delivered = (here - out).integrate(period)
    use = here - out
    if supposed.hours:
        use = _by_hour(tranche, supposed.hours).restrict(period)
        taken, over = use.integrate(period), maximum(use - owed, Curve.zero()).integrate(period)
    else:
        taken, over = _taken(tranche, months, delivered, first=agreement.tranches[0].id == tranche.id)
        taken += over
    lost = out.integrate(period)
    return TrancheFacts(
        entitled=owed.integrate(period),
        delivered=delivered,
        taken=taken,
        use=use,
        recalled=back.integrate(period),
        over=over,
        lost={OUTAGE: lost} if lost else {},
        out=by_pool(out, tuple(pool for pool in by if pool), by),
    )


def _by_hour(tranche: Tranche, hours: Sequence[SupposedHour]) -> Curve:
    """Take as it is supposed hour by hour."""
    parts = [Curve.constant(h.gpus, Interval(h.at, h.at + HOUR_S)) for h in hours if h.tranche == tranche.id]
    return combine(parts) if parts else Curve.zero()


def _taken(
    tranche: Tranche, months: Sequence[SupposedMonth], delivered: int, *, first: bool
) -> tuple[int, int]:
    """GPU-seconds taken within the entitlement, and beyond it; the first tranche bears sums of all."""
    taken, over = delivered, 0
    for supposed in months:
        if supposed.tranche not in (None, tranche.id):
            continue
        taken = round_fraction(supposed.taken * delivered)
        whole = supposed.tranche is not None or first
        if supposed.taken_gpu_h is not None:
            taken = round_fraction(supposed.taken_gpu_h * HOUR_S) if whole else 0
        over = round_fraction(supposed.over_gpu_h * HOUR_S) if whole else 0
    return taken, over
