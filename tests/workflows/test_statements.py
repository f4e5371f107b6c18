"""Statements that an offtaker checks alone: what holds, what is found out, and what nobody else learns."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from offtake.base.errors import BadInput
from offtake.base.outcome import Refused
from offtake.formats.folder import load_folder
from offtake.store.keys import FILE, SigningKey, load_key, new_key
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.check_statement import Check, check_statement
from offtake.workflows.statement import bundle, commit
from offtake.workflows.tick import tick
from offtake.workflows.usage import Ingested, ingest
from tests.workflows.test_usage import HOUR, USE, reading, table
from tests.workflows.worlds import at, text_of, write_world

RIVAL = (
    text_of("[usage_fee]\nrate_per_gpu_h = 7\n", id_="rival")
    .replace('"main"', '"secret"')
    .replace('pools = ["p"]', 'pools = ["p"]\nadditive = true')
    .replace("quantity = 1_000", "quantity = 500")
    .replace('"Taker"', '"Rival"')
)

LADDER = "[service_level]\nband = [{ below = 0.99, credit = 0.1 }]\n"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A live book of two rivals, with February's readings of both."""
    own = text_of(USE, LADDER).replace("quantity = 1_000", "quantity = 400")
    folder = write_world(tmp_path / "folder", {"deal": own, "rival": RIVAL})
    found = Book(tmp_path / "book", create=True)
    apply_folder(found, load_folder(folder), at(2, 1))
    take_in(found, "feb", 2)
    yield found
    found.close()


@pytest.fixture
def key(book: Book) -> SigningKey:
    return new_key(book.directory)


def take_in(book: Book, batch: str, month: int) -> None:
    mine = [reading(f"m{month}-{i}", at(month, 5) + i * HOUR, gpus=100) for i in range(5)]
    theirs = [
        reading(f"hidden-{month}-{i}", at(month, 6) + i * HOUR, gpus=31, subject="rival/secret")
        for i in range(3)
    ]
    now = at(month + 1, 1)
    outcome = ingest(book, table(*mine, *theirs), batch=batch, now=now, through={"s": now})
    assert isinstance(outcome, Ingested)
    tick(book, now)


def shown(book: Book, key: SigningKey, agreement: str = "deal", run: int | None = None) -> dict[str, Any]:
    found = bundle(book, key, agreement, run)
    assert isinstance(found, dict), found
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def broken(checks: tuple[Check, ...]) -> set[str]:
    return {check.name for check in checks if not check.holds}


def test_a_statement_holds_and_says_what_it_comes_to(book: Book, key: SigningKey) -> None:
    run = commit(book, key, at(3, 1))
    assert run is not None
    found = {c.name: c for c in check_statement(shown(book, key), "b", key=key.public)}
    assert set(found) == {"signature", "chain", "proof", "readings", "numbers", "terms", "lines"}
    assert all(check.holds for check in found.values())
    assert found["readings"].detail == ("5 readings, 500.00 GPU-hours",)
    assert found["lines"].detail == ("1 months, 1,000.00 USD",)
    assert broken(check_statement(shown(book, key, "rival"), "b")) == set()
    assert commit(book, key, at(3, 1)) is None


def test_nothing_of_a_rival_is_in_a_bundle_or_in_what_is_published(book: Book, key: SigningKey) -> None:
    commit(book, key, at(3, 1))
    # hashes and salts are random: what could stand in them by chance isn't looked for there
    words = re.sub(r"[0-9a-f]{32,}", "", json.dumps(shown(book, key)))
    for secret in ("rival", "Rival", "hidden", "secret", str(31 * 3 * HOUR), "INV-000002"):
        assert secret not in words
    published = json.dumps([item.body["run"] for item in book.state.of("run").values()])
    for secret in ("deal", "rival", "Taker"):
        assert secret not in published
    # the path is as long for two holders as for sixteen
    assert len(shown(book, key)["path"]) == 4


def test_salts_keep_a_rival_s_reading_from_being_guessed(book: Book, key: SigningKey) -> None:
    """The very same reading has another leaf in another run, so that a list of guesses is of no use."""
    commit(book, key, at(3, 1))
    take_in(book, "mar", 3)
    commit(book, key, at(4, 1))
    one, two = shown(book, key, run=1), shown(book, key, run=2)
    salts = [row["salt"] for row in (*one["readings"], *two["readings"])]
    assert len(set(salts)) == len(salts) == 10
    assert one["tree"]["holder"] != two["tree"]["holder"]


