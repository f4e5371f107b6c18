"""Room for another claim: cuts against placing, and against counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation import room
from offtake.allocation.horizon import Wanted, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.room import Uncertain, room_for, rooms_for
from offtake.base.curve import Curve, maximum
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


@settings(max_examples=60, deadline=None)
@given(businesses(), st.integers(0, 3), st.lists(st.sampled_from(POOLS), min_size=1, unique=True))
def test_each_outcome_is_what_it_is_alone(
    made: tuple[list[Wanted], list[Supply]], certain: int, into: list[str]
) -> None:
    asked, pools = made
    claims = [one.claim for one in asked]
    hours = np.arange(HOURS) * HOUR_S
    fixed, rest = claims[:certain], claims[certain:]
    outcomes = [
        Uncertain(pools=c.pools, gpus=np.stack([c.gpus.at(hours), c.gpus.at(hours)[::-1]])) for c in rest
    ]
    lost = {POOLS[0]: np.array([[0] * HOURS, [8] * HOURS])}
    found = rooms_for(fixed, outcomes, lost, pools, hours=hours, into=[into, POOLS[:1]])
    assert found is not None
    assert found.shape == (2, 2, HOURS)
    for outcome in (0, 1):
        there = [
            *fixed,
            *(
                replace(c, gpus=curve([*enumerate(o.gpus[outcome].tolist())], last=HOURS))
                for c, o in zip(rest, outcomes, strict=True)
            ),
        ]
        short = curve([(0, 8 * outcome)], last=HOURS)
        left = [
            replace(p, available=maximum(p.available - short, Curve.zero())) if p.id == POOLS[0] else p
            for p in pools
        ]
        for row, one in enumerate((into, POOLS[:1])):
            alone = room_for(there, left, WINDOW, one).at(hours)
            assert found[row, outcome].tolist() == alone.tolist()


def test_too_many_cuts_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_MOST_CELLS", 3)
    pools = [supply("a", curve([(0, 16)]))]
    hours = np.arange(2) * HOUR_S
    assert rooms_for([], [], {}, pools, hours=hours, into=[["a"]]) is None


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
