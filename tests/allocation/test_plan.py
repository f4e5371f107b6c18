from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offtake.allocation.model import CapacityCut, ReasonCode, Supply
from offtake.allocation.plan import certify, headroom, plan_allocation
from offtake.allocation.precedence import DEFAULT_PRECEDENCE
from offtake.allocation.solver import SegmentSolver
from offtake.base.curve import Curve, merged_times
from offtake.base.time import Interval
from offtake.fleet.model import Cause
from tests.allocation.samples import DAY, HOUR, claim, hours, pool

FIRM, INTERNAL, RECALLABLE, INTERRUPTIBLE, ELASTIC = DEFAULT_PRECEDENCE


def test_325000_gpus_on_nodes_of_72_are_rounded_up_at_the_operators_cost() -> None:
    plan = plan_allocation([claim("a", FIRM, "gb", 325_000)], [pool("gb", 72, 400_000)], DAY)
    assert plan.held("a", "gb").value_at(0) == 4_514 * 72
    assert plan.delivered("a") == Curve.constant(325_000, DAY)
    assert plan.rounding.tolist() == [[8]]
    assert plan.short.tolist() == [[0]]
    assert plan.reasons == ()


def test_325000_gpus_on_pools_of_8_and_72_need_no_rounding_where_nodes_of_8_are_left() -> None:
    pools = [pool("gb", 72, 4_600 * 72), pool("h", 8, 800)]
    plan = plan_allocation([claim("a", FIRM, "gb h", 325_000)], pools, DAY)
    assert plan.gpus[0, 0].tolist() == [4_513 * 72, 64]
    assert plan.rounding.sum() == 0


def test_a_last_node_that_is_not_there_leaves_the_rest_short() -> None:
    plan = plan_allocation([claim("a", FIRM, "gb", 325_000)], [pool("gb", 72, 325_000)], DAY)
    assert plan.gpus[0, 0, 0] == 4_513 * 72
    assert plan.shortfall("a") == Curve.constant(64, DAY)
    assert [reason.code for reason in plan.reasons] == [ReasonCode.NO_CAPACITY]


def test_precedence_fills_from_firm_to_elastic() -> None:
    claims = [claim(kind.value, kind, "p", 80) for kind in reversed(DEFAULT_PRECEDENCE)]
    plan = plan_allocation(claims, [pool("p", 8, 200)], DAY)
    assert plan.ranking == ("firm", "internal", "recallable", "interruptible", "elastic")
    assert dict(zip(plan.claims, plan.short[0].tolist(), strict=True)) == {
        "firm": 0, "internal": 0, "recallable": 40, "interruptible": 80, "elastic": 80,
    }  # fmt: skip


def test_an_operator_may_reorder_all_but_firm() -> None:
    claims = [claim(kind.value, kind, "p", 80) for kind in DEFAULT_PRECEDENCE]
    order = (FIRM, ELASTIC, INTERRUPTIBLE, RECALLABLE, INTERNAL)
    plan = plan_allocation(claims, [pool("p", 8, 160)], DAY, precedence=order)
    assert plan.short[0].tolist() == [0, 80, 80, 80, 0]
    with pytest.raises(ValueError, match="firm claims come first"):
        plan_allocation(claims, [pool("p", 8, 160)], DAY, precedence=(INTERNAL, FIRM, *order[1:4]))
    with pytest.raises(ValueError, match="once"):
        plan_allocation(claims, [pool("p", 8, 160)], DAY, precedence=(FIRM, FIRM, *order[2:]))


def test_firm_claims_are_served_in_the_order_of_what_is_owed() -> None:
    claims = [claim("cheap", FIRM, "p", 80, owed=1), claim("dear", FIRM, "p", 80, owed=2)]
    assert plan_allocation(claims, [pool("p", 8, 80)], DAY).short.tolist() == [[80, 0]]


def test_an_outage_hits_the_lowest_rank_first_and_is_named() -> None:
    claims = [claim("firm", FIRM, "p", 80), claim("elastic", ELASTIC, "p", 80)]
    cut = CapacityCut(pool="p", interval=hours(6, 12), gpus=100, cause=Cause.OUTAGE)
    pools = [pool("p", 8, [(0, 160), (6, 60), (12, 160)])]
    plan = plan_allocation(claims, pools, DAY, causes={"p": [cut]})
    assert plan.shortfall("elastic") == Curve.constant(80, hours(6, 12))
    assert plan.shortfall("firm") == Curve.constant(24, hours(6, 12))
    assert [(r.claim, r.code, r.interval, r.gpus_max, r.gpu_seconds) for r in plan.reasons] == [
        ("firm", ReasonCode.OUTAGE, hours(6, 12), 24, 24 * 6 * HOUR),
        # 24 of the 100 GPUs cut are the firm claim's; the four of the broken node are nobody's cut
        ("elastic", ReasonCode.OUTAGE, hours(6, 12), 76, 76 * 6 * HOUR),
        ("elastic", ReasonCode.OUTRANKED, hours(6, 12), 4, 4 * 6 * HOUR),
    ]
    assert plan.reasons[0].sentence == (
        "Claim 'firm' (firm inc, firm) is short of up to 24 GPUs on pool 'p' from 1970-01-01T06:00:00Z to "
        "1970-01-01T12:00:00Z: an outage takes the GPUs that would have served it; a firm claim gives way "
        "only to what safety and outages force and to firm claims that owe more."
    )


