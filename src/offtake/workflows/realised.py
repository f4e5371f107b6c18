"""What of the scheduled fees was earned so far: the contract realisation ratio."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.schedule import value_schedule
from offtake.base.money import Money
from offtake.rating.model import earned
from offtake.workflows.book import Book
from offtake.workflows.settle import settled_month
from offtake.workflows.view import agreement_of, document_of, signed_agreement


def realisation_of(book: Book, agreements: Iterable[str]) -> dict[str, tuple[Money, Money]]:
    """By agreement, what was earned for its settled months, and what its texts schedule for them.

    Earned is fees, use and credits of everything billed. Scheduled is the text as it was signed and amended,
    not looking at notices and other events, so that an early end shows as what wasn't realised. An agreement
    without a settled month is left out.
    """
    documents = [document_of(item.body) for item in book.kept("document").values()]
    found = {}
    for id_ in agreements:
        done = settled_month(book.state, id_)
        if done is None:
            continue
        agreement = agreement_of(book.state, id_)
        lines = [
            line for doc in documents if doc.agreement == id_ for line in doc.lines if line.month <= done
        ]
        found[id_] = (
            earned(agreement, lines),
            value_schedule(signed_agreement(book.state, id_)).through(done).total,
        )
    return found
