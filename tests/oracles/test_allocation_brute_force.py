"""The allocator against full enumeration of tiny fleets, and against max-flow min-cut on larger ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation.model import Plan, Supply
from offtake.allocation.plan import plan_allocation
from offtake.allocation.precedence import rank_claims
from offtake.base.time import Interval
from offtake.claims.model import Claim, Firmness
from tests.allocation.samples import DAY, fleets
from tests.allocation.samples import claim as a_claim
from tests.allocation.samples import pool as a_pool

Pair = tuple[str, str]


def placements(claims: Sequence[Claim], pools: Sequence[Supply]) -> Iterator[dict[tuple[str, str], int]]:
    """Every way to give whole nodes, at instant 0."""
    room = {pool.id: pool.available.value_at(0) // pool.gpus_per_node for pool in pools}
    size = {pool.id: pool.gpus_per_node for pool in pools}
    arcs = [(claim, pool) for claim in claims for pool in claim.pools]
    choices = [range(min(room[p], -(-c.gpus.value_at(0) // size[p])) + 1) for c, p in arcs]
    for nodes in product(*choices):
        held = {(c.id, p): n * size[p] for (c, p), n in zip(arcs, nodes, strict=True)}
        if all(sum(g for (_, q), g in held.items() if q == p) <= room[p] * size[p] for p in room):
            yield held


def cost(
    claims: Sequence[Claim], held: Mapping[Pair, int], before: Mapping[Pair, int]
) -> tuple[list[int], int]:
    """Shortfalls by rank, then GPUs moved."""
    short, moved = [], 0
    for claim in rank_claims(claims):
        mine = sum(gpus for (name, _), gpus in held.items() if name == claim.id)
        short.append(max(claim.gpus.value_at(0) - mine, 0))
        pairs = {pair for pair in (*held, *before) if pair[0] == claim.id}
        change = [held.get(pair, 0) - before.get(pair, 0) for pair in pairs]
        moved += min(sum(max(c, 0) for c in change), sum(max(-c, 0) for c in change))
    return short, moved


@st.composite
def instants(draw: st.DrawFn, sizes: tuple[int, ...]) -> tuple[list[Claim], list[Supply], dict[Pair, int]]:
    """A tiny fleet at one instant, and who held what before, when there may have been more to hold."""
    names = ["p0", "p1", "p2"]
    size = {name: draw(st.sampled_from(sizes)) for name in names}
    pools = [a_pool(name, size[name], draw(st.integers(0, 2 * size[name]))) for name in names]
    claims: list[Claim] = []
    before: dict[Pair, int] = {}
    for i in range(draw(st.integers(2, 3))):
        eligible = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        kind, owed = draw(st.sampled_from(Firmness)), draw(st.integers(0, 1))
        claims.append(a_claim(f"c{i}", kind, eligible, draw(st.integers(1, 3 * max(sizes))), owed=owed))
        before |= {(f"c{i}", name): draw(st.integers(0, 2)) * size[name] for name in names}
    return claims, pools, before


@settings(max_examples=100)
@given(instants((4,)))
def test_one_segment_is_best_by_rank_and_then_by_moves(
    instant: tuple[list[Claim], list[Supply], dict[Pair, int]],
) -> None:
    claims, pools, before = instant
    plan = plan_allocation(claims, pools, Interval(0, 1), previous=before)
    short, moved = min(cost(claims, held, before) for held in placements(claims, pools))
    assert ([int(plan.short[0, plan.claims.index(name)]) for name in plan.ranking], plan.total_moves) == (
        short,
        moved,
    )


@settings(max_examples=100)
@given(instants((2, 6)))
def test_with_repacking_one_segment_is_best_by_rank_whatever_the_nodes(
    instant: tuple[list[Claim], list[Supply], dict[Pair, int]],
) -> None:
    claims, pools, before = instant
    plan = plan_allocation(claims, pools, Interval(0, 1), previous=before, repack=True)
    short, _ = min(cost(claims, held, before) for held in placements(claims, pools))
    assert [int(plan.short[0, plan.claims.index(name)]) for name in plan.ranking] == short


@settings(max_examples=100)
@given(instants((2, 6)))
def test_firm_shortfalls_are_least_even_if_nobody_is_moved_for_parts(
    instant: tuple[list[Claim], list[Supply], dict[Pair, int]],
) -> None:
    claims, pools, before = instant
    firm = [c for c in claims if c.firmness is Firmness.FIRM]
    plan = plan_allocation(claims, pools, Interval(0, 1), previous=before)
    short, _ = min(cost(firm, held, {}) for held in placements(firm, pools))
    assert [int(plan.short[0, plan.claims.index(name)]) for name in plan.ranking[: len(firm)]] == short


def most_served(claims: Sequence[Claim], room: Mapping[str, int], need: Mapping[str, int]) -> int:
    """Most nodes that all claims together can get: the least cut over all sets of pools."""
    names = list(room)
    cuts = chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))
    return min(
        sum(room[p] for p in cut) + sum(need[c.id] for c in claims if not set(c.pools) <= set(cut))
        for cut in cuts
    )


def check_against_cuts(plan: Plan, claims: Sequence[Claim], pools: Sequence[Supply], node: int) -> None:
    """Each claim gets what max-flow of the claims down to it gives, less max-flow of those above it."""
    ranked = rank_claims(claims)
    for k in range(len(plan.times) - 1):
        room = {pool.id: int(plan.capacity[k, p]) // node for p, pool in enumerate(pools)}
        need = {claim.id: -(-int(plan.demand[k, c]) // node) for c, claim in enumerate(claims)}
        above = 0
        for r, claim in enumerate(ranked):
            total = most_served(ranked[: r + 1], room, need)
            held = int(plan.gpus[k, plan.claims.index(claim.id)].sum()) // node
            assert held == total - above, (k, claim.id)
            above = total


@settings(max_examples=80)
@given(fleets(sizes=(4,), n_pools=4, n_claims=6, n_steps=6))
def test_every_segment_serves_each_rank_as_max_flow_does(
    fleet: tuple[list[Claim], list[Supply]],
) -> None:
    claims, pools = fleet
    check_against_cuts(plan_allocation(claims, pools, DAY), claims, pools, 4)


@settings(max_examples=80)
@given(fleets(sizes=(2, 6), n_pools=3, n_claims=4, n_steps=3))
def test_without_repacking_the_served_of_all_ranks_lacks_at_most_what_is_held_in_parts(
    fleet: tuple[list[Claim], list[Supply]],
) -> None:
    claims, pools = fleet
    plan = plan_allocation(claims, pools, DAY)
    for k in range(len(plan.times) - 1):
        room = {pool.id: int(plan.capacity[k, p]) for p, pool in enumerate(pools)}
        need = {claim.id: int(plan.demand[k, c]) for c, claim in enumerate(claims)}
        served = int((plan.demand[k] - plan.short[k]).sum())
        free_parts = 6 * len(pools)  # less than a node of each pool may be free and of no use to anybody
        assert most_served(claims, room, need) <= served + int(plan.rounding[k].sum()) + free_parts
    assert np.all(plan.short >= 0)
