"""Test deliveries: on the due date, and again when grace has run."""

from __future__ import annotations

from collections.abc import Iterator

from offtake.agreements.clauses.delivery import Delivery
from offtake.agreements.derive import delivered_at
from offtake.agreements.model import Agreement
from offtake.base.months import plus_days
from offtake.base.time import Interval
from offtake.store.fact import Fact
from offtake.workflows.allocate import held_rows
from offtake.workflows.book import OpenBook
from offtake.workflows.view import agreement_ids, agreement_of


def decide_deliveries(book: OpenBook, now: int) -> Iterator[Fact]:
    """Record what was in service at the end of the due date and at the end of grace.

    Nothing is tested that came due before the book was opened, or after the agreement's end.

    A shortfall after grace opens the remedies; the choice is the offtaker's and comes as a fact.
    """
    opened_at = int((book.state.body("book", "book") or {"opened_at": now})["opened_at"])
    for id_ in agreement_ids(book.state):
        agreement = agreement_of(book.state, id_)
        for path, clause in agreement.all_of(Delivery):
            for stage, day in (("due", clause.due), ("grace", clause.grace_ends)):
                at = agreement.midnight(plus_days(day, 1))
                key = f"{id_}/{path}/{stage}"
                begun = opened_at < at and day < agreement.ends
                if begun and at <= now and book.state.body("tested", key) is None:
                    yield _tested(book, agreement, clause, key=key, at=at, now=now)


def _tested(book: OpenBook, agreement: Agreement, clause: Delivery, *, key: str, at: int, now: int) -> Fact:
    rows = held_rows(book.state.of("plan"), book.lake, Interval(at - 1, at))
    held = {
        t.id: rows.of(f"{agreement.id}/{t.id}").curve.value_at(at - 1)
        for t in agreement.tranches
        if clause.tranche in (None, t.id)
    }
    delivered = delivered_at(agreement, held, at - 1)
    return Fact(
        kind="delivery.tested",
        id=key,
        effective_at=at,
        recorded_at=now,
        body={
            "agreement": agreement.id,
            "committed": clause.gpus,
            "delivered": min(delivered, clause.gpus),
            "short": clause.short(delivered),
            "remedies": [str(remedy) for remedy in clause.remedies],
        },
    )
