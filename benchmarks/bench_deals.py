"""The deal desk on the study's instance, aligned to days: what the right to move is worth, deals together.

Deals are leases of the instance, taken out of it and offered: each is worth what it would pay. They are
accepted with a gap of at most a hundredth of a percent, in whole nodes that stay where they are. CPU seconds;
the ratio is to the plan of the same years with free moves, in the same run.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.bench_capacity import YEARS_H, best, instance
from offtake.allocation.horizon import Wanted, plan_horizon
from offtake.allocation.reallocation import value_of_reallocation
from offtake.allocation.together import Deal, choose_deals
from offtake.base.time import HOUR_S
from offtake.claims.model import Firmness

MONTH_H = 730
SEED = 7


def main() -> None:
    wanted, pools, window = instance(align="day")
    free_s, free = best(lambda: plan_horizon(wanted, pools, window))
    print(f"free moves: {free_s:.2f} s, {len(free.times) - 1:,} segments")
    print("resets       loss    CPU s  ratio  (with the free plan that each is compared with)")
    for name, months in (("never", 0), ("yearly", 12), ("quarterly", 3), ("monthly", 1)):
        hours = np.arange(months * MONTH_H, YEARS_H, months * MONTH_H) if months else np.zeros(0)
        regime = [(name, (hours * HOUR_S).astype(np.int64))]
        used, found = best(lambda: value_of_reallocation(wanted, pools, window, regime))  # noqa: B023
        print(f"{name:<10} {found[0].loss:>7.3%} {used:>7.2f} {used / free_s:>6.1f}")
    print("deals          accepted      gap    CPU s  ratio")
    for count in (20, 50):
        for whole in (False, True):
            deals, standing = offered(wanted, count, whole=whole)
            used, made = best(lambda: choose_deals(standing, deals, pools, window), 1)  # noqa: B023
            kind = "whole" if whole else "split"
            print(
                f"{count:>3} {kind:<10} {len(made.accepted):>8} {float(made.gap):>8.4%} "
                f"{used:>8.2f} {used / free_s:>6.1f}"
            )


def offered(wanted: list[Wanted], count: int, *, whole: bool) -> tuple[list[Deal], list[Wanted]]:
    """So many of the firm leases as deals, and everything else."""
    firm = [one for one in wanted if one.claim.firmness is Firmness.FIRM]
    picked = {
        firm[i].claim.id for i in np.random.default_rng(SEED).choice(len(firm), count, replace=False).tolist()
    }
    deals = [
        Deal(
            id=one.claim.id,
            claims=(one.claim,),
            worth=one.value * int(one.claim.gpus.values[:-1] @ np.diff(one.claim.gpus.times)) // HOUR_S,
            whole=whole,
        )
        for one in firm
        if one.claim.id in picked
    ]
    return deals, [one for one in wanted if one.claim.id not in picked]


if __name__ == "__main__":
    sys.exit(main())
