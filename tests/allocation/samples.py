"""Short ways to write claims, pools and random fleets."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from offtake.allocation.model import Supply
from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.claims.model import Claim, Firmness

HOUR = 3_600
DAY = Interval(0, 24 * HOUR)


def claim(
    name: str,
    firmness: Firmness,
    pools: str | Sequence[str],
    gpus: int | Sequence[tuple[int, int]],
    *,
    owed: int = 0,
) -> Claim:
    """A claim for a constant number of GPUs, or for steps given as (hour, GPUs)."""
    steps = [(0, gpus)] if isinstance(gpus, int) else gpus
    curve = Curve.from_steps([(hour * HOUR, value) for hour, value in steps])
    names = tuple(pools.split()) if isinstance(pools, str) else tuple(pools)
    return Claim(
        id=name, holder=f"{name} inc", firmness=firmness, pools=names, gpus=curve, owed_per_gpu_month=owed
    )


def pool(name: str, node: int, gpus: int | Sequence[tuple[int, int]]) -> Supply:
    """A pool with a constant number of GPUs, or with steps given as (hour, GPUs)."""
    steps = [(0, gpus)] if isinstance(gpus, int) else gpus
    curve = Curve.from_steps([(hour * HOUR, value) for hour, value in steps])
    return Supply(id=name, gpus_per_node=node, available=curve)


def hours(first: int, last: int) -> Interval:
    """The interval from one hour to another."""
    return Interval(first * HOUR, last * HOUR)


@st.composite
def fleets(
    draw: st.DrawFn,
    *,
    sizes: Sequence[int] = (4,),
    n_pools: int = 3,
    n_claims: int = 5,
    n_steps: int = 4,
    nodes_max: int = 6,
) -> tuple[list[Claim], list[Supply]]:
    """Claims and pools with steps at whole hours of a day; demand and capacity of the same order."""

    def curve(most: int) -> list[tuple[int, int]]:
        at = draw(st.lists(st.integers(0, 23), min_size=1, max_size=n_steps, unique=True))
        return [(hour, draw(st.integers(0, most))) for hour in sorted(at)]

    pools = [
        pool(f"p{i}", size, curve(nodes_max * size))
        for i, size in enumerate(draw(st.lists(st.sampled_from(sizes), min_size=1, max_size=n_pools)))
    ]
    names = [each.id for each in pools]
    claims = []
    for i in range(draw(st.integers(1, n_claims))):
        eligible = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        claims.append(
            claim(
                f"c{i}",
                draw(st.sampled_from(list(Firmness))),
                eligible,
                curve(nodes_max * max(sizes)),
                owed=draw(st.integers(0, 2)),
            )
        )
    return claims, pools