def test_the_claim_that_makes_room_for_a_displaced_one_learns_of_the_outage_behind_it() -> None:
    claims = [claim("firm", FIRM, "p q", 80), claim("elastic", ELASTIC, "q", 80)]
    cut = CapacityCut(pool="p", interval=hours(6, 12), gpus=80, cause=Cause.OUTAGE)
    pools = [pool("p", 8, [(0, 80), (6, 0), (12, 80)]), pool("q", 8, 80)]
    plan = plan_allocation(claims, pools, DAY, causes={"p": [cut]})
    # when the outage is over the firm claim goes back, because nothing else serves the elastic one
    assert plan.moved.T.tolist() == [[0, 80, 80], [0, 0, 0]]
    assert plan.shortfall("elastic") == Curve.constant(80, hours(6, 12))
    assert [(r.claim, r.code, r.interval) for r in plan.reasons] == [
        ("firm", ReasonCode.MOVED, hours(6, 24)),
        ("elastic", ReasonCode.OUTAGE, hours(6, 12)),
    ]


def test_a_sentence_says_who_came_first() -> None:
    claims = [claim("firm", FIRM, "p", [(0, 0), (5, 80)]), claim("team", INTERNAL, "p", 100)]
    plan = plan_allocation(claims, [pool("p", 8, 120)], DAY)
    (reason,) = plan.reasons
    assert (reason.code, reason.displaced_by, reason.gpus_max) == (ReasonCode.OUTRANKED, ("firm",), 60)
    assert "claim 'firm' came first; it ranks 2 of 2" in reason.sentence


def test_nothing_moves_that_needs_not() -> None:
    claims = [claim("a", INTERNAL, "p q", [(0, 80), (6, 160), (12, 80)]), claim("b", FIRM, "q p", 80)]
    plan = plan_allocation(claims, [pool("p", 8, 120), pool("q", 8, 120)], DAY)
    assert plan.total_moves == 0
    assert plan.short.sum() == 0
    assert plan.held("a", "p") == Curve.from_steps(
        [(0, 80), (6 * HOUR, 120), (12 * HOUR, 80), (24 * HOUR, 0)]
    )


def test_a_growing_claim_that_fits_only_if_another_moves_moves_as_few_as_possible() -> None:
    claims = [claim("a", INTERNAL, "p q", 80), claim("b", FIRM, "p", [(0, 0), (6, 48)])]
    plan = plan_allocation(claims, [pool("p", 8, 80), pool("q", 8, 80)], DAY)
    assert plan.short.sum() == 0
    assert plan.moved.tolist() == [[0, 0], [48, 0]]
    (reason,) = plan.reasons
    assert (reason.code, reason.displaced_by, reason.gpu_seconds) == (ReasonCode.MOVED, ("b",), 0)
    assert reason.sentence.startswith(
        "At 1970-01-01T06:00:00Z 48 GPUs of claim 'a' (a inc, internal) move from pool 'p' to pool 'q': "
        "claim 'b' took the place"
    )


def test_a_shrinking_claim_gives_back_what_spares_another_one_a_move() -> None:
    # by preference alone `a` would leave q and `b` have to go there
    claims = [claim("a", FIRM, "p q", 16), claim("b", INTERNAL, "q p", 16)]
    before = {("a", "p"): 16, ("a", "q"): 16, ("b", "p"): 16}
    plan = plan_allocation(claims, [pool("p", 8, 16), pool("q", 8, 16)], DAY, previous=before)
    assert plan.total_moves == 0
    assert plan.last_placement() == {("a", "q"): 16, ("b", "p"): 16}


def test_placements_carry_over_from_the_window_before() -> None:
    claims = [claim("a", FIRM, "p q", 80)]
    pools = [pool("p", 8, 80), pool("q", 8, 80)]
    stays = plan_allocation(claims, pools, DAY, previous={("a", "q"): 80, ("gone", "p"): 80})
    assert stays.last_placement() == {("a", "q"): 80}
    assert stays.total_moves == 0
    with pytest.raises(ValueError, match="in nodes of 8"):
        plan_allocation(claims, pools, DAY, previous={("a", "q"): 4})


