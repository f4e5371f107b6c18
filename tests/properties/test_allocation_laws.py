from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation.model import CapacityCut, ReasonCode, Supply
from offtake.allocation.plan import certify, plan_allocation
from offtake.base.curve import Curve, combine
from offtake.base.time import Interval
from offtake.claims.model import Claim
from offtake.fleet.model import Cause
from tests.allocation.samples import DAY, HOUR, fleets, hours

Fleet = tuple[list[Claim], list[Supply]]
one_size = fleets(sizes=(4,), n_pools=4, n_claims=6, n_steps=6)
two_sizes = fleets(sizes=(2, 6), n_pools=3, n_claims=5, n_steps=4)
three_sizes = fleets(sizes=(4, 6, 9), n_pools=3, n_claims=4, n_steps=4)
any_fleet = st.one_of(one_size, two_sizes, three_sizes)


@settings(max_examples=80)
@given(any_fleet)
def test_no_pool_gives_more_than_it_has_and_only_whole_nodes(fleet: Fleet) -> None:
    claims, pools = fleet
    plan = plan_allocation(claims, pools, DAY)
    for p, pool in enumerate(pools):
        given_out = combine([plan.held(claim.id, pool.id) for claim in claims], how="sum")
        assert not (pool.available.restrict(DAY) - given_out).where_below(0, DAY)
        assert not (plan.gpus[:, :, p] % pool.gpus_per_node).any()
    assert (plan.gpus >= 0).all()


@settings(max_examples=80)
@given(any_fleet)
def test_demand_is_delivered_or_short_and_holdings_are_delivered_or_rounding(fleet: Fleet) -> None:
    claims, pools = fleet
    plan = plan_allocation(claims, pools, DAY)
    for claim in claims:
        assert plan.delivered(claim.id) + plan.shortfall(claim.id) == claim.gpus.restrict(DAY)
    held = plan.gpus.sum(axis=2)
    assert np.array_equal(held, plan.demand - plan.short + plan.rounding)
    assert not ((plan.short > 0) & (plan.rounding > 0)).any()
    largest = {
        c: max(p.gpus_per_node for p in pools if p.id in claim.pools) for c, claim in enumerate(claims)
    }
    assert all((plan.rounding[:, c] < size).all() for c, size in largest.items())


@settings(max_examples=80)
@given(any_fleet)
def test_nobody_gets_a_gpu_of_a_pool_that_may_not_serve_it(fleet: Fleet) -> None:
    claims, pools = fleet
    plan = plan_allocation(claims, pools, DAY)
    for c, claim in enumerate(claims):
        for p, pool in enumerate(pools):
            assert pool.id in claim.pools or not plan.gpus[:, c, p].any()


@settings(max_examples=80)
@given(any_fleet, st.integers(0, 30), st.booleans())
def test_a_window_in_two_parts_gives_the_same_plan(fleet: Fleet, at: int, repack: bool) -> None:
    claims, pools = fleet
    whole = plan_allocation(claims, pools, DAY, repack=repack)
    if len(whole.times) < 3:
        return
    border = int(whole.times[1 + at % (len(whole.times) - 2)])
    one = plan_allocation(claims, pools, Interval(DAY.start, border), repack=repack)
    two = plan_allocation(
        claims, pools, Interval(border, DAY.end), repack=repack, previous=one.last_placement()
    )
    assert np.array_equal(np.concatenate([one.gpus, two.gpus]), whole.gpus)
    assert np.array_equal(np.concatenate([one.moved, two.moved]), whole.moved)


@settings(max_examples=60)
@given(any_fleet, st.randoms(use_true_random=False))
def test_the_order_of_the_input_means_nothing(fleet: Fleet, random: Random) -> None:
    claims, pools = fleet
    plan = plan_allocation(claims, pools, DAY)
    random.shuffle(claims)
    random.shuffle(pools)
    again = plan_allocation(claims, pools, DAY)
    assert again.reasons == plan.reasons
    for claim in claims:
        for pool in pools:
            assert again.held(claim.id, pool.id) == plan.held(claim.id, pool.id)


@settings(max_examples=60)
@given(
    one_size,
    st.integers(0, 2),
    st.integers(0, 10),
    st.integers(11, 23),
    st.integers(1, 12),
    st.sampled_from(Cause),
)
def test_reasons_explain_every_gpu_short_and_every_gpu_moved(
    fleet: Fleet, which: int, start: int, end: int, gpus: int, cause: Cause
) -> None:
    claims, pools = fleet
    name = pools[which % len(pools)].id
    cut = CapacityCut(pool=name, interval=hours(start, end), gpus=gpus, cause=cause)
    plan = plan_allocation(claims, pools, DAY, causes={name: [cut]})
    assert np.array_equal(sum(plan.short_by.values()), plan.short)
    for total in plan.totals():
        mine = [reason for reason in plan.reasons if reason.claim == total.claim]
        assert sum(reason.gpu_seconds for reason in mine) == total.short
        moves = [reason for reason in mine if reason.code is ReasonCode.MOVED]
        assert bool(moves) == bool(total.moved)
        for code in ReasonCode:
            runs = sorted(reason.interval for reason in mine if reason.code is code)
            assert all(a.end < b.start for a, b in pairwise(runs))
    explained = [r for r in plan.reasons if r.code == cause.value]
    assert all(r.gpus_max <= gpus and cut.interval.start <= r.interval.start for r in explained)
    for k, start_s in enumerate(plan.times[:-1].tolist()):
        at_once = [r for r in explained if start_s in r.interval]
        assert not at_once or plan.short[k].sum() > 0


@settings(max_examples=60)
@given(any_fleet)
def test_no_plan_beats_its_bound(fleet: Fleet) -> None:
    claims, pools = fleet
    plan = certify(plan_allocation(claims, pools, DAY), claims)
    assert plan.bound is not None
    assert plan.objective <= plan.bound


@settings(max_examples=40)
@given(fleets(sizes=(1,), n_pools=4, n_claims=6, n_steps=6))
def test_a_plan_of_single_gpus_reaches_its_bound(fleet: Fleet) -> None:
    claims, pools = fleet
    plan = certify(plan_allocation(claims, pools, DAY), claims)
    assert plan.gap == 0
    assert not plan.rounding.any()


@settings(max_examples=40)
@given(one_size)
def test_breakpoints_at_which_nothing_changes_change_nothing(fleet: Fleet) -> None:
    claims, pools = fleet
    cuts = [
        CapacityCut(
            pool=pools[0].id, interval=Interval(h * HOUR, h * HOUR + 1_800), gpus=1, cause=Cause.DERATE
        )
        for h in range(24)
    ]
    fine = plan_allocation(claims, pools, DAY, causes={pools[0].id: cuts})
    coarse = plan_allocation(claims, pools, DAY)
    assert len(fine.times) == 49
    for claim in claims:
        for pool in pools:
            assert fine.held(claim.id, pool.id) == coarse.held(claim.id, pool.id)


def test_curves_of_a_plan_are_zero_outside_its_window() -> None:
    plan = plan_allocation([], [Supply(id="p", gpus_per_node=1, available=Curve.constant(3))], DAY)
    assert plan.free("p") == Curve.constant(3, DAY)
