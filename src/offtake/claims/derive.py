"""Agreements and internal demand as claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from offtake.agreements.derive import entitlement
from offtake.agreements.events.recall import recalled
from offtake.agreements.model import Agreement
from offtake.base.curve import Curve, maximum
from offtake.claims.model import Claim, Firmness


def claims_of(agreement: Agreement, *, owed_per_gpu_month: int = 0) -> tuple[Claim, ...]:
    """One claim for each tranche, for its entitlement less what was recalled.

    A tranche that runs in a queue makes none: the queue's claim holds for it.

    Args:
        agreement: as it stands, an early end and recalls included.
        owed_per_gpu_month: what one GPU short for a month puts at stake, in minor units.
    """
    taken_back = recalled(agreement)
    claims = []
    for tranche in agreement.tranches:
        if tranche.queue is not None:
            continue
        gpus = entitlement(agreement, tranche).value
        if tranche.id in taken_back:
            gpus = maximum(gpus - taken_back[tranche.id], Curve.zero())
        claims.append(
            Claim(
                id=f"{agreement.id}/{tranche.id}",
                holder=agreement.id,
                firmness=Firmness(tranche.firmness.value),
                pools=tranche.pools,
                gpus=gpus,
                owed_per_gpu_month=owed_per_gpu_month,
                agreement=agreement.id,
                tranche=tranche.id,
            )
        )
    return tuple(claims)


def oversold(claims: Iterable[Claim], capacity: Mapping[str, Curve]) -> Mapping[tuple[str, ...], Curve]:
    """GPUs by which firm claims on a set of pools exceed what those pools have, over time.

    Checks each set of pools that some firm claim names: the claims that fit nowhere else against the
    set's capacity (Hall's condition on the sets that occur, which is necessary but not sufficient: the
    allocator has the last word).
    """
    firm = [claim for claim in claims if claim.firmness is Firmness.FIRM]
    result: dict[tuple[str, ...], Curve] = {}
    for pools in dict.fromkeys(tuple(sorted(claim.pools)) for claim in firm):
        wanted, there = Curve.zero(), Curve.zero()
        for claim in firm:
            if set(claim.pools) <= set(pools):
                wanted = wanted + claim.gpus
        for pool in pools:
            there = there + capacity[pool]
        excess = maximum(wanted - there, Curve.zero())
        if excess != Curve.zero():
            result[pools] = excess
    return result
