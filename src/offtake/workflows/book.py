"""An open book: its log, its lake and its state, and a what-if beside it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, Protocol

from offtake.base.errors import BookBusy, BookCorrupt, BookError, BookMissing, ClockBackwards
from offtake.base.time import format_instant
from offtake.store.database import Database
from offtake.store.fact import Fact, Recorded, chained, fact_bytes
from offtake.store.lake import Lake, LakeOverlay
from offtake.store.usage import UsageLake, part_of
from offtake.workflows.state import MANIFESTS, ON_DEMAND, Body, Item, Key, State, fold

DATABASE = "book.sqlite"
LAKE = "lake"
USAGE = "usage"


class OpenBook(Protocol):
    """What a decision needs of a book: its state, its lake, and a way to add facts."""

    state: State
    lake: Lake
    usage: UsageLake

    def append(self, facts: Sequence[Fact]) -> list[Recorded]:
        """Add facts and bring the state up to date."""
        ...

    def kept(self, kind: str) -> dict[str, Item]:
        """Items of a kind that a tick doesn't hold in memory, such as documents."""
        ...


class Book:
    """A book on disk.

    `directory` holds ``book.sqlite`` and ``lake/``. Facts are added inside `writing`; a failure leaves
    the book as it was.
    """

    def __init__(self, directory: Path, *, create: bool = False, projected: bool = True) -> None:
        """Open a book, or create one.

        Args:
            directory: where it is.
            create: make it if it isn't there.
            projected: load what is projected; False opens a book only to verify or rebuild it.

        Raises:
            BookMissing: if there is nothing to open.
            BookCorrupt: if the database is damaged, or has facts and nothing projected.
        """
        if create:
            directory.mkdir(parents=True, exist_ok=True)
        elif not directory.is_dir():
            raise BookMissing(f"there is no book at {directory}; `offtake apply` or `offtake run` makes one")
        _check_not_emptied(directory)
        self.directory = directory
        self._lock: IO[bytes] | None = None
        self.database = Database(directory / DATABASE, create=create)
        self.lake = Lake(directory / LAKE)
        self.usage = UsageLake(directory / USAGE)
        self.state = State()
        self._writing = False
        if projected:
            self._load()

    def hold(self) -> None:
        """Keep other runs out until the book is closed: two clocks can't drive one book.

        Raises:
            BookBusy: if another process holds it.
        """
        lock = (self.directory / ".lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise BookBusy(f"{self.directory}: another run is writing to this book; let it finish") from error
        self._lock = lock

    def close(self) -> None:
        """Release the files."""
        if self._lock is not None:
            self._lock.close()
        self.database.close()

    def copied(self, directory: Path) -> Book:
        """A book of its own in an empty place, as this one is now; of tables, files are shared, not copied.

        Tables in the lake and readings that were taken in never change, so that they can be.
        """
        directory.mkdir(parents=True)
        self.database.copy_to(directory / DATABASE)
        for name in (LAKE, USAGE):
            if (self.directory / name).is_dir():
                shutil.copytree(self.directory / name, directory / name, copy_function=_linked)
        return Book(directory)

    def _load(self) -> None:
        state = State(head=self.database.head())
        for kind, id_, seq, body in self.database.items(ON_DEMAND, but=True):
            state.put((kind, id_), seq, body)
        clock = state.body("clock", "now")
        state.now = int(clock["now"]) if clock else 0
        if state.head[0] and not clock:
            raise BookCorrupt(
                f"{self.directory}: the log has facts but nothing is projected; run `offtake rebuild`"
            )
        self.state = state

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction, or part of the one around it; on failure the state is what is on disk."""
        if self._writing:
            yield
            return
        self._writing = True
        try:
            with self.database.writing():
                if self.database.head() != self.state.head:
                    self._load()  # another process has written since
                yield
        except BaseException:
            self._load_after_failure()
            raise
        finally:
            self._writing = False

    def _load_after_failure(self) -> None:
        try:
            self._load()
        except BookError:
            # the first error is the one to show; a book that can't be read fails on its next use
            self.state = State()

    def append(self, facts: Sequence[Fact]) -> list[Recorded]:
        """Add facts; call inside `writing`.

        Raises:
            ClockBackwards: if a fact is recorded before the latest instant the book knows.
        """
        recorded = self.database.append(check_clock(self.state, facts), self.state.head)
        self._fold(recorded)
        return recorded

    def _fold(self, recorded: Iterable[Recorded]) -> None:
        """Bring the state and the projected tables up to date, writing each item once."""
        items: dict[Key, tuple[int, Body | None]] = {}
        postings: list[dict[str, Any]] = []
        for item, change in fold(self.state, recorded):
            items.update((key, (item.seq, body)) for key, body in change.items.items())
            postings += change.postings
        self.database.put_items(items)
        self.database.put_postings(postings)

    def find(self, kind: str, id_: str) -> Fact | None:
        """The last fact of a kind and id."""
        found = self.database.find(kind, id_)
        return found.fact if found else None

    def every(self, kind: str, id_: str) -> list[Fact]:
        """All facts of a kind and id, in order."""
        return [item.fact for item in self.database.find_all(kind, id_)]

    def kept(self, kind: str) -> dict[str, Item]:
        """Items of a kind that a tick doesn't hold in memory, such as documents."""
        return {id_: Item(seq, body) for _, id_, seq, body in self.database.items([kind])}

    def items(self, kind: str) -> dict[str, dict[str, Any]]:
        """Bodies of a kind that a tick doesn't hold in memory."""
        return {id_: dict(item.body) for id_, item in self.kept(kind).items()}

    def verify(self) -> tuple[int, int]:
        """Check every fact's hash, what is projected, and every table of the lake that a fact names.

        Returns:
            How many facts and how many tables verify.

        Raises:
            BookCorrupt: naming the first fact, item or file that doesn't.
        """
        facts = self.database.verify()
        self._verify_projections()
        tables = {
            manifest["sha256"]: manifest
            for item in self.database.facts_of(MANIFESTS)
            for manifest in (item.fact.body.get(name) for name in MANIFESTS[item.fact.kind])
            if manifest is not None
        }
        for manifest in tables.values():
            self.lake.load(manifest)
        parts = [
            part_of(part)
            for item in self.database.facts_of(["usage.ingested"])
            for part in item.fact.body["parts"]
        ]
        self.usage.check(parts)
        return facts, len(tables) + len(parts)

    def _verify_projections(self) -> None:
        """Fold the log in memory and compare it with the tables."""
        state = State()
        items: dict[Key, Body | None] = {}
        postings: list[dict[str, Any]] = []
        for _, change in fold(state, chain.from_iterable(self.database.fact_batches())):
            postings += change.postings
            items.update(change.items)
        items = {key: body for key, body in items.items() if body is not None}
        held = {(kind, id_): body for kind, id_, _, body in self.database.items((), but=True)}
        wrong = next(
            (key for key in sorted(items.keys() | held.keys()) if items.get(key) != held.get(key)), None
        )
        legs = [{**posting, "minor": int(posting["minor"])} for posting in postings]
        if wrong is None and legs != self.database.postings():
            wrong = ("posting", "the ledger's legs")
        if wrong is not None:
            raise BookCorrupt(
                f"{self.directory}: {' '.join(wrong)} isn't what the log says; run `offtake rebuild`, "
                "which folds the log again"
            )

    def rebuild(self) -> int:
        """Drop every projection and fold the log again; the number of facts.

        Raises:
            BookCorrupt: if the chain doesn't verify; nothing is dropped then.
        """
        count = self.database.verify()
        with self.database.writing():
            self.database.clear_projections()
            self.state = State()
            for batch in self.database.fact_batches():
                self._fold(batch)
        return count


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def _check_not_emptied(directory: Path) -> None:
    """Refuse to begin a book anew where one was truncated to nothing: its lake is still there.

    A crash while a book is created leaves no lake, or its log beside it.
    """
    database, log = directory / DATABASE, directory / f"{DATABASE}-wal"
    emptied = database.exists() and not database.stat().st_size
    if emptied and not (log.exists() and log.stat().st_size) and any((directory / LAKE).glob("*.parquet")):
        raise BookCorrupt(
            f"{database} is empty, but {LAKE}/ beside it holds tables; restore the file from a copy, "
            "or remove the whole directory if a simulation made it"
        )


class Branch:
    """A what-if: a parent's state and a tail of facts in memory. Nothing reaches the disk."""

    def __init__(self, parent: Book) -> None:
        self.state = parent.state.copy()
        self.lake: Lake = LakeOverlay(parent.lake)
        self.usage = parent.usage
        self.tail: list[Recorded] = []
        self._parent = parent
        self._changed: dict[Key, Item | None] = {}

    def append(self, facts: Sequence[Fact]) -> list[Recorded]:
        """Add facts to the tail."""
        recorded = []
        for fact in check_clock(self.state, facts):
            seq, previous = self.state.head[0] + 1, self.state.head[1]
            item = Recorded(seq=seq, fact=fact, hash=chained(previous, fact_bytes(fact, seq)))
            for folded, change in fold(self.state, [item]):
                recorded.append(folded)
                for key, body in change.items.items():
                    if key[0] in ON_DEMAND:
                        self._changed[key] = None if body is None else Item(seq, body)
        self.tail += recorded
        return recorded

    def kept(self, kind: str) -> dict[str, Item]:
        """The parent's items of a kind, with what the tail changed."""
        found: dict[str, Item | None] = {**self._parent.kept(kind)}
        found.update({key[1]: item for key, item in self._changed.items() if key[0] == kind})
        return {id_: item for id_, item in found.items() if item is not None}


def check_clock(state: State, facts: Sequence[Fact]) -> Sequence[Fact]:
    """Refuse facts recorded before the latest instant the book knows.

    Raises:
        ClockBackwards: naming both instants.
    """
    for fact in facts:
        if fact.recorded_at < state.now:
            raise ClockBackwards(
                f"{fact.kind} {fact.id} is dated {format_instant(fact.recorded_at)}, but the book "
                f"already knows {format_instant(state.now)}; set the clock right, nothing was recorded"
            )
    return facts
