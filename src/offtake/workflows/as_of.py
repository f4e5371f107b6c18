"""An agreement as it stood on one day, as it was known on another."""

from __future__ import annotations

from offtake.agreements.catalogue import BY_KIND
from offtake.agreements.model import Agreement, Event, after_events
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.formats.agreement import spliced
from offtake.formats.plain import from_plain
from offtake.workflows.book import Book
from offtake.workflows.state import TEXTS
from offtake.workflows.texts import compose


def agreement_as_of(book: Book, id_: str, *, effective: int, known: int) -> Agreement | Refused:
    """The text in force at an instant with what had happened by then, from facts recorded by another.

    Args:
        book: its log is read, not its state.
        id_: the agreement.
        effective: instant of the world that is asked about, just before it.
        known: only facts recorded up to and including this instant.

    Refusals: `not_known` where nothing of the agreement was recorded by then.
    """
    recorded = [item for item in book.database.facts_of([*TEXTS, *BY_KIND]) if item.fact.recorded_at <= known]
    texts = [
        {**item.fact.body, "from": item.fact.effective_at, "seq": item.seq}
        for item in recorded
        if item.fact.kind in TEXTS and item.fact.id == id_
    ]
    if not texts:
        return Refused(
            code="not_known",
            sentence=f"the book had recorded nothing of {id_!r} by {format_instant(known)}",
        )
    versions = compose(texts)
    zone = versions[0][1]
    held = tuple(v for v in versions if v[0] is None or zone.midnight(v[0]) < effective)
    latest = {
        (item.fact.kind, item.fact.id): item
        for item in recorded
        if item.fact.kind in BY_KIND and item.fact.body["agreement"] == id_
    }
    events: list[Event] = [
        from_plain(BY_KIND[item.fact.kind], item.fact.body)
        for item in sorted(latest.values(), key=lambda item: item.seq)
    ]
    agreement = spliced(held)
    return after_events(agreement, [event for event in events if agreement.midnight(event.day) < effective])
