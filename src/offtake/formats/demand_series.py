"""Measured demand in equal steps, from CSV or Parquet with columns `start` and `gpus`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from offtake.base.errors import BadInput, Problem
from offtake.base.time import HOUR_S, format_instant
from offtake.forecast.model import Series

REMEDY = "a CSV or Parquet file with columns start (such as 2026-07-01T00:00:00Z) and gpus, a row each hour"


def read_series(path: Path, *, hold: bool = False, seasons: tuple[int, int | None] = (24, None)) -> Series:
    """Demand hour by hour.

    Args:
        path: the file; a row for each hour, rising in time.
        hold: an hour without a row is as the one before, instead of a gap.
        seasons: hours after which the pattern comes again, and of a longer season beside it.

    Raises:
        BadInput: for a file that can't be read, hours out of order or missing, and GPUs that aren't whole or
            are negative.
    """
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else pa_csv.read_csv(path)
        column = table.column("start")
        if not pa.types.is_integer(column.type):
            column = pc.cast(column, pa.timestamp("s", "UTC")).cast(pa.int64())
        starts, gpus = column.to_numpy(), table.column("gpus").to_numpy()
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise _bad(path, "bad_series", str(error), REMEDY) from error
    if not len(starts):
        raise _bad(path, "bad_series", "it has no rows", REMEDY)
    if gpus.dtype.kind not in "iu":
        raise _bad(path, "not_whole", "gpus are whole numbers", REMEDY)
    if int(gpus.min()) < 0:
        raise _bad(path, "negative", f"{int(gpus.min())} GPUs is fewer than none")
    steps = np.diff(starts)
    if len(steps) and int(steps.min()) <= 0:
        at = format_instant(int(starts[int(np.argmin(steps > 0)) + 1]))
        raise _bad(path, "out_of_order", f"the row of {at} doesn't come after the one before it")
    if hold:
        hours = np.arange(starts[0], starts[-1] + 1, HOUR_S)
        gpus = gpus[np.searchsorted(starts, hours, side="right") - 1]
    elif (steps != HOUR_S).any():
        i = int(np.flatnonzero(steps != HOUR_S)[0])
        gap = f"after {format_instant(int(starts[i]))} the next row is {int(steps[i])} s later, not an hour"
        raise _bad(path, "gaps", gap, "fill it, or say --hold: an hour without a row is as the one before")
    return Series(
        start=int(starts[0]),
        step_s=HOUR_S,
        values=gpus.astype(np.int64),
        season=seasons[0],
        longer=seasons[1],
    )


def _bad(path: Path, code: str, message: str, remedy: str = "") -> BadInput:
    return BadInput([Problem(where=str(path), code=code, message=message, remedy=remedy)])
