"""From what was held, short and taken to the facts that a month is rated on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offtake.agreements.derive import entitlement
from offtake.agreements.events import Election
from offtake.agreements.model import Agreement
from offtake.base.curve import Curve, minimum
from offtake.base.months import Month
from offtake.rating.model import MonthFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What happened in one period, by claim, for every agreement that shares its borders.

    Attributes:
        held: GPUs held over time, whole nodes, so possibly above what is owed.
        short: GPU-seconds not delivered, by cause.
        taken: GPU-seconds metered.
    """

    held: Mapping[str, Curve]
    short: Mapping[str, Mapping[str, int]]
    taken: Mapping[str, int]


def month_facts(
    agreement: Agreement,
    month: Month,
    measured: Measured,
    *,
    recalled: Mapping[str, Curve],
    election: Election | None,
) -> MonthFacts:
    """What happened under an agreement in a month.

    Delivered is what was held, but no more than was owed at each instant. A tranche that runs within a queue
    entitles to nothing, so only its take counts.

    Args:
        agreement: as it stands.
        month: one of its local months.
        measured: for exactly that month.
        recalled: by tranche, GPUs taken back by recalls that count.
        election: a choice after a missed delivery that counts, if any.
    """
    period = agreement.month(month)
    entitled = delivered = taken = taken_back = 0
    lost: dict[str, int] = {}
    for tranche in agreement.tranches:
        claim = f"{agreement.id}/{tranche.id}"
        taken += measured.taken.get(claim, 0)
        if tranche.queue is not None:
            continue
        owed = entitlement(agreement, tranche).value
        back = minimum(recalled.get(tranche.id, Curve.zero()), owed)
        entitled += owed.integrate(period)
        taken_back += back.integrate(period)
        delivered += minimum(measured.held.get(claim, Curve.zero()), owed - back).integrate(period)
        for cause, gpu_seconds in measured.short.get(claim, {}).items():
            lost[cause] = lost.get(cause, 0) + gpu_seconds
    return MonthFacts(
        month=month,
        entitled=entitled,
        delivered=delivered,
        taken=taken,
        recalled=taken_back,
        lost=lost,
        election=election,
    )
