"""A process killed while it settles, issues, commits or sends: the next one ends with the same book."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

from offtake.store.keys import new_key
from offtake.workflows.book import Book
from tests.house.project import ROOT
from tests.workflows.test_usage import USE, live, reading, taken_in
from tests.workflows.worlds import at

PARTS = 7
"""Instants at which the process dies, spread over all statements it makes."""


def run(book: Path, outbox: Path, die_at: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "tests.workflows.tick_killer", str(book), str(outbox), str(die_at)]
    return subprocess.run(words, capture_output=True, cwd=ROOT, encoding="utf-8", check=False)


def test_killed_at_any_statement_and_begun_again_the_book_is_the_same(tmp_path: Path) -> None:
    w = live(tmp_path, USE)
    new_key(w.book.directory)
    taken_in(w, "one", *(reading(f"r{i}", at(2, 5, i)) for i in range(20)), through={"s": at(3, 1)})
    w.book.close()
    whole = tmp_path / "whole"
    shutil.copytree(w.book.directory, whole)
    lived = run(whole, tmp_path / "out-whole", 0)
    assert lived.returncode == 0, lived.stderr
    expected = Book(whole)
    documents, head = expected.items("document"), expected.state.head
    assert len(documents) == 1
    assert len(expected.kept("sent")) == 1
    expected.close()
    statements = int(lived.stdout)
    for die_at in {1 + k * (statements - 1) // (PARTS - 1) for k in range(PARTS)}:
        torn, outbox = tmp_path / f"torn-{die_at}", tmp_path / f"out-{die_at}"
        shutil.copytree(w.book.directory, torn)
        assert run(torn, outbox, die_at).returncode == -signal.SIGKILL
        again = run(torn, outbox, 0)
        assert again.returncode == 0, again.stderr
        book = Book(torn)
        assert book.verify()[0] > 0
        assert (book.state.head, book.items("document")) == (head, documents), f"killed at {die_at}"
        assert {path.read_bytes() for path in outbox.iterdir()} == {
            path.read_bytes() for path in (tmp_path / "out-whole").iterdir()
        }
        book.close()
