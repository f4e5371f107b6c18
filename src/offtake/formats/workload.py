"""What a simulation runs, as Parquet: jobs that queue, or readings as recorded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from offtake.base.errors import BadInput, Problem
from offtake.claims.jobs import Jobs
from offtake.metering.readings import Readings

Ints = NDArray[np.int64]

JOBS = (("id", "text"), ("claim", "text"), ("submit", "int"), ("run_s", "int"), ("gpus", "int"))
RECORDED = (
    ("id", "text"), ("claim", "text"), ("pool", "text"), ("start", "int"), ("end", "int"), ("gpus", "int"),
)  # fmt: skip


def load_jobs(path: Path, where: str) -> Jobs:
    """Jobs from columns id, claim, submit, run_s and gpus.

    Units: `submit` in whole seconds UTC since 1970, `run_s` in seconds.

    Raises:
        BadInput: if the file is missing, of another shape or holds empty cells.
    """
    table = _read(path, where, JOBS)
    claims, claim = coded(table.column("claim"))
    return Jobs(
        ids=tuple(table.column("id").to_pylist()),
        claims=claims,
        claim=claim,
        submit=_ints(table, "submit"),
        run_s=_ints(table, "run_s"),
        gpus=_ints(table, "gpus"),
    )


def save_jobs(jobs: Jobs, path: Path) -> None:
    """Write jobs as `load_jobs` reads them."""
    _write(
        path,
        {
            "id": pa.array(jobs.ids, pa.string()),
            "claim": _named(jobs.claims, jobs.claim),
            "submit": jobs.submit,
            "run_s": jobs.run_s,
            "gpus": jobs.gpus,
        },
    )


def load_recorded(path: Path, where: str) -> Readings:
    """Readings from columns id, claim, pool, start, end and gpus.

    Units: `start` and `end` in whole seconds UTC since 1970, end exclusive.

    Raises:
        BadInput: if the file is missing, of another shape or holds empty cells.
    """
    table = _read(path, where, RECORDED)
    claims, claim = coded(table.column("claim"))
    pools, pool = coded(table.column("pool"))
    return Readings(
        claims=claims,
        pools=pools,
        ids=tuple(table.column("id").to_pylist()),
        claim=claim,
        pool=pool,
        start=_ints(table, "start"),
        end=_ints(table, "end"),
        gpus=_ints(table, "gpus"),
    )


def save_recorded(readings: Readings, path: Path) -> None:
    """Write readings as `load_recorded` reads them."""
    _write(
        path,
        {
            "id": pa.array(readings.ids, pa.string()),
            "claim": _named(readings.claims, readings.claim),
            "pool": _named(readings.pools, readings.pool),
            "start": readings.start,
            "end": readings.end,
            "gpus": readings.gpus,
        },
    )


def coded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], Ints]:
    """The distinct texts of a column, sorted, and each row's place among them."""
    combined = column.cast(pa.string()).combine_chunks().dictionary_encode()
    names = np.array(combined.dictionary.to_pylist(), dtype=object)
    order = np.argsort(names)
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return tuple(names[order]), place[combined.indices.to_numpy()]


def _named(names: Sequence[str], codes: Ints) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names, pa.string()))


def _read(path: Path, where: str, shape: Sequence[tuple[str, str]]) -> pa.Table:
    try:
        table = pq.read_table(path, columns=None).select([name for name, _ in shape])
        return _checked(table, shape)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise BadInput(
            [
                Problem(
                    where=f"{where}: {path.name}",
                    code="bad_workload",
                    message=str(error),
                    remedy="a Parquet file with columns "
                    + ", ".join(f"{name} ({kind})" for name, kind in shape),
                )
            ]
        ) from error


def _checked(table: pa.Table, shape: Sequence[tuple[str, str]]) -> pa.Table:
    """The table with whole numbers as int64.

    Raises:
        TypeError: if a column is of another type.
        ValueError: if a cell is empty.
    """
    for i, (name, kind) in enumerate(shape):
        column = table.column(name)
        if column.null_count:
            raise ValueError(f"column {name!r} has {column.null_count} empty cells")
        if kind == "int":
            if not pa.types.is_integer(column.type):
                raise TypeError(f"column {name!r} is {column.type}, not whole numbers")
            table = table.set_column(i, name, column.cast(pa.int64()))
        elif not (pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)):
            raise TypeError(f"column {name!r} is {column.type}, not text")
    return table


def _ints(table: pa.Table, name: str) -> Ints:
    values: Ints = table.column(name).to_numpy()
    return values


def _write(path: Path, columns: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, compression="zstd")
