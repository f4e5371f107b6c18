"""Decide what is owed: settle months that have ended and been metered, and issue their documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from offtake.agreements.derive import fee_schedule, first_month, last_month
from offtake.agreements.model import Agreement
from offtake.base.months import Month, months_through
from offtake.base.time import Interval
from offtake.billing.document import Document, document, in_advance
from offtake.billing.entries import entry_for_document, entry_for_month
from offtake.formats.plain import to_plain
from offtake.ledger.model import Entry
from offtake.metering.readings import settle_take
from offtake.rating.measure import Measured, month_facts
from offtake.rating.model import Charge
from offtake.rating.rate import rate_corrections, rate_fixed, rate_settled
from offtake.store.fact import Fact
from offtake.workflows.allocate import held_rows, short_rows
from offtake.workflows.book import OpenBook
from offtake.workflows.meter import readings_in
from offtake.workflows.state import State, month_key
from offtake.workflows.view import agreement_ids, agreement_of, document_of, election_of, recalled_of


def decide_settlement(book: OpenBook, now: int) -> Iterator[Fact]:
    """Facts for each month that has ended and is metered, oldest first, and for fees due in advance.

    A generator: each fact is recorded before the next is decided, so that numbering has no gaps.
    """
    measured: dict[Interval, Measured] = {}
    for id_ in agreement_ids(book.state):
        agreement = agreement_of(book.state, id_)
        for month in _months_to_settle(book.state, agreement, now):
            period = agreement.month(month)
            if period not in measured:
                measured[period] = _measure(book, period)
            in_force = agreement_of(book.state, id_, until=period.end)
            yield from _settle(book.state, in_force, month, measured[period], now)
        yield from _bill_in_advance(book.state, agreement, now)
    yield from _earn(book.state, now)


def _months_to_settle(state: State, agreement: Agreement, now: int) -> Iterator[Month]:
    """Unsettled months of the agreement's term that have ended and are metered to their end."""
    done = _settled_month(state, agreement.id)
    first = first_month(agreement) if done is None else done.plus(1)
    metered = min((int(item.body["through"]) for item in state.of("meter").values()), default=0)
    if agreement.month(first).end > min(now, metered):
        return
    for month in months_through(first, max([last_month(agreement), *_billed_month(state, agreement.id)])):
        if agreement.month(month).end > min(now, metered):
            return
        yield month


def _billed_month(state: State, agreement: str) -> list[Month]:
    """The last month billed in advance: it is settled even if the agreement ended before it."""
    billed = state.body("billed", agreement)
    return [month_key(billed["month"])] if billed else []


def _measure(book: OpenBook, period: Interval) -> Measured:
    held = held_rows(book.state, book.lake, period).by_claim()
    short = short_rows(book.state, book.lake, period).by_claim()
    takes = settle_take(readings_in(book.state, book.lake, period), period)
    return Measured(
        held={claim: rows.curve for claim, rows in held.items()},
        short={claim: rows.gpu_seconds_by_other() for claim, rows in short.items()},
        taken={claim: take.gpu_seconds for claim, take in takes.items()},
    )


def _settle(state: State, agreement: Agreement, month: Month, measured: Measured, now: int) -> Iterator[Fact]:
    facts = month_facts(
        agreement,
        month,
        measured,
        recalled=recalled_of(state, agreement),
        election=election_of(state, agreement),
    )
    settled = rate_settled(agreement, facts)
    period = agreement.month(month)
    billed = _billed_in_advance(state, agreement, month)
    charges = (*rate_corrections(agreement, month, billed), *settled)
    yield Fact(
        kind="month.settled",
        id=f"{agreement.id}/{month}",
        effective_at=period.end,
        recorded_at=now,
        body={
            "agreement": agreement.id,
            "month": to_plain(month),
            "end": period.end,
            "all_before": _all_before(state, agreement, month),
            "knew": state.head[0],
            "entitled": facts.entitled,
            "delivered": facts.delivered,
            "taken": facts.taken,
            "recalled": facts.recalled,
            "lost": dict(facts.lost),
        },
    )
    if any(charge.amount for charge in charges):
        yield from _issue(state, agreement, month, charges, now=now, fixed_in_advance=False)


def _billed_in_advance(state: State, agreement: Agreement, month: Month) -> list[Charge]:
    return [
        line
        for item in state.of("advance").values()
        if item.body["agreement"] == agreement.id
        for line in document_of(item.body).lines
        if line.month == month
    ]


def _all_before(state: State, agreement: Agreement, month: Month) -> int:
    """Before this instant every agreement is settled, once this month is.

    An agreement that has run its term no longer counts; one that has settled nothing counts from its first
    month.
    """
    open_from = [agreement.month(month).end]
    for id_ in agreement_ids(state):
        other = agreement_of(state, id_)
        done = month if id_ == agreement.id else _settled_month(state, id_)
        following = first_month(other) if done is None else done.plus(1)
        if following <= last_month(other):
            open_from.append(other.month(following).start)
    return min(open_from)


def _settled_month(state: State, agreement: str) -> Month | None:
    done = state.body("settled_through", agreement)
    return month_key(done["month"]) if done else None


def _issue(
    state: State,
    agreement: Agreement,
    month: Month,
    charges: Sequence[Charge],
    *,
    now: int,
    fixed_in_advance: bool,
) -> Iterator[Fact]:
    counter = state.body("counter", "document")
    sequence = int(counter["last"]) + 1 if counter else 1
    doc = document(
        agreement, month, charges, sequence=sequence, issued_at=now, fixed_in_advance=fixed_in_advance
    )
    yield Fact(
        kind="document.issued",
        id=doc.number,
        effective_at=now,
        recorded_at=now,
        body={**to_plain(doc), "sequence": sequence},
    )
    yield posted(entry_for_document(doc), now)


def posted(entry: Entry, now: int, **more: Any) -> Fact:
    """An entry as a fact."""
    return Fact(
        kind="entry.posted",
        id=entry.id,
        effective_at=entry.at,
        recorded_at=now,
        body={"text": entry.text, "postings": to_plain(entry)["postings"], **more},
    )


def _bill_in_advance(state: State, agreement: Agreement, now: int) -> Iterator[Fact]:
    """Fixed fees of months that have begun: a month that begins just now hasn't begun to elapse."""
    if not in_advance(agreement):
        return
    billed = [*_billed_month(state, agreement.id), _settled_month(state, agreement.id)]
    done = max((month for month in billed if month is not None), default=None)
    for item in fee_schedule(agreement):
        begun = agreement.month(item.month).start < now
        if begun and (done is None or item.month > done):
            yield from _issue(
                state,
                agreement,
                item.month,
                rate_fixed(agreement, item.month),
                now=now,
                fixed_in_advance=True,
            )


def _earn(state: State, now: int) -> Iterator[Fact]:
    """Deferred revenue of months that have ended becomes income."""
    for number, item in sorted(state.of("advance").items()):
        if item.body["earned"]:
            continue
        doc: Document = document_of(item.body)
        end = doc.month.interval(doc.time_zone).end
        if end <= now:
            yield posted(entry_for_month(doc, end), now, earned=number)
