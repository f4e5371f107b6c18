"""Curve algebra beside pandas, polars and the physical limit: one sort of all breakpoints.

The job: the sum of 1,000 curves of 1,000 breakpoints each, at every instant at which it changes. The two
rivals do it as one writes it by hand: changes of all curves in one frame, summed by instant, accumulated.
Building the curves, the frames and the changes is left out for all three, to the rivals' favour: offtake
finds the changes itself, inside its time. The limit is `np.sort` of the million instants and nothing else.

CPU seconds are those of all threads; each figure is the least of five rounds, in which contestants alternate.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray

from offtake.base.curve import Curve, combine, minimum
from offtake.base.time import Interval

ROUNDS = 5
BREAKPOINTS = 1_000
WINDOW = Interval(1_777_593_600, 1_874_966_400)  # May 2026 to May 2029
Ints = NDArray[np.int64]


def draw_curves(count: int, seed: int = 1) -> list[Curve]:
    """Curves of 1,000 breakpoints at random seconds of three years, up to 325,000 GPUs."""
    rng = np.random.default_rng(seed)
    starts = rng.integers(WINDOW.start, WINDOW.end, size=(count, BREAKPOINTS + 8))
    levels = rng.integers(1, 325_001, size=(count, BREAKPOINTS))
    levels[:, 1::2] += 325_000  # neighbours always differ, so that no breakpoint is dropped
    return [
        Curve.from_arrays(np.unique(instants)[:BREAKPOINTS], values)
        for instants, values in zip(starts, levels, strict=True)
    ]


def change_columns(curves: Sequence[Curve]) -> tuple[Ints, Ints]:
    """Instants and changes of all curves, one after another: what the rivals are given."""
    times = np.concatenate([curve.times for curve in curves])
    return times, np.concatenate([np.diff(curve.values, prepend=0) for curve in curves])


def sum_pandas(frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """Changes summed by instant, then accumulated, in pandas."""
    totals = frame.groupby("time", sort=True)["change"].sum().cumsum()
    return totals.index.to_numpy(), totals.to_numpy()


def sum_polars(frame: pl.DataFrame) -> tuple[Ints, Ints]:
    """The same in polars, which uses every core."""
    totals = frame.lazy().group_by("time").agg(pl.col("change").sum()).sort("time").collect()
    return totals["time"].to_numpy(), totals["change"].cum_sum().to_numpy()


def sum_polars_sorted(frame: pl.DataFrame) -> tuple[Ints, Ints]:
    """Polars again, sorting first and keeping the last total of each instant."""
    plan = frame.lazy().sort("time").with_columns(pl.col("change").cum_sum().alias("total"))
    totals = plan.filter(pl.col("time") != pl.col("time").shift(-1).fill_null(-1)).collect()
    return totals["time"].to_numpy(), totals["total"].to_numpy()


def measure(contestants: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, float]]:
    """Least CPU and wall seconds of each contestant over interleaved rounds."""
    best = dict.fromkeys(contestants, (float("inf"), float("inf")))
    for job in contestants.values():
        job()  # once unmeasured: first calls load code and fill caches
    for _ in range(ROUNDS):
        for name, job in contestants.items():
            gc.collect()
            cpu, wall = time.process_time(), time.perf_counter()
            job()
            spent = time.process_time() - cpu, time.perf_counter() - wall
            best[name] = min(best[name][0], spent[0]), min(best[name][1], spent[1])
    return best


def same_function(expected: Curve, answer: tuple[Ints, Ints]) -> None:
    """Fail unless a rival's answer is the same curve."""
    found = Curve.from_arrays(*answer)
    if found != expected:
        raise AssertionError(f"answers differ: {found} for {expected}")


def measure_sum(count: int) -> dict[str, tuple[float, float]]:
    """Time the sum of so many curves in every way, after checking that all agree."""
    curves = draw_curves(count)
    times, changes = change_columns(curves)
    pandas_frame = pd.DataFrame({"time": times, "change": changes})
    polars_frame = pl.DataFrame({"time": times, "change": changes})
    rivals: dict[str, Callable[[], tuple[Ints, Ints]]] = {
        "pandas": lambda: sum_pandas(pandas_frame),
        "polars group_by": lambda: sum_polars(polars_frame),
        "polars sort": lambda: sum_polars_sorted(polars_frame),
    }
    expected = combine(curves)
    for rival in rivals.values():
        same_function(expected, rival())
    return measure({"offtake": lambda: combine(curves), **rivals, "limit (np.sort)": lambda: np.sort(times)})


