"""Capacity: headroom against Blazar, and the plan of years against its bound, HiGHS and OR-Tools.

The instance is that of the generator which the capacity study used (10 pools, 3 years by the hour, 500
claims); it lies beside the test data. A GPU that moves costs two hours of a GPU at two dollars. CPU seconds
of one process, one thread; rivals run in environments of their own and get the same instance as a file.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highspy
import numpy as np

from offtake.allocation.horizon import Horizon, Wanted, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.repair import replan
from offtake.base.curve import Curve, matrix
from offtake.base.time import DAY_S, HOUR_S, Interval
from offtake.claims.calendar import Calendar, Kind
from offtake.claims.model import Claim, Firmness

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("OFFTAKE_DATA", ROOT.parent / "shared" / "data"))
MOVE = 4_000_000
YEARS_H = 26_280
FIRMNESS = (Firmness.FIRM, Firmness.RECALLABLE, Firmness.INTERNAL)
LIMIT_S = 300
NAMES = ("need", "room", "eligible", "weight", "seconds")


def best(work: Callable[[], Any], runs: int = 3) -> tuple[float, Any]:
    """Least CPU seconds of several runs, and the last answer."""
    found, answer = [], None
    for _ in range(runs):
        start = time.process_time()
        answer = work()
        found.append(time.process_time() - start)
    return min(found), answer


def asked_of(rival: str, script: str, *words: str) -> dict[str, Any] | None:
    """What a rival says in its own environment; None where it isn't installed."""
    python = ROOT / ".venv" / "rivals" / rival / "bin" / "python"
    if not python.exists():
        print(f"{rival} isn't installed; `make bench` installs it")
        return None
    command = [str(python), str(ROOT / "benchmarks" / "rivals" / script), *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise RuntimeError(f"{script}: {done.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def hosts_free() -> None:
    """Which hosts are free for the whole window."""
    print("which hosts are free for 60 hours, three years of leases: CPU s of a query")
    for hosts, each in ((50, 5), (200, 10), (1_000, 10)):
        draw = random.Random(1)
        leases = []
        for host in range(hosts):
            cuts = sorted(draw.sample(range(YEARS_H), 2 * each))
            leases += [(host, cuts[2 * i], cuts[2 * i + 1]) for i in range(each)]
        calendar = Calendar.of({str(host): Curve.from_steps([(0, 1)]) for host in range(hosts)})
        start = time.process_time()
        for i, (host, begin, end) in enumerate(leases):
            calendar.add(str(i), str(host), Kind.FIRM, Curve.constant(1, Interval(begin, end)))
        add = (time.process_time() - start) / len(leases)
        window = Interval(9_000, 9_060)
        ours, free = best(lambda calendar=calendar, window=window: calendar.pools_free(1, window), 9)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "question.json"
            question = {
                "hosts": hosts,
                "leases": leases,
                "window": [9_000, 9_060],
                "runs": 1 if hosts > 500 else 3,
            }
            file.write_text(json.dumps(question), encoding="utf-8")
            theirs = asked_of("blazar", "blazar_hosts.py", str(file))
        line = f"  {hosts:>5} hosts, {len(leases):>6,} leases: {ours:.5f}; a lease more {add * 1e6:.0f} µs"
        if theirs is not None:
            if theirs["free"] != [int(name) for name in free]:
                raise RuntimeError(f"{hosts} hosts: Blazar and the calendar disagree")
            line += f"; Blazar {theirs['cpu_s']:.3f}, {theirs['cpu_s'] / ours:,.0f} times as much"
            indexed = theirs["indexed_cpu_s"]
            line += f"; with indexes {indexed:.3f}, {indexed / ours:,.0f} times"
        print(line)


def instance(**settings: Any) -> tuple[list[Wanted], list[Supply], Interval]:
    """The study's generator's claims and pools."""
    place = DATA.parent / "tools" / "capacity_instance.py"
    spec = importlib.util.spec_from_file_location("capacity_instance", place)
    if spec is None or spec.loader is None or not place.exists():
        raise RuntimeError(f"the generator isn't at {place}; set OFFTAKE_DATA to the data beside it")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pools, claims = module.make(**settings)
    supplies = [
        Supply(
            id=f"p{i:02d}",
            gpus_per_node=8,
            available=Curve.from_steps([(t * HOUR_S, int(c)) for t, c in steps if t < YEARS_H]),
        )
        for i, steps in enumerate(pools)
    ]
    wanted = []
    for i, one in enumerate(claims):
        steps = dict(zip((int(t) * HOUR_S for t in one["bp"]), (int(d) for d in one["dem"]), strict=True))
        steps[one["e"] * HOUR_S] = 0
        claim = Claim(
            id=f"c{i:04d}",
            holder="h",
            firmness=FIRMNESS[one["kind"]],
            pools=tuple(f"p{p:02d}" for p in one["E"]),
            gpus=Curve.from_steps(sorted(steps.items())),
        )
        wanted.append(Wanted(claim=claim, value=round(one["val"] * 1e6), penalty=round(one["pen"] * 1e6)))
    return wanted, supplies, Interval(0, YEARS_H * HOUR_S)


def plan_of_years() -> None:
    """The plan, its bound, rivals, repairs and answers."""
    print("\nthree years by the hour, 10 pools, 500 claims: CPU s")
    for align in ("month", "day", "hour"):
        wanted, pools, window = instance(align=align)
        bound_s, _ = best(lambda: plan_horizon(wanted, pools, window))  # noqa: B023
        plan_s, plan = best(lambda: plan_horizon(wanted, pools, window, move_cost=MOVE))  # noqa: B023
        print(
            f"  aligned to the {align}: {len(plan.times) - 1:,} segments; bound {bound_s:.2f}, plan with it "
            f"{plan_s:.2f}, {plan_s / bound_s:.2f} times (aim 2); gap {float(plan.gap):.4%} (aim 0.25 %), "
            f"{len(plan.moves):,} moves"
        )
    repairs(wanted, pools, window, plan, plan_s)
    rivals(wanted, pools, plan, plan_s)


def repairs(
    wanted: list[Wanted], pools: list[Supply], window: Interval, plan: Horizon, plan_s: float
) -> None:
    """One change at a time, and one question."""
    draw = random.Random(2)
    spent, lost = [], []
    for one in draw.sample(wanted, 20):
        rest = [other for other in wanted if other is not one]
        before = plan_horizon(rest, pools, window, move_cost=MOVE)
        used, after = best(lambda before=before, one=one: replan(before, wanted=[one]))
        spent.append(used)
        lost.append((plan.objective - after.objective) / plan.objective)
    print(
        f"  a claim more, mean of 20: {np.mean(spent):.4f}, 1/{plan_s / np.mean(spent):.0f} of a plan "
        f"(aim 1/20); {np.mean(lost):.4%} below the plan made anew"
    )
    gone = [
        best(lambda one=one: replan(plan, withdrawn=[one.claim.id]))[0] for one in draw.sample(wanted, 20)
    ]
    print(f"  a claim less, mean of 20: {np.mean(gone):.4f}, 1/{plan_s / np.mean(gone):.0f} of a plan")
    calendar = Calendar.of({pool.id: pool.available for pool in pools})
    for one in plan.wanted:
        for pool in one.claim.pools:
            calendar.add(f"{one.claim.id} {pool}", pool, Kind.FIRM, plan.held(one.claim.id, pool))
    asked = Interval(200 * DAY_S, 380 * DAY_S)
    names = [pool.id for pool in pools]
    used, _ = best(lambda: [[calendar.free(name, asked) for name in names] for _ in range(100)])
    print(
        f"  what all 10 pools have left for 180 days: {used / 100 * 1e6:.0f} µs, "
        f"1/{plan_s / used * 100:,.0f} of a plan (aim 1/1,000)"
    )


def arrays(wanted: list[Wanted], pools: list[Supply], plan: Horizon) -> dict[str, Any]:
    """The instance in nodes, segment by segment."""
    index = {pool.id: p for p, pool in enumerate(pools)}
    return {
        "seconds": np.diff(plan.times),
        "room": matrix([pool.available for pool in pools], plan.times) // 8,
        "need": -(-matrix([one.claim.gpus for one in wanted], plan.times) // 8),
        "weight": np.array([one.value + one.penalty for one in wanted]),
        "eligible": np.array([[index[pool] for pool in one.claim.pools] for one in wanted]),
    }


def rivals(wanted: list[Wanted], pools: list[Supply], plan: Horizon, plan_s: float) -> None:
    """The same segments, moves free, nodes whole or not: only what is served counts."""
    task = arrays(wanted, pools, plan)
    free = plan_horizon(wanted, pools, plan.window)
    index = {one.claim.id: c for c, one in enumerate(wanted)}
    held = {
        one.claim.id: sum(free.held(one.claim.id, pool).integrate(plan.window) for pool in one.claim.pools)
        for one in wanted
    }
    worth = sum(int(task["weight"][index[id_]]) * gpus for id_, gpus in held.items()) // 8
    highs_s, value, size = by_highs(task)
    if value is None:
        print(f"  one linear program of {size:,} columns, HiGHS: not in {LIMIT_S} s")
    else:
        print(
            f"  one linear program of {size:,} columns, HiGHS: {highs_s:.1f}, {highs_s / plan_s:.0f} times; "
            f"its value over ours with free moves {value / worth - 1:+.1e}"
        )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "instance.npz"
        np.savez(file, **task)
        for how, name in (("flow", "min-cost flow by segment"), ("pdlp", "PDLP to 1e-4, one program")):
            found = asked_of("ortools", "ortools_plan.py", how, str(file))
            if found is not None:
                print(
                    f"  OR-Tools {found['version']}, {name}: {found['cpu_s']:.1f}, "
                    f"{found['cpu_s'] / plan_s:.0f} times; its value over ours with free moves "
                    f"{found['value'] / worth - 1:+.1e}"
                )


def by_highs(task: dict[str, Any]) -> tuple[float, float | None, int]:
    """All segments in one linear program."""
    need, room, eligible, weight, seconds = (
        task[n] for n in ("need", "room", "eligible", "weight", "seconds")
    )
    claim, segment = np.nonzero(need)
    width = eligible.shape[1]
    n = len(claim) * width
    pools = eligible[claim]
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n, len(claim) + room.size
    lp.col_cost_ = -np.repeat(weight[claim] * seconds[segment] / HOUR_S / 1e6, width)
    lp.col_lower_, lp.col_upper_ = np.zeros(n), np.full(n, np.inf)
    lp.row_lower_ = np.full(lp.num_row_, -np.inf)
    lp.row_upper_ = np.concatenate([need[claim, segment], room.T.ravel()]).astype(float)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(n + 1, dtype=np.int32) * 2
    of_pool = len(claim) + segment[:, np.newaxis] * len(room) + pools
    rows = np.stack([np.repeat(np.arange(len(claim)), width), of_pool.ravel()], axis=1)
    lp.a_matrix_.index_ = rows.ravel().astype(np.int32)
    lp.a_matrix_.value_ = np.ones(2 * n)
    highs = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 1), ("time_limit", float(LIMIT_S))):
        highs.setOptionValue(option, value)
    highs.passModel(lp)
    start = time.process_time()
    highs.run()
    used = time.process_time() - start
    done = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return used, -highs.getInfo().objective_function_value * HOUR_S * 1e6 if done else None, n


def growth() -> None:
    """Ten times the claims on five times the pools."""
    print("\ngrowth, aligned to the day: CPU s of plan and bound")
    for n_pools, n_claims in ((10, 500), (20, 2_000), (50, 5_000)):
        wanted, pools, window = instance(n_pools=n_pools, n_claims=n_claims, align="day")
        used, plan = best(lambda: plan_horizon(wanted, pools, window, move_cost=MOVE), 1)  # noqa: B023
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"  {n_pools:>3} pools, {n_claims:>5,} claims, {len(plan.times) - 1:,} segments: {used:.2f}; "
            f"gap {float(plan.gap):.4%}; peak memory {peak:.0f} MB"
        )


def main() -> None:
    hosts_free()
    plan_of_years()
    growth()


if __name__ == "__main__":
    sys.exit(main())
