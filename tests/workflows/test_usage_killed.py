"""A process killed while it takes readings in loses nothing it acknowledged, and counts nothing twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offtake.base.months import Month
from offtake.workflows.book import Book
from tests.house.project import ROOT
from tests.workflows.test_usage import USE, close_february, live
from tests.workflows.usage_killer import BATCHES, ROWS
from tests.workflows.worlds import World


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    found = live(tmp_path, USE)
    yield found
    found.book.close()


@pytest.mark.parametrize("acknowledged", [1, 7, 23])
def test_killed_at_any_batch_and_begun_again_it_counts_each_reading_once(w: World, acknowledged: int) -> None:
    words = [sys.executable, "-m", "tests.workflows.usage_killer", str(w.book.directory)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, encoding="utf-8") as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(acknowledged)]
        process.kill()
    after = Book(w.book.directory)
    kept = {item.fact.id for item in after.database.facts_of(["usage.ingested"])}
    assert set(said) <= kept
    assert after.verify()[0] > 0
    after.close()
    again = subprocess.run(words, capture_output=True, cwd=ROOT, encoding="utf-8", check=True)
    assert len(again.stdout.split()) == BATCHES
    w.book._load()
    close_february(w)
    settled = w.book.items("settled")["deal/2026-02"]
    assert settled["taken"] == BATCHES * ROWS * 60
    assert w.lines(Month(2026, 2)) == [("usage_fee", round(BATCHES * ROWS * 60 * 200 / 3600))]
