"""Decide true-ups: what an amendment or a late event changes of months that are settled."""

from __future__ import annotations

from collections.abc import Iterator

from offtake.agreements.clauses.acceptance import unaccepted_unpaid
from offtake.agreements.model import Agreement
from offtake.base.months import Month, month_of, months_through
from offtake.rating.measure import month_facts
from offtake.rating.model import Charge
from offtake.rating.rate import differences, rate_month
from offtake.store.fact import Fact
from offtake.workflows.book import OpenBook
from offtake.workflows.forgo import CLAUSE
from offtake.workflows.settle import issue, measure, settled_body, settled_month
from offtake.workflows.state import State, carried_of, month_key
from offtake.workflows.view import agreement_ids, agreement_of, document_of, signed_agreement


def decide_resettlement(book: OpenBook, now: int) -> Iterator[Fact]:
    """True-ups of agreements whose text or events reach back into settled months.

    Each month from the first one reached is rated again, on the text that holds for it now and on what was
    measured then, and compared with everything billed for it; the difference is billed. Nothing that was
    issued is touched.
    """
    for id_ in agreement_ids(book.state):
        since, done = reached_back(book.state, id_), settled_month(book.state, id_)
        if since is not None and done is not None:
            yield from _resettle(book, id_, since, done, now)


def reached_back(state: State, agreement: str) -> int | None:
    """The earliest instant that a late fact of the agreement reaches back to, or None.

    Late facts about the fleet (outages, readings) stay in sight and aren't billed: time that is settled isn't
    allocated again.
    """
    late = (item.body for item in state.of("late").values())
    return min((int(body["since"]) for body in late if body.get("agreement") == agreement), default=None)


def _resettle(book: OpenBook, id_: str, since: int, done: Month, now: int) -> Iterator[Fact]:
    zone = signed_agreement(book.state, id_).time_zone
    settled = {
        month_key(item.body["month"]): item.body
        for item in book.kept("settled").values()
        if item.body["agreement"] == id_
    }
    first = max(month_of(since, zone), min(settled))
    carried = carried_of(settled[first], "carried_in")
    changed = []
    for month in months_through(first, done):
        agreement = unaccepted_unpaid(agreement_of(book.state, id_, until=month.interval(zone).end))
        measured = measure(book, agreement.month(month), forgotten=True)
        facts = month_facts(agreement, month, measured, carried)
        rated = rate_month(agreement, facts)
        carried = rated.carried
        billed, numbers = _billed_for(book, agreement, month)
        lines = tuple(differences(rated.charges, billed, agreement.currency))
        if lines:
            changed.append(str(month))
            yield from issue(book.state, agreement, month, lines, now=now, corrects=numbers)
        body = {**settled[month], **settled_body(agreement, facts, rated)}
        if body != dict(settled[month]):
            yield Fact(
                kind="month.resettled",
                id=f"{id_}/{month}",
                effective_at=agreement.month(month).end,
                recorded_at=now,
                body={**body, "knew": book.state.head[0]},
            )
    yield Fact(
        kind="agreement.trued_up",
        id=f"{id_}/{book.state.head[0]}",
        effective_at=since,
        recorded_at=now,
        body={"agreement": id_, "since": since, "through": str(done), "changed": changed},
    )


def _billed_for(book: OpenBook, agreement: Agreement, month: Month) -> tuple[list[Charge], tuple[str, ...]]:
    """Every line issued for a month, and the documents they are on."""
    lines: list[Charge] = []
    numbers = []
    for number, item in sorted(book.kept("document").items()):
        if item.body["agreement"] == agreement.id:
            own = [
                line for line in document_of(item.body).lines if line.month == month and line.clause != CLAUSE
            ]
            lines += own
            numbers += [number] if own else []
    return lines, tuple(numbers)
