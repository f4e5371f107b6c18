"""Placing claims from the command line: what is shown, and what is refused with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock

TOPOLOGY = """kw_per_gpu = 1.3

[pool.topology]
nodes_per_domain = 8
domains_per_unit = 8
spares = 3
cleaning_hours = 2
"""


@pytest.fixture
def folder(tmp_path: Path, clock: WallClock) -> Path:
    """A live book that is planned, as of 2 January 2027."""
    folder = tmp_path / "folder"
    succeeded("init", folder)
    edited(folder / "fleet.toml", ("kw_per_gpu = 1.3\n", TOPOLOGY))
    clock.set("2027-01-02T12:00:00Z")
    succeeded("apply", folder)
    succeeded("tick", folder)
    return folder


def test_dry_run_records_nothing_and_the_second_time_nothing_changes(folder: Path) -> None:
    head = succeeded("verify", folder)["head"]
    shown = succeeded("place", folder, "--dry-run")
    assert (shown["recorded"], succeeded("verify", folder)["head"]) == (False, head)
    assert refused(6, "nodes", folder)["error"] == "not_placed"
    assert succeeded("place", folder) == {**shown, "recorded": True}
    assert not succeeded("place", folder)["recorded"]
    assert "Nothing changes." in offtake("place", folder).said
    (acme,) = (row for row in shown["claims"] if row["claim"] == "acme/main")
    assert (acme["wanted"], acme["held"], acme["domains"], acme["units"]) == (128, 128, 16, 2)
    assert succeeded("nodes", folder, "--claim", "acme/main")["claims"][0]["nodes"] == "h200[0-127]"


def test_what_waits_for_cleaning_is_shown_and_called_overdue(folder: Path, clock: WallClock) -> None:
    succeeded("place", folder)
    edited(folder / "agreements" / "acme.toml", ("1_024", "960"))
    clock.set("2027-02-03T12:00:00Z")
    succeeded("apply", folder)
    succeeded("tick", folder)
    succeeded("place", folder)
    waiting = succeeded("nodes", folder)["cleaning"]
    assert [(row["nodes"], row["count"], row["holder"], row["overdue"]) for row in waiting] == [
        ("h200[120-127]", 8, "acme", False)
    ]
    clock.set("2027-02-03T14:00:01Z")
    assert succeeded("nodes", folder, "--pool", "h200")["cleaning"][0]["overdue"]
    assert "acme left at 2027-02-03T12:00:00Z; overdue" in offtake("nodes", folder).said
    log = folder / "wipe.log"
    log.write_text("wiped", encoding="utf-8")
    said = ("node", "sanitised", folder, "h200", "120-127", "--evidence", log)
    assert succeeded(*said)["outcome"] == "recorded"
    assert succeeded(*said)["outcome"] == "known"
    assert succeeded("nodes", folder)["facts_since"] == 1
    assert succeeded("place", folder)["recorded"]
    assert succeeded("nodes", folder)["cleaning"] == []


@pytest.mark.parametrize(
    ("exit_code", "words", "code", "said"),
    [
        (3, ("nodes", "BOOK", "--pool", "h100"), "unknown_pool", "pools are h200"),
        (3, ("nodes", "BOOK", "--claim", "acme"), "unknown_claim", "claims are acme/main"),
        (3, ("node", "failed", "BOOK", "h200", "9-1"), "bad_nodes", "ends before it begins"),
        (3, ("node", "failed", "BOOK", "h200", "512"), "bad_nodes", "0 to 511"),
        (3, ("node", "failed", "BOOK", "h100", "1"), "unknown_pool", "pools are h200"),
        (3, ("node", "failed", "BOOK", "h200", "1", "--at", "noon"), "bad_instant", "write 2027-02-01T08"),
        (3, ("node", "sanitised", "BOOK", "h200", "1", "--evidence", "no.log"), "unreadable", "a sentence"),
        (3, ("node", "sanitised", "BOOK", "h200", "1", "--evidence", ""), "unreadable", "a sentence"),
        (6, ("node", "sanitised", "BOOK", "h200", "1", "--evidence", "by hand"), "held", "must leave first"),
        (6, ("node", "restored", "BOOK", "h200", "1"), "not_failed", "not known to have failed"),
        (6, ("node", "failed", "BOOK", "h200", "1", "--at", "2028-01-01T00:00:00Z"), "in_the_future", "2028"),
    ],
)
def test_what_can_t_be_is_refused_with_the_remedy(
    folder: Path, exit_code: int, words: tuple[str, ...], code: str, said: str
) -> None:
    succeeded("place", folder)
    head = succeeded("verify", folder)["head"]
    answer = refused(exit_code, *(folder if word == "BOOK" else word for word in words))
    problem = answer["problems"][0] if exit_code == 3 else {"code": answer["error"], **answer}
    assert problem["code"] == code
    assert said in problem["message"] + problem.get("remedy", "")
    assert succeeded("verify", folder)["head"] == head


def test_a_book_that_isn_t_planned_or_was_simulated_isn_t_placed(
    tmp_path: Path, clock: WallClock, small: Finished
) -> None:
    succeeded("init", tmp_path / "new")
    succeeded("apply", tmp_path / "new")
    clock.set("2027-03-01T12:00:00Z")
    assert "run `offtake tick` first" in refused(6, "place", tmp_path / "new")["message"]
    assert refused(6, "place", small.out)["error"] == "simulated_book"
    said = ("node", "failed", small.out, "h200", "1")
    assert refused(6, *said)["error"] == "simulated_book"
