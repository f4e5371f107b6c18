"""Statements that an offtaker can check alone: commit to what was settled, and show a holder its part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from offtake.agreements.catalogue import BY_KIND
from offtake.agreements.clauses.acceptance import unaccepted_unpaid
from offtake.base.curve import Curve
from offtake.base.months import Month, parse_month
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.billing.statement import (
    FIELDS,
    GENESIS,
    HolderTree,
    Run,
    blinded,
    holder_leaves,
    holder_root,
    salt_of,
    secret_words,
    terms_hash,
)  # fmt: skip
from offtake.formats.plain import from_plain, to_plain
from offtake.metering.merkle import leaf, path, root
from offtake.metering.usage import HOLDING
from offtake.rating.measure import month_facts
from offtake.rating.model import MonthFacts, TrancheFacts
from offtake.store.fact import Fact
from offtake.store.keys import SigningKey
from offtake.store.usage import part_of
from offtake.workflows.book import Book
from offtake.workflows.settle import measure
from offtake.workflows.state import State, carried_of, month_key
from offtake.workflows.view import agreement_of, document_of

FORMAT = "offtake statement 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A settled month that no run has committed to yet."""

    agreement: str
    month: Month
    seq: int


def commit(book: Book, key: SigningKey, now: int) -> Run | None:
    """Commit to every month that was settled, or settled again, since the last run; None where none was.

    One run holds all of them; recorded in one transaction.
    """
    with book.writing():
        due = list(_due(book))
        if not due:
            return None
        number = len(book.state.of("run")) + 1
        secret = secret_words(key.seed())
        by_holder: dict[str, list[Month]] = {}
        for one in due:
            by_holder.setdefault(one.agreement, []).append(one.month)
        here = book.state.head[0] + 1
        trees = {
            id_: _tree(book, id_, months, number=number, secret=secret, before=here)
            for id_, months in sorted(by_holder.items())
        }
        last = book.state.body("run", f"{number - 1:06d}")
        unsigned = Run(
            number=number,
            operator=str((book.state.body("book", "book") or {})["operator"]),
            at=now,
            root=root(holder_leaves(trees.values(), secret, number)).hex(),
            previous=GENESIS if last is None else from_plain(Run, last["run"]).hash,
            key=key.public,
        )
        run = replace(unsigned, signature=key.sign(unsigned.signed_bytes))
        body = {
            "run": to_plain(run),
            "trees": {id_: to_plain(tree) for id_, tree in trees.items()},
            "months": [[one.agreement, str(one.month), one.seq] for one in due],
        }
        fact = Fact(
            kind="statement.committed", id=f"{number:06d}", effective_at=now, recorded_at=now, body=body
        )
        book.append([fact])
        return run


def _due(book: Book) -> Iterator[Settled]:
    for id_, item in sorted(book.kept("settled").items()):
        known = book.state.body("committed", id_)
        if known is None or int(known["seq"]) != item.seq:
            yield Settled(
                agreement=str(item.body["agreement"]), month=month_key(item.body["month"]), seq=item.seq
            )


def _tree(
    book: Book, id_: str, months: list[Month], *, number: int, secret: bytes, before: int
) -> HolderTree:
    readings = readings_for(book, id_, months, before=before)
    rows = readings.to_pylist()
    periods = [agreement_of(book.state, id_).month(month) for month in months]
    return HolderTree(
        holder=blinded(salt_of(secret, number, f"holder {id_}"), id_),
        months=tuple(str(month) for month in months),
        count=len(rows),
        total=sum(within(row, period) for row in rows for period in periods),
        root=holder_root((salt_of(secret, number, _label(row)), row) for row in rows),
        terms=terms_hash(*terms_of(book.state, id_, before=before)),
    )


def _label(row: Mapping[str, Any]) -> str:
    return f"reading {row['source']}\x1f{row['id']}"


def within(row: Mapping[str, Any], period: Interval) -> int:
    """GPU-seconds of a reading within a period; only what says who held GPUs counts."""
    if row["kind"] not in HOLDING:
        return 0
    seconds = min(int(row["end"]), period.end) - max(int(row["start"]), period.start)
    return int(row["value"]) * max(0, seconds)


