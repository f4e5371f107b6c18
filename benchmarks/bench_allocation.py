"""The allocator: segments a second, growth, and the same plan by plainer means.

The fleet: four pools of nodes of 8 GPUs (or 8 and 72), claims of every firmness at 95 % load with two or
three pools each; internal and elastic ones change every hour with the day and with noise, the others monthly.
Rivals, on the same segments and with the same shortfalls (asserted):

- warm: one loaded HiGHS model for every segment, no proof in place;
- fresh: the same linear program built anew for every segment;
- monolith: all segments in one linear program, which also sees moves ahead (a short horizon: it grows fast).

CPU seconds of this process; the least of three rounds, one round for what takes longer than a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import highspy
import numpy as np

from offtake.allocation.model import Plan, Supply
from offtake.allocation.network import Network, network_of
from offtake.allocation.plan import certify, plan_allocation
from offtake.allocation.precedence import rank_claims
from offtake.allocation.solver import SegmentSolver
from offtake.base.curve import Curve
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim, Firmness

GPUS_PER_POOL = 80_000
HOURS = 27_000  # 37 months
T = TypeVar("T")
Fleet = tuple[list[Claim], list[Supply], Interval]


def draw_fleet(
    hours: int,
    n_claims: int,
    *,
    n_pools: int = 4,
    sizes: tuple[int, ...] = (8,),
    eligible: int = 2,
    seed: int = 0,
) -> Fleet:
    """Claims and pools from a seeded generator."""
    rng = np.random.default_rng(seed)
    level = Curve.from_steps([(0, GPUS_PER_POOL)])
    pools = [Supply(id=f"p{i}", gpus_per_node=sizes[i % len(sizes)], available=level) for i in range(n_pools)]
    claims = []
    for i in range(n_claims):
        firmness = list(Firmness)[i % len(Firmness)]
        hourly = firmness in {Firmness.INTERNAL, Firmness.ELASTIC}
        steps = hours if hourly else max(1, hours // 730)
        times = np.arange(steps) * hours // steps * HOUR_S
        swing = np.sin(times / 86_400 * 2 * np.pi) * 0.3 + rng.standard_normal(steps) * 0.03
        gpus = (GPUS_PER_POOL * n_pools * 0.95 / n_claims * (1 + swing)).astype(np.int64)
        names = tuple(f"p{p}" for p in rng.permutation(n_pools)[:eligible])
        claims.append(
            Claim(id=f"c{i}", holder="h", firmness=firmness, pools=names, gpus=Curve.from_arrays(times, gpus))
        )
    return claims, pools, Interval(0, hours * HOUR_S)


def timed(job: Callable[[], T], rounds: int = 3) -> tuple[float, T]:
    """Least CPU seconds, and the answer of the last round."""
    best = float("inf")
    for _ in range(rounds - 1):
        start = time.process_time()
        job()
        best = min(best, time.process_time() - start)
    start = time.process_time()
    answer = job()
    return min(best, time.process_time() - start), answer


def growth() -> None:
    print(" segments  claims  nodes    CPU s  segments/s     LPs  gap to bound")
    for hours, n_claims, sizes, eligible in (
        (HOURS // 10, 6, (8,), 2),
        (HOURS, 6, (8,), 2),
        (HOURS, 60, (8,), 2),
        (HOURS, 6, (8, 72), 2),
        (HOURS, 60, (8, 72), 3),
    ):
        claims, pools, window = draw_fleet(hours, n_claims, sizes=sizes, eligible=eligible)
        solver = SegmentSolver()
        seconds, plan = timed(lambda: plan_allocation(claims, pools, window, solver=solver), 1)  # noqa: B023
        gap = f"{float(certify(plan, claims).gap or 0):.1e}" if n_claims == 6 else "-"
        segments = len(plan.times) - 1
        print(
            f"{segments:>9,} {n_claims:>7} {'+'.join(map(str, sizes)):>6} {seconds:>8.2f} "
            f"{segments / seconds:>11,.0f} {solver.solved:>7,} {gap:>13}"
        )


def rivals() -> None:
    claims, pools, window = draw_fleet(2_700, 6)
    seconds, plan = timed(lambda: plan_allocation(claims, pools, window))
    warm_s, warm = timed(lambda: by_solver(claims, pools, plan, fresh=False))
    fresh_s, fresh = timed(lambda: by_solver(claims, pools, plan, fresh=True), 1)
    assert warm == fresh == short_by_rank(plan)
    print(f"\n{len(plan.times) - 1:,} segments, 6 claims x 4 pools: CPU s and ratio to offtake")
    for name, value in (("offtake, with reasons", seconds), ("warm model", warm_s), ("fresh model", fresh_s)):
        print(f"  {name:<22} {value:>8.3f} {value / seconds:>7.1f}")

    many, pools, window = draw_fleet(2_700, 60)
    plan = plan_allocation(many, pools, window)
    many_s, short = timed(lambda: by_solver(many, pools, plan, fresh=False), 1)
    assert short == short_by_rank(plan)
    print(f"  warm model with ten times the claims: {many_s / warm_s:.1f} times the time")

    print("\none linear program for the whole horizon")
    for hours in (24, 168, 672):
        claims, pools, window = draw_fleet(hours, 6)
        seconds, plan = timed(lambda: plan_allocation(claims, pools, window))  # noqa: B023
        whole_s, (short, moved) = timed(lambda: monolith(claims, pools, plan), 1)  # noqa: B023
        assert short == short_by_rank(plan)
        ratio = whole_s / seconds
        ahead = f"GPUs moved {plan.total_moves:,} against {moved:,}"
        print(f"  {hours:>4} h: {whole_s:>7.3f} s against {seconds:.3f} s, {ratio:.0f} times; {ahead}")


def short_by_rank(plan: Plan) -> list[list[int]]:
    """Nodes short, by segment and rank; only for nodes of 8."""
    column = [plan.claims.index(name) for name in plan.ranking]
    need = -(-plan.demand // 8)
    return [[int(n) for n in row] for row in (need - plan.gpus.sum(axis=2) // 8)[:, column]]


def states(claims: list[Claim], pools: list[Supply], plan: Plan) -> tuple[Network, np.ndarray, np.ndarray]:
    """The network, needs and rooms in nodes of 8, as the planner sees them."""
    ranked = rank_claims(claims)
    network = network_of(ranked, pools)
    column = [plan.claims.index(claim.id) for claim in ranked]
    return network, network.needs(plan.demand[:, column]), plan.capacity // 8


def by_solver(claims: list[Claim], pools: list[Supply], plan: Plan, *, fresh: bool) -> list[list[int]]:
    network, needs, rooms = states(claims, pools, plan)
    held, solver, short = [0] * len(network.arc_claim), SegmentSolver(), []
    for need, room in zip(needs.tolist(), rooms.tolist(), strict=True):
        if fresh:
            solver = SegmentSolver()
        solver.fit(network)
        answer = solver.solve(need, room, held)
        held = answer.nodes
        short.append(answer.short)
    return short


def monolith(claims: list[Claim], pools: list[Supply], plan: Plan) -> tuple[list[list[int]], int]:
    """Shortfalls by rank and GPUs newly placed beyond growth, over the horizon, from one linear program."""
    network, needs, rooms = states(claims, pools, plan)
    n_arcs, n_segments = len(network.arc_claim), len(needs)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    top = highspy.kHighsInf
    gap = 2.0 * n_arcs * n_segments  # one step of rank outweighs every move of the horizon
    for _ in range(n_segments):
        for _ in range(n_arcs):
            highs.addCol(0.0, 0.0, top, 0, [], [])
        for _ in range(n_arcs):
            highs.addCol(1.0, 0.0, top, 0, [], [])
        for rank in range(network.n_claims):
            highs.addCol(gap * (network.n_claims - rank), 0.0, top, 0, [], [])
    width = 2 * n_arcs + network.n_claims
    for k in range(n_segments):
        x, m, u = k * width, k * width + n_arcs, k * width + 2 * n_arcs
        for rank, need in enumerate(needs[k].tolist()):
            arcs = [x + a for a, c in enumerate(network.arc_claim) if c == rank]
            highs.addRow(need, need, len(arcs) + 1, [*arcs, u + rank], [1.0] * (len(arcs) + 1))
        for p, room in enumerate(rooms[k].tolist()):
            arcs = [x + a for a, q in enumerate(network.arc_pool) if q == p]
            highs.addRow(-top, room, len(arcs), arcs, [1.0] * len(arcs))
        for a in range(n_arcs):
            if k:
                highs.addRow(-top, 0.0, 3, [x + a, x + a - width, m + a], [1.0, -1.0, -1.0])
    highs.run()
    values = np.array(highs.getSolution().col_value).reshape(n_segments, width)
    nodes = values[:, :n_arcs]
    change = np.diff(nodes, axis=0)
    owner = np.array(network.arc_claim)
    came = np.stack([np.maximum(change, 0)[:, owner == c].sum(axis=1) for c in range(network.n_claims)])
    left = np.stack([np.maximum(-change, 0)[:, owner == c].sum(axis=1) for c in range(network.n_claims)])
    short = [[int(n) for n in row] for row in np.rint(values[:, 2 * n_arcs :])]
    return short, round(8 * float(np.minimum(came, left).sum()))


def main() -> None:
    growth()
    rivals()


if __name__ == "__main__":
    main()
