"""The first verb: facts from outside. Saying the same thing twice changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from offtake.agreements.clauses.service_level import ServiceLevel
from offtake.agreements.events.cause import CauseNotice
from offtake.agreements.events.credit import Credit, WriteOff
from offtake.agreements.events.dispute import Dispute
from offtake.agreements.events.election import Election
from offtake.agreements.model import Agreement, Event
from offtake.agreements.series import Published
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.base.time import Interval, format_instant
from offtake.billing.document import Received
from offtake.fleet.model import Delivery, Outage
from offtake.formats.plain import from_plain, to_plain
from offtake.metering.readings import Readings, check_readings
from offtake.rating.clauses.service_level import failed_windows
from offtake.store.fact import Fact, Recorded
from offtake.workflows.book import Book
from offtake.workflows.meter import columns_of
from offtake.workflows.state import carried_of
from offtake.workflows.view import (
    agreement_ids,
    agreement_of,
    document_of,
    fleet_of,
    signed_agreement,
)

ONCE = (
    "readings.received", "payment.received", "series.published", "recall.planned", Credit.KIND, WriteOff.KIND,
)  # fmt: skip
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
    with book.writing():
        latest = book.find(fact.kind, fact.id)
        if latest is None:
            return book.append([fact])[0]
        if dict(latest.body) == dict(fact.body):
            return Known(latest)
        said = next((old for old in book.every(fact.kind, fact.id) if _same(old, fact)), None)
        if said is not None:
            return Known(said)
        if fact.kind in ONCE:
            return Refused(
                code="conflict",
                sentence=f"{fact.kind} {fact.id} was already recorded at "
                f"{format_instant(latest.recorded_at)} and says something else; "
                "nothing of the second was recorded",
                facts={"id": fact.id},
            )
        return book.append([fact])[0]


def _same(old: Fact, new: Fact) -> bool:
    """The very same message at the very same instant: a run that was killed says it again when it goes on."""
    return old.recorded_at == new.recorded_at and dict(old.body) == dict(new.body)


def record_outage(book: Book, outage: Outage, now: int) -> Outcome:
    """An outage that began, or ended; effective from its start, or its end once that is known.

    Refusals: `unknown_pool`, `already_ended` for another report without an end when the end is known, then
    those of `record`.
    """
    if outage.pool not in [pool.id for pool in fleet_of(book.state).pool]:
        return Refused(code="unknown_pool", sentence=f"the fleet has no pool {outage.pool!r}")
    known = book.find("outage.reported", outage.id)
    if known is not None and outage.end is None and known.body["end"] is not None:
        old = from_plain(Outage, known.body)
        if replace(old, end=None) == outage:
            return Known(known)  # an old message: the book knows more by now
        return Refused(
            code="already_ended",
            sentence=f"outage {outage.id!r} is known to have ended at {format_instant(known.body['end'])}; "
            "report a new one under its own id, or this one with its end",
        )
    effective = outage.start if known is None else _changed_from(from_plain(Outage, known.body), outage)
    return record(book, _fact("outage.reported", outage.id, effective, now, to_plain(outage)))


def _changed_from(old: Outage, new: Outage) -> int:
    """The first instant at which two versions of an outage differ."""
    if (old.pool, old.start, old.gpus) != (new.pool, new.start, new.gpus):
        return min(old.start, new.start)
    return min((end for end in (old.end, new.end) if end is not None), default=new.start)


def record_delivery(book: Book, delivery: Delivery, now: int) -> Outcome:
    """A build-out block that arrives otherwise than planned: from now on its steps are what is known.

    Refusals: `unknown_build_out`, then those of `record`.
    """
    blocks = {(pool.id, block.id) for pool in fleet_of(book.state).pool for block in pool.build_out}
    if (delivery.pool, delivery.build_out) not in blocks:
        return Refused(
            code="unknown_build_out",
            sentence=f"pool {delivery.pool!r} has no build-out {delivery.build_out!r}",
        )
    key = f"{delivery.pool}/{delivery.build_out}"
    return record(book, _fact("delivery.reported", key, now, now, to_plain(delivery)))


def record_agreement_event(book: Book, event: Event, now: int) -> Outcome:
    """What a party does under an agreement, effective from the day it allows.

    Refusals: those of `check_agreement_event`, then those of `record`.
    """
    effective = check_agreement_event(book, event)
    if isinstance(effective, Refused):
        return effective
    return record(book, _fact(event.KIND, event.id, effective, now, to_plain(event)))


def check_agreement_event(book: Book, event: Event) -> Refused | int:
    """The instant from which an event holds, or why it doesn't count.

    Refusals: `unknown_agreement`, those of the event's own `check`, `delivered` for an election where the
    test at the end of grace found nothing short, `met` for a service level that didn't fail often enough,
    `not_open` and `more_than_open` for a write-off, `no_document`, `no_line` and `more_than_billed` for a
    dispute.
    """
    if event.agreement not in agreement_ids(book.state):
        return _unknown(event.agreement)
    agreement = agreement_of(book.state, event.agreement, but=event.id)
    checked = event.check(agreement)
    if isinstance(checked, Refused):
        return checked
    return _contradicted(book, agreement, event) or agreement.midnight(checked)


def _unknown(agreement: str) -> Refused:
    return Refused(code="unknown_agreement", sentence=f"the book has no agreement {agreement!r}")


def _contradicted(book: Book, agreement: Agreement, event: Event) -> Refused | None:
    """What was measured may say that there is no reason for the event."""
    if isinstance(event, Election):
        return _delivered(book, agreement, event)
    if isinstance(event, CauseNotice):
        return _met(book, agreement, event)
    if isinstance(event, WriteOff):
        return _open_for(book, agreement, event)
    if isinstance(event, Dispute):
        return _disputable(book, agreement, event)
    return None


def _disputable(book: Book, agreement: Agreement, event: Dispute) -> Refused | None:
    """A document of the agreement, a line of it, and no more than it says."""
    item = book.kept("document").get(event.document)
    if item is None or item.body["agreement"] != agreement.id:
        return Refused(code="no_document", sentence=f"{agreement.id} has no document {event.document!r}")
    doc = document_of(item.body)
    if event.line is not None and event.line > len(doc.lines):
        return Refused(
            code="no_line", sentence=f"{event.document} has {len(doc.lines)} lines, none is {event.line}"
        )
    most = doc.total if event.line is None else doc.lines[event.line - 1].amount
    if agreement.money(event.amount).minor > most.minor:
        return Refused(
            code="more_than_billed", sentence=f"{event.document}: only {most} was billed of what is disputed"
        )
    return None


def _open_for(book: Book, agreement: Agreement, event: WriteOff) -> Refused | None:
    """No more can be written off than is open of a document of the agreement."""
    if book.find(event.KIND, event.id) is not None:
        return None  # said again, or in conflict with what was said
    known = book.state.body("open", event.document)
    if known is None or known["agreement"] != agreement.id or int(known["left"]) <= 0:
        return Refused(
            code="not_open", sentence=f"{agreement.id}: nothing of {event.document} is open to write off"
        )
    left = Money(int(known["left"]), agreement.currency)
    if agreement.money(event.amount).minor > left.minor:
        return Refused(
            code="more_than_open", sentence=f"{agreement.id}: only {left} of {event.document} is open"
        )
    return None


def _delivered(book: Book, agreement: Agreement, election: Election) -> Refused | None:
    """Nothing to elect when the test at the end of grace found the whole count in service."""
    governing = election.governing(agreement)
    tested = governing and book.state.body("tested", f"{agreement.id}/{governing[0]}/grace")
    if tested and not int(tested["short"]):
        return Refused(
            code="delivered",
            sentence=f"{election.agreement}: the committed count was in service when grace ended",
        )
    return None


def _met(book: Book, agreement: Agreement, notice: CauseNotice) -> Refused | None:
    """No leaving for a service level that hasn't failed often enough."""
    clause = dict(agreement.clauses).get(notice.clause)
    settled = book.state.body("settled_through", agreement.id)
    if not isinstance(clause, ServiceLevel) or clause.chronic is None:
        return None
    failed = failed_windows(carried_of(settled, "carried") if settled else {}, notice.clause)
    if len(failed) >= clause.chronic.windows:
        return None
    return Refused(
        code="met",
        sentence=f"{agreement.id}: {notice.clause} failed in {len(failed)} of the last {clause.chronic.of} "
        f"windows, and {clause.chronic.windows} are needed to leave",
    )


