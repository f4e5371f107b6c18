"""Usage readings as files: CloudEvents 1.0 (JSON lines or a JSON array), CSV, Parquet and Arrow.

Tables have the columns of `metering.usage.COLUMNS`; `kind` and `source` may be left out of a table and given
once for all of it. Instants are ISO 8601 with an offset, or seconds since the epoch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq

from offtake.base.errors import BadInput, Problem
from offtake.base.time import parse_instant
from offtake.metering.usage import COLUMNS, ReadingKind

SCHEMA = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS])
"""Columns of readings."""

TYPE = "offtake.usage."
"""What the type of a CloudEvent begins with; the rest is the reading's kind."""

MINUTE_S = 60

READERS = (".json", ".jsonl", ".ndjson", ".csv", ".parquet", ".arrow", ".feather")
"""Endings of files that can be read."""


def read_usage(path: Path, *, source: str | None = None, kind: ReadingKind | None = None) -> pa.Table:
    """A file's readings as columns of the lake.

    Args:
        path: the file.
        source: of every reading that names none.
        kind: of every reading that names none.

    Raises:
        BadInput: naming the file, the event or the column that can't be read.
    """
    ending = path.suffix.lower()
    if ending not in READERS:
        raise _bad(path, "unknown_format", f"files end in {', '.join(READERS)}")
    try:
        if ending in (".json", ".jsonl", ".ndjson"):
            return events_table(path.read_text(encoding="utf-8"), str(path))
        return _from_table(path, _table(path, ending), source, kind)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise _bad(path, "unreadable", str(error)) from error


def _table(path: Path, ending: str) -> pa.Table:
    if ending == ".csv":
        return pyarrow.csv.read_csv(path)
    if ending == ".parquet":
        return pq.read_table(path)
    with pa.memory_map(str(path)) as mapped:
        return pyarrow.ipc.open_file(mapped).read_all()


def _from_table(path: Path, table: pa.Table, source: str | None, kind: ReadingKind | None) -> pa.Table:
    given = {"source": source, "kind": None if kind is None else str(kind), "pool": ""}
    for name, value in given.items():
        if name not in table.column_names and value is not None:
            table = table.append_column(name, pa.repeat(value, table.num_rows))
    if "end" not in table.column_names and "start" in table.column_names and kind is ReadingKind.GAUGE:
        table = table.set_column(
            table.column_names.index("start"), "start", _instants(path, "start", table["start"])
        )
        table = table.append_column("end", pc.add(table["start"], MINUTE_S))
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise _bad(
            path,
            "missing_column",
            f"it has no column {', '.join(missing)}; it has {', '.join(table.column_names)}",
        )
    columns = [
        _instants(path, name, table[name])
        if name in ("start", "end")
        else table[name].cast(SCHEMA.field(name).type)
        for name in SCHEMA.names
    ]
    return pa.table(dict(zip(SCHEMA.names, columns, strict=True)), schema=SCHEMA)


def _instants(path: Path, name: str, column: Any) -> Any:
    """Seconds since the epoch, from numbers, timestamps or texts."""
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64())
    if pa.types.is_timestamp(column.type):
        if column.type.tz is None:
            raise _bad(
                path, "no_offset", f"times of {name} have no time zone; write them like 2027-01-05T08:00:00Z"
            )
        return column.cast(pa.timestamp("s", "UTC")).cast(pa.int64())
    return pa.array(
        [_instant(path, f"{name}, row {i}", text.as_py()) for i, text in enumerate(column)], pa.int64()
    )


def _instant(path: Path | str, where: str, text: Any) -> int:
    try:
        return parse_instant(str(text))
    except ValueError as error:
        raise _bad(path, "bad_instant", f"{where}: {error}") from error


def events_table(text: str, where: str) -> pa.Table:
    """CloudEvents as columns of the lake: a JSON array, one event, or one event a line.

    Raises:
        BadInput: naming the event that can't be read.
    """
    return pa.Table.from_pylist([_event(where, i, event) for i, event in _events(where, text)], schema=SCHEMA)


def _events(path: str, text: str) -> Iterator[tuple[int, Any]]:
    """Events with their number, from 1."""
    try:
        if text.lstrip().startswith("{") and "\n" in text.strip():
            try:
                yield 1, json.loads(text)
            except json.JSONDecodeError:
                pass  # one event a line
            else:
                return
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), start=1)
            return
        for i, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield i, json.loads(line)
    except json.JSONDecodeError as error:
        raise _bad(path, "not_json", str(error)) from error


def _event(path: str, number: int, event: Any) -> dict[str, Any]:
    """A CloudEvent as a row.

    Source: CloudEvents 1.0: `source` and `id` together name an event; `subject` is the claim, or the
    agreement for power.
    """
    where = f"event {number}"
    if not isinstance(event, dict):
        raise _bad(path, "not_an_event", f"{where} is no JSON object")
    for name in ("specversion", "type", "source", "id", "subject", "data"):
        if name not in event:
            raise _bad(path, "missing_attribute", f"{where} has no {name!r}")
    if str(event["specversion"]) != "1.0":
        raise _bad(
            path, "unknown_version", f"{where} is CloudEvents {event['specversion']!r}, and 1.0 is read"
        )
    kind = str(event["type"]).removeprefix(TYPE)
    if not str(event["type"]).startswith(TYPE) or kind not in list(ReadingKind):
        names = ", ".join(f"{TYPE}{k}" for k in ReadingKind)
        raise _bad(path, "unknown_type", f"{where} is of type {event['type']!r}; types are {names}")
    data = event["data"] if isinstance(event["data"], dict) else {}
    quantity = "wh" if kind == ReadingKind.POWER else "gpus"
    start = data.get("start", event.get("time"))
    end = data.get("end")
    value = data.get(quantity)
    if start is None or not isinstance(value, int) or isinstance(value, bool):
        raise _bad(
            path, "missing_data", f"{where} needs data with start, end and a whole number of {quantity}"
        )
    begun = _instant(path, where, start)
    if end is None and kind != ReadingKind.GAUGE:
        raise _bad(path, "missing_data", f"{where} has no end")
    return {
        "kind": kind,
        "source": str(event["source"]),
        "id": str(event["id"]),
        "subject": str(event["subject"]),
        "pool": str(data.get("pool", "")),
        "start": begun,
        "end": begun + MINUTE_S if end is None else _instant(path, where, end),
        "value": value,
    }


def _bad(path: Path | str, code: str, message: str) -> BadInput:
    return BadInput([Problem(where=str(path), code=code, message=message)])
