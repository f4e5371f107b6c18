"""Scenario paths of demand: a Parquet file of steps, many paths in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from offtake.base.curve import Curve
from offtake.base.errors import BadInput, Problem


def load_paths(file: Path, where: str) -> tuple[Curve, ...]:
    """GPUs over time for every path, in order of its number.

    Columns ``path`` (whole numbers), ``start`` (a timestamp, or seconds UTC) and ``gpus`` (whole numbers); a
    level holds until the path's next row.

    Raises:
        BadInput: if the file is missing, of another shape, empty, or holds fractions or less than nothing.
    """
    try:
        return _curves(pq.read_table(file, columns=["path", "start", "gpus"]))
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        problem = Problem(
            where=f"{where}: {file}",
            code="bad_paths",
            message=str(error),
            remedy="a Parquet file with columns path, start and gpus",
        )
        raise BadInput([problem]) from error


def _curves(table: pa.Table) -> tuple[Curve, ...]:
    start = table.column("start")
    if pa.types.is_timestamp(start.type):
        start = pc.cast(start, pa.timestamp("s", "UTC"))
    paths, starts, gpus = (
        pc.cast(column, pa.int64()).to_numpy() for column in (table["path"], start, table["gpus"])
    )
    if not len(paths):
        raise ValueError("it has no rows")
    if gpus.min() < 0:
        raise ValueError(f"{gpus.min()} GPUs: a demand isn't for fewer than none")
    order = np.lexsort((starts, paths))
    borders = np.flatnonzero(np.diff(paths[order])) + 1
    return tuple(Curve.from_arrays(starts[own], gpus[own]) for own in np.split(order, borders))
