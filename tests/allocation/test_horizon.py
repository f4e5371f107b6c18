"""The plan by worth: against a linear program, brute counting, the raw grid, and itself after a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from offtake.allocation.horizon import Horizon, Wanted, Why, exact_dot, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.repair import replan
from offtake.base.curve import Curve
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim, Firmness

HOURS = 24
WINDOW = Interval(0, HOURS * HOUR_S)
NODE = 8
POOLS = ("a", "b", "c")
CURVES = st.lists(
    st.tuples(st.integers(0, HOURS - 1), st.integers(0, 60)), min_size=1, max_size=4, unique_by=lambda s: s[0]
)


def curve(steps: list[tuple[int, int]], *, last: int | None = None) -> Curve:
    found = {hour * HOUR_S: gpus for hour, gpus in steps}
    if last is not None:
        found[last * HOUR_S] = 0
    return Curve.from_steps(sorted(found.items()))


def wanted(id_: str, pools: tuple[str, ...], gpus: Curve, value: int, penalty: int = 0) -> Wanted:
    claim = Claim(id=id_, holder=id_, firmness=Firmness.FIRM, pools=pools, gpus=gpus)
    return Wanted(claim=claim, value=value, penalty=penalty)


def supply(id_: str, gpus: Curve) -> Supply:
    return Supply(id=id_, gpus_per_node=NODE, available=gpus)


@st.composite
def businesses(draw: st.DrawFn) -> tuple[list[Wanted], list[Supply]]:
    pools = [supply(name, curve(draw(CURVES))) for name in POOLS]
    claims = []
    for i in range(draw(st.integers(1, 6))):
        names = draw(st.lists(st.sampled_from(POOLS), min_size=1, max_size=3, unique=True))
        gpus = curve(draw(CURVES), last=draw(st.sampled_from([HOURS, HOURS + 5])))
        value, penalty = draw(st.integers(1, 9)) * 10**6, draw(st.integers(0, 3)) * 10**6
        claims.append(wanted(f"c{i}", tuple(names), gpus, value, penalty))
    return claims, pools


def grid(plan: Horizon) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Holdings and demand hour by hour: plain arrays."""
    hours = np.arange(HOURS) * HOUR_S
    held = {
        (one.claim.id, pool): plan.held(one.claim.id, pool).at(hours)
        for one in plan.wanted
        for pool in one.claim.pools
    }
    return held, {one.claim.id: one.claim.gpus.at(hours) for one in plan.wanted}


