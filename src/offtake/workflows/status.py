"""Where a book stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from offtake.agreements.derive import deadlines
from offtake.base.money import Money
from offtake.base.months import local_date
from offtake.base.time import Interval, format_instant
from offtake.claims.model import Firmness
from offtake.workflows.allocate import held_rows
from offtake.workflows.book import Book
from offtake.workflows.state import is_simulated
from offtake.workflows.view import agreement_ids, agreement_of, capacities_of, claims_in, open_documents

_AHEAD = 8
"""How many dates ahead are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNow:
    """A pool at the book's clock.

    Units: GPUs. `firm` is what firm claims hold of it.
    """

    pool: str
    nameplate: int
    available: int
    firm: int
    held: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDocument:
    """A document with something left to settle."""

    number: str
    agreement: str
    due: str
    left: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDate:
    """A deadline ahead of the book's clock."""

    on: str
    agreement: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The book at its clock.

    `late` names facts that reached back into settled months: recorded, not billed.
    """

    operator: str
    simulated: bool
    facts: int
    head: str
    now: str
    pools: tuple[PoolNow, ...]
    open_documents: tuple[OpenDocument, ...]
    next_deadlines: tuple[NextDate, ...]
    meters: Mapping[str, str]
    late: tuple[str, ...]


def status_of(book: Book) -> Status:
    """Read where a book stands; at the very end of a run, the last second before it."""
    state = book.state
    settings = state.body("book", "book") or {"operator": "", "time_zone": "UTC"}
    at = max(state.now - 1, 0)
    held = held_rows(state.of("plan"), book.lake, Interval(at, at + 1))
    firm = [claim.id for claim in claims_in(state, book.lake) if claim.firmness is Firmness.FIRM]
    pools = tuple(
        PoolNow(
            pool=capacity.pool.id,
            nameplate=capacity.nameplate.value_at(at),
            available=capacity.available.value_at(at),
            firm=int(
                held.gpus[(held.other == capacity.pool.id) & np.isin(held.claim.astype(str), firm)].sum()
            ),
            held=int(held.gpus[held.other == capacity.pool.id].sum()),
        )
        for capacity in capacities_of(state)
    )
    return Status(
        operator=str(settings["operator"]),
        simulated=is_simulated(state),
        facts=state.head[0],
        head=state.head[1],
        now=format_instant(state.now),
        pools=pools,
        open_documents=tuple(
            OpenDocument(
                number=document.number,
                agreement=document.agreement,
                due=str(local_date(document.due_at, agreement_of(state, document.agreement).time_zone)),
                left=document.left,
            )
            for document in open_documents(state)
        ),
        next_deadlines=_ahead(book),
        late=tuple(sorted(state.of("late"))),
        meters={
            source: format_instant(int(item.body["through"])) for source, item in state.of("meter").items()
        },
    )


def _ahead(book: Book) -> tuple[NextDate, ...]:
    found: list[NextDate] = []
    for id_ in agreement_ids(book.state):
        agreement = agreement_of(book.state, id_)
        found += [
            NextDate(on=str(deadline.on), agreement=id_, what=deadline.what)
            for deadline in deadlines(agreement)
            if agreement.midnight(deadline.on) >= book.state.now
        ]
    return tuple(sorted(found, key=lambda item: item.on)[:_AHEAD])