def record_payment(book: Book, payment: Received, now: int) -> Outcome:
    """Money that came in.

    Refusals: `unknown_agreement`, `other_currency`, `not_positive`, then those of `record`.
    """
    if payment.agreement not in agreement_ids(book.state):
        return _unknown(payment.agreement)
    amount, currency = payment.amount, signed_agreement(book.state, payment.agreement).currency
    if amount.currency != currency:
        return Refused(
            code="other_currency",
            sentence=f"{payment.agreement} is settled in {currency}, not in {amount.currency}",
        )
    if amount.minor <= 0:
        return Refused(code="not_positive", sentence=f"a payment is more than nothing, not {amount}")
    return record(book, _fact("payment.received", payment.id, payment.received_at, now, to_plain(payment)))


def record_published(book: Book, event: Published, now: int) -> Outcome:
    """A value of a series; of each day and publication the first that is recorded counts.

    Refusals: those of `record`.
    """
    key = f"{event.series}/{event.on}/{event.published or event.on}"
    return record(book, _fact("series.published", key, now, now, to_plain(event)))


Happened = Outage | Delivery | Received | Published | Event
"""What happens to a fleet or under an agreement."""


def record_event(book: Book, event: Happened, now: int) -> Outcome:
    """Record an event by its type: what it is checked against and its writing are one transaction."""
    with book.writing():
        if isinstance(event, Outage):
            return record_outage(book, event, now)
        if isinstance(event, Delivery):
            return record_delivery(book, event, now)
        if isinstance(event, Received):
            return record_payment(book, event, now)
        if isinstance(event, Published):
            return record_published(book, event, now)
        return record_agreement_event(book, event, now)


