"""Usage readings into the lake: checked, deduplicated, recorded in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.fleet.model import Outage
from offtake.formats.plain import to_plain
from offtake.metering.usage import ReadingKind, UsageRules, Verdict
from offtake.store.fact import Fact
from offtake.store.usage import CONTENT, SCHEMA, PartManifest, part_of
from offtake.workflows.book import Book
from offtake.workflows.state import State
from offtake.workflows.view import agreement_ids, fleet_of

_CODE = {verdict: code for code, verdict in enumerate(Verdict)}
"""Verdicts as numbers, those that count first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What became of a batch.

    Attributes:
        batch: its id.
        counts: readings by verdict.
        reasons: rejected readings by reason.
        verdicts: columns `row`, `verdict` and `reason`, a row for each reading that wasn't simply accepted.
        again: the batch was known already, and nothing was recorded.
    """

    batch: str
    counts: Mapping[Verdict, int]
    reasons: Mapping[str, int] = field(default_factory=dict)
    verdicts: pa.Table | None = None
    again: bool = False


def ingest(
    book: Book,
    readings: pa.Table,
    *,
    batch: str,
    now: int,
    through: Mapping[str, int] | None = None,
    rules: UsageRules | None = None,
) -> Ingested | Refused:
    """Take a batch of readings in, each reading once.

    Args:
        book: written to.
        readings: columns of `store.usage.SCHEMA`.
        batch: name of the batch; the same name again must say the same, and changes nothing.
        now: the present instant.
        through: by source, the instant up to which it has sent everything.
        rules: how old and how far in the future a reading may be.

    Refusals: `conflict` where a batch of that name said something else, `went_back` where a source has said
    before that it had sent everything up to a later instant.
    """
    keyed = book.usage.keyed(readings.select(SCHEMA.names).cast(SCHEMA))
    reasons = _reasons(keyed, now, rules or UsageRules())
    with book.writing():
        known = book.find("usage.ingested", batch)
        digest = _digest(keyed)
        if known is not None and known.body["digest"] != digest:
            return Refused(
                code="conflict",
                sentence=f"batch {batch!r} was taken in at {format_instant(known.recorded_at)} and said "
                "something else; nothing of the second was recorded. Send it under a name of its own",
            )
        refused = _went_back(book.state, through or {})
        if refused is not None:
            return refused
        if known is not None:
            return Ingested(batch=batch, counts={Verdict.DUPLICATE: keyed.num_rows}, again=True)
        return _take_in(book, keyed, reasons, batch=batch, now=now, through=through or {}, digest=digest)


def _take_in(
    book: Book,
    keyed: pa.Table,
    reasons: pa.Array,
    *,
    batch: str,
    now: int,
    through: Mapping[str, int],
    digest: str,
) -> Ingested:
    reasons = _of_health(book.state, keyed, reasons)
    verdicts = _verdicts(book, keyed, reasons)
    chosen = verdicts <= _CODE[Verdict.LATE]
    accepted = keyed if chosen.all() else keyed.filter(pa.array(chosen))
    parts = book.usage.write(_file_name(batch), accepted)
    counts = {v: int((verdicts == code).sum()) for v, code in _CODE.items()}
    body: dict[str, Any] = {
        "digest": digest,
        "counts": {str(v): n for v, n in counts.items()},
        "parts": [_plain(part) for part in parts],
        "through": dict(through),
        "since": _late_since(book.state, accepted),
    }
    start = min((part.start for part in parts), default=now)
    taken_in = Fact(kind="usage.ingested", id=batch, effective_at=start, recorded_at=now, body=body)
    book.append([taken_in, *_outages(accepted, now)])
    odd = verdicts != _CODE[Verdict.ACCEPTED]
    table = pa.table(
        {
            "row": pa.array(np.flatnonzero(odd)),
            "verdict": pa.array([str(v) for v in Verdict]).take(pa.array(verdicts[odd])),
            "reason": reasons.filter(pa.array(odd)),
        }
    )
    said = {r["values"]: r["counts"] for r in pc.value_counts(reasons.drop_null()).to_pylist()}
    return Ingested(batch=batch, counts=counts, reasons=said, verdicts=table)


def _plain(part: PartManifest) -> dict[str, Any]:
    return {name: getattr(part, name) for name in PartManifest.__slots__}


def _digest(keyed: pa.Table) -> str:
    """A batch's own words, in any order: what the same name must say again."""
    words = pc.cast(keyed["key"], pa.uint64()).to_numpy()
    values = keyed["start"].to_numpy() ^ (keyed["end"].to_numpy() << 1) ^ (keyed["value"].to_numpy() << 2)
    with np.errstate(over="ignore"):
        mixed = (words * np.uint64(0x9E3779B97F4A7C15)) ^ values.astype(np.uint64)
        total = int(np.bitwise_xor.reduce(mixed)) if len(mixed) else 0
        summed = int(mixed.sum(dtype=np.uint64)) if len(mixed) else 0
    return f"{keyed.num_rows}-{total:016x}-{summed:016x}"


