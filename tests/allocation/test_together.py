"""Accepting deals together against trying every set of them."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation.horizon import Wanted, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.together import Deal, Oversold, choose_deals
from offtake.base.time import HOUR_S
from offtake.claims.model import Claim
from tests.allocation.test_horizon import HOURS, WINDOW, businesses, curve, supply, wanted


def fits(claims: list[Claim], pools: list[Supply]) -> bool:
    """Whether all are served in full, by placing them."""
    plan = plan_horizon([Wanted(claim=claim, value=1) for claim in claims], pools, WINDOW)
    return not list(plan.shorts())


@settings(max_examples=60, deadline=None)
@given(businesses(), businesses(), st.lists(st.integers(0, 9), min_size=6, max_size=6))
def test_no_other_set_that_fits_is_worth_more(
    made: tuple[list[Wanted], list[Supply]], offered: tuple[list[Wanted], list[Supply]], worths: list[int]
) -> None:
    there = [one.claim for one in made[0][:2]]
    pools = made[1]
    deals = [
        Deal(id=f"d{i}", claims=(one.claim,), worth=worths[i] * 1_000) for i, one in enumerate(offered[0])
    ]
    names = {one.claim.id for one in made[0][:2]}
    deals = [deal for deal in deals if deal.claims[0].id not in names]
    if not fits(there, pools):
        with pytest.raises(Oversold):
            choose_deals(there, pools, WINDOW, deals)
        return
    found = choose_deals(there, pools, WINDOW, deals)
    best = max(
        sum(deal.worth for deal in some)
        for size in range(len(deals) + 1)
        for some in combinations(deals, size)
        if fits([*there, *(claim for deal in some for claim in deal.claims)], pools)
    )
    assert found.worth == best == found.bound
    accepted = [deal for deal in deals if deal.id in found.accepted]
    assert fits([*there, *(claim for deal in accepted for claim in deal.claims)], pools)
    assert set(found.rejected) == {deal.id for deal in deals} - set(found.accepted)
    for deal in deals:
        lacking = found.rejected.get(deal.id)
        if lacking is not None:
            assert lacking.gpus > 0
            assert not fits([*there, *(c for d in [*accepted, deal] for c in d.claims)], pools)


def test_a_deal_of_two_tranches_is_taken_whole_or_not() -> None:
    pools = [supply("a", curve([(0, 16)])), supply("b", curve([(0, 8)]))]
    first = wanted("x", ("a",), curve([(0, 8)], last=HOURS), 1).claim
    second = wanted("y", ("b",), curve([(6, 8)], last=HOURS), 1).claim
    other = wanted("z", ("b",), curve([(12, 8)], last=HOURS), 1).claim
    pair = Deal(id="pair", claims=(first, second), worth=100)
    single = Deal(id="single", claims=(other,), worth=60)
    found = choose_deals([], pools, WINDOW, [pair, single])
    assert found.accepted == ("pair",)
    assert found.gap == 0
    lacking = found.rejected["single"]
    assert lacking is not None
    assert (lacking.pools, lacking.gpus, lacking.interval.start) == (("b",), 8, 12 * HOUR_S)
    nothing = choose_deals([], pools, WINDOW, [Deal(id="gift", claims=(other,), worth=0)])
    assert (nothing.accepted, dict(nothing.rejected), nothing.worth) == ((), {"gift": None}, 0)
