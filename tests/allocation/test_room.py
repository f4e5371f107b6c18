"""Room for another claim: cuts against placing, and against counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation import room
from offtake.allocation.horizon import Wanted, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.room import room_for
from offtake.base.time import HOUR_S, Interval
from tests.allocation.test_horizon import HOURS, POOLS, WINDOW, businesses, curve, supply, wanted


@settings(max_examples=100, deadline=None)
@given(businesses(), st.lists(st.sampled_from(POOLS), min_size=1, unique=True))
def test_cuts_say_what_placing_finds(made: tuple[list[Wanted], list[Supply]], into: list[str]) -> None:
    asked, pools = made
    claims = [one.claim for one in asked]
    by_cuts = room_for(claims, pools, WINDOW, into)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "CUTS", 0)
        placed = room_for(claims, pools, WINDOW, into)
    hours = np.arange(HOURS) * HOUR_S
    assert by_cuts.at(hours).tolist() == placed.at(hours).tolist()
    least = by_cuts.min_over(WINDOW)
    block = wanted("block", tuple(into), curve([(0, least)], last=HOURS), 1)
    both = [Wanted(claim=claim, value=2) for claim in claims]
    before = {c.id: plan_horizon(both, pools, WINDOW).served(c.id) for c in claims}
    after = plan_horizon([*both, block], pools, WINDOW)
    assert after.served("block").min_over(WINDOW) == least
    lost = sum(before[c.id].integrate(WINDOW) - after.served(c.id).integrate(WINDOW) for c in claims)
    assert lost == 0


def test_a_claim_that_can_move_makes_room() -> None:
    pools = [supply("a", curve([(0, 16)])), supply("b", curve([(0, 16)]))]
    flexible = wanted("f", ("a", "b"), curve([(0, 16)]), 1).claim
    fixed = wanted("x", ("b",), curve([(12, 8)]), 1).claim
    found = room_for([flexible, fixed], pools, WINDOW, ["a"])
    assert (found.value_at(0), found.value_at(12 * HOUR_S)) == (16, 8)


def test_an_empty_window_and_an_unknown_pool_are_refused() -> None:
    with pytest.raises(ValueError, match="empty window"):
        room_for([], [supply("a", curve([(0, 8)]))], Interval(0, 0), ["a"])
    with pytest.raises(ValueError, match="unknown pools: z"):
        room_for([], [supply("a", curve([(0, 8)]))], WINDOW, ["z"])
