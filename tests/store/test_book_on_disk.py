"""A book on disk: what was changed is found and named, what was dropped is rebuilt, nothing is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offtake.base.errors import BookBusy, BookCorrupt, BookError, BookMissing, ClockBackwards
from offtake.store.database import Database
from offtake.store.fact import GENESIS, Fact, chained, fact_bytes, fact_of
from offtake.store.lake import Columns, Lake, LakeOverlay
from offtake.workflows.book import Book
from tests.store.books import dump, finished_book, log_of


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_book(tmp_path_factory.mktemp("original"))[0]


@pytest.fixture
def directory(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


@pytest.fixture
def book(directory: Path) -> Iterator[Book]:
    opened = Book(directory)
    yield opened
    opened.close()


def fact(n: int, kind: str = "demand.withdrawn", **body: Any) -> Fact:
    return Fact(kind=kind, id=f"f{n}", effective_at=n, recorded_at=n, body=body)


def rows(directory: Path, sql: str, *args: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(directory / "book.sqlite")) as connection, connection:
        return connection.execute(sql, args).fetchall()


def verified(directory: Path) -> int:
    with closing(Database(directory / "book.sqlite")) as database:
        return database.verify()


def test_the_chain_is_hash_over_hash_from_genesis(directory: Path) -> None:
    previous = GENESIS
    stored = rows(directory, "SELECT seq, data, hash FROM fact ORDER BY seq")
    for seq, (at, data, hash_) in enumerate(stored, start=1):
        previous = chained(previous, data)
        assert (at, hash_) == (seq, previous)
        assert fact_bytes(fact_of(json.loads(data)), seq) == data
    assert verified(directory) == len(stored) > 100


def test_one_changed_byte_of_any_fact_is_found_and_named(directory: Path) -> None:
    dice = random.Random(7)
    stored = rows(directory, "SELECT seq, data FROM fact")
    for seq, data in dice.sample(stored, 12):
        at = dice.randrange(len(data))
        changed = data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]
        rows(directory, "UPDATE fact SET data = ? WHERE seq = ?", changed, seq)
        with pytest.raises(BookCorrupt, match=rf"book\.sqlite: fact {seq} was changed.*from a copy"):
            verified(directory)
        rows(directory, "UPDATE fact SET data = ? WHERE seq = ?", data, seq)
    assert verified(directory) == len(stored)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hash", "0" * 64),
        ("kind", "payment.received"),
        ("id", "someone-else"),
        ("recorded_at", 1),
    ],
)
def test_a_changed_column_beside_the_bytes_is_found_too(directory: Path, column: str, value: object) -> None:
    rows(directory, f"UPDATE fact SET {column} = ? WHERE seq = 9", value)
    with pytest.raises(BookCorrupt, match="fact 9 was changed"):
        verified(directory)


def test_a_fact_changed_with_its_hash_breaks_the_next_link(directory: Path) -> None:
    ((data,),) = rows(directory, "SELECT data FROM fact WHERE seq = 8")
    ((before,),) = rows(directory, "SELECT hash FROM fact WHERE seq = 7")
    forged = data.replace(b'"recorded_at":', b'"recorded_at":1', 1)
    rows(directory, "UPDATE fact SET data = ?, hash = ? WHERE seq = 8", forged, chained(before, forged))
    with pytest.raises(BookCorrupt, match=r"fact [89] was changed"):
        verified(directory)


@pytest.mark.parametrize("which", ["first", "middle", "last", "last five"])
def test_a_missing_fact_is_named(directory: Path, which: str) -> None:
    ((count,),) = rows(directory, "SELECT count(*) FROM fact")
    seq = {"first": 1, "middle": 50, "last": count, "last five": count - 4}[which]
    sql = "DELETE FROM fact WHERE seq >= ?" if which == "last five" else "DELETE FROM fact WHERE seq = ?"
    rows(directory, sql, seq)
    expected = rf"fact {seq} is missing" if seq <= 50 else rf"ends at fact {seq - 1}, but fact {count} was"
    with pytest.raises(BookCorrupt, match=expected):
        verified(directory)


@pytest.mark.parametrize("left", [0, 10, 100, 5_000, 60_000])
def test_a_truncated_database_is_refused_and_left_as_it_is(directory: Path, left: int) -> None:
    path = directory / "book.sqlite"
    whole = path.read_bytes()
    assert len(whole) > 60_000
    path.write_bytes(whole[:left])
    with pytest.raises(BookCorrupt, match=r"book\.sqlite.*restore the file from a copy"):
        verified(directory)
    assert path.read_bytes()[:left] == whole[:left]


def test_noise_inside_the_database_never_passes(directory: Path) -> None:
    path = directory / "book.sqlite"
    whole, facts = path.read_bytes(), verified(directory)
    dice = random.Random(3)
    for _ in range(6):
        at = dice.randrange(4_096, len(whole) - 512)
        path.write_bytes(whole[:at] + dice.randbytes(512) + whole[at + 512 :])
        try:
            count = verified(directory)
        except BookCorrupt:
            continue
        assert count == facts  # it hit what is projected, or nothing: the log is whole


def test_a_file_that_is_no_book_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "book.sqlite"
    path.write_text("dear diary\n" * 1_000)
    with pytest.raises(BookCorrupt, match="not a database"):
        Database(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")
    with pytest.raises(BookCorrupt, match="no table fact, item, posting"):
        Database(path)


def test_no_book_is_said_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(BookMissing, match="offtake run"):
        Book(tmp_path / "nowhere")
    with pytest.raises(BookMissing, match=r"book\.sqlite"):
        Book(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_book_that_can_t_be_written_says_so_without_calling_it_damaged(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.database._connection.exec_driver_sql("PRAGMA query_only = ON")
    head = book.state.head
    with pytest.raises(BookError, match="permissions") as refused, book.writing():
        book.append([fact(book.state.now)])
    assert not isinstance(refused.value, BookCorrupt)
    assert book.state.head == head


def test_a_rebuild_from_the_log_gives_the_same_rows(book: Book) -> None:
    before, head = dump(book), book.state.head
    assert len(before["item"]) > 50
    assert len(before["posting"]) > 50
    assert book.rebuild() == head[0]
    assert dump(book) == before
    assert book.state.head == head


def test_dropped_and_damaged_projections_are_rebuilt(directory: Path, book: Book) -> None:
    before = dump(book)
    rows(directory, "DELETE FROM item")
    rows(directory, "DELETE FROM posting")
    with pytest.raises(BookCorrupt, match="offtake rebuild"):
        Book(directory)
    with closing(Book(directory, projected=False)) as other:
        other.rebuild()
        assert dump(other) == before
    rows(directory, "UPDATE item SET body = x'7b7d' WHERE kind = 'balance'")
    with closing(Book(directory)) as other:
        other.rebuild()
        assert dump(other) == before


def test_a_rebuild_of_a_damaged_log_drops_nothing(directory: Path, book: Book) -> None:
    before = dump(book)
    rows(directory, "UPDATE fact SET hash = ? WHERE seq = 3", "f" * 64)
    with pytest.raises(BookCorrupt, match="fact 3 was changed"):
        book.rebuild()
    assert dump(book) == before


def test_find_gives_the_last_of_a_kind_and_id(book: Book) -> None:
    flood = book.find("outage.reported", "flood")
    assert flood is not None
    assert flood.body["end"] is not None  # it was reported open, then ended
    assert book.find("outage.reported", "INV-000001") is None
    log = log_of(book)
    for kind in ("entry.posted", "document.issued"):
        expected = [recorded.seq for recorded in log if recorded.fact.kind == kind]
        assert [recorded.seq for recorded in book.database.facts_of([kind])] == expected


def test_older_shapes_are_upcast_when_read_and_stay_as_they_were_stored(tmp_path: Path) -> None:
    old = {"kind": "meter", "id": "m", "effective_at": 1, "recorded_at": 2, "version": 1}
    steps = {
        ("meter", 1): lambda body: {"gpu_hours": body["hours"]},
        ("meter", 2): lambda body: {"gpu_seconds": body["gpu_hours"] * 3_600},
        ("other", 1): lambda body: {},
    }
    plain = {**old, "body": {"hours": 2}}
    read = fact_of(plain, steps)
    assert (read.version, read.body) == (3, {"gpu_seconds": 7_200})
    assert plain["body"] == {"hours": 2}
    half = fact_of({**old, "version": 2, "body": {"gpu_hours": 3}}, steps)
    assert (half.version, half.body) == (3, {"gpu_seconds": 10_800})
    newest = fact_of({**old, "version": 3, "body": {"gpu_seconds": 5}}, steps)
    assert newest.body == {"gpu_seconds": 5}


def test_a_float_never_enters_the_log(book: Book) -> None:
    head = book.state.head
    bad = [fact(book.state.now), fact(book.state.now, gpus=1.5)]
    with pytest.raises(TypeError, match=r"\$\.body\.gpus"), book.writing():
        book.append(bad)
    assert book.state.head == book.database.head() == head


def test_a_second_writer_is_told_to_wait_and_loses_nothing(directory: Path, book: Book) -> None:
    other = Book(directory)
    other.database._connection.exec_driver_sql("PRAGMA busy_timeout = 30")
    now, before = book.state.now, book.state.head[0]
    with book.writing():
        book.append([fact(now)])
        with pytest.raises(BookBusy, match="another process"), other.writing():
            pass
    with other.writing():
        other.append([fact(now + 1)])
    assert other.state.head[0] == book.state.head[0] + 1
    other.close()
    assert verified(directory) == before + 2


def test_two_open_books_take_turns(directory: Path, book: Book) -> None:
    other = Book(directory)
    now, before = book.state.now, book.state.head[0]
    for n in range(6):
        writer = (book, other)[n % 2]
        with writer.writing():
            writer.append([fact(now + n)])
    assert other.state.head == book.database.head()
    assert verified(directory) == before + 6
    with pytest.raises(ClockBackwards), book.writing():
        book.append([fact(now + 4)])  # the other already knows of now + 5
    other.close()


def test_a_failure_inside_a_transaction_leaves_disk_and_state_as_they_were(book: Book) -> None:
    before, head, items = dump(book), book.state.head, book.state.copy().items
    broken: list[int] = []
    with pytest.raises(IndexError), book.writing():
        broken[book.append([fact(book.state.now + 5)])[0].seq] = 0
    assert dump(book) == before
    assert (book.state.head, book.state.items) == (head, items)


# --- the lake ---------------------------------------------------------------------------------------------

TABLE: Columns = {"claim": ["a/b", "ç", "a/b"], "gpus": np.array([8, -1, 2**62], dtype=np.int64)}
EMPTY: Columns = {"claim": list[str](), "gpus": np.zeros(0, dtype=np.int64)}


@pytest.mark.parametrize("columns", [TABLE, EMPTY], ids=["rows", "no rows"])
def test_a_table_comes_back_as_it_was_saved(tmp_path: Path, columns: Any) -> None:
    manifest = Lake(tmp_path).save(columns)
    loaded = Lake(tmp_path).load(manifest)
    assert list(loaded) == list(columns)
    assert loaded["claim"] == columns["claim"]
    assert np.array_equal(loaded["gpus"], columns["gpus"])
    assert manifest["rows"] == len(columns["claim"])
    assert Lake(tmp_path).save(columns) == manifest
    assert [path.name for path in tmp_path.iterdir()] == [f"{manifest['sha256']}.parquet"]


def test_a_table_is_on_the_disk_before_it_has_its_name_and_the_name_before_it_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what a kill can't show and a power cut would
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        done.append("flush")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        done.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    Lake(tmp_path).save(TABLE)
    assert done == ["flush", "name", "flush"]


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    manifest = Lake(tmp_path).save(TABLE)
    (tmp_path / f"{manifest['sha256']}.parquet").unlink()
    with pytest.raises(BookCorrupt, match=rf"{manifest['sha256']}\.parquet can't be read.*from a copy"):
        Lake(tmp_path).load(manifest)


def test_a_table_of_other_rows_is_refused(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    manifest = lake.save(TABLE)
    other = lake.save({**TABLE, "gpus": np.array([8, -1, 2**62 + 1], dtype=np.int64)})
    path = tmp_path / f"{manifest['sha256']}.parquet"
    (tmp_path / f"{other['sha256']}.parquet").replace(path)
    with pytest.raises(BookCorrupt, match="rows aren't the ones that were recorded"):
        Lake(tmp_path).load(manifest)


def test_any_changed_byte_of_a_table_is_refused_or_changes_no_row(tmp_path: Path) -> None:
    manifest = Lake(tmp_path).save(TABLE)
    path = tmp_path / f"{manifest['sha256']}.parquet"
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            loaded = Lake(tmp_path).load(manifest)
        except BookCorrupt:
            refused += 1
        else:
            assert loaded["claim"] == TABLE["claim"]
            assert np.array_equal(loaded["gpus"], TABLE["gpus"])
    assert refused > 50
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BookCorrupt, match="can't be read"):
        Lake(tmp_path).load(manifest)


def test_an_overlay_reads_what_is_below_and_writes_nothing_there(tmp_path: Path) -> None:
    below = Lake(tmp_path)
    manifest = below.save(TABLE)
    overlay = LakeOverlay(below)
    mine = overlay.save(EMPTY)
    assert overlay.load(mine) is EMPTY
    assert overlay.load(manifest)["claim"] == TABLE["claim"]
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(BookCorrupt):
        below.load(mine)
