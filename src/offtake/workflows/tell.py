"""Tell other programs what changed, from where the last telling stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from offtake.adapters.webhooks import Delivered, Message
from offtake.base.time import format_instant
from offtake.formats.webhooks_file import TOLD, Endpoint
from offtake.store.fact import Fact, Recorded
from offtake.workflows.book import Book

MOST = 500
"""Messages sent in one go; the next call goes on."""


def tell(book: Book, endpoint: Endpoint, send: Callable[[list[Message]], Delivered], now: int) -> Delivered:
    """Send what a receiver hasn't been told yet, and record how far it got.

    A crash between sending and recording sends again: the receiver knows the id.
    """
    known = book.state.body("told", endpoint.name)
    after = int(known["seq"]) if known else 0
    waiting = list(_waiting(book, endpoint, after))[:MOST]
    found = send([message for _, message in waiting])
    if found.sent:
        seq = waiting[found.sent - 1][0]
        with book.writing():
            fact = Fact(
                kind="webhook.sent",
                id=endpoint.name,
                effective_at=now,
                recorded_at=max(now, book.state.now),
                body={"seq": seq, "messages": found.sent},
            )
            book.append([fact])
    return found


def _waiting(book: Book, endpoint: Endpoint, after: int) -> Iterator[tuple[int, Message]]:
    for item in book.database.facts_of(endpoint.kinds or TOLD):
        if item.seq > after and endpoint.agreement in (None, item.fact.body.get("agreement")):
            yield item.seq, _message(item)


def _message(item: Recorded) -> Message:
    """What is told: which fact, and of a document what a receiver needs to fetch it."""
    fact = item.fact
    told = ("agreement", "month", "number", "kind", "total", "corrects", "by", "approved", "document")
    data = {name: fact.body[name] for name in told if name in fact.body}
    return Message(
        id=f"fact-{item.seq}",
        body={
            "type": fact.kind,
            "timestamp": format_instant(fact.recorded_at),
            "data": {"id": fact.id, "effective_at": format_instant(fact.effective_at), **data},
        },
    )