def record_readings(
    book: Book, readings: Readings, *, batch: str, source: str, window: Interval, now: int
) -> Outcome:
    """A batch of readings that covers a window of its source completely.

    The rows go to the lake; the log holds the manifest with their hash.

    Refusals: `gap` or `overlap` with what the source has sent before, then those of `record`.

    Raises:
        BadInput: with the first row of each kind of problem; nothing is recorded.
    """
    problems = check_readings(readings, window, f"batch {batch}")
    if problems:
        raise BadInput(problems)
    with book.writing():
        refused = _out_of_order(book, batch, source, window)
        return refused or _record_readings(book, readings, batch=batch, source=source, window=window, now=now)


def _out_of_order(book: Book, batch: str, source: str, window: Interval) -> Refused | None:
    """A source's batches follow each other without gap or overlap; one that is known may come again."""
    meter = book.state.body("meter", source)
    if meter is None or window.start == int(meter["through"]) or book.find("readings.received", batch):
        return None
    through = int(meter["through"])
    code = "gap" if window.start > through else "overlap"
    return Refused(
        code=code,
        sentence=f"batch {batch} begins at {format_instant(window.start)}, but {source} has been read "
        f"through {format_instant(through)}; nothing of it was recorded. "
        + (
            "Send what lies between first"
            if code == "gap"
            else "Corrections of what was read aren't taken yet"
        ),
    )


def _record_readings(
    book: Book, readings: Readings, *, batch: str, source: str, window: Interval, now: int
) -> Outcome:
    body = {
        "source": source,
        "start": window.start,
        "end": window.end,
        "gpu_seconds": readings.gpu_seconds,
        "rows": book.lake.save(columns_of(readings)),
    }
    return record(book, _fact("readings.received", batch, window.end, now, body))


def _fact(kind: str, id_: str, effective_at: int, now: int, body: dict[str, Any]) -> Fact:
    return Fact(kind=kind, id=id_, effective_at=effective_at, recorded_at=now, body=body)
