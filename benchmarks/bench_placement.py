"""Claims on nodes: 40,000 nodes and 200 claims, a full assignment and one changed claim.

Three pools: racks of 18 nodes, eight to a unit, sixteen units to a failure domain; single nodes in units of
32; single nodes without units. 200 claims of uneven sizes hold 90 % of a pool, 1 % are spares. Contestants:

- offtake: `assign`, with its checks; and `figures`, which explains the result;
- first fit: a Python loop that keeps what a claim has and gives it the first free nodes;
- afresh: the best case for speed, one `np.repeat` of the claims in order, which doesn't look at who had what;
- limit: one pass of numpy over the nodes (`np.bincount` of the claim of each).

Then two years of monthly changes: how many nodes move, and how many domains claims are in beyond the fewest.
CPU seconds of this process; the least of some rounds.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from offtake.fleet.nodes import Layout
from offtake.placement.assign import assign
from offtake.placement.figures import figures
from offtake.placement.model import NONE, Assignment, Ints, Nodes, Want, new_nodes, sanitised

NODES, CLAIMS, MONTHS = 40_000, 200, 24
SHAPES: dict[str, Callable[[int], Layout]] = {
    "racks of 18": lambda n: Layout(
        nodes=n // 18 * 18, per_domain=18, per_unit=144, per_failure_domain=2_304
    ),
    "single, units": lambda n: Layout(nodes=n, per_unit=32, per_failure_domain=2_048),
    "single, flat": lambda n: Layout(nodes=n),
}


def timed(job: Callable[[], object], rounds: int = 5) -> float:
    """Least CPU seconds, after one run that isn't measured."""
    job()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        job()
        best = min(best, time.process_time() - start)
    return best


def sizes_of(nodes: int, claims: int, seed: int = 1) -> Ints:
    """Uneven claims on 90 % of a pool."""
    share = np.random.default_rng(seed).dirichlet(np.ones(claims))
    return np.maximum((share * nodes * 0.9).astype(np.int64), 1)


def wants_of(sizes: Ints) -> list[Want]:
    return [Want(claim=f"c{i}", holder=f"h{i}", nodes=n) for i, n in enumerate(sizes.tolist())]


def first_fit(before: Ints, sizes: Ints) -> Ints:
    """Keep what a claim has, then give it the first free nodes; node by node."""
    claim, held = [NONE] * len(before), [0] * len(sizes)
    for node, c in enumerate(before.tolist()):
        if c != NONE and held[c] < sizes[c]:
            claim[node], held[c] = c, held[c] + 1
    free = (node for node, c in enumerate(claim) if c == NONE)
    for c, size in enumerate(sizes.tolist()):
        for _ in range(size - held[c]):
            claim[next(free)] = c
    return np.array(claim)


def afresh(nodes: int, sizes: Ints) -> Ints:
    claim = np.full(nodes, NONE)
    claim[: sizes.sum()] = np.repeat(np.arange(len(sizes)), sizes)
    return claim