def counted(plan: Horizon, start: Mapping[tuple[str, str], int] | None = None) -> int:
    """The objective by brute counting of hours; also checks every rule that a plan obeys."""
    held, asked = grid(plan)
    hours = np.arange(HOURS) * HOUR_S
    for column, one_pool in enumerate(plan.pools):
        used = sum(gpus for (_, p), gpus in held.items() if p == one_pool.id)
        free = one_pool.available.at(hours) // NODE * NODE - used
        assert (np.asarray(free) >= 0).all(), "over capacity"
        k = np.searchsorted(plan.times, hours, side="right") - 1
        assert (plan.free[k, column] == free).all()
    earned, moved = 0, 0
    for one in plan.wanted:
        own = np.stack([held[one.claim.id, pool] for pool in one.claim.pools])
        assert not (own % NODE).any(), "parts of nodes"
        whole = -(-asked[one.claim.id] // NODE) * NODE
        assert (own.sum(axis=0) <= whole).all(), "more than is asked for"
        got = np.minimum(own.sum(axis=0), asked[one.claim.id])
        assert (plan.served(one.claim.id).at(hours) == got).all()
        earned += one.value * int(got.sum()) - one.penalty * int((asked[one.claim.id] - got).sum())
        before = [(start or {}).get((one.claim.id, pool), 0) for pool in one.claim.pools]
        change = np.diff(own, axis=1, prepend=np.array(before)[:, np.newaxis])
        moved += int(np.minimum(np.maximum(change, 0).sum(0), np.maximum(-change, 0).sum(0)).sum())
    assert moved == sum(move.gpus for move in plan.moves)
    short = sum(run.gpu_seconds for run in plan.shorts())
    assert short == HOUR_S * sum(
        int((asked[o.claim.id] - plan.served(o.claim.id).at(hours)).sum()) for o in plan.wanted
    )
    return HOUR_S * (earned - plan.move_cost * moved)


def best_by_lp(claims: list[Wanted], pools: list[Supply]) -> float:
    """Hour by hour, the transportation problem in nodes with free moves, by HiGHS."""
    found = 0.0
    for hour in range(HOURS):
        highs = highspy.Highs()  # type: ignore[no-untyped-call]
        highs.setOptionValue("output_flag", False)
        rows: dict[str, list[int]] = {pool.id: [] for pool in pools}
        n = 0
        for one in claims:
            nodes = -(-one.claim.gpus.value_at(hour * HOUR_S) // NODE)
            columns = []
            for name in one.claim.pools:
                highs.addCol(-float(one.value + one.penalty) * NODE, 0.0, highspy.kHighsInf, 0, [], [])
                rows[name].append(n)
                columns.append(n)
                n += 1
            highs.addRow(-highspy.kHighsInf, float(nodes), len(columns), columns, [1.0] * len(columns))
        for pool in pools:
            room = float(pool.available.value_at(hour * HOUR_S) // NODE)
            columns = rows[pool.id]
            highs.addRow(-highspy.kHighsInf, room, len(columns), columns, [1.0] * len(columns))
        highs.run()
        found -= highs.getInfo().objective_function_value
    return found


@settings(max_examples=60, deadline=None)
@given(businesses())
def test_with_free_moves_it_earns_what_lp_earns(made: tuple[list[Wanted], list[Supply]]) -> None:
    claims, pools = made
    plan = plan_horizon(claims, pools, WINDOW)
    held, _ = grid(plan)
    weight = {one.claim.id: one.value + one.penalty for one in claims}
    nodes = sum(weight[claim] * int(gpus.sum()) for (claim, _), gpus in held.items())
    assert nodes == pytest.approx(best_by_lp(claims, pools), rel=1e-9, abs=1)
    assert plan.objective == counted(plan) <= plan.bound


@settings(max_examples=150, deadline=None)
@given(businesses(), st.sampled_from([1, 500_000, 4_000_000, 10**9]))
def test_no_rule_is_broken_and_the_bound_holds(made: tuple[list[Wanted], list[Supply]], cost: int) -> None:
    claims, pools = made
    plan = plan_horizon(claims, pools, WINDOW, move_cost=cost)
    free = plan_horizon(claims, pools, WINDOW)
    assert plan.objective == counted(plan) <= plan.bound == free.bound
    for run in plan.shorts():
        weight = next(o.value + o.penalty for o in claims if o.claim.id == run.claim)
        assert run.why is Why.MOVES or run.price >= weight


@settings(max_examples=60, deadline=None)
@given(businesses())
def test_the_raw_grid_gives_the_same_plan(made: tuple[list[Wanted], list[Supply]]) -> None:
    claims, pools = made
    nobody = supply("z", Curve.from_steps([(h * HOUR_S, h % 2) for h in range(HOURS)]))
    fine = plan_horizon(claims, [*pools, nobody], WINDOW, move_cost=4_000_000)
    coarse = plan_horizon(claims, pools, WINDOW, move_cost=4_000_000)
    assert len(fine.times) == HOURS + 1
    assert (fine.objective, fine.bound) == (coarse.objective, coarse.bound)
    assert [grid(fine)[0][key].tolist() for key in grid(coarse)[0]] == [
        v.tolist() for v in grid(coarse)[0].values()
    ]


@settings(max_examples=100, deadline=None)
@given(businesses(), businesses(), st.data())
def test_a_change_keeps_every_rule_and_a_bound(
    made: tuple[list[Wanted], list[Supply]], other: tuple[list[Wanted], list[Supply]], data: st.DataObject
) -> None:
    claims, pools = made
    plan = plan_horizon(claims, pools, WINDOW, move_cost=1_000_000)
    gone = data.draw(st.sets(st.sampled_from([o.claim.id for o in claims]), max_size=2))
    new = [o for o in other[0][:2] if o.claim.id not in gone]
    shrunk = data.draw(st.lists(st.sampled_from(other[1]), max_size=1))
    after = replan(plan, wanted=new, withdrawn=gone, pools=shrunk)
    assert after.objective == counted(after) <= after.bound
    kept = {o.claim.id: o for o in claims if o.claim.id not in gone} | {o.claim.id: o for o in new}
    assert {o.claim.id for o in after.wanted} == set(kept)
    resized = {p.id: p for p in pools} | {p.id: p for p in shrunk}
    anew = plan_horizon(list(kept.values()), list(resized.values()), WINDOW, move_cost=1_000_000)
    assert anew.objective <= after.bound
    untouched = replan(plan)
    assert (untouched.objective, untouched.bound, untouched.runs.tolist()) == (
        plan.objective, plan.bound, plan.runs.tolist(),
    )  # fmt: skip


def test_a_move_must_earn_its_cost() -> None:
    pools = [supply("a", curve([(0, 8)])), supply("b", curve([(0, 8)]))]
    flexible = wanted("flexible", ("a", "b"), curve([(0, 8)]), 10**6)
    late = wanted("late", ("a",), curve([(12, 8)]), 10**6)
    start = {("flexible", "a"): 8}
    cheap = plan_horizon([flexible, late], pools, WINDOW, move_cost=10**6, previous=start)
    assert [(m.claim, m.source, m.target, m.gpus) for m in cheap.moves] == [("flexible", "a", "b", 8)]
    assert cheap.objective == counted(cheap, start)
    dear = plan_horizon([flexible, late], pools, WINDOW, move_cost=13 * 10**6, previous=start)
    assert dear.moves == ()
    (run,) = dear.shorts()
    assert (run.claim, run.why, run.gpu_seconds) == ("late", Why.MOVES, 8 * 12 * HOUR_S)
    (made,) = plan_horizon([flexible, late], pools, WINDOW, move_cost=1, previous=start).moves
    assert (made.at, made.made_for) == (12 * HOUR_S, "late")


def test_it_looks_ahead_and_leaves_the_pool_that_will_be_dear() -> None:
    pools = [supply("a", curve([(0, 8)])), supply("b", curve([(0, 8)]))]
    flexible = wanted("flexible", ("a", "b"), curve([(0, 8)]), 10**6)
    late = wanted("late", ("a",), curve([(12, 8)]), 3 * 10**6)
    plan = plan_horizon([flexible, late], pools, WINDOW, move_cost=10**6)
    assert plan.moves == ()
    assert plan.gap == 0


def test_prices_say_what_a_node_more_would_earn() -> None:
    pools = [supply("a", curve([(0, 8)]))]
    claims = [
        wanted("dear", ("a",), curve([(0, 8)]), 3 * 10**6),
        wanted("cheap", ("a",), curve([(6, 8)]), 10**6),
    ]
    plan = plan_horizon(claims, pools, WINDOW)
    assert plan.price("a") == Curve.from_steps([(6 * HOUR_S, 10**6), (24 * HOUR_S, 0)])
    more = plan_horizon(claims, [supply("a", curve([(0, 16)]))], WINDOW)
    assert more.price("a") == Curve.zero()
    assert more.objective - plan.objective == 18 * HOUR_S * 8 * 10**6
    nothing = plan_horizon(claims, [supply("a", Curve.zero())], WINDOW)
    assert nothing.price("a").value_at(0) == 3 * 10**6


@pytest.mark.parametrize(
    ("claims", "pools", "message"),
    [
        ([wanted("x", ("nowhere",), curve([(0, 8)]), 1)], [supply("a", curve([(0, 8)]))], "unknown pools"),
        ([wanted("x", ("a",), curve([(0, 8)]), 1)] * 2, [supply("a", curve([(0, 8)]))], "twice: x"),
    ],
)
def test_what_can_t_be_planned_is_refused(claims: list[Wanted], pools: list[Supply], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_horizon(claims, pools, WINDOW)


def test_pools_with_nodes_of_different_sizes_are_planned_in_their_common_unit() -> None:
    pools = [supply("a", curve([(0, 16)])), Supply(id="b", gpus_per_node=72, available=curve([(0, 150)]))]
    claim = wanted("x", ("a", "b"), curve([(0, 100)]), 10**6)
    plan = plan_horizon([claim], pools, WINDOW)
    assert plan.unit.tolist() == [8, 8]
    assert plan.free[0].sum() == 16 + 144 - 104
    assert plan.gap == 0
    assert plan.served("x").value_at(0) == 100
    alone = plan_horizon([wanted("x", ("a",), curve([(0, 8)]), 1)], pools, WINDOW)
    assert alone.unit.tolist() == [8, 72]
    with pytest.raises(ValueError, match="plan anew"):
        replan(alone, wanted=[claim])


def test_worth_nothing_parts_of_nodes_and_unknown_changes_are_refused() -> None:
    with pytest.raises(ValueError, match="worth something"):
        wanted("x", ("a",), curve([(0, 8)]), 0)
    pools = [supply("a", curve([(0, 8)]))]
    claim = wanted("x", ("a",), curve([(0, 8)]), 1)
    with pytest.raises(ValueError, match="units of 8"):
        plan_horizon([claim], pools, WINDOW, previous={("x", "a"): 4})
    plan = plan_horizon([claim], pools, WINDOW)
    for wrong, message in (
        ({"withdrawn": ["y"]}, "no claim 'y'"),
        ({"pools": [supply("y", Curve.zero())]}, "no pool 'y'"),
        ({"wanted": [claim], "withdrawn": ["x"]}, "withdrawn and wanted"),
    ):
        with pytest.raises(ValueError, match=message):
            replan(plan, **wrong)


@given(st.lists(st.tuples(st.integers(0, 2**45), st.integers(0, 2**40)), max_size=20))
def test_sums_of_products_are_exact(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    assert exact_dot(a, b) == sum(x * y for x, y in pairs)


class Repairs(RuleBasedStateMachine):
    """Changes one after another, each a repair of the plan before; a naive count must agree every time."""

    def __init__(self) -> None:
        super().__init__()
        self.pools = {name: supply(name, curve([(0, 48)])) for name in POOLS}
        self.wanted: dict[str, Wanted] = {}
        self.plan = plan_horizon([], list(self.pools.values()), WINDOW, move_cost=1_000_000)

    @rule(made=businesses(), n=st.integers(1, 3))
    def come(self, made: tuple[list[Wanted], list[Supply]], n: int) -> None:
        new = made[0][:n]
        self.wanted |= {one.claim.id: one for one in new}
        self.plan = replan(self.plan, wanted=new)

    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        if self.wanted:
            gone = data.draw(st.sampled_from(sorted(self.wanted)))
            del self.wanted[gone]
            self.plan = replan(self.plan, withdrawn=[gone])

    @rule(name=st.sampled_from(POOLS), steps=CURVES)
    def resize(self, name: str, steps: list[tuple[int, int]]) -> None:
        self.pools[name] = supply(name, curve(steps))
        self.plan = replan(self.plan, pools=[self.pools[name]])

    @rule()
    def anew(self) -> None:
        """The whole plan again is no worse than its bound allows, and starts the next repairs."""
        fresh = plan_horizon(
            list(self.wanted.values()), list(self.pools.values()), WINDOW, move_cost=1_000_000
        )
        assert fresh.objective <= self.plan.bound
        self.plan = fresh

    @invariant()
    def everything_adds_up(self) -> None:
        assert self.plan.objective == counted(self.plan) <= self.plan.bound
        assert {one.claim.id: one for one in self.plan.wanted} == self.wanted
        assert {pool.id: pool for pool in self.plan.pools} == self.pools


TestRepairs = Repairs.TestCase
TestRepairs.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
