"""Bring a book in line with a folder: what would change, and recording it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from offtake.agreements.amend import check_amendment
from offtake.agreements.derive import Values, values
from offtake.allocation.plan import headroom
from offtake.base.curve import Curve
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.claims.derive import oversold
from offtake.claims.model import Claim
from offtake.formats.demand import Demand
from offtake.formats.folder import Folder
from offtake.formats.plain import to_plain
from offtake.store.fact import Fact, Recorded
from offtake.store.lake import Columns
from offtake.workflows.allocate import supplies_of
from offtake.workflows.book import Book, Branch, OpenBook
from offtake.workflows.state import Body, State
from offtake.workflows.view import (
    agreement_ids,
    agreement_of,
    capacities_of,
    claims_in,
    signed_agreement,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """GPUs of a pool that firm claims leave during a run: the least, when first, and at the run's end."""

    pool: str
    least: int
    since: int
    at_the_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What applying a folder would do.

    Attributes:
        facts: what would be recorded, in order.
        values: by agreement, what it is worth before (None where it is new) and after.
        oversold: by set of pools, GPUs that firm claims want beyond what is there, over the run.
        headroom: by pool, GPUs that firm claims leave.
        refused: why the folder can't be applied; empty when it can.
    """

    facts: tuple[Fact, ...]
    values: Mapping[str, tuple[Values | None, Values]] = field(default_factory=dict)
    oversold: Mapping[tuple[str, ...], Curve] = field(default_factory=dict)
    headroom: tuple[Headroom, ...] = ()
    refused: tuple[Refused, ...] = ()


def folder_facts(book: OpenBook, folder: Folder, now: int) -> list[Fact]:
    """Facts that would bring a book in line with a folder; none when it already is."""
    state = book.state
    facts = [*_opening(state, folder, now), *_fleet(state, folder, now)]
    facts += _agreements(state, folder, now)
    facts += _demands(book, folder, now)
    return facts


def _opening(state: State, folder: Folder, now: int) -> Iterable[Fact]:
    settings = folder.settings
    body = {
        "operator": settings.name,
        "time_zone": settings.time_zone,
        "currency": settings.currency,
        "precedence": [str(firmness) for firmness in settings.precedence],
        "two_people": settings.two_people,
    }
    known = state.body("book", "book")
    opened_at = now if known is None else int(known["opened_at"])
    body["opened_at"] = opened_at
    if known is None or dict(known) != body:
        yield Fact(kind="book.opened", id="book", effective_at=now, recorded_at=now, body=body)


def _fleet(state: State, folder: Folder, now: int) -> Iterable[Fact]:
    body = {"toml": folder.texts["fleet.toml"], "where": "fleet.toml"}
    if dict(state.body("fleet", "fleet") or {}) != body:
        yield Fact(kind="fleet.declared", id="fleet", effective_at=now, recorded_at=now, body=body)


def refusals(state: State, folder: Folder) -> list[Refused]:
    """Why a folder can't be applied to what a book holds.

    Refusals: those of `check_amendment`, `agreement_dropped` for an agreement without its file,
    `amendment_dropped` for an amendment without its file.
    """
    found = [
        refused
        for id_, new in folder.agreements.items()
        if id_ in state.of("agreement")
        and (refused := check_amendment(signed_agreement(state, id_), new)) is not None
    ]
    return (
        found
        + [
            Refused(
                code="agreement_dropped",
                sentence=f"the book holds agreement {id_!r}, and the folder has no file for it; put it back: "
                "an agreement ends by notice or by its dates",
            )
            for id_ in agreement_ids(state)
            if id_ not in folder.agreements
        ]
        + [
            Refused(
                code="amendment_dropped",
                sentence=f"the book holds amendment {id_}, and the folder has no file for it; put it back: "
                "an amendment is undone by another one",
            )
            for id_ in sorted(state.of("amendment"))
            if id_ not in {f"{a.header.of}/{a.header.number}" for a in folder.amendments.values()}
        ]
    )


def _agreements(state: State, folder: Folder, now: int) -> Iterable[Fact]:
    """Texts that the book doesn't have yet: restated ones hold from now on, amendments from their own day."""
    for id_, where in folder.places.items():
        body = {"toml": folder.texts[where], "where": where}
        known = state.body("agreement", id_)
        if dict(known or {}) != body:
            kind = "agreement.signed" if known is None else "agreement.amended"
            yield Fact(kind=kind, id=id_, effective_at=now, recorded_at=now, body=body)
    for where, amendment in sorted(folder.amendments.items(), key=lambda pair: pair[1].header.number):
        head = amendment.header
        said: Body = {"amendment": amendment.text, "number": head.number, "where": where}
        if (state.body("amendment", f"{head.of}/{head.number}") or {}) != said:
            effective = folder.agreements[head.of].midnight(head.effective)
            yield Fact(
                kind="agreement.amended", id=head.of, effective_at=effective, recorded_at=now, body=said
            )