def test_a_claim_off_a_pool_it_may_no_longer_use_has_moved() -> None:
    plan = plan_allocation(
        [claim("a", FIRM, "p", 80)], [pool("p", 8, 80), pool("q", 8, 80)], DAY, previous={("a", "q"): 80}
    )
    assert plan.moved.tolist() == [[80]]


def test_segments_are_the_breakpoints_and_a_finer_grid_changes_nothing() -> None:
    claims = [claim("a", INTERNAL, "p q", [(0, 80), (7, 150), (15, 30)]), claim("b", FIRM, "q", [(3, 90)])]
    pools = [pool("p", 8, [(0, 100), (9, 60)]), pool("q", 8, 120)]
    plan = plan_allocation(claims, pools, DAY)
    assert len(plan.times) == 6
    # a claim for nothing but breakpoints makes the raw hourly grid; it can't hold a GPU of its own
    ticks = claim("ticks", ELASTIC, "t", [(hour, hour % 2) for hour in range(24)])
    raw = plan_allocation([*claims, ticks], [*pools, pool("t", 1, 1)], DAY)
    assert len(raw.times) == 25
    for each in claims:
        assert raw.shortfall(each.id) == plan.shortfall(each.id)
        for where in pools:
            assert raw.held(each.id, where.id) == plan.held(each.id, where.id)


def test_one_solver_serves_networks_of_any_shape() -> None:
    solver = SegmentSolver()
    small = [claim("a", INTERNAL, "p q", 80), claim("b", FIRM, "p", [(0, 0), (6, 48)])]
    pools = [pool("p", 8, 80), pool("q", 8, 80)]
    first = plan_allocation(small, pools, DAY, solver=solver)
    plan_allocation([*small, claim("c", ELASTIC, "q", 800)], pools, DAY, solver=solver)
    assert solver.solved > 1
    assert np.array_equal(plan_allocation(small, pools, DAY, solver=solver).gpus, first.gpus)


def test_a_certified_plan_in_whole_nodes_that_fit_is_at_its_bound() -> None:
    claims = [claim("a", FIRM, "p q", 80), claim("b", INTERNAL, "p", 160)]
    plan = plan_allocation(claims, [pool("p", 8, 80), pool("q", 8, 80)], DAY)
    assert plan.bound is None
    assert plan.gap is None
    assert certify(plan, claims).gap == 0
    odd = [replace(each, gpus=each.gpus + Curve.constant(1)) for each in claims]
    assert (
        0
        < float(certify(plan_allocation(odd, [pool("p", 8, 80), pool("q", 8, 80)], DAY), odd).gap or 0)
        < 0.1
    )


def test_headroom_is_what_firm_claims_leave() -> None:
    claims = [claim("a", FIRM, "p", [(0, 40), (12, 80)]), claim("b", INTERNAL, "p", 80)]
    left = headroom([pool("p", 8, 100), pool("q", 8, 16)], claims, DAY)
    assert left["p"] == Curve.from_steps([(0, 60), (12 * HOUR, 20), (24 * HOUR, 0)])
    assert left["q"] == Curve.constant(16, DAY)


def test_totals_add_up() -> None:
    claims = [claim("a", FIRM, "p", 77), claim("b", INTERNAL, "p", 80)]
    a, b = plan_allocation(claims, [pool("p", 8, 120)], DAY).totals()
    assert (a.demanded, a.delivered, a.short, a.rounding) == (77 * 86_400, 77 * 86_400, 0, 3 * 86_400)
    assert (b.demanded, b.delivered, b.short, b.rounding) == (80 * 86_400, 40 * 86_400, 40 * 86_400, 0)


def test_bad_input_is_named() -> None:
    a, p = claim("a", FIRM, "p", 8), pool("p", 8, 8)
    with pytest.raises(ValueError, match="claim a names unknown pools: p"):
        plan_allocation([a], [pool("q", 8, 8)], DAY)
    with pytest.raises(ValueError, match="claim ids must differ; twice: a"):
        plan_allocation([a, a], [p], DAY)
    with pytest.raises(ValueError, match="empty window"):
        plan_allocation([a], [p], Interval(5, 5))
    with pytest.raises(ValueError, match="at least one GPU"):
        pool("p", 0, 8)
    with pytest.raises(ValueError, match="fewer than no GPUs"):
        Supply(id="p", gpus_per_node=8, available=Curve.from_steps([(0, -8)]))


def test_no_claims_leave_all_free() -> None:
    plan = plan_allocation([], [pool("p", 8, 20)], DAY)
    assert plan.free("p") == Curve.constant(16, DAY)
    assert certify(plan, []).gap == 0
    assert plan.times.tolist() == merged_times([], DAY).tolist()