def terms_of(state: State, id_: str, *, before: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """An agreement's recorded texts, and what happened under it, in the order of recording.

    Args:
        state: of the book.
        id_: the agreement.
        before: only what stands in the log before this position.
    """
    known = [t for t in (state.body("texts", id_) or {"texts": []})["texts"] if int(t["seq"]) < before]
    # positions of the log would tell how much else there is; their order is what counts
    texts = [{**body, "seq": i} for i, body in enumerate(known)]
    events = [
        (item.seq, {"kind": kind, "body": dict(item.body)})
        for kind in BY_KIND
        for item in state.of(kind).values()
        if item.body["agreement"] == id_ and item.seq < before
    ]
    return texts, [event for _, event in sorted(events, key=lambda pair: pair[0])]


def readings_for(book: Book, id_: str, months: Iterable[Month], *, before: int) -> pa.Table:
    """Every reading of an agreement that touches some months and was accepted before a position of the log,
    in order of source and id.
    """
    agreement = agreement_of(book.state, id_)
    periods = [agreement.month(month) for month in months]
    claims = [f"{id_}/{t.id}" for text, _, _ in agreement.texts() for t in text.tranches]
    items = {**book.kept("usage_part"), **book.kept("old_usage_part")}
    parts = [
        part
        for _, item in sorted(items.items())
        if int(item.body["seq"]) < before
        and (part := part_of(item.body)).end > min(p.start for p in periods)
        and part.start < max(p.end for p in periods)
    ]
    names = ["kind", *FIELDS]
    if not parts:
        return pa.table({name: [] for name in names})
    engine, readings = book.usage.tables(parts)
    own = readings.filter(readings.subject.isin([*dict.fromkeys(claims), id_]))
    touching = own.filter(
        (own.end > min(p.start for p in periods)) & (own.start < max(p.end for p in periods))
    )
    table: pa.Table = engine.to_pyarrow(touching.order_by("source", "id").select(*names))
    return table


def bundle(book: Book, key: SigningKey, id_: str, number: int | None = None) -> dict[str, Any] | Refused:
    """What a holder is given of a run: enough to check it alone, and nothing of the others.

    Args:
        book: the book.
        key: the one that signed.
        id_: the agreement.
        number: of the run; the latest that holds something of the agreement when left out.

    Refusals: `nothing_committed` where no run holds anything of the agreement, or not that one.
    """
    recorded = {int(n): item for n, item in book.state.of("run").items()}
    runs = {n: item.body for n, item in recorded.items()}
    own = [n for n, body in runs.items() if id_ in body["trees"] and number in (None, n)]
    if not own:
        which = "no run" if number is None else f"run {number} doesn't"
        return Refused(code="nothing_committed", sentence=f"{id_}: {which} commits to a month of it")
    chosen = max(own)
    before = recorded[chosen].seq
    secret = secret_words(key.seed())
    trees = (from_plain(HolderTree, tree) for tree in runs[chosen]["trees"].values())
    leaves = holder_leaves(trees, secret, chosen)
    tree = from_plain(HolderTree, runs[chosen]["trees"][id_])
    months = [parse_month(name) for name in tree.months]
    steps = path(leaves, leaves.index(leaf(tree.content)))
    rows = readings_for(book, id_, months, before=before).to_pylist()
    texts, events = terms_of(book.state, id_, before=before)
    return {
        "format": FORMAT,
        "runs": [runs[n]["run"] for n in sorted(runs) if n <= chosen],
        "agreement": id_,
        "holder_salt": salt_of(secret, chosen, f"holder {id_}"),
        "tree": to_plain(tree),
        "path": [{"hash": step.hash.hex(), "left": step.left} for step in steps],
        "readings": [{**row, "salt": salt_of(secret, chosen, _label(row))} for row in rows],
        "texts": texts,
        "events": events,
        "months": [_stated(book, id_, month, before) for month in months],
    }


def _stated(book: Book, id_: str, month: Month, before: int) -> dict[str, Any]:
    """What the operator says of a month: what was delivered, and every line it billed for it."""
    zone = agreement_of(book.state, id_).time_zone
    agreement = unaccepted_unpaid(agreement_of(book.state, id_, until=month.interval(zone).end))
    settled = book.kept("settled")[f"{id_}/{month}"].body
    measured = measure(book, agreement.month(month), forgotten=True)
    facts = month_facts(agreement, month, measured, carried_of(settled, "carried_in"))
    lines = [
        {"document": number, **to_plain(line)}
        for number, item in sorted(book.kept("document").items())
        if item.body["agreement"] == id_ and item.seq < before
        for line in document_of(item.body).lines
        if line.month == month
    ]
    return {"month": str(month), "facts": facts_plain(facts), "lines": lines}


def facts_plain(facts: MonthFacts) -> dict[str, Any]:
    """A month's facts as plain values; what was taken is left out, the readings say it."""
    return {
        "tranches": {
            name: {
                "delivered": own.delivered,
                "recalled": own.recalled,
                "lost": dict(own.lost),
                "out": {pool: _steps(curve) for pool, curve in own.out.items()},
            }
            for name, own in facts.tranches.items()
        },
        "energy_wh": facts.energy_wh,
        "unsold": dict(facts.unsold),
        "paid": [to_plain(paid) for paid in facts.paid],
        "carried": {name: [to_plain(lot) for lot in lots] for name, lots in facts.carried.items()},
    }


def _steps(curve: Curve) -> list[list[int]]:
    return [[int(t), int(v)] for t, v in zip(curve.times.tolist(), curve.values.tolist(), strict=True)]


def tranche_of_plain(plain: Mapping[str, Any], **measured: Any) -> TrancheFacts:
    """A tranche's facts from plain values and from what was measured anew."""
    return TrancheFacts(
        delivered=int(plain["delivered"]),
        recalled=int(plain["recalled"]),
        lost={cause: int(seconds) for cause, seconds in plain["lost"].items()},
        out={
            pool: Curve.from_steps([(int(t), int(v)) for t, v in steps])
            for pool, steps in plain["out"].items()
        },
        **measured,
    )
