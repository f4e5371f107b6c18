"""What a cluster's accounting says that ran, into the usage lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from offtake.base.outcome import Refused
from offtake.metering.hostlist import expand_nodes
from offtake.metering.sacct import Accounting, Finding, Run, reading_of
from offtake.store.usage import SCHEMA
from offtake.workflows.book import Book
from offtake.workflows.usage import ingest

SOURCE = "slurm"
"""The source of readings, and what its progress is kept under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What was taken in.

    Attributes:
        readings: runs that ended, known before or not.
        through: everything that ended before is in.
        unfinished: jobs that run on; they are read once they have ended.
        unknown: accounts with GPU time that no claim has; their jobs aren't read.
        findings: rows that can't be trusted, and aren't billed.
    """

    readings: int
    through: int
    unfinished: int
    unknown: tuple[str, ...]
    findings: tuple[Finding, ...]


def first_position(book: Book) -> int:
    """Up to when the accounting has been read; at first, when the book was opened."""
    meter = book.state.body("meter", SOURCE)
    return int((meter or {"through": (book.state.body("book", "book") or {})["opened_at"]})["through"])


def take_in(
    book: Book,
    accounting: Accounting,
    *,
    through: int,
    accounts: Mapping[str, str],
    nodes: Mapping[str, tuple[str, ...]],
    now: int,
) -> Metered | Refused:
    """Take runs in as readings, each once.

    Args:
        book: written to.
        accounting: what was read.
        through: everything that ended before is in it.
        accounts: by account, the claim that its GPUs are for.
        nodes: by pool, names of its nodes.
        now: the present instant.

    Refusals: those of `ingest`.
    """
    pool_of = {name: pool for pool, names in nodes.items() for name in names}
    rows = [
        {**reading_of(run, accounts[run.account]), "pool": _pool(run, pool_of)}
        for run in accounting.runs
        if run.account in accounts
    ]
    done = ingest(
        book,
        pa.Table.from_pylist(rows, schema=SCHEMA),
        batch=f"{SOURCE}/{through}",
        now=now,
        through={SOURCE: through},
    )
    if isinstance(done, Refused):
        return done
    unknown = sorted({run.account for run in accounting.runs} - set(accounts))
    return Metered(
        readings=len(rows),
        through=through,
        unfinished=len(accounting.unfinished),
        unknown=tuple(unknown),
        findings=accounting.findings,
    )


def _pool(run: Run, pool_of: Mapping[str, str]) -> str:
    """The pool of a run's first node; its partition where nobody named the node."""
    names = expand_nodes(run.nodes)
    return pool_of.get(names[0], run.partition) if names else run.partition