def _went_back(state: State, through: Mapping[str, int]) -> Refused | None:
    for source, at in sorted(through.items()):
        known = state.body("meter", source)
        if known is not None and at < int(known["through"]):
            return Refused(
                code="went_back",
                sentence=f"{source} has said that it sent everything up to "
                f"{format_instant(int(known['through']))}, and now says {format_instant(at)}",
            )
    return None


def _reasons(keyed: pa.Table, now: int, rules: UsageRules) -> pa.Array:
    """Why each reading is rejected, null where it isn't."""
    blank = pc.or_(pc.equal(keyed["source"], ""), pc.equal(keyed["id"], ""))
    checks = {
        "no_id": pc.fill_null(pc.or_(blank, pc.is_null(keyed["id"])), True),
        "unknown_kind": pc.invert(pc.is_in(keyed["kind"], pa.array([str(k) for k in ReadingKind]))),
        "end_before_start": pc.less_equal(keyed["end"], keyed["start"]),
        "no_quantity": pc.less_equal(keyed["value"], 0),
        "too_old": pc.less(keyed["end"], now - rules.late_window_s),
        "future": pc.greater(keyed["end"], now + rules.future_tolerance_s),
    }
    found = pa.nulls(keyed.num_rows, pa.string())
    for code in reversed(list(checks)):
        found = pc.if_else(checks[code], code, found)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _of_health(state: State, keyed: pa.Table, reasons: pa.Array) -> pa.Array:
    """Reasons, with those of health: an outage changes who held what, and settled time stays as it was."""
    health = pc.equal(keyed["kind"], str(ReadingKind.HEALTH))
    if not pc.any(health).as_py():
        return reasons
    pools = pa.array([pool.id for pool in fleet_of(state).pool], pa.string())
    settled = max((int(i.body["end"]) for i in state.of("settled_through").values()), default=0)
    checks = {
        "settled": pc.less(keyed["start"], settled),
        "unknown_pool": pc.invert(pc.is_in(keyed["pool"], value_set=pools)),
    }
    for code, holds in checks.items():
        new = pc.and_(pc.and_(health, holds), pc.is_null(reasons))
        reasons = pc.if_else(new, code, reasons)
    return reasons.combine_chunks() if isinstance(reasons, pa.ChunkedArray) else reasons


def _outages(accepted: pa.Table, now: int) -> list[Fact]:
    """Outages that accepted readings of health report."""
    found = accepted.filter(pc.equal(accepted["kind"], str(ReadingKind.HEALTH))).select(
        ["source", "id", "pool", "start", "end", "value"]
    )
    outages = [
        Outage(
            id=f"{row['source']}/{row['id']}", pool=row["pool"], start=row["start"], end=row["end"],
            gpus=row["value"],
        )
        for row in found.to_pylist()
    ]  # fmt: skip
    return [
        Fact(kind="outage.reported", id=o.id, effective_at=o.start, recorded_at=now, body=to_plain(o))
        for o in outages
    ]


