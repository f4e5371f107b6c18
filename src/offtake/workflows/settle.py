"""Decide what is owed: settle months that have ended and been metered, and issue their documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

from offtake.agreements.clauses.acceptance import unaccepted_unpaid
from offtake.agreements.clauses.recognition import Method, Recognition
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import fee_schedule, first_month, last_month, prepayment_schedule
from offtake.base.curve import Curve
from offtake.base.money import Money, share_of
from offtake.base.months import Month, local_date, months_through, plus_days
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.billing.document import Document, document, in_advance, payment_terms
from offtake.billing.entries import (
    accreted,
    contract_asset,
    entries_for_document,
    entry_for_financing,
    entry_for_month,
    entry_for_straight_line,
    prepaid,
)  # fmt: skip
from offtake.formats.plain import to_plain
from offtake.ledger.model import Entry
from offtake.metering.readings import settle_take
from offtake.rating.measure import Measured, month_facts
from offtake.rating.model import Carried, Charge, Kind, MonthFacts, Paid
from offtake.rating.rate import Rated, differences, rate_fixed, rate_month
from offtake.store.fact import Fact
from offtake.workflows.allocate import held_rows, short_rows
from offtake.workflows.book import OpenBook
from offtake.workflows.meter import readings_in
from offtake.workflows.state import State, balances, carried_of, closed_until, month_key
from offtake.workflows.usage_month import curves_in, usage_in
from offtake.workflows.view import agreement_ids, agreement_of, document_of, outage_curves, signed_agreement


def decide_settlement(book: OpenBook, now: int) -> Iterator[Fact]:
    """Facts for each month that has ended and is metered, oldest first, and for fees due in advance.

    A generator: each fact is recorded before the next is decided, so that numbering has no gaps.
    """
    measured: dict[Interval, Measured] = {}
    open_from = {
        id_: _open_from(agreement_of(book.state, id_), book.state) for id_ in agreement_ids(book.state)
    }
    for id_ in agreement_ids(book.state):
        agreement = agreement_of(book.state, id_)
        for month in _months_to_settle(book.state, agreement, now):
            period = agreement.month(month)
            if period not in measured:
                measured[period] = measure(book, period)
            in_force = unaccepted_unpaid(agreement_of(book.state, id_, until=period.end))
            open_from[id_] = _following(agreement, month)
            before = min((at for at in open_from.values() if at is not None), default=period.end)
            yield from _settle(
                book.state, in_force, month, measured[period], now=now, all_before=min(before, period.end)
            )
        yield from _bill_in_advance(book.state, unaccepted_unpaid(agreement), now)
    yield from _earn(book.state, now)


def _months_to_settle(state: State, agreement: Agreement, now: int) -> Iterator[Month]:
    """Unsettled months of the agreement's term that have ended, have been metered to their end, and whose
    days for review have passed.
    """
    done = settled_month(state, agreement.id)
    first = first_month(agreement) if done is None else done.plus(1)
    metered = min((int(item.body["through"]) for item in state.of("meter").values()), default=0)
    if _ripe(agreement, first) > now or agreement.month(first).end > metered:
        return
    for month in months_through(first, max([last_month(agreement), *_billed_month(state, agreement.id)])):
        if _ripe(agreement, month) > now or agreement.month(month).end > metered:
            return
        yield month


def _ripe(agreement: Agreement, month: Month) -> int:
    """The instant from which a month may be settled: its end, and the days for review."""
    days = payment_terms(agreement).review_days
    following = month.plus(1)
    return agreement.midnight(plus_days(date(following.year, following.month, 1), days))


def _billed_month(state: State, agreement: str) -> list[Month]:
    """The last month billed in advance: it is settled even if the agreement ended before it."""
    billed = state.body("billed", agreement)
    return [month_key(billed["month"])] if billed else []


def measure(book: OpenBook, period: Interval, *, forgotten: bool = False) -> Measured:
    """What happened in a period.

    Args:
        book: the book.
        period: a local month of some agreement.
        forgotten: look also at plans and readings that a tick has let go.
    """
    plans, batches = dict(book.state.of("plan")), dict(book.state.of("batch"))
    if forgotten:
        plans |= book.kept("old_plan")
        batches |= book.kept("old_batch")
    held = held_rows(plans, book.lake, period).by_claim()
    short = short_rows(plans, book.lake, period).by_claim()
    takes = settle_take(readings_in(batches, book.lake, period), period)
    usage = usage_in(book, period, forgotten=forgotten)
    curves = {claim: take.curve for claim, take in takes.items()}
    for claim, curve in usage.curves.items():
        curves[claim] = curves.get(claim, Curve.zero()) + curve
    return Measured(
        totals=usage.totals,
        energy_wh=usage.energy_wh,
        paid=_paid(book, period, forgotten=forgotten),
        held={claim: rows.curve for claim, rows in held.items()},
        short={claim: rows.curve_by_other() for claim, rows in short.items()},
        taken=curves,
        outages=outage_curves(book.state, period),
    )


def taken_over_time(book: OpenBook, claims: Sequence[str], period: Interval) -> dict[str, Curve]:
    """GPUs metered for some claims over time, from readings of either kind."""
    batches = dict(book.state.of("batch")) | book.kept("old_batch")
    curves = {
        claim: take.curve
        for claim, take in settle_take(readings_in(batches, book.lake, period), period).items()
        if claim in claims
    }
    for claim, curve in curves_in(book, claims, period).items():
        curves[claim] = curves.get(claim, Curve.zero()) + curve
    return curves


def _paid(book: OpenBook, period: Interval, *, forgotten: bool) -> dict[str, tuple[Paid, ...]]:
    """What was paid of documents in a period, by agreement."""
    items = dict(book.state.of("paid"))
    if forgotten:
        items |= book.kept("old_paid")
    found: dict[str, list[Paid]] = {}
    for _, item in sorted(items.items()):
        body = item.body
        if int(body["at"]) in period:
            agreement = str(body["agreement"])
            zone = signed_agreement(book.state, agreement).time_zone
            found.setdefault(agreement, []).append(
                Paid(
                    document=str(body["document"]),
                    amount=Money(int(body["minor"]), str(body["currency"])),
                    due=local_date(int(body["due_at"]), zone),
                    paid=local_date(int(body["at"]), zone),
                )
            )
    return {agreement: tuple(paid) for agreement, paid in found.items()}


def draft_of(book: OpenBook, id_: str, month: Month, now: int) -> Document | Refused:
    """What a month would be billed as it is known now; nothing is recorded.

    Refusals: `settled_already`, `outside_term`, `not_begun`.
    """
    agreement = unaccepted_unpaid(
        agreement_of(book.state, id_, until=agreement_of(book.state, id_).month(month).end)
    )
    done = settled_month(book.state, id_)
    if done is not None and month <= done:
        return Refused(code="settled_already", sentence=f"{id_}: {month} is settled; see its documents")
    if not first_month(agreement) <= month <= last_month(agreement):
        return Refused(
            code="outside_term",
            sentence=f"{id_}: {month} is outside {first_month(agreement)} to {last_month(agreement)}",
        )
    if agreement.month(month).start > now:
        return Refused(code="not_begun", sentence=f"{id_}: {month} hasn't begun")
    carried = _carried_into(book.state, id_) if done is None or done.plus(1) == month else {}
    rated = rate_month(
        agreement, month_facts(agreement, month, measure(book, agreement.month(month)), carried)
    )
    billed = _billed_in_advance(book.state, agreement, month)
    lines = (*differences(rated.fixed, billed, agreement.currency), *rated.settled)
    return replace(document(agreement, month, lines, sequence=0, issued_at=now), number="DRAFT")


def _settle(
    state: State, agreement: Agreement, month: Month, measured: Measured, *, now: int, all_before: int
) -> Iterator[Fact]:
    facts = month_facts(agreement, month, measured, _carried_into(state, agreement.id))
    rated = rate_month(agreement, facts)
    period = agreement.month(month)
    billed = _billed_in_advance(state, agreement, month)
    charges = (*differences(rated.fixed, billed, agreement.currency), *rated.settled)
    yield Fact(
        kind="month.settled",
        id=f"{agreement.id}/{month}",
        effective_at=period.end,
        recorded_at=now,
        body={
            **settled_body(agreement, facts, rated),
            "end": period.end,
            "all_before": all_before,
            "knew": state.head[0],
        },
    )
    if any(charge.amount for charge in charges):
        yield from issue(state, agreement, month, charges, now=now)
    yield from _straight_line(state, agreement, month, now)
    yield from _financed(state, agreement, month, charges, now)


def _straight_line(state: State, agreement: Agreement, month: Month, now: int) -> Iterator[Fact]:
    """Where the accountants judged so, fixed fees are recognised evenly over the term's months.

    What was recognised so far is brought to the share of the whole that the months so far have; a change of
    terms catches up in the month in which it is settled.
    """
    judged = agreement.first_of(Recognition)
    if judged is None or judged[1].method is not Method.STRAIGHT_LINE:
        return
    schedule = fee_schedule(agreement)
    first, last = first_month(agreement), last_month(agreement)
    done, whole = (_count(first, upto) for upto in (month, last))
    target = share_of(schedule.total, Fraction(done, whole), agreement.rounding)
    billed = schedule.through(month).total
    known = balances(state, [(contract_asset(agreement.id), agreement.currency)])
    ahead = target - billed - Money(sum(known.values()), agreement.currency)
    if ahead:
        at = agreement.month(month).end - 1
        yield posted(state, entry_for_straight_line(agreement.id, month, at, ahead), now)


def _financed(
    state: State, agreement: Agreement, month: Month, charges: Sequence[Charge], now: int
) -> Iterator[Fact]:
    """Where the accountants judged that a prepayment finances the operator, it bears interest by the month.

    It is added to what is owed in service, and becomes revenue in proportion to what is drawn. The months
    before the first of service are caught up with it.
    """
    judged = agreement.first_of(Recognition)
    rate = None if judged is None else judged[1].financing_rate
    if rate is None:
        return
    accounts = [(name, agreement.currency) for name in (prepaid(agreement.id), accreted(agreement.id))]
    left, owed = (-balances(state, [account]).get(account, 0) for account in accounts)
    drawn = -sum(charge.amount.minor for charge in charges if charge.kind is Kind.DRAWDOWN)
    monthly = Fraction(rate) / 12

    def interest_on(minor: int) -> int:
        return share_of(Money(minor, agreement.currency), monthly, agreement.rounding).minor

    accrued = 0
    if month == first_month(agreement):
        paid = {item.month: item.amount.minor for item in prepayment_schedule(agreement)}
        held, early = 0, min(paid, default=month)
        while early < month:
            held += paid.get(early, 0)
            accrued += interest_on(held + accrued)
            early = early.plus(1)
    accrued += interest_on(left + drawn + owed + accrued)
    owed += accrued
    released = owed * drawn // (left + drawn) if left else owed
    if accrued or released:
        one = entry_for_financing(
            agreement.id, month, agreement.month(month).end - 1,
            interest=Money(accrued, agreement.currency), released=Money(released, agreement.currency),
        )  # fmt: skip
        yield posted(state, one, now)


def _count(first: Month, last: Month) -> int:
    return (last.year - first.year) * 12 + last.month - first.month + 1


def settled_body(agreement: Agreement, facts: MonthFacts, rated: Rated) -> dict[str, Any]:
    """What a month came to, as its fact says it."""
    return {
        "agreement": agreement.id,
        "month": to_plain(facts.month),
        "entitled": facts.entitled,
        "delivered": facts.delivered,
        "taken": facts.taken,
        "recalled": facts.recalled,
        "lost": dict(facts.lost),
        "carried_in": _lots(facts.carried),
        "carried": _lots(rated.carried),
    }


def _lots(carried: Carried) -> dict[str, Any]:
    return {account: [to_plain(lot) for lot in lots] for account, lots in carried.items()}


def _carried_into(state: State, agreement: str) -> Carried:
    done = state.body("settled_through", agreement)
    return carried_of(done, "carried") if done else {}


def _billed_in_advance(state: State, agreement: Agreement, month: Month) -> list[Charge]:
    return [
        line
        for item in state.of("advance").values()
        if item.body["agreement"] == agreement.id
        for line in document_of(item.body).lines
        if line.month == month
    ]


def _open_from(agreement: Agreement, state: State) -> int | None:
    """The instant from which an agreement isn't settled yet; None where it has run its term.

    Before the least of these every agreement is settled. One that has settled nothing counts from its first
    month.
    """
    done = settled_month(state, agreement.id)
    return _following(agreement, first_month(agreement).plus(-1) if done is None else done)


def _following(agreement: Agreement, done: Month) -> int | None:
    following = done.plus(1)
    return agreement.month(following).start if following <= last_month(agreement) else None


def settled_month(state: State, agreement: str) -> Month | None:
    """The last month settled, or None."""
    done = state.body("settled_through", agreement)
    return month_key(done["month"]) if done else None


def issue(
    state: State,
    agreement: Agreement,
    month: Month,
    charges: Sequence[Charge],
    *,
    now: int,
    fixed_in_advance: bool = False,
    corrects: tuple[str, ...] = (),
) -> Iterator[Fact]:
    """A document with the next number, and its entry in the ledger."""
    counter = state.body("counter", "document")
    sequence = int(counter["last"]) + 1 if counter else 1
    doc = document(
        agreement,
        month,
        charges,
        sequence=sequence,
        issued_at=now,
        fixed_in_advance=fixed_in_advance,
        corrects=corrects,
    )
    yield Fact(
        kind="document.issued",
        id=doc.number,
        effective_at=now,
        recorded_at=now,
        body={**to_plain(doc), "sequence": sequence},
    )
    earned_at = month.interval(agreement.time_zone).end - 1
    for one in entries_for_document(doc, earned_at):
        yield posted(state, one, now)


def posted(state: State, entry: Entry, now: int, **more: Any) -> Fact:
    """An entry as a fact; what belongs to a period that is closed is posted as the next one begins."""
    return Fact(
        kind="entry.posted",
        id=entry.id,
        effective_at=max(entry.at, closed_until(state)),
        recorded_at=now,
        body={"text": entry.text, "postings": to_plain(entry)["postings"], **more},
    )


def _bill_in_advance(state: State, agreement: Agreement, now: int) -> Iterator[Fact]:
    """Fixed fees of months that have begun, and prepayments whatever the timing of fees.

    A month that begins just now hasn't begun to elapse.
    """
    billed = [*_billed_month(state, agreement.id), settled_month(state, agreement.id)]
    done = max((month for month in billed if month is not None), default=None)
    for month in months_billed_early(agreement):
        begun = agreement.month(month).start < now
        if begun and (done is None or month > done):
            charges = rate_fixed(agreement, month)
            if not in_advance(agreement):
                charges = tuple(charge for charge in charges if charge.kind is Kind.PREPAYMENT)
            yield from issue(state, agreement, month, charges, now=now, fixed_in_advance=True)


def months_billed_early(agreement: Agreement) -> tuple[Month, ...]:
    """Months for which something is billed as they begin."""
    months = {item.month for item in prepayment_schedule(agreement)}
    if in_advance(agreement):
        months |= {item.month for item in fee_schedule(agreement)}
    return tuple(sorted(months))


def _earn(state: State, now: int) -> Iterator[Fact]:
    """Deferred revenue of months that have ended becomes income."""
    for number, item in sorted(state.of("advance").items()):
        if item.body["earned"]:
            continue
        doc: Document = document_of(item.body)
        end = doc.month.interval(doc.time_zone).end
        if end <= now:
            yield posted(state, entry_for_month(doc, end), now, earned=number)
