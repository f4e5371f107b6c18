"""Decide what a payment settles."""

from __future__ import annotations

from collections.abc import Iterator

from offtake.base.money import Money
from offtake.billing.document import apply_payment
from offtake.billing.entries import entry_for_payment
from offtake.store.fact import Fact
from offtake.workflows.book import OpenBook
from offtake.workflows.settle import posted
from offtake.workflows.view import open_documents


def decide_payments(book: OpenBook, now: int) -> Iterator[Fact]:
    """Apply each payment that isn't posted yet to the documents its agreement has open."""
    for id_, item in sorted(book.state.of("payment").items(), key=lambda pair: pair[1].seq):
        agreement = str(item.body["agreement"])
        amount = Money(int(item.body["amount"]["minor"]), str(item.body["amount"]["currency"]))
        applied, unused = apply_payment(amount, open_documents(book.state, agreement))
        entry = entry_for_payment(id_, agreement, int(item.body["received_at"]), amount, unused)
        yield posted(entry, now, payment=id_, applied=[[number, part.minor] for number, part in applied])
