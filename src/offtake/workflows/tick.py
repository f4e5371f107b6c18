"""The second verb: look at what should be true now, compare with what is, record decisions."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.allocation.solver import SegmentSolver
from offtake.base.errors import ClockBackwards
from offtake.base.time import format_instant
from offtake.ledger.model import ensure_balanced
from offtake.store.fact import Fact, Recorded
from offtake.workflows.allocate import decide_allocation
from offtake.workflows.book import Book, OpenBook
from offtake.workflows.deliver import decide_deliveries
from offtake.workflows.forgo import decide_forgone
from offtake.workflows.pay import decide_payments
from offtake.workflows.resettle import decide_resettlement
from offtake.workflows.settle import decide_settlement
from offtake.workflows.state import balances


def tick(book: Book, now: int, *, solver: SegmentSolver | None = None) -> list[Recorded]:
    """Record every decision that is due at `now`, in one transaction; running it again adds nothing.

    Args:
        book: written to.
        now: the instant of the tick.
        solver: keeps the allocator's model loaded from tick to tick.

    Raises:
        ClockBackwards: if `now` is before what the book already knows.
        Broken: if the trial balance isn't zero; nothing is recorded then.
    """
    with book.writing():
        if now < book.state.now:
            raise ClockBackwards(
                f"a tick at {format_instant(now)}, but the book already knows "
                f"{format_instant(book.state.now)}; set the clock right, nothing was recorded"
            )
        return decide(book, now, solver=solver)


def decide(book: OpenBook, now: int, *, solver: SegmentSolver | None = None) -> list[Recorded]:
    """The decisions of a tick, on a book or on a what-if beside it."""
    recorded = _record(book, decide_allocation(book, now, solver))
    recorded += _record(book, decide_deliveries(book, now))
    recorded += _record(book, decide_resettlement(book, now))
    recorded += _record(book, decide_settlement(book, now))
    recorded += _record(book, decide_forgone(book, now))
    recorded += _record(book, decide_payments(book, now))
    if recorded:
        ensure_balanced(balances(book.state))
    return recorded


def _record(book: OpenBook, facts: Iterable[Fact]) -> list[Recorded]:
    """Record each fact before the next is decided."""
    return [item for fact in facts for item in book.append([fact])]
