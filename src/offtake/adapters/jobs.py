"""A cluster that reports its jobs: one reading for each, cut at the borders of what is read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offtake.base.time import Interval, format_instant
from offtake.claims.jobs import Placements
from offtake.metering.readings import Readings


def job_readings(placements: Placements, pool: str, window: Interval) -> Readings:
    """What jobs ran in a window.

    Returns:
        One reading for each job that ran, in the order of the jobs; see `clipped` for their ids.
    """
    jobs = placements.jobs
    whole = Readings(
        claims=jobs.claims,
        pools=(pool,),
        ids=jobs.ids,
        claim=jobs.claim,
        pool=np.zeros(len(jobs), dtype=np.int64),
        start=placements.start,
        end=placements.end,
        gpus=jobs.gpus,
    )
    return clipped(whole, window)


def clipped(readings: Readings, window: Interval) -> Readings:
    """The part of readings that lies in a window.

    A reading that lies in it whole keeps its id; the piece of one that crosses a border gets
    ``<id>@<start of the window>``, so that its pieces in several windows count as different readings.
    """
    start, end = np.maximum(readings.start, window.start), np.minimum(readings.end, window.end)
    inside = end > start
    cut = (start != readings.start) | (end != readings.end)
    return Readings(
        claims=readings.claims,
        pools=readings.pools,
        ids=_ids(readings.ids, inside, cut, f"@{format_instant(window.start)}"),
        claim=readings.claim[inside],
        pool=readings.pool[inside],
        start=start[inside],
        end=end[inside],
        gpus=readings.gpus[inside],
    )


def _ids(
    ids: tuple[str, ...], inside: NDArray[np.bool_], cut: NDArray[np.bool_], mark: str
) -> tuple[str, ...]:
    return tuple(ids[row] + mark if cut[row] else ids[row] for row in np.flatnonzero(inside).tolist())
