"""Slurm's accounting as readings: the listing of `sacct`, one row for each run of a job.

The listing is what this prints on the cluster, for a span that overlaps the last one:

    TZ=UTC SLURM_TIME_FORMAT=%s sacct --duplicates --allocations --allusers --noconvert --parsable2
      --format=JobIDRaw,DBIndex,Cluster,Account,Partition,State,Submit,Start,End,AllocTRES -S … -E …

A run is named by cluster and `DBIndex`, because a requeued job has several and ids may be used again. What is
billed is from start to end, suspended time included, because the GPUs were held. A row after a resize has the
first start of the job; it begins when it was submitted.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from offtake.base.errors import BadInput, Problem
from offtake.formats.usage_file import SCHEMA
from offtake.metering.tres import Combination, billing_units, gpus_of, parse_tres
from offtake.metering.usage import ReadingKind

NEEDED = ("DBIndex", "Account", "State", "Submit", "Start", "End", "AllocTRES")
"""Columns without which runs can't be billed."""

LEFT_OUT = {
    "running": "still running: a reading once it has ended",
    "pending": "never started",
    "no_gpus": "held no GPUs",
    "no_time": "ended as it began",
    "step": "a step, which repeats what its job held",
}
"""Why a row makes no reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a listing says.

    Attributes:
        readings: allocation readings, as columns of the lake.
        left_out: rows that make no reading, by reason.
        units: billing units by Slurm's weights times seconds; None without weights.
        differs: runs whose stated billing isn't what the weights give, by cluster and index.
    """

    readings: pa.Table
    left_out: Mapping[str, int]
    units: int | None
    differs: tuple[str, ...]


def read_sacct(
    path: Path,
    accounts: Mapping[str, str],
    *,
    weights: str | None = None,
    combination: Combination = Combination.SUM,
) -> Listing:
    """Readings from a listing.

    Args:
        path: the file.
        accounts: by Slurm account, the claim that its GPUs are for, such as ``acme/main``.
        weights: Slurm's `TRESBillingWeights`, to check what rows state and to add up billing units.
        combination: how the weights are combined.

    Raises:
        BadInput: for a file that can't be read, a missing column, an account that isn't named, or a row that
            can't be understood; the row is named.
    """
    rows, left_out, differs = [], Counter[str](), []
    units = 0 if weights is not None else None
    for number, row in _rows(path):
        where = f"{path}: row {number}"
        why = _why_not(row)
        if why is not None:
            left_out[why] += 1
            continue
        reading = _reading(where, row, accounts)
        if not reading["value"] or reading["end"] <= reading["start"]:
            left_out["no_time" if reading["value"] else "no_gpus"] += 1
            continue
        rows.append(reading)
        if units is not None and weights is not None:
            own = _units(where, row["AllocTRES"], weights, combination)
            units += own * (reading["end"] - reading["start"])
            stated = parse_tres(row["AllocTRES"]).get("billing")
            if stated is not None and int(stated[0]) != own:
                differs.append(reading["id"])
    return Listing(
        readings=pa.Table.from_pylist(rows, schema=SCHEMA),
        left_out=dict(left_out),
        units=units,
        differs=tuple(differs),
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(str(path), "unreadable", str(error)) from error
    reader = csv.DictReader(text.splitlines(), delimiter="|", quoting=csv.QUOTE_NONE)
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        remedy = f"ask sacct for --parsable2 --format={','.join(NEEDED)} with its header"
        raise _bad(str(path), "missing_column", f"it has no column {', '.join(missing)}", remedy)
    for row in reader:
        if None in row or None in row.values():
            raise _bad(f"{path}: row {reader.line_num}", "garbled", "it hasn't as many fields as the header")
        yield reader.line_num, row


def _why_not(row: Mapping[str, str]) -> str | None:
    if "." in row.get("JobIDRaw", ""):
        return "step"
    if row["State"].startswith("PENDING") or row["Start"] in ("Unknown", "None", ""):
        return "pending"
    return "running" if row["End"] in ("Unknown", "None", "") else None


def _reading(where: str, row: Mapping[str, str], accounts: Mapping[str, str]) -> dict[str, Any]:
    account = row["Account"]
    if account not in accounts:
        named = ", ".join(sorted(accounts)) or "none"
        remedy = f"say --account {account}=AGREEMENT/TRANCHE; named are {named}"
        raise _bad(where, "unknown_account", f"nobody is named for account {account!r}", remedy)
    start, submit, end = (_instant(where, name, row[name]) for name in ("Start", "Submit", "End"))
    try:
        gpus = gpus_of(parse_tres(row["AllocTRES"]))
    except ValueError as error:
        raise _bad(where, "bad_tres", str(error)) from error
    return {
        "kind": str(ReadingKind.ALLOCATION),
        "source": f"slurm/{row.get('Cluster') or 'cluster'}",
        "id": row["DBIndex"],
        "subject": accounts[account],
        "pool": row.get("Partition", ""),
        "start": max(start, submit),
        "end": end,
        "value": gpus,
    }


def _instant(where: str, name: str, text: str) -> int:
    if not text.isdigit():
        remedy = "list with TZ=UTC SLURM_TIME_FORMAT=%s: a local time says too little"
        raise _bad(where, "bad_instant", f"{name} is {text!r}, no number of seconds", remedy)
    return int(text)


def _units(where: str, held: str, weights: str, combination: Combination) -> int:
    try:
        return billing_units(held, weights, combination)
    except ValueError as error:
        raise _bad(where, "bad_tres", str(error)) from error


def _bad(where: str, code: str, message: str, remedy: str = "") -> BadInput:
    return BadInput([Problem(where=where, code=code, message=message, remedy=remedy)])
