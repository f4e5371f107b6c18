"""A full disk: a clear error, nothing lost, and the same chain once there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from offtake.store.database import Database
from offtake.workflows.book import Book
from tests.house.project import ROOT
from tests.simulation.folders import SETTINGS, write_folder
from tests.store.books import dump

FILES = {"offtake.toml": SETTINGS.replace('last = "2026-12"', 'last = "2026-09"')}


def driven(folder: Path, out: Path, limit: int = 0) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.full_disk_driver", folder, out, str(limit)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, answer


@contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[bool]:
    """A tiny file system of its own where this process may mount one; False where it may not."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", path], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    base = tmp_path_factory.mktemp("whole")
    folder = write_folder(base / "folder", FILES)
    code, answer = driven(folder, base / "out")
    assert code == 0
    return folder, answer


@pytest.mark.parametrize("limit", [20_000, 70_000, 200_000])
def test_a_file_that_can_t_grow_stops_the_run_and_nothing_is_lost(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path, limit: int
) -> None:
    folder, expected = whole
    out = tmp_path / "out"
    code, refused = driven(folder, out, limit)
    assert (code, refused["error"]) == (4, "BookFull")
    assert "make room and run the same command again" in refused["message"]
    assert str(out) in refused["message"]
    if limit > 20_000:
        with closing(Database(out / "book.sqlite")) as database:
            assert database.verify() == database.head()[0] > 0
    assert driven(folder, out) == (0, expected)


def test_a_disk_without_room_stops_the_run_and_more_room_lets_it_go_on(
    whole: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, expected = whole
    out = tmp_path / "disk"
    with small_disk(out, 600) as mounted:
        code, refused = driven(folder, out / "book", 0 if mounted else 120_000)
        assert (code, refused["error"]) == (4, "BookFull")
        with closing(Book(out / "book")) as book:
            count = book.state.head[0]
            assert 0 < count < expected["head"][0]
            assert book.database.verify() == count
            assert max(int(str(row[2])) for row in dump(book)["item"]) == count
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=32m", out], check=True)
        assert driven(folder, out / "book") == (0, expected)
