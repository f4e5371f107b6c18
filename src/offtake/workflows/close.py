"""Close a period of the ledger: nothing more is posted in it."""

from __future__ import annotations

from offtake.agreements.schedule import first_month, last_month
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.record import Outcome, record
from offtake.workflows.settle import settled_month
from offtake.workflows.state import closed_until
from offtake.workflows.view import agreement_ids, agreement_of, operator_zone


def close_period(book: Book, month: Month, now: int) -> Outcome:
    """Close the operator's local month and all before it.

    Refusals: `not_ended`, `closed_already`, `not_settled` where an agreement has a month that ends by then
    and isn't settled.
    """
    with book.writing():
        until = month.interval(operator_zone(book.state)).end
        if until > now:
            return Refused(code="not_ended", sentence=f"{month} ends at {format_instant(until)}")
        if until <= closed_until(book.state):
            return Refused(
                code="closed_already",
                sentence=f"the ledger is closed up to {format_instant(closed_until(book.state))}",
            )
        open_ = [id_ for id_ in agreement_ids(book.state) if _unsettled(book, id_, until)]
        if open_:
            return Refused(
                code="not_settled",
                sentence=f"{', '.join(open_)}: months that end by {format_instant(until)} aren't settled yet",
            )
        fact = Fact(
            kind="period.closed", id=str(month), effective_at=until, recorded_at=now, body={"until": until}
        )
        return record(book, fact)


def _unsettled(book: Book, id_: str, until: int) -> bool:
    agreement = agreement_of(book.state, id_)
    done = settled_month(book.state, id_)
    following = first_month(agreement) if done is None else done.plus(1)
    return following <= last_month(agreement) and agreement.month(following).end <= until
