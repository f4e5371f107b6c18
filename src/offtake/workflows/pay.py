"""Decide what a payment settles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from offtake.base.money import Money
from offtake.billing.document import apply_payment
from offtake.billing.entries import entry_for_payment, entry_for_unapplied, unapplied
from offtake.store.fact import Fact
from offtake.workflows.book import OpenBook
from offtake.workflows.settle import posted
from offtake.workflows.state import balances
from offtake.workflows.view import open_documents


def decide_payments(book: OpenBook, now: int) -> Iterator[Fact]:
    """Apply each payment that isn't posted yet, and money left from earlier ones, to open documents."""
    for id_, item in sorted(book.state.of("payment").items(), key=lambda pair: pair[1].seq):
        agreement = str(item.body["agreement"])
        amount = Money(int(item.body["amount"]["minor"]), str(item.body["amount"]["currency"]))
        applied, unused = apply_payment(amount, open_documents(book.state, agreement))
        entry = entry_for_payment(id_, agreement, int(item.body["received_at"]), amount, unused)
        yield posted(book.state, entry, now, payment=id_, applied=_plain(applied))
    yield from _apply_what_is_left(book, now)


def _apply_what_is_left(book: OpenBook, now: int) -> Iterator[Fact]:
    for (account, currency), minor in sorted(balances(book.state).items()):
        agreement = account.removeprefix(unapplied(""))
        if agreement == account or minor >= 0:
            continue
        documents = open_documents(book.state, agreement)
        if not any(document.left.minor > 0 for document in documents):
            continue
        left = Money(-minor, currency)
        applied, unused = apply_payment(left, documents)
        entry = entry_for_unapplied(
            f"{agreement}/applied-{book.state.head[0] + 1}", agreement, now, left - unused
        )
        yield posted(book.state, entry, now, applied=_plain(applied))


def _plain(applied: Iterable[tuple[str, Money]]) -> list[list[str | int]]:
    return [[number, part.minor] for number, part in applied]