def _demands(book: OpenBook, folder: Folder, now: int) -> Iterable[Fact]:
    declared = {demand.declaration.id for demand in folder.demands}
    for demand in folder.demands:
        declaration = demand.declaration
        body = {
            "id": declaration.id,
            "holder": declaration.holder,
            "firmness": str(declaration.firmness),
            "pools": list(declaration.pools),
            "curve": book.lake.save(_curve_columns(demand)),
        }
        if declaration.transfer_price is not None:
            body["transfer_price"] = str(declaration.transfer_price)
        model = declaration.training or declaration.inference
        if model is not None:
            kind = "training" if declaration.training is not None else "inference"
            window = folder.settings.window
            body["model"] = {
                kind: json.dumps(to_plain(model), sort_keys=True),
                "start": window.start,
                "end": window.end,
            }
        if dict(book.state.body("demand", declaration.id) or {}) != body:
            yield Fact(
                kind="demand.declared", id=declaration.id, effective_at=now, recorded_at=now, body=body
            )
    for gone in sorted(set(book.state.of("demand")) - declared):
        yield Fact(kind="demand.withdrawn", id=gone, effective_at=now, recorded_at=now, body={})


def _curve_columns(demand: Demand) -> Columns:
    return {"start": demand.curve.times, "gpus": demand.curve.values}


def plan_folder(book: Book, folder: Folder, now: int) -> Changes:
    """What applying a folder would change in capacity, money and promises; nothing is recorded."""
    branch = Branch(book)
    facts = folder_facts(branch, folder, now)
    branch.append(facts)
    claims, window = claims_in(branch.state, branch.lake), folder.settings.window
    return Changes(
        facts=tuple(facts),
        refused=tuple(refusals(book.state, folder)),
        values={
            id_: (_values(book.state, id_), values(agreement_of(branch.state, id_)))
            for id_ in folder.agreements
        },
        oversold=oversold_in(branch.state, claims, window),
        headroom=tuple(
            _least(pool, left, window)
            for pool, left in headroom(supplies_of(branch.state), claims, window).items()
        ),
    )


def _least(pool: str, left: Curve, window: Interval) -> Headroom:
    least = left.min_over(window)
    since = next(iter(left.where_below(least + 1, window)))
    return Headroom(pool=pool, least=least, since=since.start, at_the_end=left.value_at(window.end - 1))


def plan_from_nothing(folder: Folder) -> Changes:
    """What applying a folder would mean for a book that doesn't exist yet, as of the run's first instant."""
    with tempfile.TemporaryDirectory() as scratch:
        empty = Book(Path(scratch), create=True)
        try:
            return plan_folder(empty, folder, folder.settings.window.start)
        finally:
            empty.close()


def _values(state: State, id_: str) -> Values | None:
    return values(agreement_of(state, id_)) if id_ in state.of("agreement") else None


def oversold_in(state: State, claims: Sequence[Claim], window: Interval) -> dict[tuple[str, ...], Curve]:
    """Firm claims beyond the planned capacity of their pools, within a window."""
    available = {capacity.pool.id: capacity.available for capacity in capacities_of(state)}
    found = {pools: curve.restrict(window) for pools, curve in oversold(claims, available).items()}
    return {pools: curve for pools, curve in found.items() if curve != Curve.zero()}


def apply_folder(book: Book, folder: Folder, now: int, *, first: Sequence[Fact] = ()) -> list[Recorded]:
    """Record what is new in a folder, in one transaction; nothing when the book is in line with it.

    Args:
        book: written to.
        folder: what the book is to say.
        now: the instant of recording.
        first: facts to record before the folder's own, in the same transaction.
    """
    with book.writing():
        return book.append([*first, *folder_facts(book, folder, now)])
