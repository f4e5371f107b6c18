"""Slurm's accounting as readings: the listing of `sacct`, one row for each run of a job.

The listing is what this prints on the cluster, for a span that overlaps the last one:

    TZ=UTC SLURM_TIME_FORMAT=%s sacct --duplicates --allocations --allusers --noconvert --parsable2
      --format=JobIDRaw,DBIndex,Cluster,Account,Partition,State,Submit,Start,End,AllocTRES -S … -E …

Which rows are billed, and from when to when, is decided in `metering.sacct`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from offtake.base.errors import BadInput, Problem
from offtake.formats.files import read_text
from offtake.formats.usage_file import SCHEMA
from offtake.metering.sacct import Accounting, Finding, Run, parse_sacct, reading_of
from offtake.metering.tres import Combination, billing_units, parse_tres


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a listing says.

    Attributes:
        readings: allocation readings, as columns of the lake.
        left_out: rows that make no reading, by reason.
        findings: rows that can't be trusted, and aren't billed.
        units: billing units by Slurm's weights times seconds; None without weights.
        differs: runs whose stated billing isn't what the weights give, by cluster and index.
    """

    readings: pa.Table
    left_out: Mapping[str, int]
    findings: tuple[Finding, ...]
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
    found = parse_sacct(read_text(path), str(path))
    _ensure_named(str(path), found, accounts)
    units, differs = (None, ()) if weights is None else _weighed(str(path), found.runs, weights, combination)
    return Listing(
        readings=pa.Table.from_pylist(
            [reading_of(run, accounts[run.account]) for run in found.runs], schema=SCHEMA
        ),
        left_out=found.left_out,
        findings=found.findings,
        units=units,
        differs=differs,
    )


def _ensure_named(where: str, found: Accounting, accounts: Mapping[str, str]) -> None:
    unknown = sorted({run.account for run in found.runs} - set(accounts))
    named = ", ".join(sorted(accounts)) or "none"
    problems = [
        Problem(
            where=where,
            code="unknown_account",
            message=f"nobody is named for account {account!r}",
            remedy=f"say --account {account}=AGREEMENT/TRANCHE; named are {named}",
        )
        for account in unknown
    ]
    if problems:
        raise BadInput(problems)


def _weighed(
    where: str, runs: tuple[Run, ...], weights: str, combination: Combination
) -> tuple[int, tuple[str, ...]]:
    """Weighted unit-seconds of runs, and the indexes of those that state other units."""
    total, differs = 0, []
    for run in runs:
        try:
            own = billing_units(run.tres, weights, combination)
        except ValueError as error:
            raise _bad(f"{where}: {run.index}", "bad_tres", str(error)) from error
        total += own * ((run.end or run.start) - run.start)
        stated = parse_tres(run.tres).get("billing")
        if stated is not None and int(stated[0]) != own:
            differs.append(run.index)
    return total, tuple(differs)


def _bad(where: str, code: str, message: str, remedy: str = "") -> BadInput:
    return BadInput([Problem(where=where, code=code, message=message, remedy=remedy)])
