"""What a cluster's accounting says that ran, into the usage lake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from offtake.adapters.slurm.accounting import LAG_S, read_runs
from offtake.adapters.slurm.runner import Runner
from offtake.base.errors import BadInput
from offtake.base.months import months_in
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.enforcement.model import CLOSED
from offtake.fleet.model import Outage
from offtake.metering.hostlist import expand_nodes
from offtake.metering.sacct import Accounting, Finding, Run, parts_of
from offtake.metering.slurm_records import NodeOutage
from offtake.store.usage import SCHEMA
from offtake.workflows.book import Book
from offtake.workflows.desired import accounts_of
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import FAILED, RESTORED
from offtake.workflows.record import record_event
from offtake.workflows.usage import ingest
from offtake.workflows.view import claims_in, fleet_of, opened_at, operator_zone, signed_agreement

DOWN = ("DOWN", "FAIL")
"""States of a node that is out of order, in Slurm's words."""

SOURCE = "slurm"
"""The source of readings, and what its progress is kept under."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What was taken in.

    Attributes:
        readings: runs that ended, and parts up to a month's end of runs that go on; known before or not.
        through: everything that ended before is in.
        unfinished: jobs that run on; what they use is read once they or the month have ended.
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
    return int(meter["through"]) if meter else opened_at(book.state)


def meter_turn(
    book: Book,
    runner: Runner,
    nodes: Mapping[str, tuple[str, ...]],
    now: int,
    *,
    lag_s: int = LAG_S,
    every_s: int = 0,
) -> Metered | Refused | None:
    """Take in what ended since the last time; None where it isn't time yet.

    Args:
        book: written to.
        runner: of the cluster.
        nodes: by pool, names of its nodes.
        now: the present instant.
        lag_s: how long ago the accounting must lie to be read.
        every_s: how long the accounting must be to be read: each time is a fact.

    Refusals: those of `read_runs` and `take_in`, and `unreadable` for rows that can't be understood.
    """
    position = first_position(book)
    if now - lag_s - position < max(every_s, 1):
        return None
    try:
        read = read_runs(runner, position, now, lag_s=lag_s)
    except BadInput as error:
        return Refused(code="unreadable", sentence=f"Slurm's accounting can't be understood: {error}")
    if isinstance(read, Refused):
        return read
    return take_in(
        book, read.accounting, through=read.through, accounts=accounts_of(book), nodes=nodes, now=now
    )


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
    zones = billing_zones(book)
    rows = [
        {**part, "pool": _pool(run, pool_of)}
        for run in (*accounting.runs, *accounting.unfinished)
        if run.account in accounts
        for part in expected_parts(run, accounts[run.account], zones[accounts[run.account]], through)
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
    unknown = sorted({run.account for run in accounting.runs} - {*accounts, CLOSED})
    return Metered(
        readings=len(rows),
        through=through,
        unfinished=len(accounting.unfinished),
        unknown=tuple(unknown),
        findings=accounting.findings,
    )


def note_outages(
    book: Book, outages: Sequence[NodeOutage], nodes: Mapping[str, tuple[str, ...]], now: int
) -> tuple[Refused, ...]:
    """Record nodes that were down: as outages, for credits, and as failed, so that they are replaced.

    Nodes that were drained are somebody's decision and no outage. Doing it again adds nothing.

    Args:
        book: written to.
        outages: as the scheduler has them.
        nodes: by pool, names of its nodes in the order of their numbers.
        now: the present instant.

    Returns:
        What was refused.
    """
    place_of = {name: (pool, i) for pool, names in nodes.items() for i, name in enumerate(names)}
    size = {pool.id: pool.gpus_per_node for pool in fleet_of(book.state).pool}
    refused = []
    for one in sorted(outages, key=lambda outage: outage.start):
        if one.node not in place_of or not one.state.startswith(DOWN):
            continue
        pool, number = place_of[one.node]
        start, id_ = min(one.start, now), f"{SOURCE}/{one.node}/{one.start}"
        event = Outage(id=id_, pool=pool, start=start, end=one.end, gpus=size[pool])
        known = book.find("outage.reported", id_)
        if known is not None and (known.body["end"] is not None or one.end is None):
            continue
        done = record_event(book, event, now)
        if isinstance(done, Refused):
            refused.append(done)
            continue
        said = {"because": f"down in Slurm: {one.reason or 'no reason given'}"}
        came = [(FAILED, start)] if known is None else []
        went = [(RESTORED, one.end)] if one.end is not None else []
        for kind, at in came + went:
            noted = record_nodes(book, kind, pool, str(number), at=min(at, now), now=now, said=said)
            if isinstance(noted, Refused) and noted.code not in ("failed_already", "not_failed"):
                refused.append(noted)
    return tuple(refused)


def billing_zones(book: Book) -> dict[str, str]:
    """By claim, the time zone in whose months it is billed."""
    own = operator_zone(book.state)
    return {
        claim.id: signed_agreement(book.state, claim.agreement).time_zone if claim.agreement else own
        for claim in claims_in(book.state, book.lake)
    }


def expected_parts(run: Run, claim: str, zone: str, through: int) -> list[dict[str, Any]]:
    """Readings of a run, cut where months end in the time zone in which its claim is billed."""
    until = max(through, run.end or 0)
    months = months_in(Interval(run.start, until), zone) if until > run.start else ()
    return parts_of(run, claim, [month.interval(zone).end for month in months], through)


def _pool(run: Run, pool_of: Mapping[str, str]) -> str:
    """The pool of a run's first node; its partition where nobody named the node."""
    names = expand_nodes(run.nodes)
    return pool_of.get(names[0], run.partition) if names else run.partition
