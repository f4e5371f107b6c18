"""Readings as people and meters write them: the same rows from every format, and a clear no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from offtake.base.errors import BadInput
from offtake.formats.usage_file import SCHEMA, read_usage
from offtake.metering.usage import ReadingKind

ROWS = [
    {"kind": "allocation", "source": "s", "id": "a", "subject": "deal/main", "pool": "p",
     "start": 1_798_761_600, "end": 1_798_765_200, "value": 8},
    {"kind": "power", "source": "s", "id": "b", "subject": "deal", "pool": "",
     "start": 1_798_761_600, "end": 1_798_765_200, "value": 900},
    {"kind": "gauge", "source": "s", "id": "c", "subject": "deal/main", "pool": "p",
     "start": 1_798_761_600, "end": 1_798_761_660, "value": 4},
]  # fmt: skip


def event(**more: Any) -> dict[str, Any]:
    found = {
        "specversion": "1.0",
        "type": "offtake.usage.allocation",
        "source": "s",
        "id": "a",
        "subject": "deal/main",
        "data": {"pool": "p", "start": "2027-01-01T00:00:00Z", "end": "2027-01-01T01:00:00Z", "gpus": 8},
    }
    return {**found, **more}


EVENTS = [
    event(),
    event(type="offtake.usage.power", id="b", subject="deal",
          data={"start": "2027-01-01T01:00:00+01:00", "end": "2027-01-01T01:00:00Z", "wh": 900}),
    event(type="offtake.usage.gauge", id="c", time="2027-01-01T00:00:00Z", data={"pool": "p", "gpus": 4}),
]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet", "arrow"])
def test_every_format_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"usage.{form}"
    table = pa.Table.from_pylist(ROWS, schema=SCHEMA)
    if form == "jsonl":
        path.write_text("\n".join(map(json.dumps, EVENTS)) + "\n\n", encoding="utf-8")
    elif form == "json":
        path.write_text(json.dumps(EVENTS), encoding="utf-8")
    elif form == "csv":
        pyarrow.csv.write_csv(table, path)
    elif form == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, SCHEMA) as writer:
            writer.write_table(table)
    assert read_usage(path).to_pylist() == ROWS


def test_what_a_table_leaves_out_is_given_once_and_times_may_be_texts(tmp_path: Path) -> None:
    path = tmp_path / "gauge.csv"
    path.write_text("id,subject,start,value\nx,deal/main,2027-01-01T00:00:00Z,4\n", encoding="utf-8")
    (row,) = read_usage(path, source="dcgm", kind=ReadingKind.GAUGE).to_pylist()
    assert row == {**ROWS[2], "id": "x", "source": "dcgm", "pool": ""}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (event(specversion="0.3"), "unknown_version"),
        (event(type="com.other"), "unknown_type"),
        (event(data={"start": "2027-01-01T00:00:00Z", "gpus": 8}), "missing_data"),
        (
            event(data={"start": "2027-01-01T00:00:00Z", "end": "2027-01-01T01:00:00Z", "gpus": 8.5}),
            "missing_data",
        ),
        (
            event(data={"start": "2027-01-01T00:00:00", "end": "2027-01-01T01:00:00Z", "gpus": 8}),
            "bad_instant",
        ),
        ({k: v for k, v in event().items() if k != "id"}, "missing_attribute"),
        ([1], "not_an_event"),
    ],
)
def test_an_event_that_can_t_be_read_is_named(tmp_path: Path, wrong: Any, code: str) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_text(json.dumps(event()) + "\n" + json.dumps(wrong) + "\n", encoding="utf-8")
    with pytest.raises(BadInput) as raised:
        read_usage(path)
    (problem,) = raised.value.problems
    assert (problem.where, problem.code) == (str(path), code)
    assert "event 2" in problem.message


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("usage.txt", "", "unknown_format"),
        ("usage.jsonl", "{", "not_json"),
        ("usage.parquet", "no parquet", "unreadable"),
        ("usage.csv", "id,start\nx,1\n", "missing_column"),
        ("absent.csv", None, "unreadable"),
    ],
)
def test_a_file_that_can_t_be_read_is_named(tmp_path: Path, name: str, text: str | None, code: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as raised:
        read_usage(path)
    assert raised.value.problems[0].code == code
