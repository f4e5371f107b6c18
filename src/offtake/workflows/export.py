"""What a book gives to other programs: FOCUS for FinOps tools, journals for ledgers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from offtake.formats.focus import Billed, Bundle, focus_bundle
from offtake.formats.journal import JournalEntry, Leg
from offtake.workflows.book import Book
from offtake.workflows.state import month_key
from offtake.workflows.view import agreement_ids, agreement_of, document_of


def focus_of(book: Book, agreements: Iterable[str] = ()) -> Bundle:
    """FOCUS of some agreements, of all of them when none is named."""
    documents = [document_of(item.body) for _, item in sorted(book.kept("document").items())]
    settled = [item.body for item in book.kept("settled").values()]
    return focus_bundle(
        (
            Billed(
                agreement=agreement_of(book.state, id_),
                documents=[doc for doc in documents if doc.agreement == id_],
                settled={
                    month_key(body["month"]): (int(body["entitled"]), int(body["taken"]))
                    for body in settled
                    if body["agreement"] == id_
                },
            )
            for id_ in list(agreements) or agreement_ids(book.state)
        ),
        at=book.state.now,
    )


def journal_of(book: Book) -> Iterator[JournalEntry]:
    """Every entry of the ledger, in the order in which they were recorded."""
    for item in book.database.facts_of(["entry.posted"]):
        fact = item.fact
        yield JournalEntry(
            id=fact.id,
            at=fact.effective_at,
            text=str(fact.body["text"]),
            legs=tuple(
                Leg(
                    account=str(leg["account"]),
                    minor=int(leg["amount"]["minor"]),
                    currency=str(leg["amount"]["currency"]),
                )
                for leg in fact.body["postings"]
            ),
        )
