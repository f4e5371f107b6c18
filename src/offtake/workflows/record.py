"""The first verb: facts from outside. Saying the same thing twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from offtake.agreements.events import (
    Election,
    Notice,
    RecallNotice,
    check_election,
    check_notice,
    check_recall,
)
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.base.time import Interval, format_instant
from offtake.fleet.model import Delivery, Outage
from offtake.formats.plain import to_plain
from offtake.metering.readings import Readings, check_readings
from offtake.store.fact import Fact, Recorded
from offtake.workflows.book import Book
from offtake.workflows.meter import columns_of
from offtake.workflows.view import agreement_of, fleet_of, signed_agreement

ONCE = ("readings.received", "payment.received")
"""Kinds that are never superseded: the same id with another body is refused."""


@dataclass(frozen=True, slots=True)
class Known:
    """The book already holds exactly this fact."""

    fact: Fact


Outcome = Recorded | Known | Refused


def record(book: Book, fact: Fact) -> Outcome:
    """Record a fact from outside, once.

    Refusals: `conflict` when a fact of that kind and id that can't be superseded says something else.

    Raises:
        ClockBackwards: if the fact is recorded before what the book already knows.
    """
    earlier = book.find(fact.kind, fact.id)
    if earlier is not None and dict(earlier.body) == dict(fact.body):
        return Known(earlier)
    if earlier is not None and fact.kind in ONCE:
        return Refused(
            code="conflict",
            sentence=f"{fact.kind} {fact.id} was already recorded at {format_instant(earlier.recorded_at)} "
            "and says something else; send a correction under another id",
            facts={"id": fact.id},
        )
    with book.writing():
        return book.append([fact])[0]


def record_outage(book: Book, outage: Outage, now: int) -> Outcome:
    """An outage that began, or ended; effective from its start, or its end once that is known.

    Refusals: `unknown_pool`, then those of `record`.
    """
    if outage.pool not in [pool.id for pool in fleet_of(book.state).pool]:
        return Refused(code="unknown_pool", sentence=f"the fleet has no pool {outage.pool!r}")
    effective = outage.start if outage.end is None else outage.end
    earlier = book.find("outage.reported", outage.id)
    if earlier is None:
        effective = outage.start
    return record(book, _fact("outage.reported", outage.id, effective, now, to_plain(outage)))


def record_delivery(book: Book, id_: str, delivery: Delivery, now: int) -> Outcome:
    """A build-out block that arrives otherwise than planned."""
    body = {**to_plain(delivery), "id": id_}
    return record(book, _fact("delivery.reported", f"{delivery.pool}/{delivery.build_out}", now, now, body))


def record_notice(book: Book, notice: Notice, now: int) -> Outcome:
    """A notice of termination.

    Refusals: those of `check_notice`, then those of `record`.
    """
    agreement = signed_agreement(book.state, notice.agreement)
    end = check_notice(agreement, notice)
    return _event(book, "notice.given", notice, end, lambda day: agreement.midnight(day), now)


def record_election(book: Book, election: Election, now: int) -> Outcome:
    """An offtaker's choice after a missed delivery.

    Refusals: those of `check_election`, then those of `record`.
    """
    agreement = agreement_of(book.state, election.agreement)
    refused = check_election(agreement, election)
    return _event(book, "election.made", election, refused or election.made, agreement.midnight, now)


def record_recall(book: Book, notice: RecallNotice, now: int) -> Outcome:
    """The operator's notice of recall.

    Refusals: those of `check_recall`, then those of `record`.
    """
    agreement = agreement_of(book.state, notice.agreement)
    earlier = [
        RecallNotice(**{**item.body, "given": date.fromisoformat(item.body["given"])})
        for id_, item in book.state.of("recall").items()
        if item.body["agreement"] == notice.agreement and id_ != notice.id
    ]
    return _event(book, "recall.noticed", notice, check_recall(agreement, notice, earlier), agreement.midnight, now)


def _event(
    book: Book, kind: str, event: Any, checked: Refused | date, midnight: Callable[[date], int], now: int
) -> Outcome:
    if isinstance(checked, Refused):
        return checked
    return record(book, _fact(kind, event.id, midnight(checked), now, to_plain(event)))


def record_readings(book: Book, batch: str, source: str, readings: Readings, window: Interval, now: int) -> Outcome:
    """A batch of readings that covers a window of its source completely.

    The rows go to the lake; the log holds the manifest with their hash.

    Raises:
        BadInput: with the first row of each kind of problem; nothing is recorded.
    """
    problems = check_readings(readings, window, f"batch {batch}")
    if problems:
        raise BadInput(problems)
    body = {
        "source": source,
        "start": window.start,
        "end": window.end,
        "gpu_seconds": readings.gpu_seconds,
        "rows": book.lake.save(columns_of(readings)),
    }
    return record(book, _fact("readings.received", batch, window.end, now, body))


def record_payment(book: Book, id_: str, agreement: str, amount: Money, received_at: int, now: int) -> Outcome:
    """Money that came in."""
    body = {"agreement": agreement, "amount": to_plain(amount), "received_at": received_at}
    return record(book, _fact("payment.received", id_, received_at, now, body))


def _fact(kind: str, id_: str, effective_at: int, now: int, body: dict[str, Any]) -> Fact:
    return Fact(kind=kind, id=id_, effective_at=effective_at, recorded_at=now, body=body)
