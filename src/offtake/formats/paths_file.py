"""Demand paths in Parquet: columns `path`, `start` and `gpus`, a row for each path and hour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from offtake.base.errors import BadInput, Problem
from offtake.base.time import HOUR_S, Interval, format_instant

COLUMNS = ("path", "start", "gpus")


def read_paths(path: Path, window: Interval) -> NDArray[np.int64]:
    """Paths over a window, hour by hour, int64[S, T].

    Raises:
        BadInput: for a file that can't be read or lacks a column, GPUs that aren't whole or are negative, or
            a path that lacks an hour of the window, or has one twice.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise _bad(path, "unreadable", f"it can't be read as paths: {error}") from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    if missing:
        raise _bad(path, "missing_column", f"it has no column {', '.join(missing)}")
    start, gpus, which = (table[name].to_numpy() for name in ("start", "gpus", "path"))
    if gpus.dtype.kind not in "iu" or start.dtype.kind not in "iuM":
        raise _bad(path, "not_whole", "start and gpus are whole numbers: seconds UTC, and GPUs")
    if start.dtype.kind == "M":
        start = start.astype("datetime64[s]").astype(np.int64)
    if len(gpus) and int(gpus.min()) < 0:
        raise _bad(path, "negative", f"{int(gpus.min())} GPUs is fewer than none")
    names, place = np.unique(which, return_inverse=True)
    steps = (window.end - window.start) // HOUR_S
    inside = (start >= window.start) & (start < window.end)
    hour = (start[inside] - window.start) // HOUR_S
    count = np.zeros((len(names), steps), dtype=np.int64)
    np.add.at(count, (place[inside], hour), 1)
    if not len(names) or (count != 1).any():
        at = np.argwhere(count != 1)
        when = (
            format_instant(window.start + int(at[0, 1]) * HOUR_S) if len(at) else format_instant(window.start)
        )
        name = names[at[0, 0]] if len(at) else "none"
        raise _bad(
            path, "gaps", f"path {name} doesn't have the hour from {when} once", "one row for each hour"
        )
    found = np.zeros((len(names), steps), dtype=np.int64)
    found[place[inside], hour] = gpus[inside]
    return found


def _bad(path: Path, code: str, message: str, remedy: str = "") -> BadInput:
    return BadInput([Problem(where=str(path), code=code, message=message, remedy=remedy)])
