"""Step functions in CSV and Parquet: a column of instants and a column of whole numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from offtake.base.curve import Curve
from offtake.base.errors import BadInput, Problem


def load_curve(path: Path, where: str) -> Curve:
    """GPUs over time from columns ``start`` (ISO 8601 with Z) and ``gpus``, rising in time.

    Raises:
        BadInput: if the file is missing, of another shape, out of order or holds fractions.
    """
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else pa_csv.read_csv(path)
        starts = pc.cast(table.column("start"), pa.timestamp("s", "UTC")).cast(pa.int64()).to_numpy()
        gpus: Any = table.column("gpus").to_numpy()
        curve = Curve.from_arrays(starts, gpus)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise BadInput([_bad(where, path, str(error))]) from error
    if len(curve.values) and curve.values.min() < 0:
        raise BadInput([_bad(where, path, f"{curve.values.min()} GPUs: a demand isn't for fewer than none")])
    return curve


def _bad(where: str, path: Path, message: str) -> Problem:
    return Problem(
        where=f"{where}: {path}",
        code="bad_series",
        message=message,
        remedy="a CSV or Parquet file with columns start (such as 2026-07-01T00:00:00Z) and gpus",
    )