def altered(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def changed(found: dict[str, Any]) -> dict[str, Any]:
        copied = copy.deepcopy(found)
        change(copied)
        return copied

    return changed


def set_reading(found: dict[str, Any]) -> None:
    found["readings"][2]["value"] = 1


def drop_reading(found: dict[str, Any]) -> None:
    del found["readings"][2]


def drop_and_count(found: dict[str, Any]) -> None:
    drop_reading(found)
    found["tree"]["count"] -= 1
    found["tree"]["total"] -= 100 * HOUR


def swap_readings(found: dict[str, Any]) -> None:
    rows = found["readings"]
    rows[0], rows[1] = rows[1], rows[0]


def cheaper_terms(found: dict[str, Any]) -> None:
    found["texts"][0]["toml"] = found["texts"][0]["toml"].replace("rate_per_gpu_h = 2", "rate_per_gpu_h = 3")


def higher_line(found: dict[str, Any]) -> None:
    found["months"][0]["lines"][0]["amount"]["minor"] += 1


def swap_runs(found: dict[str, Any]) -> None:
    runs = found["runs"]
    runs[0], runs[1] = runs[1], runs[0]


def forget_run(found: dict[str, Any]) -> None:
    del found["runs"][0]


def other_root(found: dict[str, Any]) -> None:
    found["runs"][-1]["root"] = "00" * 32


def other_path(found: dict[str, Any]) -> None:
    found["path"][0]["left"] = not found["path"][0]["left"]


def other_name(found: dict[str, Any]) -> None:
    found["holder_salt"] = "00" * 16


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (set_reading, {"readings", "lines"}),
        (drop_reading, {"readings", "lines"}),
        (drop_and_count, {"readings", "proof", "lines"}),
        (swap_readings, {"readings"}),
        (cheaper_terms, {"terms", "lines"}),
        (higher_line, {"lines"}),
        (swap_runs, {"chain"}),
        (forget_run, {"chain"}),
        (other_root, {"signature", "proof"}),
        (other_path, {"proof"}),
        (other_name, {"proof"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_whatever_is_changed_is_found_out(
    book: Book, key: SigningKey, change: Callable[[dict[str, Any]], None], found: set[str]
) -> None:
    commit(book, key, at(3, 1))
    take_in(book, "mar", 3)
    commit(book, key, at(4, 1))
    whole = shown(book, key)
    assert broken(check_statement(whole, "b", key=key.public)) == set()
    assert found <= broken(check_statement(altered(change)(whole), "b", key=key.public))


def test_another_key_and_another_history_are_found_out(book: Book, key: SigningKey, tmp_path: Path) -> None:
    commit(book, key, at(3, 1))
    whole = shown(book, key)
    (tmp_path / "other").mkdir()
    other = new_key(tmp_path / "other")
    assert broken(check_statement(whole, "b", key=other.public)) == {"signature"}
    # the operator signs a second history with its own key and shows it to somebody else
    forged = copy.deepcopy(whole["runs"])
    forged[0]["root"] = "11" * 32
    assert broken(check_statement(whole, "b", runs=forged)) == {"published"}
    assert broken(check_statement(whole, "b", runs=whole["runs"])) == set()


def test_one_s_own_readings_are_compared_by_name(book: Book, key: SigningKey) -> None:
    commit(book, key, at(3, 1))
    whole = shown(book, key)
    mine = copy.deepcopy(whole["readings"])
    assert broken(check_statement(whole, "b", own=mine)) == set()
    mine[0]["value"] = 99
    del mine[1]
    mine.append({**mine[0], "id": "only-mine"})
    (yours,) = [c for c in check_statement(whole, "b", own=mine) if c.name == "yours"]
    assert yours.detail == (
        "reading 'm2-0' of s: value 100 instead of your 99",
        "reading 'm2-1' of s is in the statement and isn't yours",
        "reading 'only-mine' of s is yours and isn't in the statement",
    )


def test_numbers_that_a_source_gave_and_that_are_missing_are_named(book: Book, key: SigningKey) -> None:
    commit(book, key, at(3, 1))
    whole = shown(book, key)
    drop_reading(whole)
    (numbers,) = [c for c in check_statement(whole, "b") if c.name == "numbers"]
    assert numbers.detail == ("s numbers its readings, and 1 are missing: m2-2",)


def test_a_month_that_is_settled_again_is_committed_to_again(book: Book, key: SigningKey) -> None:
    commit(book, key, at(3, 1))
    late = ingest(book, table(reading("late", at(2, 7), gpus=10)), batch="late", now=at(3, 2))
    assert isinstance(late, Ingested)
    tick(book, at(3, 2))
    run = commit(book, key, at(3, 2))
    assert run is not None
    assert run.number == 2
    whole = shown(book, key)
    assert broken(check_statement(whole, "b", key=key.public)) == set()
    assert [line["document"] for line in whole["months"][0]["lines"]] == ["INV-000001", "INV-000003"]
    # what the first run committed to can still be shown, as it was then
    first = shown(book, key, run=1)
    assert broken(check_statement(first, "b")) == set()
    assert len(first["readings"]) == len(whole["readings"]) - 1


def test_the_private_key_is_in_its_own_file_only_and_nobody_else_may_read_it(
    book: Book, key: SigningKey
) -> None:
    commit(book, key, at(3, 1))
    path = book.directory / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    secret = key.seed()
    for file in book.directory.rglob("*"):
        if file.is_file() and file != path:
            content = file.read_bytes()
            assert secret not in content
            assert secret.hex().encode() not in content
    assert secret.hex() not in repr(key)
    loaded = load_key(book.directory)
    assert loaded is not None
    assert loaded.public == key.public
    with pytest.raises(BadInput, match="a key already"):
        new_key(book.directory)
    path.chmod(0o640)
    with pytest.raises(BadInput, match="others may read"):
        load_key(book.directory)
    path.chmod(0o600)
    path.write_text("nonsense", encoding="utf-8")
    with pytest.raises(BadInput, match="no private key"):
        load_key(book.directory)


def test_what_was_never_committed_can_t_be_shown(book: Book, key: SigningKey) -> None:
    found = bundle(book, key, "deal")
    assert isinstance(found, Refused)
    assert found.code == "nothing_committed"


@pytest.mark.parametrize(
    "wrong", [{}, {"format": "offtake statement 1"}, {"format": "offtake statement 1", "runs": []}]
)
def test_what_is_no_statement_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        check_statement(wrong, "b")
