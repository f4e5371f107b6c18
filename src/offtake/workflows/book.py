"""An open book: its log, its lake and its state, and a what-if beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from offtake.base.errors import BookCorrupt, BookMissing, ClockBackwards
from offtake.base.time import format_instant
from offtake.store.database import Database
from offtake.store.fact import Fact, Recorded, chained, fact_bytes
from offtake.store.lake import Lake
from offtake.workflows.state import ON_DEMAND, Change, State, apply, project

DATABASE = "book.sqlite"
LAKE = "lake"

_STATE_KINDS = (
    "agreement", "balance", "batch", "billed", "book", "clock", "counter", "delivery", "demand", "election",
    "fleet", "meter", "notice", "open", "outage", "payment", "plan", "recall", "replan", "settled_through",
    "tested", "unearned",
)  # fmt: skip


class Ledgerlike(Protocol):
    """What a decision needs of a book: its state, its lake, and a way to add facts."""

    state: State
    lake: Lake

    def append(self, facts: Sequence[Fact]) -> list[Recorded]:
        """Add facts and bring the state up to date."""
        ...


class Book:
    """A book on disk.

    `directory` holds ``book.sqlite`` and ``lake/``. Facts are added inside `writing`; a failure leaves
    the book as it was.
    """

    def __init__(self, directory: Path, *, create: bool = False) -> None:
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        elif not directory.is_dir():
            raise BookMissing(f"there is no book at {directory}; `offtake apply` or `offtake run` makes one")
        self.directory = directory
        self.database = Database(directory / DATABASE, create=create)
        self.lake = Lake(directory / LAKE)
        self.state = State()
        self._load()

    def close(self) -> None:
        """Release the files."""
        self.database.close()

    def _load(self) -> None:
        state = State(head=self.database.head())
        for kind, id_, seq, body in self.database.items(_STATE_KINDS):
            state.put((kind, id_), seq, body)
        clock = state.body("clock", "now")
        state.now = int(clock["now"]) if clock else 0
        if state.head[0] and not clock:
            raise BookCorrupt(f"{self.directory}: the log has facts but nothing is projected; run `offtake rebuild`")
        self.state = state

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction; on failure the state goes back to what is on disk."""
        try:
            with self.database.writing():
                yield
        except BaseException:
            self._load_after_failure()
            raise

    def _load_after_failure(self) -> None:
        try:
            self._load()
        except Exception:  # the first error is the one to show; a book that can't be read fails on next use
            self.state = State()

    def append(self, facts: Sequence[Fact]) -> list[Recorded]:
        """Add facts; call inside `writing`.

        Raises:
            ClockBackwards: if a fact is recorded before the latest instant the book knows.
        """
        recorded = self.database.append(check_clock(self.state, facts), self.state.head)
        for item in recorded:
            change = project(self.state, item.fact, item.seq)
            self.database.put_items({key: (item.seq, body) for key, body in change.items.items()})
            self.database.put_postings(change.postings)
            apply(self.state, [(item.seq, change)])
            self.state.head = (item.seq, item.hash)
        return recorded

    def find(self, kind: str, id_: str) -> Fact | None:
        """The last fact of a kind and id."""
        found = self.database.find(kind, id_)
        return found.fact if found else None

    def items(self, kind: str) -> dict[str, dict[str, Any]]:
        """Items of a kind that a tick doesn't need, such as documents."""
        return {id_: body for _, id_, _, body in self.database.items([kind])}

    def rebuild(self) -> int:
        """Drop every projection and fold the log again; the number of facts.

        Raises:
            BookCorrupt: if the chain doesn't verify; nothing is dropped then.
        """
        count = self.database.verify()
        with self.writing():
            self.database.clear_projections()
            self.state = State()
            for item in self.database.facts():
                change = project(self.state, item.fact, item.seq)
                self.database.put_items({key: (item.seq, body) for key, body in change.items.items()})
                self.database.put_postings(change.postings)
                apply(self.state, [(item.seq, change)])
                self.state.head = (item.seq, item.hash)
        return count


class Branch:
    """A what-if: a parent's state and a tail of facts in memory. Nothing reaches the disk."""

    def __init__(self, parent: Book) -> None:
        self.state = parent.state.copy()
        self.lake = parent.lake
        self.tail: list[Recorded] = []

    def append(self, facts: Sequence[Fact]) -> list[Recorded]:
        """Add facts to the tail."""
        recorded = []
        for fact in check_clock(self.state, facts):
            seq, previous = self.state.head[0] + 1, self.state.head[1]
            item = Recorded(seq=seq, fact=fact, hash=chained(previous, fact_bytes(fact, seq)))
            apply(self.state, [(seq, project(self.state, fact, seq))])
            self.state.head = (seq, item.hash)
            recorded.append(item)
        self.tail += recorded
        return recorded


def check_clock(state: State, facts: Sequence[Fact]) -> Sequence[Fact]:
    """Refuse facts recorded before the latest instant the book knows.

    Raises:
        ClockBackwards: naming both instants.
    """
    for fact in facts:
        if fact.recorded_at < state.now:
            raise ClockBackwards(
                f"{fact.kind} {fact.id} is dated {format_instant(fact.recorded_at)}, but the book already knows "
                f"{format_instant(state.now)}; set the clock right, nothing was recorded"
            )
    return facts


__all__ = ["DATABASE", "LAKE", "ON_DEMAND", "Book", "Branch", "Change", "Ledgerlike", "check_clock"]
