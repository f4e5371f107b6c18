"""Bad input, as a person would give it: the place, the remedy, an exit code, and nothing lost."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.agreements.test_agreement_files import EXPECTED_TEN, TEN_MISTAKES
from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock

QUICK = ("--no-pdf", "--no-report")
ACME = "agreements/acme.toml"
SECOND_TRANCHE = """
[[tranche]]
id = "more"
pools = ["h200"]
quantity = 8
start = 2027-06-01
through = 2027-12-31

[monthly_fee]"""
OUTAGE = """
[[outage]]
id = "fire"
pool = "h200"
start = "2027-03-02T00:00:00Z"
end = "2027-03-01T00:00:00Z"
gpus = 8
"""

MISTAKES: list[tuple[str, str, tuple[str, str], str, str, str]] = [
    # what, file, (old text, new text), place inside the file, code, a word of the message or the remedy
    ("tranches overlap", ACME, ("[monthly_fee]", SECOND_TRANCHE), "tranche[1]", "overlapping_tranches",
     "h200"),
    ("a pool is unknown", ACME, ('["h200"]', '["h2000"]'), "tranche[0].pools[0]", "unknown_pool", "h200"),
    ("a fee is in another currency", ACME, ("1_650_000", '1_650_000\ncurrency = "EUR"'),
     "monthly_fee.currency", "other_currency", "'EUR', the agreement in 'USD'"),
    ("a tranche ends before its start", ACME, ("through = 2027-12-31", "through = 2026-12-31"),
     "tranche[0].through", "end_before_start", "2026-12-31 is before the first 2027-01-01"),
    ("a fee ends before its start", ACME, ('last = "2027-12"', 'last = "2026-12"'), "monthly_fee.last",
     "end_before_start", "2026-12"),
    ("a fee has too many decimals", ACME, ("1_650_000", "1_650_000.005"), "monthly_fee.amount", "",
     "1650000.005"),
    ("a run ends before its start", "offtake.toml", ('last = "2027-12"', 'last = "2026-12"'), "run.last",
     "end_before_start", "2026-12"),
    ("a time zone is unknown", "offtake.toml", ("America/New_York", "America/Gotham"), "operator.time_zone",
     "unknown_time_zone", "America/Gotham"),
    ("demand names an unknown pool", "demand/internal.toml", ('["h200"]', '["h100"]'), "demand[0].pools[0]",
     "unknown_pool", "h200"),
    ("a range falls", "demand/internal.toml", ("[256, 1024]", "[1024, 256]"), "demand[0].training.gpus",
     "bad_range", "[smallest, largest]"),
    ("a pool stands on no site", "fleet.toml", ('site = "east"', 'site = "west"'), "pool[0].site", "",
     "west"),
    ("a file is no TOML", "fleet.toml", ("[[site]]", "[[site]"), "", "", "line"),
]  # fmt: skip


@pytest.fixture
def begun(starter: Finished, copied: Callable[[Finished], Finished], clock: WallClock) -> Finished:
    """A copy of the finished starter, with a live book beside the simulated one."""
    book = copied(starter)
    succeeded("apply", book.folder)
    return book


def unharmed(book: Finished, live_head: str) -> None:
    """Both books of a folder verify and say what they said."""
    assert succeeded("verify", book.out)["head"] == book.totals["head"]
    assert succeeded("verify", book.folder / "book")["head"] == live_head


@pytest.mark.parametrize(
    ("file", "change", "place", "code", "said"),
    [row[1:] for row in MISTAKES],
    ids=[row[0] for row in MISTAKES],
)
def test_a_mistake_in_a_file_is_3_and_no_book_is_touched(
    begun: Finished, file: str, change: tuple[str, str], place: str, code: str, said: str
) -> None:
    head = succeeded("verify", begun.folder / "book")["head"]
    edited(begun.folder / file, change)
    for command in ("run", "apply", "plan"):
        problems = refused(3, command, begun.folder)["problems"]
        found = next(problem for problem in problems if problem["where"].startswith(f"{file}"))
        assert place in found["where"]
        assert code in found["code"]
        assert said in found["message"] + found["remedy"]
    for_people = offtake("plan", begun.folder)
    assert (for_people.code, for_people.out) == (3, "")
    assert "nothing was recorded" in for_people.said
    assert said in for_people.said
    unharmed(begun, head)
    edited(begun.folder / file, (change[1], change[0]))
    assert succeeded("run", begun.folder, *QUICK)["head"] == begun.totals["head"]


def test_every_mistake_comes_with_what_would_be_right(begun: Finished) -> None:
    without = []
    for what, file, change, *_ in MISTAKES:
        if what == "a file is no TOML":  # its line and column are all there is to say
            continue
        edited(begun.folder / file, change)
        problems = refused(3, "plan", begun.folder)["problems"]
        without += [f"{p['where']}: {p['message']}" for p in problems if not p["remedy"]]
        edited(begun.folder / file, (change[1], change[0]))
    assert without == []


def test_a_scenario_that_ends_before_it_starts_is_refused(begun: Finished) -> None:
    head = succeeded("verify", begun.folder / "book")["head"]
    (begun.folder / "scenario.toml").write_text(OUTAGE, encoding="utf-8")
    for words in (("run", begun.folder), ("record", begun.folder / "book", begun.folder / "scenario.toml")):
        problems = refused(3, *words)["problems"]
        assert [problem["code"] for problem in problems] == ["end_before_start"]
        assert "outage[0].end" in problems[0]["where"]
    unharmed(begun, head)


def test_ten_mistakes_in_an_agreement_are_listed_at_once(begun: Finished) -> None:
    head = succeeded("verify", begun.folder / "book")["head"]
    path = begun.folder / "agreements" / "acme.toml"
    path.write_text(TEN_MISTAKES, encoding="utf-8")
    for words in (
        ("agreement", "check", path),
        ("agreement", "show", path),
        ("plan", begun.folder),
        ("apply", begun.folder),
        ("run", begun.folder),
    ):
        problems = refused(3, *words)["problems"]
        for_people = offtake(*words)
        assert for_people.code == 3
        assert f"{len(problems)} problems; nothing was recorded" in for_people.said
        for place, value, expected in EXPECTED_TEN:
            found = [p for p in problems if p["where"].endswith(f"acme.toml: {place}")]
            assert len(found) == 1, place
            text = f"{found[0]['message']} {found[0]['remedy']}"
            assert expected in text
            assert any(offending in text for offending in value.split("|"))
            assert found[0]["line"] is not None
            assert f"acme.toml:{found[0]['line']}: {place}: " in for_people.said
    unharmed(begun, head)


def test_mistakes_of_several_files_are_listed_together(begun: Finished) -> None:
    for _, file, change, *_ in [MISTAKES[1], MISTAKES[6], MISTAKES[8]]:
        edited(begun.folder / file, change)
    files = {p["where"].partition(":")[0] for p in refused(3, "plan", begun.folder)["problems"]}
    assert files >= {ACME, "offtake.toml"}


def test_a_file_that_isn_t_text_is_named(begun: Finished) -> None:
    path = begun.folder / "agreements" / "acme.toml"
    path.write_bytes(b"\xff\xfe\x00\x01" * 50)
    for words in (
        ("agreement", "check", path),
        ("run", begun.folder),
        ("record", begun.folder / "book", path),
    ):
        assert "acme.toml" in refused(3, *words)["problems"][0]["where"]


# --- sold twice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "apply"])
def test_an_oversold_pool_is_6_with_its_name_its_gpus_and_the_remedy(
    tmp_path: Path, clock: WallClock, command: str
) -> None:
    folder = tmp_path / "folder"
    succeeded("init", folder)
    edited(folder / ACME, ("1_024", "3_000"))
    out, more = {"run": ("out", QUICK), "apply": ("book", ())}[command]
    for_people = offtake(command, folder)
    assert for_people.code == 6
    answer = refused(6, command, folder)
    assert answer["error"] == "oversold"
    for text in (for_people.said, answer["message"]):
        assert "firm claims on h200 exceed available capacity by up to 952 GPUs" in text  # 3,000 − 2,048
        assert "from 2027-01-01T05:00:00Z" in text
        assert "--allow-oversold" in text
    assert not (folder / out).exists()
    planned = succeeded("plan", folder)
    assert planned["oversold"] == [{"pools": ["h200"], "gpus_max": 952, "from": "2027-01-01T05:00:00Z"}]
    assert "oversold: firm claims on h200" in offtake("plan", folder).said
    succeeded(command, folder, "--allow-oversold", *more)
    assert succeeded("verify", folder / out)["facts"] > 0


def test_more_is_never_sold_into_a_live_book_unseen(live: Path) -> None:
    head = succeeded("verify", live)["head"]
    edited(live / ACME, ("1_024", "3_000"))
    assert refused(6, "apply", live)["error"] == "oversold"
    assert succeeded("verify", live)["head"] == head
    assert "agreement.amended acme" in succeeded("apply", live, "--allow-oversold")["recorded"]


# --- a clock that goes backwards ------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["tick", "apply", "record"])
def test_a_clock_that_goes_backwards_is_5_and_nothing_is_recorded(
    live: Path, clock: WallClock, command: str
) -> None:
    before = succeeded("verify", live)
    edited(live / ACME, ("notice_days = 60", "notice_days = 61"))  # so that `apply` has something to do
    events = live / "events.toml"
    events.write_text(
        events.read_text(encoding="utf-8").replace("2027-01-02T00", "2026-12-21T00").split("[[payment]]")[0],
        encoding="utf-8",
    )
    clock.set("2027-01-01T12:00:00Z")  # a day before the last tick
    words = (command, live, events) if command == "record" else (command, live)
    answer = refused(5, *words)
    assert answer["error"] == "ClockBackwards"
    assert "2027-01-01T12:00:00Z" in answer["message"]
    assert "2027-01-02T12:00:00Z" in answer["message"]
    assert "set the clock right, nothing was recorded" in answer["message"]
    assert succeeded("verify", live) == before
    clock.set("2027-01-02T12:00:01Z")
    succeeded(*words)


# --- a damaged book -------------------------------------------------------------------------------------

WRITES = (("run", "{folder}", *QUICK), ("rebuild", "{book}"))
READS = tuple(
    (*words, "{book}")
    for words in (
        ("status",),
        ("verify",),
        ("report",),
        ("shortfall",),
        ("invoice", "list"),
        ("ledger", "balance"),
    )
)


def cut(path: Path, left: int) -> None:
    path.write_bytes(path.read_bytes()[:left])


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def noise(path: Path, start: int, length: int) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + random.Random(5).randbytes(length) + whole[start + length :])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "random bytes everywhere": lambda path: noise(path, 0, path.stat().st_size),
    "random bytes at its head": lambda path: noise(path, 0, 200),
    "half of it": lambda path: cut(path, path.stat().st_size // 2),
    "a letter to a friend": lambda path: write(path, "dear friend\n" * 500),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_book_is_4_for_every_command_and_is_made_no_worse(
    small: Finished, copied: Callable[[Finished], Finished], damage: str
) -> None:
    book = copied(small)
    path = book.out / "book.sqlite"
    sound = path.read_bytes()
    DAMAGES[damage](path)
    found = path.read_bytes()
    for words in (*READS, *WRITES):
        named = [word.format(folder=book.folder, book=book.out) for word in words]
        answer, for_people = refused(4, *named), offtake(*named)
        assert for_people.code == 4
        for text in (answer["message"], for_people.said):
            assert str(path) in text
            assert "restore the file from a copy" in text
    assert path.read_bytes() == found
    assert len(list((book.out / "invoices").iterdir())) == 40
    path.write_bytes(sound)
    assert succeeded("run", book.folder, *QUICK)["head"] == small.totals["head"]


def test_one_changed_byte_of_a_fact_is_found_by_verify_and_stops_a_rebuild(
    small: Finished, copied: Callable[[Finished], Finished]
) -> None:
    book = copied(small)
    path = book.out / "book.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        data = connection.execute("SELECT data FROM fact WHERE seq = 40").fetchone()[0]
        changed = data.replace(b"2", b"3", 1)
        assert changed != data
        connection.execute("UPDATE fact SET data = ? WHERE seq = 40", (changed,))
    for command in ("verify", "rebuild"):
        answer = refused(4, command, book.out)
        assert answer["error"] == "BookCorrupt"
        assert str(path) in answer["message"]
        assert "fact 40 was changed after it was recorded; restore the file from a copy" in answer["message"]
        assert "fact 40 was changed" in offtake(command, book.out).said
    assert succeeded("invoice", "list", book.out) == succeeded("invoice", "list", small.out)


def test_lost_projections_are_rebuilt_as_the_message_says(
    small: Finished, copied: Callable[[Finished], Finished]
) -> None:
    book = copied(small)
    with closing(sqlite3.connect(book.out / "book.sqlite")) as connection, connection:
        connection.execute("DELETE FROM item")
    for words in (("status", book.out), ("run", book.folder, *QUICK)):
        assert "run `offtake rebuild`" in refused(4, *words)["message"]
    succeeded("rebuild", book.out)
    assert succeeded("run", book.folder, *QUICK)["head"] == small.totals["head"]


@pytest.mark.parametrize("command", ["apply", "tick", "status", "verify", "rebuild", "plan"])
def test_a_live_book_truncated_to_nothing_isn_t_begun_anew(live: Path, command: str) -> None:
    path = live / "book" / "book.sqlite"
    sound = path.read_bytes()
    path.write_bytes(b"")
    answer = refused(4, command, live)
    assert str(path) in answer["message"]
    assert "restore the file from a copy" in answer["message"]
    path.write_bytes(sound)
    assert succeeded("apply", live)["recorded"] == []


def test_a_simulated_book_truncated_to_nothing_is_refused_or_made_again(
    small: Finished, copied: Callable[[Finished], Finished]
) -> None:
    book = copied(small)
    (book.out / "book.sqlite").write_bytes(b"")
    answer = offtake("run", book.folder, *QUICK, "--json")
    assert answer.code in {0, 4}
    if answer.code:
        shutil.rmtree(book.out)
    again = succeeded("run", book.folder, *QUICK)
    assert again["head"] == small.totals["head"]


def test_a_table_that_is_missing_from_the_lake_is_named(
    small: Finished, copied: Callable[[Finished], Finished]
) -> None:
    book = copied(small)
    shutil.rmtree(book.out / "lake")
    answer = refused(4, "report", book.out)
    assert answer["error"] == "BookCorrupt"
    assert f"{book.out / 'lake'}" in answer["message"]
    assert "from a copy" in answer["message"]
    assert json.dumps(answer)


# --- files that a command writes ------------------------------------------------------------------------


def test_a_report_goes_through_a_link_to_where_it_points(small: Finished, tmp_path: Path) -> None:
    target, link = tmp_path / "there.html", tmp_path / "here.html"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    succeeded("report", small.out, "--out", link)
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8").startswith("<!")


@pytest.mark.parametrize("command", ["report", "invoice"])
def test_a_place_that_can_t_be_written_is_4_and_is_named(
    small: Finished, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    where = tmp_path / "file" / "x"
    words = {
        "report": ("report", small.out, "--out", where),
        "invoice": ("invoice", "show", small.out, "INV-000001", "--pdf", where),
    }[command]
    answer = refused(4, *words)
    assert str(tmp_path / "file") in answer["message"]
    assert (tmp_path / "file").read_text(encoding="utf-8") == "no folder"
