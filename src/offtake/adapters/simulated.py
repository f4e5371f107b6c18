"""A cluster that does what it is told: it runs the work its holders have, up to what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offtake.base.curve import Curve, matrix, merged_times
from offtake.base.time import Interval
from offtake.metering.readings import Readings

Ints = NDArray[np.int64]


def running_readings(
    held: Mapping[tuple[str, str], Curve], wanted: Mapping[str, Curve], window: Interval, prefix: str
) -> Readings:
    """Readings of what ran in a window.

    Work fills a holder's pools in the order given, so that it doesn't hop between them.

    Args:
        held: GPUs by (claim, pool), in order of preference within a claim.
        wanted: GPUs of work each claim has; a claim that isn't named has none.
        window: what to read; half-open.
        prefix: makes the ids of the readings unique.

    Returns:
        One reading for each run of an unchanged number of GPUs of a claim in a pool.
    """
    parts: list[tuple[int, int, Ints, Ints, Ints]] = []
    pairs = list(held)
    claims = tuple(dict.fromkeys(claim for claim, _ in pairs))
    pools = tuple(dict.fromkeys(pool for _, pool in pairs))
    for claim in claims:
        if claim not in wanted:
            continue
        own = [pair for pair in pairs if pair[0] == claim]
        times = merged_times([held[pair] for pair in own] + [wanted[claim]], window)
        running = _filled(matrix([held[pair] for pair in own], times), matrix([wanted[claim]], times)[0])
        for (_, pool), gpus in zip(own, running, strict=True):
            starts, ends, values = Curve.from_arrays(times, np.append(gpus, 0)).to_records(window)
            parts.append((claims.index(claim), pools.index(pool), starts, ends, values))
    return _readings(claims, pools, parts, prefix)


def _filled(held: Ints, wanted: Ints) -> Ints:
    """Work in each pool: the first pool to the brim, then the next.

    Shapes: held int64[P, K], wanted int64[K] -> int64[P, K].
    """
    before = np.cumsum(held, axis=0) - held
    return np.clip(wanted - before, 0, held)


def _readings(
    claims: tuple[str, ...],
    pools: tuple[str, ...],
    parts: Sequence[tuple[int, int, Ints, Ints, Ints]],
    prefix: str,
) -> Readings:
    counts = [len(part[2]) for part in parts]
    total = sum(counts)
    empty = [np.zeros(0, dtype=np.int64)]
    return Readings(
        claims=claims,
        pools=pools,
        ids=tuple(f"{prefix}/{i:06d}" for i in range(total)),
        claim=np.repeat(np.array([part[0] for part in parts], dtype=np.int64), counts),
        pool=np.repeat(np.array([part[1] for part in parts], dtype=np.int64), counts),
        start=np.concatenate([part[2] for part in parts] or empty),
        end=np.concatenate([part[3] for part in parts] or empty),
        gpus=np.concatenate([part[4] for part in parts] or empty),
    )
