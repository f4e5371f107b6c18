"""From what was held, short and taken to the facts that a month is rated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from offtake.agreements.derive import entitlement
from offtake.agreements.events.recall import recalled
from offtake.agreements.model import Agreement, Tranche
from offtake.base.curve import Curve, combine, maximum, minimum
from offtake.base.months import Month
from offtake.rating.model import Carried, MonthFacts, Paid, TrancheFacts

OUTAGE = "outage"
"""The cause under which the allocator reports what outages took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What happened in one period, by claim, for every agreement that shares its borders.

    Attributes:
        held: GPUs held over time, whole nodes, so possibly above what is owed.
        short: GPUs not delivered over time, by cause.
        taken: GPUs metered over time.
        totals: GPU-seconds metered besides, where nobody needs to know when.
        outages: by pool, GPUs that outages took over time.
        paid: by agreement, what was paid of documents.
        energy_wh: by agreement, watt-hours metered.
        unsold: by pool, GPU-seconds that nobody had claimed.
    """

    held: Mapping[str, Curve]
    short: Mapping[str, Mapping[str, Curve]]
    taken: Mapping[str, Curve]
    totals: Mapping[str, int] = field(default_factory=dict)
    outages: Mapping[str, Curve] = field(default_factory=dict)
    paid: Mapping[str, tuple[Paid, ...]] = field(default_factory=dict)
    energy_wh: Mapping[str, int] = field(default_factory=dict)
    unsold: Mapping[str, int] = field(default_factory=dict)


def month_facts(
    agreement: Agreement, month: Month, measured: Measured, carried: Carried | None = None
) -> MonthFacts:
    """What happened under an agreement in a month.

    Delivered is what was held, but no more than was owed at each instant. A tranche that runs within a queue
    entitles to nothing, so only its take counts.

    Args:
        agreement: as it stands.
        month: one of its local months.
        measured: for exactly that month.
        carried: what the month before carried into it.
    """
    back = recalled(agreement)
    return MonthFacts(
        month=month,
        tranches={
            tranche.id: _tranche_facts(agreement, month, tranche, measured, back.get(tranche.id))
            for tranche in agreement.tranches
        },
        energy_wh=measured.energy_wh.get(agreement.id, 0),
        unsold=measured.unsold,
        paid=measured.paid.get(agreement.id, ()),
        carried=carried or {},
    )


def _tranche_facts(
    agreement: Agreement, month: Month, tranche: Tranche, measured: Measured, back: Curve | None
) -> TrancheFacts:
    period = agreement.month(month)
    claim = f"{agreement.id}/{tranche.id}"
    take = measured.taken.get(claim, Curve.zero()).restrict(period)
    if tranche.queue is not None:
        return TrancheFacts(taken=take.integrate(period) + measured.totals.get(claim, 0), use=take)
    owed = entitlement(agreement, tranche).value.restrict(period)
    taken_back = Curve.zero() if back is None else minimum(back, owed)
    short = {cause: curve.restrict(period) for cause, curve in measured.short.get(claim, {}).items()}
    return TrancheFacts(
        entitled=owed.integrate(period),
        delivered=minimum(measured.held.get(claim, Curve.zero()), owed - taken_back).integrate(period),
        taken=take.integrate(period) + measured.totals.get(claim, 0),
        recalled=taken_back.integrate(period),
        over=maximum(take - owed, Curve.zero()).integrate(period),
        lost={cause: curve.integrate(period) for cause, curve in short.items()},
        out=by_pool(short.get(OUTAGE, Curve.zero()), tranche.pools, measured.outages),
        use=take,
    )


def by_pool(lost: Curve, pools: tuple[str, ...], outages: Mapping[str, Curve]) -> dict[str, Curve]:
    """What outages took from a tranche, by the pool that was out.

    Where several of its pools are out at once, the pools are counted in the tranche's order, each up to what
    is out there; what no pool explains has an empty name.
    """
    found: dict[str, Curve] = {}
    left = lost
    for pool in pools:
        part = minimum(left, outages.get(pool, Curve.zero()))
        if part != Curve.zero():
            found[pool] = part
            left = left - part
    if left != Curve.zero():
        found[""] = left
    return found


def all_out(facts: MonthFacts) -> Curve:
    """GPUs that outages took from all tranches together, over time."""
    curves = [curve for own in facts.tranches.values() for curve in own.out.values()]
    return combine(curves) if curves else Curve.zero()
