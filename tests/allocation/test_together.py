"""Deals accepted together: against enumeration of subsets with min cuts, and of every placement of nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation.horizon import Wanted
from offtake.allocation.model import Supply
from offtake.allocation.stays import capacity_rows
from offtake.allocation.together import Against, Deal, Decision, choose_deals
from offtake.base.curve import Curve
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim, Firmness

NODE = 8
HOURS = 4
WINDOW = Interval(0, HOURS * HOUR_S)
EVERY_HOUR = [hour * HOUR_S for hour in range(HOURS)]
POOLS = ("a", "b", "c")


def curve(levels: Sequence[int]) -> Curve:
    return Curve.from_steps([(h * HOUR_S, gpus) for h, gpus in enumerate([*levels, 0])])


def wanted(
    name: str,
    pools: Sequence[str],
    levels: Sequence[int],
    value: int,
    firmness: Firmness = Firmness.FIRM,
    penalty: int = 0,
) -> Wanted:
    claim = Claim(id=name, holder=name, firmness=firmness, pools=tuple(pools), gpus=curve(levels))
    return Wanted(claim=claim, value=value, penalty=penalty)


def supply(name: str, levels: Sequence[int]) -> Supply:
    return Supply(id=name, gpus_per_node=NODE, available=curve(levels))


def levels(most: int, hours: int = HOURS) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, most), min_size=hours, max_size=hours)


def offer(one: Wanted, *, whole: bool = False, id_: str = "") -> Deal:
    """A deal that brings its value for each GPU-hour."""
    worth = one.value * one.claim.gpus.integrate(WINDOW) // HOUR_S
    return Deal(id=id_ or one.claim.id, claims=(one.claim,), worth=worth, whole=whole)


Business = tuple[list[Wanted], list[Deal], list[Supply]]


@st.composite
def businesses(draw: st.DrawFn, *, most: int, standing: int, candidates: int, pools: int) -> Business:
    names = POOLS[:pools]

    def one(name: str, firmness: Firmness, penalty: int) -> Wanted:
        own = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        return wanted(name, own, draw(levels(most)), draw(st.integers(1, 9)) * 10**6, firmness, penalty)

    stand = [
        one(f"s{i}", draw(st.sampled_from([Firmness.FIRM, Firmness.INTERNAL])), draw(st.integers(0, 3)))
        for i in range(draw(st.integers(0, standing)))
    ]
    offered = [
        Deal(
            id=f"d{i}",
            claims=tuple(one(f"d{i}/{t}", Firmness.FIRM, 0).claim for t in range(draw(st.integers(1, 2)))),
            worth=draw(st.integers(0, 200)) * 10**6,
            whole=draw(st.booleans()),
        )
        for i in range(draw(st.integers(1, candidates)))
    ]
    return stand, offered, [supply(name, draw(levels(3 * most // 2))) for name in names]


def gpus_of(claim: Claim) -> list[int]:
    return [claim.gpus.value_at(hour * HOUR_S) for hour in range(HOURS)]


def rooms_of(pools: Sequence[Supply]) -> dict[str, list[int]]:
    return {p.id: [p.available.value_at(h * HOUR_S) // NODE for h in range(HOURS)] for p in pools}


def fits(needs: Sequence[tuple[frozenset[str], int]], room: Mapping[str, int]) -> bool:
    """Whether nodes can be placed: no set of pools is asked for more than it has (max flow, min cut)."""
    return all(
        sum(n for own, n in needs if own <= set(some)) <= sum(room[p] for p in some)
        for size in range(1, len(room) + 1)
        for some in combinations(room, size)
    )


def best_if_placed_anew(
    stand: Sequence[Wanted], taken: Sequence[Deal], pools: Sequence[Supply]
) -> int | None:
    """The most that firm claims and these deals earn with others, hour by hour; None if they don't fit."""
    found: list[int] = []
    whole = [claim for deal in taken if deal.whole for claim in deal.claims]
    split = [claim for deal in taken if not deal.whole for claim in deal.claims]
    for where in product(*(claim.pools for claim in whole)):
        room = rooms_of(pools)
        for claim, pool in zip(whole, where, strict=True):
            room[pool] = [r - -(-g // NODE) for r, g in zip(room[pool], gpus_of(claim), strict=True)]
        earned = [
            best_hour(stand, split, {p: r[hour] for p, r in room.items()}, hour) for hour in range(HOURS)
        ]
        if None not in earned:
            found.append(sum(e for e in earned if e is not None))
    return HOUR_S * (max(found) + sum(deal.worth for deal in taken)) if found else None


def best_hour(
    stand: Sequence[Wanted], split: Sequence[Claim], room: Mapping[str, int], hour: int
) -> int | None:
    needs = [(frozenset(claim.pools), -(-gpus_of(claim)[hour] // NODE)) for claim in split]
    earned, nodes = 0, []
    for one in stand:
        gpus, own = gpus_of(one.claim)[hour], frozenset(one.claim.pools)
        if one.claim.firmness is Firmness.FIRM:
            earned += one.value * gpus
            needs.append((own, -(-gpus // NODE)))
        else:
            earned -= one.penalty * gpus
            nodes += [((one.value + one.penalty) * min(NODE, gpus - i), own) for i in range(0, gpus, NODE)]
    if min(room.values()) < 0 or not fits(needs, room):
        return None
    for worth, own in sorted(nodes, key=lambda node: -node[0]):  # the dearest first is best: a matroid
        if fits([*needs, (own, 1)], room):
            needs.append((own, 1))
            earned += worth
    return earned


def subsets(offered: Sequence[Deal]) -> Iterator[list[Deal]]:
    for bits in product((False, True), repeat=len(offered)):
        yield [one for one, bit in zip(offered, bits, strict=True) if bit]


def check_rules(choice: Decision, business: Business) -> None:
    stand, offered, pools = business
    every = [*(one.claim for one in stand), *(claim for deal in offered for claim in deal.claims)]
    room = rooms_of(pools)
    lost = {one.claim for one in choice.already_short}
    full = {one.claim.id for one in stand if one.claim.firmness is Firmness.FIRM} - lost
    full |= {claim.id for deal in offered if deal.id in choice.accepted for claim in deal.claims}
    none = {claim.id for deal in offered if deal.id not in choice.accepted for claim in deal.claims}
    for hour in range(HOURS):
        at = hour * HOUR_S
        for pool in pools:
            held = [choice.held(claim.id, pool.id).value_at(at) for claim in every]
            assert sum(held) <= room[pool.id][hour] * NODE
            assert not any(gpus % NODE for gpus in held)
        for claim in every:
            total = sum(choice.held(claim.id, pool).value_at(at) for pool in claim.pools)
            asked = gpus_of(claim)[hour]
            assert total <= -(-asked // NODE) * NODE
            assert total >= asked or claim.id not in full
            assert not total or claim.id not in none
    for deal in offered:
        for claim in deal.claims:
            used = [pool for pool in claim.pools if len(choice.held(claim.id, pool).times)]
            assert len(used) <= 1 or not deal.whole
    assert {*choice.accepted, *(one.id for one in choice.rejected)} == {one.id for one in offered}


@settings(max_examples=150, deadline=None)
@given(businesses(most=24, standing=3, candidates=4, pools=3))
def test_placed_anew_every_hour_it_equals_enumeration(business: Business) -> None:
    stand, offered, pools = business
    choice = choose_deals(stand, offered, pools, WINDOW, resets=None, gap=0.0)
    check_rules(choice, business)
    worth = {
        tuple(one.id for one in taken): best_if_placed_anew(stand, taken, pools) for taken in subsets(offered)
    }
    if worth[()] is None:
        assert choice.already_short
        return
    assert not choice.already_short
    best = max(w for w in worth.values() if w is not None)
    assert choice.objective == best == worth[tuple(choice.accepted)]
    assert best <= choice.bound <= best + best // 10**6 + 1
    for one in choice.rejected:
        assert (one.why is Against.NO_ROOM) == (worth[one.id,] is None)
        forced = [w for taken, w in worth.items() if one.id in taken and w is not None]
        if forced:
            assert one.loss <= best - max(forced) + best // 10**6
        else:
            assert one.short
            assert {lack.pool for lack in one.short} <= set(POOLS)


def best_if_placed_once(
    stand: Sequence[Wanted], taken: Sequence[Deal], pools: Sequence[Supply], spans: Sequence[range]
) -> int | None:
    """The same where each node stays for a span: every placement of every node is tried."""
    deals = [(Wanted(claim=c, value=1), deal.whole) for deal in taken for c in deal.claims]
    nodes: list[tuple[int, bool, list[tuple[str, list[int]]]]] = []
    fixed = sum(deal.worth for deal in taken)
    for one, whole in [*((s, False) for s in stand), *deals]:
        gpus = gpus_of(one.claim)
        must = one.claim.firmness is Firmness.FIRM
        if one in stand:
            fixed += (one.value if must else -one.penalty) * sum(gpus)
        if whole:
            takes = [-(-g // NODE) for g in gpus]
            nodes.append((0, True, [(pool, takes) for pool in one.claim.pools]))
            continue
        for span, below in product(spans, range(0, max(gpus, default=0), NODE)):
            served = [min(NODE, max(0, g - below)) if h in span else 0 for h, g in enumerate(gpus)]
            if any(served):
                worth = 0 if must else (one.value + one.penalty) * sum(served)
                nodes.append((worth, must, [(p, [int(s > 0) for s in served]) for p in one.claim.pools]))
    nodes.sort(key=lambda node: not node[1])

    def best(i: int, room: dict[str, list[int]]) -> int | None:
        if i == len(nodes):
            return 0
        worth, must, places = nodes[i]
        found = [] if must else [best(i + 1, room)]
        for pool, takes in places:
            left = [r - t for r, t in zip(room[pool], takes, strict=True)]
            if min(left) >= 0:
                rest = best(i + 1, {**room, pool: left})
                found.append(None if rest is None else worth + rest)
        return max((f for f in found if f is not None), default=None)

    rest = best(0, rooms_of(pools))
    return None if rest is None else HOUR_S * (fixed + rest)


@settings(max_examples=100, deadline=None)
@given(businesses(most=16, standing=2, candidates=2, pools=2), st.integers(0, HOURS - 1))
def test_placed_once_it_equals_enumeration_of_nodes(business: Business, reset: int) -> None:
    stand, offered, pools = business
    choice = choose_deals(stand, offered, pools, WINDOW, resets=[reset * HOUR_S], gap=0.0)
    check_rules(choice, business)
    spans = [range(reset), range(reset, HOURS)]
    worth = {
        tuple(one.id for one in taken): best_if_placed_once(stand, taken, pools, spans)
        for taken in subsets(offered)
    }
    assert (worth[()] is None) == bool(choice.already_short)
    if worth[()] is not None:
        assert choice.objective == max(w for w in worth.values() if w is not None)
        assert choice.objective == worth[tuple(choice.accepted)]


@settings(max_examples=60, deadline=None)
@given(businesses(most=24, standing=4, candidates=3, pools=2))
def test_firm_claims_lose_nothing_to_a_deal(business: Business) -> None:
    stand, offered, pools = business
    alone = choose_deals(stand, [], pools, WINDOW, gap=0.0)
    choice = choose_deals(stand, offered, pools, WINDOW, gap=0.0)
    assert choice.already_short == alone.already_short
    assert choice.objective >= alone.objective


def test_why_names_the_pool_the_interval_and_who_would_lose() -> None:
    pools = [supply("a", [16, 16, 8, 16]), supply("b", [8] * 4)]
    stand = [
        wanted("firm", ["a"], [8] * 4, 10**6),
        wanted("team", ["b"], [8] * 4, 5 * 10**6, Firmness.INTERNAL, 10**6),
    ]
    dear = offer(wanted("dear", ["a"], [8, 8, 0, 0], 4 * 10**6))
    cheap = offer(wanted("cheap", ["a"], [8, 0, 0, 0], 10**6))
    long = offer(wanted("long", ["a"], [8] * 4, 9 * 10**6), whole=True)
    rival = offer(wanted("rival", ["b"], [0, 8, 8, 0], 2 * 10**6))
    choice = choose_deals(stand, [dear, cheap, long, rival], pools, WINDOW, gap=0.0)
    assert choice.accepted == ("dear",)
    assert choice.held("dear", "a") == curve([8, 8, 0, 0])
    assert choice.gap == 0
    by_id = {one.id: one for one in choice.rejected}
    (lack,) = by_id["long"].short
    assert (lack.pool, lack.interval, lack.gpus) == ("a", Interval(2 * HOUR_S, 3 * HOUR_S), 8)
    assert (by_id["long"].why, by_id["long"].displaces) == (Against.NO_ROOM, ())
    (lost,) = by_id["cheap"].displaces
    assert (lost.claim, lost.gpu_seconds) == ("dear", 16 * HOUR_S)
    assert [(s.pool, s.interval) for s in by_id["cheap"].short] == [("a", Interval(0, HOUR_S))]
    assert by_id["cheap"].loss == (4 * 16 - 8) * 10**6 * HOUR_S
    (lost,) = by_id["rival"].displaces
    assert (lost.claim, by_id["rival"].why, by_id["rival"].short) == ("team", Against.WORTH_LESS, ())
    assert lost.gpu_seconds == 32 * HOUR_S  # its node isn't served for two hours in between alone
    assert by_id["rival"].loss == (6 * 32 - 2 * 16) * 10**6 * HOUR_S


def test_firm_claims_that_are_short_already_are_named() -> None:
    pools = [supply("a", [8, 16, 8, 8])]
    stand = [wanted("old", ["a"], [8, 16, 16, 8], 10**6)]
    deal = offer(wanted("new", ["a"], [0, 0, 8, 0], 10**9))
    choice = choose_deals(stand, [deal], pools, WINDOW)
    ((name, seconds),) = [(one.claim, one.gpu_seconds) for one in choice.already_short]
    assert (name, seconds) == ("old", 16 * HOUR_S)  # its second node can't stay from one hour to the next
    assert not choice.accepted
    anew = choose_deals(stand, [deal], pools, WINDOW, resets=EVERY_HOUR)
    assert [one.gpu_seconds for one in anew.already_short] == [8 * HOUR_S]


def test_what_can_t_be_planned_is_refused() -> None:
    pools = [supply("a", [8] * 4)]
    twice = offer(wanted("x", ["a"], [8], 1))
    with pytest.raises(ValueError, match="twice: x"):
        choose_deals([wanted("x", ["a"], [8], 1)], [twice], pools, WINDOW)
    with pytest.raises(ValueError, match="ids of deals must differ: x, x"):
        choose_deals([], [twice, offer(wanted("y", ["a"], [8], 1), id_="x")], pools, WINDOW)
    with pytest.raises(ValueError, match="unknown pools: z"):
        choose_deals([], [offer(wanted("x", ["z"], [8], 1))], pools, WINDOW)


def test_pools_with_nodes_of_different_sizes_are_counted_in_what_divides_both() -> None:
    pools = [replace(supply("a", [12] * 4), gpus_per_node=4), supply("b", [16] * 4)]
    deal = offer(wanted("x", ["a", "b"], [24] * 4, 1))
    assert choose_deals([], [deal], pools, WINDOW).accepted == ("x",)
    assert choose_deals([], [replace(deal, whole=True)], pools, WINDOW).accepted == ()


@given(st.data())
def test_rows_left_out_can_t_be_broken(data: st.DataObject) -> None:
    n, k = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 8))
    whole = st.lists(st.integers(0, 3), min_size=k, max_size=k)
    use = np.array(data.draw(st.lists(whole, min_size=n, max_size=n)), dtype=np.int64)
    room = np.array(data.draw(st.lists(st.integers(0, 9), min_size=k, max_size=k)), dtype=np.int64)
    upper = np.array(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.int64)
    cut = data.draw(st.integers(0, k))
    spans = [span for span in ((0, cut), (cut, k)) if span[0] < span[1]]
    rows = list(capacity_rows([(c, 0, k, use[c]) for c in range(n)], room, spans, upper.tolist()))
    units = np.array([data.draw(st.integers(0, most)) for most in upper.tolist()], dtype=np.int64)
    kept = all(int(taken @ units[columns]) <= room[at] for at, columns, taken in rows)
    assert kept == bool((units @ use <= room).all())


def test_of_two_that_are_worth_the_same_the_other_adds_nothing() -> None:
    pools = [supply("a", [8] * 4)]
    deals = [offer(wanted(name, ["a"], [8] * 4, 10**6)) for name in ("x", "y")]
    choice = choose_deals([], deals, pools, WINDOW, gap=0.0)
    (other,) = choice.rejected
    assert {*choice.accepted, other.id} == {"x", "y"}
    assert (other.why, other.loss) == (Against.NO_GAIN, 0)
    assert [one.claim for one in other.displaces] == list(choice.accepted)