def _verdicts(book: Book, keyed: pa.Table, reasons: pa.Array) -> np.ndarray[Any, Any]:
    """A verdict for each reading: rejected, seen before, or counting."""
    verdicts = np.zeros(keyed.num_rows, dtype=np.int8)
    verdicts[_late(book.state, keyed)] = _CODE[Verdict.LATE]
    first = _first_rows(keyed)
    repeated = np.flatnonzero(first != np.arange(keyed.num_rows))
    if len(repeated):
        here, there = keyed.take(repeated), keyed.take(first[repeated])
        named = _alike(here, there, ("source", "id"))
        verdicts[repeated[named]] = _CODE[Verdict.CONFLICT]
        verdicts[repeated[named & _alike(here, there, CONTENT)]] = _CODE[Verdict.DUPLICATE]
    known = book.usage.known(keyed, _parts_in_window(book.state))
    rows, same = known["row"].to_numpy(), known["same"].to_numpy(zero_copy_only=False)
    verdicts[rows[same]] = _CODE[Verdict.DUPLICATE]
    verdicts[rows[~same]] = _CODE[Verdict.CONFLICT]
    verdicts[~reasons.is_null().to_numpy(zero_copy_only=False)] = _CODE[Verdict.REJECTED]
    return verdicts


def _first_rows(keyed: pa.Table) -> np.ndarray[Any, Any]:
    """For each row the first row of the batch with the same key."""
    keys = keyed["key"].to_numpy()
    order = np.argsort(keys, kind="stable")
    begins = np.ones(len(keys), dtype=bool)
    begins[1:] = keys[order][1:] != keys[order][:-1]
    first = np.empty(len(keys), dtype=np.int64)
    first[order] = order[np.flatnonzero(begins)[np.cumsum(begins) - 1]]
    return first


def _alike(here: pa.Table, there: pa.Table, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Whether rows of two tables agree in some columns."""
    found = np.ones(here.num_rows, dtype=bool)
    for name in names:
        found &= pc.equal(here[name], there[name]).to_numpy(zero_copy_only=False)
    return found


def _parts_in_window(state: State) -> list[PartManifest]:
    """Parts in which a reading may be already: older ones hold only what is too old to come again."""
    return [part_of(item.body) for item in state.of("usage_part").values()]


def _file_name(batch: str) -> str:
    """A batch's name as a file's: what a path can't hold is replaced, and a hash keeps names apart."""
    plain = "".join(c if c.isalnum() or c in "-_." else "_" for c in batch)[:80]
    return f"{plain}-{hashlib.sha256(batch.encode()).hexdigest()[:12]}"


def _late(state: State, keyed: pa.Table) -> np.ndarray[Any, Any]:
    """Readings that begin in a month which is settled for their agreement."""
    settled = {a: int(i.body["end"]) for a, i in state.of("settled_through").items()}
    if not settled:
        return np.zeros(keyed.num_rows, dtype=bool)
    agreements = pc.list_element(pc.split_pattern(keyed["subject"], "/", max_splits=1), 0)
    ends = pa.array([settled[a] for a in sorted(settled)], pa.int64())
    places = pc.index_in(agreements, value_set=pa.array(sorted(settled)))
    until = pc.fill_null(pc.take(ends, places), 0)
    late: np.ndarray[Any, Any] = np.asarray(pc.less(keyed["start"], until))
    return late


def _late_since(state: State, accepted: pa.Table) -> dict[str, int]:
    """By agreement, the earliest late reading."""
    late = accepted.filter(pa.array(_late(state, accepted)))
    if not late.num_rows:
        return {}
    agreements = pc.list_element(pc.split_pattern(late["subject"], "/", max_splits=1), 0)
    grouped = pa.table({"agreement": agreements, "start": late["start"]}).group_by("agreement")
    known = set(agreement_ids(state))
    return {
        row["agreement"]: row["start_min"]
        for row in grouped.aggregate([("start", "min")]).to_pylist()
        if row["agreement"] in known
    }
