"""OR-Tools on the plan of years, moves free: min-cost flow by segment, or PDLP on one linear program.

    python ortools_plan.py flow|pdlp INSTANCE.npz

Prints one JSON object: CPU seconds of building and solving, and the worth of what is served. It runs in an
environment of its own, because its library and highspy can't be loaded into one process.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

import numpy as np
import ortools

HOUR_S = 3_600
NAMES = ("need", "room", "eligible", "weight", "seconds")


def cpu() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def flow(task: dict[str, Any]) -> float:
    """Each segment a flow from claims over pools to a sink; what isn't served goes past the pools."""
    from ortools.graph.python import min_cost_flow

    need, room, eligible, weight, seconds = (
        task[n] for n in ("need", "room", "eligible", "weight", "seconds")
    )
    pools = len(room)
    found = 0
    for k in range(len(seconds)):
        claims = np.flatnonzero(need[:, k])
        if not len(claims):
            continue
        n, width = len(claims), eligible.shape[1]
        own = np.arange(n)
        source = np.concatenate([np.repeat(own, width), own, n + np.arange(pools)])
        target = np.concatenate(
            [n + eligible[claims].ravel(), np.full(n, n + pools), np.full(pools, n + pools)]
        )
        amount = need[claims, k]
        capacity = np.concatenate([np.repeat(amount, width), amount, room[:, k]])
        cost = np.concatenate([np.repeat(-weight[claims], width), np.zeros(n), np.zeros(pools)]).astype(
            np.int64
        )
        solver = min_cost_flow.SimpleMinCostFlow()
        solver.add_arcs_with_capacity_and_unit_cost(source, target, capacity, cost)
        supply = np.concatenate([amount, np.zeros(pools), [-amount.sum()]]).astype(np.int64)
        solver.set_nodes_supplies(np.arange(n + pools + 1), supply)
        if solver.solve() != solver.OPTIMAL:
            raise RuntimeError(f"segment {k} wasn't solved")
        found -= solver.optimal_cost() * int(seconds[k])
    return float(found)


def pdlp(task: dict[str, Any]) -> float:
    """All segments in one linear program, to a relative tolerance of 1e-4."""
    from ortools.pdlp import solvers_pb2
    from ortools.pdlp.python import pdlp as solver
    from scipy import sparse

    need, room, eligible, weight, seconds = (
        task[n] for n in ("need", "room", "eligible", "weight", "seconds")
    )
    claim, segment = np.nonzero(need)
    width = eligible.shape[1]
    n = len(claim) * width
    of_pool = len(claim) + segment[:, np.newaxis] * len(room) + eligible[claim]
    rows = np.concatenate([np.repeat(np.arange(len(claim)), width), of_pool.ravel()])
    columns = np.concatenate([np.arange(n), np.arange(n)])
    program = solver.QuadraticProgram()
    program.resize_and_initialize(n, len(claim) + room.size)
    program.objective_vector = -np.repeat(weight[claim] * seconds[segment] / HOUR_S / 1e6, width)
    program.constraint_matrix = sparse.csc_matrix(
        (np.ones(2 * n), (rows, columns)), shape=(len(claim) + room.size, n)
    )
    program.constraint_lower_bounds = np.full(len(claim) + room.size, -np.inf)
    program.constraint_upper_bounds = np.concatenate([need[claim, segment], room.T.ravel()]).astype(float)
    program.variable_lower_bounds = np.zeros(n)
    program.variable_upper_bounds = np.full(n, np.inf)
    settings = solvers_pb2.PrimalDualHybridGradientParams()
    settings.termination_criteria.simple_optimality_criteria.eps_optimal_relative = 1e-4
    settings.termination_criteria.simple_optimality_criteria.eps_optimal_absolute = 1e-4
    settings.termination_criteria.time_sec_limit = 300
    settings.num_threads = 1
    answer = solver.primal_dual_hybrid_gradient(program, settings)
    return float(-(program.objective_vector @ answer.primal_solution)) * HOUR_S * 1e6


def main() -> None:
    """Solve one instance one way."""
    how, file = sys.argv[1:]
    with np.load(file) as loaded:
        task = dict(loaded)
    start = cpu()
    value = {"flow": flow, "pdlp": pdlp}[how](task)
    print(json.dumps({"cpu_s": cpu() - start, "value": value, "version": ortools.__version__}))


if __name__ == "__main__":
    main()
