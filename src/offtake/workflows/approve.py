"""Four eyes: what the operator does under an agreement is proposed by one person and approved by another.

It is a rule of the book (`two_people` of its settings) and holds in live books; a simulation has no people.
The names are those that callers give: who may write to a book is for the file system to say.
"""

from __future__ import annotations

from dataclasses import dataclass

from offtake.agreements.catalogue import BY_KIND
from offtake.agreements.model import Event
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.formats.plain import from_plain, to_plain
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.record import Known, Outcome, check_agreement_event, record_agreement_event
from offtake.workflows.state import State, is_simulated


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An event that waits for a second person.

    Attributes:
        id: of the proposal, such as ``recall.noticed/r1``.
        event: what is proposed.
        by: who proposed it.
        at: when.
    """

    id: str
    event: Event
    by: str
    at: int


def needs_two(state: State, event: Event) -> bool:
    """Whether an event of this book takes two people."""
    settings = state.body("book", "book") or {}
    return event.by_operator and not is_simulated(state) and bool(settings.get("two_people", True))


def propose(book: Book, event: Event, now: int, by: str) -> Outcome:
    """Record an operator's event as a proposal, once it is known to count.

    Refusals: `who` where nobody is named, then those of `check_agreement_event`.
    """
    if not by.strip():
        return Refused(code="who", sentence=f"{event.SECTION} {event.id} needs the name of who proposes it")
    with book.writing():
        latest = book.find(event.KIND, event.id)
        if latest is not None and dict(latest.body) == to_plain(event):
            return Known(latest)
        checked = check_agreement_event(book, event)
        if isinstance(checked, Refused):
            return checked
        fact = Fact(
            kind="event.proposed",
            id=f"{event.KIND}/{event.id}",
            effective_at=now,
            recorded_at=now,
            body={"kind": event.KIND, "event": to_plain(event), "by": by.strip(), "at": now},
        )
        known = book.state.body("proposal", fact.id)
        if known is not None and known["event"] == fact.body["event"]:
            return Known(fact)
        return book.append([fact])[0]


def proposals(state: State) -> tuple[Proposal, ...]:
    """What waits for a second person, oldest first."""
    waiting = sorted(state.of("proposal").items(), key=lambda pair: pair[1].seq)
    return tuple(
        Proposal(
            id=id_,
            event=from_plain(BY_KIND[str(item.body["kind"])], item.body["event"]),
            by=str(item.body["by"]),
            at=int(item.body["at"]),
        )
        for id_, item in waiting
    )


def approve(book: Book, proposal: str, now: int, by: str, *, approved: bool = True) -> Outcome:
    """A second person agrees, and the event is recorded; or says no, and the proposal is gone.

    Both facts are one transaction. The event is checked again as things stand now.
    Refusals: `no_proposal`, `who`, `same_person`, then those of `record_agreement_event`.
    """
    with book.writing():
        found = next((p for p in proposals(book.state) if p.id == proposal), None)
        if found is None:
            names = ", ".join(p.id for p in proposals(book.state)) or "none"
            return Refused(
                code="no_proposal", sentence=f"nothing is proposed as {proposal!r}; waiting are: {names}"
            )
        if not by.strip():
            return Refused(code="who", sentence=f"{proposal} needs the name of who decides on it")
        if approved and by.strip().casefold() == found.by.casefold():
            return Refused(
                code="same_person",
                sentence=f"{proposal} was proposed by {found.by} at {format_instant(found.at)}; "
                "somebody else must approve it",
            )
        decision = Fact(
            kind="proposal.decided",
            id=proposal,
            effective_at=now,
            recorded_at=now,
            body={"by": by.strip(), "proposed_by": found.by, "approved": approved},
        )
        if not approved:
            return book.append([decision])[0]
        outcome = record_agreement_event(book, found.event, now)
        if not isinstance(outcome, Refused):
            book.append([decision])
        return outcome