def excess(layout: Layout, claim: Ints, sizes: Ints) -> tuple[int, int]:
    """Domains beyond the fewest, and domains that more than one claim is in."""
    held = np.flatnonzero(claim != NONE)
    pairs = np.unique(np.stack([claim[held], held // layout.per_domain]), axis=1)
    return pairs.shape[1] - int((-(-sizes // layout.per_domain)).sum()), int(
        (np.bincount(pairs[1]) > 1).sum()
    )


def speed() -> None:
    print(f"{NODES:,} nodes, {CLAIMS} claims: CPU ms; the ratios are to one pass over the nodes")
    names = ("assign", "figures", "changed", "first fit", "changed", "afresh", "one pass")
    print(f"  {'':<14}" + "".join(f"{name:>11}" for name in names))
    for shape, made in SHAPES.items():
        layout = made(NODES)
        sizes = sizes_of(layout.nodes, CLAIMS)
        more = sizes + np.where(np.arange(CLAIMS) == 5, 40, 0)
        empty, spares = new_nodes(layout), layout.nodes // 100
        done = assign(empty, wants_of(sizes), spares=spares, now=1)
        wants, other = wants_of(sizes), wants_of(more)
        claim = first_fit(empty.claim, sizes)
        seconds = [
            timed(lambda: assign(empty, wants, spares=spares, now=1)),  # noqa: B023
            timed(lambda: figures(done)),  # noqa: B023
            timed(lambda: assign(done.nodes, other, spares=spares, now=2), 20),  # noqa: B023
            timed(lambda: first_fit(empty.claim, sizes)),  # noqa: B023
            timed(lambda: first_fit(claim, more)),  # noqa: B023
            timed(lambda: afresh(layout.nodes, sizes), 50),  # noqa: B023
            timed(lambda: [np.bincount(claim + 1) for _ in range(100)]) / 100,  # noqa: B023
        ]
        changed = assign(done.nodes, other, spares=spares, now=2)
        assert (int(changed.given.sum()), int(changed.taken.sum())) == (40, 0)
        print(f"  {shape:<14}" + "".join(f"{s * 1e3:>11.3f}" for s in seconds))
        print(f"  {'':<14}" + "".join(f"{s / seconds[-1]:>11.0f}" for s in seconds))
        print(f"  {'':<14}one changed claim: {seconds[2] / seconds[0]:.3f} of a full assignment")


def growth() -> None:
    counts = (4_000, 8_000, 16_000, 40_000, 80_000)
    print("\nGrowth: CPU µs per node of a full assignment (one changed claim), 200 claims; level is linear")
    print(f"  {'':<14}" + "".join(f"{count:>17,}" for count in counts))
    for shape, made in SHAPES.items():
        cells = []
        for count in counts:
            layout = made(count)
            sizes = sizes_of(layout.nodes, CLAIMS)
            wants = wants_of(sizes)
            other = [replace(wants[0], nodes=wants[0].nodes + 5), *wants[1:]]
            done = assign(new_nodes(layout), wants, now=1)
            full = timed(lambda: assign(new_nodes(layout), wants, now=1))  # noqa: B023
            one = timed(lambda: assign(done.nodes, other, now=2), 20)  # noqa: B023
            cells.append(f"{full / count * 1e6:.2f} ({one / count * 1e6:.3f})")
        print(f"  {shape:<14}" + "".join(f"{cell:>17}" for cell in cells))


def memory() -> None:
    layout = SHAPES["racks of 18"](NODES)
    wants = wants_of(sizes_of(layout.nodes, CLAIMS))
    empty = new_nodes(layout)
    assign(empty, wants, now=1)
    tracemalloc.start()
    done = assign(empty, wants, now=1)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    arrays = sum(a.nbytes for a in (done.nodes.claim, done.nodes.holder, done.nodes.since, done.nodes.spare))
    print(f"\nMemory of an assignment: peak {peak / 1e6:.1f} MB, {kept / 1e6:.1f} MB kept")
    print(f"  the arrays of its answer have {arrays / 1e6:.1f} MB: peak is {peak / arrays:.1f} times them")


def months() -> None:
    """Every month a fifth of the claims change by up to half; nodes that are left are cleaned at once."""
    layout = SHAPES["racks of 18"](NODES)
    rng = np.random.default_rng(2)
    first = sizes = sizes_of(layout.nodes, CLAIMS)
    nodes, fitted, anew = new_nodes(layout), np.full(layout.nodes, NONE), afresh(layout.nodes, sizes)
    done: Assignment | None = None
    left = {"offtake": 0, "first fit": 0, "afresh": 0}
    least = 0
    for month in range(MONTHS + 1):
        done = assign(nodes, wants_of(sizes), now=month)
        assert done.held.sum() == sizes.sum()
        before, fitted = fitted, first_fit(fitted, sizes)
        old, anew = anew, afresh(layout.nodes, sizes)
        if month:
            left["offtake"] += int(done.taken.sum())
            left["first fit"] += lost(before, fitted)
            left["afresh"] += lost(old, anew)
        nodes = cleaned(done.nodes, month)
        change = np.where(rng.random(CLAIMS) < 0.2, rng.uniform(0.5, 1.5, CLAIMS), 1)
        new = np.maximum((first * change).astype(np.int64), 1)
        new = new if new.sum() <= layout.nodes else sizes
        if month < MONTHS:
            least += int(np.maximum(sizes - new, 0).sum())
            sizes = new
    print(f"\n{MONTHS} months of changes, racks of 18: nodes that left a claim (at least {least:,} must),")
    print("  domains beyond the fewest and domains split at the end")
    ends = {"offtake": done.nodes.claim, "first fit": fitted, "afresh": anew}
    for name, claim in ends.items():
        beyond, split = excess(layout, claim, sizes)
        print(f"  {name:<10}{left[name]:>10,}{beyond:>8,}{split:>8,}")


def lost(before: Ints, after: Ints) -> int:
    return int(((before != NONE) & (before != after)).sum())


def cleaned(nodes: Nodes, now: int) -> Nodes:
    return sanitised(nodes, np.ones(nodes.layout.nodes, dtype=np.bool_), now)


def main() -> None:
    """Print every table."""
    speed()
    growth()
    memory()
    months()


if __name__ == "__main__":
    main()