def print_sum(count: int) -> None:
    """The job, with ratios against offtake and against the limit."""
    print(f"\nSum of {count:,} curves of {BREAKPOINTS:,} breakpoints (all answers equal)")
    figures = measure_sum(count)
    ours, limit = figures["offtake"], figures["limit (np.sort)"]
    print(f"  {'':<18}{'CPU s':>9}{'wall s':>9}{'CPU/offtake':>13}{'wall/offtake':>14}{'CPU/limit':>11}")
    for name, (cpu, wall) in figures.items():
        ratios = f"{cpu / ours[0]:>13.2f}{wall / ours[1]:>14.2f}{cpu / limit[0]:>11.2f}"
        print(f"  {name:<18}{cpu:>9.4f}{wall:>9.4f}{ratios}")


def print_growth(counts: Sequence[int]) -> None:
    """CPU seconds per million breakpoints as the job grows; level lines mean linear growth."""
    print(f"\nGrowth: CPU ms per million breakpoints, curves of {BREAKPOINTS:,} breakpoints")
    columns = {count: measure_sum(count) for count in counts}
    print(f"  {'curves':<18}" + "".join(f"{count:>9,}" for count in counts))
    for name in columns[counts[0]]:
        cells = (columns[count][name][0] * 1e9 / (count * BREAKPOINTS) for count in counts)
        print(f"  {name:<18}" + "".join(f"{cell:>9.2f}" for cell in cells))


def pandas_extreme(curves: Sequence[Curve]) -> tuple[Ints, Ints]:
    """The least of many curves in pandas: one column per curve, filled forward."""
    columns = [pd.Series(curve.values, index=curve.times, name=i) for i, curve in enumerate(curves)]
    least = pd.concat(columns, axis=1).sort_index().ffill().fillna(0).min(axis=1)
    return least.index.to_numpy(), least.to_numpy().astype(np.int64)


def print_least(count: int) -> None:
    """The least of many curves: at once, pair by pair, and as a dense frame in pandas."""
    curves = draw_curves(count)

    def fold() -> Curve:
        least = curves[0]
        for curve in curves[1:]:
            least = minimum(least, curve)
        return least

    if fold() != combine(curves, "min"):
        raise AssertionError("answers differ")
    jobs: dict[str, Callable[[], Any]] = {"combine min": lambda: combine(curves, "min")}
    if count <= 100:  # dense: a column per curve and a row per instant; 8 GB at 1,000 curves
        same_function(combine(curves, "min"), pandas_extreme(curves))
        jobs["pandas dense"] = lambda: pandas_extreme(curves)
    jobs["pair by pair"] = fold
    # Few breakpoints survive in the least of many such curves, which favours the pair-by-pair fold.
    print(f"\nLeast of {count:,} curves of {BREAKPOINTS:,} breakpoints (all answers equal)")
    figures = measure(jobs)
    for name, (cpu, wall) in figures.items():
        print(f"  {name:<18}{cpu:>9.4f}{wall:>9.4f}{cpu / figures['combine min'][0]:>13.2f}")


def print_reading(count: int) -> None:
    """What is asked of the sum once it is there, against one pass over its values."""
    total = combine(draw_curves(count))
    hours = np.arange(WINDOW.start, WINDOW.end + 1, 3_600)
    instants = np.random.default_rng(2).integers(WINDOW.start, WINDOW.end, size=100_000)
    half = int(np.median(total.values))
    print(f"\nReading one curve of {total.times.size:,} breakpoints; last column: passes over its values")
    figures = measure(
        {
            "one pass (sum)": total.values.sum,
            "integrate": lambda: total.integrate(WINDOW),
            "integrals hourly": lambda: total.integrals(hours),
            "at 100,000": lambda: total.at(instants),
            "where_below": lambda: total.where_below(half, WINDOW),
            "a + b": lambda: total + total,
        }
    )
    for name, (cpu, wall) in figures.items():
        print(f"  {name:<18}{cpu:>9.4f}{wall:>9.4f}{cpu / figures['one pass (sum)'][0]:>13.1f}")


def main() -> None:
    """Print every table."""
    print_sum(1_000)
    print_growth((100, 300, 1_000, 3_000))
    print_least(100)
    print_least(1_000)
    print_reading(1_000)


if __name__ == "__main__":
    main()
