"""Decide what follows from credits that were granted and documents that were written off."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from offtake.agreements.events.credit import Credit, WriteOff
from offtake.billing.entries import entry_for_write_off
from offtake.formats.plain import from_plain
from offtake.rating.model import Kind, charge
from offtake.store.fact import Fact
from offtake.workflows.book import OpenBook
from offtake.workflows.settle import issue, posted
from offtake.workflows.view import agreement_of

CLAUSE = "credit"
"""Where lines stand that no clause gives; a month that is settled again leaves them alone."""


def decide_forgone(book: OpenBook, now: int) -> Iterator[Fact]:
    """A credit note for each credit, and an entry for each write-off, once."""
    for id_, _ in sorted(book.state.of(Credit.KIND).items(), key=lambda pair: pair[1].seq):
        if book.state.body("forgone", f"{Credit.KIND}/{id_}") is None:
            yield from _credit(book, book.state.parsed(Credit.KIND, id_, partial(from_plain, Credit)), now)
    for id_, _ in sorted(book.state.of(WriteOff.KIND).items(), key=lambda pair: pair[1].seq):
        if book.state.body("forgone", f"{WriteOff.KIND}/{id_}") is None:
            event: WriteOff = book.state.parsed(WriteOff.KIND, id_, partial(from_plain, WriteOff))
            agreement = agreement_of(book.state, event.agreement)
            amount = agreement.money(event.amount)
            yield posted(
                book.state,
                entry_for_write_off(event.id, agreement.id, now, amount, event.document),
                now,
                applied=[[event.document, amount.minor]],
                forgone=f"{WriteOff.KIND}/{event.id}",
            )


def _credit(book: OpenBook, event: Credit, now: int) -> Iterator[Fact]:
    agreement = agreement_of(book.state, event.agreement)
    line = charge(
        agreement,
        CLAUSE,
        event.month,
        kind=Kind.CREDIT,
        text=f"Credit for {event.month}: {event.because}",
        amount=-agreement.money(event.amount),
        basis=(),
    )
    yield from issue(book.state, agreement, event.month, [line], now=now)
    yield Fact(
        kind="credit.issued",
        id=event.id,
        effective_at=now,
        recorded_at=now,
        body={"agreement": event.agreement, "forgone": f"{Credit.KIND}/{event.id}"},
    )
