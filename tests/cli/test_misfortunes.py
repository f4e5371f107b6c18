"""A full disk and a Ctrl-C: an exit code, a sentence, nothing lost; the same command finishes the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calls import apart, offtake, refused, succeeded
from tests.cli.conftest import Finished
from tests.house.project import ROOT
from tests.store.test_full_disk import small_disk

QUICK = ("--no-pdf", "--no-report")
REMEDY = "make room and run the same command again"


# --- Ctrl-C ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "count"), [("append", 60), ("committed", 3), ("lake", 6), ("invoice", 4)])
def test_an_interrupted_run_is_130_and_goes_on_to_the_same_head(
    small: Finished, tmp_path: Path, place: str, count: int
) -> None:
    words = ("run", small.folder, "--out", tmp_path / "out", *QUICK)
    stopped = apart(place, count, *words, "--json")
    assert (stopped.code, stopped.out) == (130, "")
    assert "Nothing is lost: run the same command to go on" in stopped.said
    so_far = succeeded("verify", tmp_path / "out")
    assert 0 < so_far["facts"] <= small.totals["facts"]
    assert (so_far["head"] == small.totals["head"]) == (place == "invoice")
    assert not list(tmp_path.rglob("*.part"))
    succeeded("status", tmp_path / "out")
    totals = succeeded(*words)
    assert {name: totals[name] for name in ("head", "agreements", "facts")} == {
        name: small.totals[name] for name in ("head", "agreements", "facts")
    }
    assert len(list((tmp_path / "out" / "invoices").glob("*.json"))) == 20


# --- a full disk ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [30_000, 200_000])
def test_a_run_whose_files_can_t_grow_is_4_and_goes_on_when_they_can(
    small: Finished, tmp_path: Path, limit: int
) -> None:
    out = tmp_path / "out"
    words = ("run", small.folder, "--out", out, *QUICK)
    stopped = apart("limit", limit, *words, "--json")
    assert stopped.code == 4
    assert stopped.plain["error"] == "BookFull"
    assert REMEDY in stopped.plain["message"]
    if limit > 100_000:  # below, there is no room for the scratch book that checks what is sold
        assert str(out) in stopped.plain["message"]
        assert succeeded("verify", out)["facts"] > 0
    assert succeeded(*words)["head"] == small.totals["head"]


def test_a_run_on_a_full_disk_is_4_and_goes_on_when_there_is_room(small: Finished, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    words = ("run", small.folder, "--out", disk / "out", *QUICK)
    with small_disk(disk, 700) as mounted:
        stopped = offtake(*words) if mounted else apart("limit", 150_000, *words)
        assert stopped.code == 4
        assert f"{disk / 'out'}" in stopped.said
        assert REMEDY in stopped.said
        so_far = succeeded("verify", disk / "out")
        assert 0 < so_far["facts"] < small.totals["facts"]
        again = offtake(*words) if mounted else apart("limit", 150_000, *words)
        assert again.code == 4  # still full: nothing gets worse
        assert succeeded("verify", disk / "out")["facts"] >= so_far["facts"]
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
        assert succeeded(*words)["head"] == small.totals["head"]
        shown = offtake("verify", disk / "out")
        assert small.totals["head"] in shown.said


def test_live_commands_on_a_full_disk_are_4_and_lose_nothing(live: Path, tmp_path: Path) -> None:
    before = succeeded("verify", live)
    words = ("record", live, live / "events.toml")
    stopped = apart("limit", 4_000, "rebuild", live, "--json")
    assert stopped.code == 4
    assert REMEDY in stopped.plain["message"]
    assert str(live / "book") in stopped.plain["message"]
    assert succeeded("verify", live) == before
    assert succeeded("rebuild", live)["head"] == before["head"]
    assert [row["outcome"] for row in succeeded(*words)["facts"]] == ["recorded", "recorded"]


@pytest.mark.parametrize(
    ("words", "limit", "place"),
    [
        (("report", "{out}"), 200_000, "report.html"),
        # a limit that lets SQLite have its shared memory of 32,768 bytes but no PDF
        (("run", "{folder}", "--no-report"), 33_500, "INV-000001-birch-2026-07.pdf"),
        (("invoice", "show", "{out}", "INV-000002", "--pdf", "{folder}/two.pdf"), 33_500, "two.pdf"),
        (("init", "{folder}/new"), 300, "new"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_file_without_room_is_4_with_its_name_and_the_remedy(
    small: Finished,
    copied: Callable[[Finished], Finished],
    words: tuple[str, ...],
    limit: int,
    place: str,
) -> None:
    book = copied(small)
    (book.out / "report.html").unlink()
    shutil.rmtree(book.out / "invoices")
    # there is no room for the scratch book that checks what is sold either
    checked = ("--allow-oversold",) if words[0] == "run" else ()
    named = [*(word.format(folder=book.folder, out=book.out) for word in words), *checked]
    stopped = apart("limit", limit, *named, "--json")
    assert stopped.code == 4
    assert place in stopped.plain["message"]
    assert "make room" in stopped.plain["message"]
    assert not (book.out / "report.html").exists()
    assert not list(book.out.rglob("*.part"))
    assert succeeded("verify", book.out)["head"] == small.totals["head"]
    succeeded(*named)
    assert list(book.folder.rglob(place))


def test_an_import_without_room_is_4(shared_data: Path, tmp_path: Path) -> None:
    words = ("import", "helios", shared_data / "usage_helios_earth_2020", tmp_path / "helios")
    stopped = apart("limit", 2_000, *words, "--json")
    assert stopped.code == 4
    assert str(tmp_path / "helios") in stopped.plain["message"]
    assert "make room" in stopped.plain["message"]
    succeeded(*words)


@pytest.mark.parametrize("more", [(), ("--json",)], ids=["for people", "for programs"])
def test_an_output_that_can_t_be_written_is_4_and_no_traceback(
    small: Finished, tmp_path: Path, more: tuple[str, ...]
) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "offtake", "invoice", "list", small.out, *more],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr


def test_a_reader_that_has_read_enough_is_no_error(small: Finished) -> None:
    # `offtake invoice list BOOK | head -1`: here the reader has gone before anything is written
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "offtake", "invoice", "list", small.out],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    finally:
        os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.returncode in {0, 1, 4, 141}
    assert refused(3, "invoice", "show", small.out, "INV-0")["error"] == "bad_input"
