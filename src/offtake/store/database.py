"""The database under a book: tables, transactions, and what can go wrong with a disk.

Tables: `fact` is the log. `item` holds what is projected from it (one row per thing, by kind and id),
`posting` the legs of the ledger. Dropping `item` and `posting` loses nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from offtake.base.canonical import canonical_bytes
from offtake.base.errors import BookBusy, BookCorrupt, BookError, BookFull, BookMissing
from offtake.store.fact import GENESIS, Fact, Recorded, chained, fact_bytes, fact_of

_METADATA = sa.MetaData()
FACT = sa.Table(
    "fact",
    _METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("fact_by_kind", "kind", "id"),
)
ITEM = sa.Table(
    "item",
    _METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
POSTING = sa.Table(
    "posting",
    _METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("leg", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("entry", sa.Text, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("currency", sa.Text, nullable=False),
    # Minor units as text: sums of billions in cents fit 64 bits, but nothing here should depend on it.
    sa.Column("minor", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

_ASIDE_S = 5
"""How long a writer waits for another before it gives up, in seconds."""


class Database:
    """One open book database. Not thread-safe; writers of different processes take turns."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open or create.

        Raises:
            BookMissing: if there is nothing to open.
            BookCorrupt: if the file isn't a sound SQLite database with our tables.
        """
        self._path = path
        if not create and not path.exists():
            raise BookMissing(f"there is no book at {path}; `offtake apply` or `offtake run` makes one")
        self._engine = sa.create_engine(
            f"sqlite:///{path}", poolclass=sa.pool.StaticPool, isolation_level="AUTOCOMMIT"
        )
        sa.event.listen(self._engine, "connect", _on_connect)
        with self._errors():
            self._connection = self._engine.connect()
            if create:
                with self._transaction():
                    _METADATA.create_all(self._connection)
            self._check_tables()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
        self._engine.dispose()

    def _check_tables(self) -> None:
        present = set(sa.inspect(self._connection).get_table_names())
        missing = sorted({table.name for table in _METADATA.sorted_tables} - present)
        if missing:
            raise BookCorrupt(
                f"{self._path} isn't an offtake book, or is damaged: it has no table {', '.join(missing)}; "
                "restore the file from a copy"
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DatabaseError as error:
            raise _book_error(self._path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.exec_driver_sql("COMMIT")
        except BaseException:
            # SQLite rolls back by itself when the disk is full; a second rollback would hide the first error
            driver: Any = self._connection.connection.dbapi_connection
            if driver.in_transaction:
                self._connection.exec_driver_sql("ROLLBACK")
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction: all of it is kept or none.

        Raises:
            BookBusy: if another process writes for longer than a few seconds.
            BookFull: if the disk refuses.
        """
        with self._errors(), self._transaction():
            yield

    def head(self) -> tuple[int, str]:
        """Position and hash of the last fact; (0, GENESIS) for an empty book."""
        with self._errors():
            row = self._connection.execute(
                sa.select(FACT.c.seq, FACT.c.hash).order_by(FACT.c.seq.desc()).limit(1)
            ).first()
        return (row.seq, row.hash) if row else (0, GENESIS)

    def append(self, facts: Sequence[Fact], head: tuple[int, str]) -> list[Recorded]:
        """Add facts to the chain; call inside `writing`."""
        recorded, rows = [], []
        seq, previous = head
        for fact in facts:
            seq += 1
            data = fact_bytes(fact, seq)
            previous = chained(previous, data)
            recorded.append(Recorded(seq=seq, fact=fact, hash=previous))
            rows.append(
                {
                    "seq": seq,
                    "kind": fact.kind,
                    "id": fact.id,
                    "recorded_at": fact.recorded_at,
                    "data": data,
                    "hash": previous,
                }
            )
        if rows:
            self._connection.execute(sa.insert(FACT), rows)
        return recorded

    def find(self, kind: str, id_: str) -> Recorded | None:
        """The last fact of a kind and id, or None."""
        with self._errors():
            row = self._connection.execute(
                sa.select(FACT.c.seq, FACT.c.data, FACT.c.hash)
                .where(FACT.c.kind == kind, FACT.c.id == id_)
                .order_by(FACT.c.seq.desc())
                .limit(1)
            ).first()
        return _recorded(row) if row else None

    def find_all(self, kind: str, id_: str) -> list[Recorded]:
        """Every fact of a kind and id, in order."""
        with self._errors():
            rows = self._connection.execute(
                sa.select(FACT.c.seq, FACT.c.data, FACT.c.hash)
                .where(FACT.c.kind == kind, FACT.c.id == id_)
                .order_by(FACT.c.seq)
            ).all()
        return [_recorded(row) for row in rows]

    def put_items(self, items: Mapping[tuple[str, str], tuple[int, Mapping[str, Any] | None]]) -> None:
        """Upsert projected items, by (kind, id); a body of None removes. Call inside `writing`."""
        gone = [{"k": kind, "i": id_} for (kind, id_), (_, body) in items.items() if body is None]
        rows = [
            {"kind": kind, "id": id_, "seq": seq, "body": canonical_bytes(dict(body))}
            for (kind, id_), (seq, body) in items.items()
            if body is not None
        ]
        if gone:
            self._connection.execute(
                sa.delete(ITEM).where(ITEM.c.kind == sa.bindparam("k"), ITEM.c.id == sa.bindparam("i")), gone
            )
        if rows:
            statement = insert(ITEM)
            self._connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["kind", "id"],
                    set_={"seq": statement.excluded.seq, "body": statement.excluded.body},
                ),
                rows,
            )

    def put_postings(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add legs of entries; call inside `writing`."""
        if rows:
            self._connection.execute(sa.insert(POSTING), list(rows))

    def clear_projections(self) -> None:
        """Drop everything that can be rebuilt; call inside `writing`."""
        self._connection.execute(sa.delete(ITEM))
        self._connection.execute(sa.delete(POSTING))

    def items(self, kinds: Iterable[str], *, but: bool = False) -> list[tuple[str, str, int, dict[str, Any]]]:
        """Projected items of some kinds, or of all but these, by kind and id."""
        chosen = ITEM.c.kind.not_in(list(kinds)) if but else ITEM.c.kind.in_(list(kinds))
        with self._errors():
            rows = self._connection.execute(
                sa.select(ITEM).where(chosen).order_by(ITEM.c.kind, ITEM.c.id)
            ).all()
        return [(row.kind, row.id, row.seq, json.loads(row.body)) for row in rows]

    def postings(self) -> list[dict[str, Any]]:
        """Every leg of the ledger, in order."""
        with self._errors():
            rows = self._connection.execute(
                sa.select(POSTING).order_by(POSTING.c.seq, POSTING.c.leg)
            ).mappings()
            return [{**row, "minor": int(row["minor"])} for row in rows]

    def copy_to(self, path: Path) -> None:
        """Write all of it as it is now into a new file."""
        with self._errors():
            self._connection.execute(sa.text("VACUUM INTO :path"), {"path": str(path)})

    def facts_of(self, kinds: Iterable[str]) -> list[Recorded]:
        """Every fact of some kinds, in order."""
        with self._errors():
            rows = self._connection.execute(
                sa.select(FACT.c.seq, FACT.c.data, FACT.c.hash)
                .where(FACT.c.kind.in_(list(kinds)))
                .order_by(FACT.c.seq)
            ).all()
        return [_recorded(row) for row in rows]

    def facts_around(self, kind: str, start: int, end: int) -> list[Recorded]:
        """Facts of a kind that were recorded from start to end, exclusive, and the last one before them."""
        with self._errors():
            first = (
                sa.select(sa.func.max(FACT.c.seq))
                .where(FACT.c.kind == kind, FACT.c.recorded_at <= start)
                .scalar_subquery()
            )
            rows = self._connection.execute(
                sa.select(FACT.c.seq, FACT.c.data, FACT.c.hash)
                .where(
                    FACT.c.kind == kind,
                    FACT.c.seq >= sa.func.coalesce(first, 0),
                    FACT.c.recorded_at < end,
                )
                .order_by(FACT.c.seq)
            ).all()
        return [_recorded(row) for row in rows]

    def fact_batches(self, size: int = 10_000) -> Iterator[list[Recorded]]:
        """The whole log in order, so many facts at a time."""
        after = 0
        while True:
            with self._errors():
                rows = self._connection.execute(
                    sa.select(FACT.c.seq, FACT.c.data, FACT.c.hash)
                    .where(FACT.c.seq > after)
                    .order_by(FACT.c.seq)
                    .limit(size)
                ).all()
            if rows:
                yield [_recorded(row) for row in rows]
            if len(rows) < size:
                return
            after = rows[-1].seq

    def verify(self) -> int:
        """Walk the whole chain and the database's own pages; the number of facts.

        Raises:
            BookCorrupt: naming the first position that doesn't verify.
        """
        with self._errors():
            sound = self._connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        if sound != "ok":
            raise BookCorrupt(f"{self._path}: {sound}; restore the file from a copy")
        previous, expected = GENESIS, 1
        with self._errors():
            for row in self._connection.execute(sa.select(FACT).order_by(FACT.c.seq)):
                if row.seq != expected:
                    raise BookCorrupt(
                        f"{self._path}: fact {expected} is missing; restore the file from a copy"
                    )
                previous, expected = chained(previous, row.data), expected + 1
                if row.hash != previous or not _columns_agree(row):
                    raise BookCorrupt(
                        f"{self._path}: fact {row.seq} was changed after it was recorded; "
                        "restore the file from a copy"
                    )
            projected = self._connection.execute(sa.select(sa.func.max(ITEM.c.seq))).scalar() or 0
        if projected >= expected:
            raise BookCorrupt(
                f"{self._path}: the log ends at fact {expected - 1}, but fact {projected} was recorded; "
                "restore the file from a copy"
            )
        return expected - 1


def _columns_agree(row: Any) -> bool:
    """Whether the columns that are searched by say what the hashed bytes say."""
    plain = json.loads(row.data)
    return all(plain[name] == getattr(row, name) for name in ("seq", "kind", "id", "recorded_at"))


def _recorded(row: Any) -> Recorded:
    return Recorded(seq=row.seq, fact=fact_of(json.loads(row.data)), hash=row.hash)


def _on_connect(connection: sqlite3.Connection, _: object) -> None:
    # FULL makes a commit survive a power cut in WAL mode.
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_ASIDE_S * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _book_error(path: Path, error: sa.exc.DatabaseError) -> BookError:
    code = getattr(error.orig, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BookBusy(f"{path}: another process is writing to this book; try again when it has finished")
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
        return BookFull(
            f"{path}: the disk refused a write ({error.orig}); make room and run the same command again"
        )
    if code.startswith("SQLITE_CONSTRAINT"):
        return BookBusy(f"{path}: another process wrote to this book meanwhile; run the same command again")
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return BookError(f"{path}: can't be opened for writing ({error.orig}); check its permissions")
    return BookCorrupt(f"{path}: {error.orig}; restore the file from a copy")
