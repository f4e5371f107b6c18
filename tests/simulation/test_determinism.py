"""The same folder gives the same chain: run twice, in steps, or killed and begun again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from offtake.agreements.catalogue import BY_KIND
from offtake.base.months import Month
from offtake.base.time import DAY_S
from offtake.formats.folder import load_folder
from offtake.sim.run import Simulation
from offtake.workflows.book import Book
from offtake.workflows.state import KINDS
from tests.house.project import ROOT
from tests.simulation.folders import ASTER, CEDAR, SCENARIO, SETTINGS, write_folder

KILLS = 20


def simulation(tmp_path: Path, name: str = "book", folder: Path | None = None) -> Simulation:
    path = folder or write_folder(tmp_path / "folder")
    return Simulation(Book(tmp_path / name, create=True), load_folder(path))


def test_the_small_business_meets_a_fact_of_every_kind(tmp_path: Path) -> None:
    run = simulation(tmp_path)
    assert run.run().refused == []
    kinds = Counter(f.fact.kind for batch in run._book.database.fact_batches() for f in batch)
    # these need a second folder: see tests/workflows
    second = {"agreement.amended", "demand.withdrawn", "agreement.trued_up", "month.resettled"}
    second |= {"event.proposed", "proposal.decided", "credit.issued", "series.published", "usage.ingested"}
    second |= {"node.failed", "node.restored", "node.sanitised", "nodes.assigned"}
    second |= {"statement.committed", "period.closed", "webhook.sent", "document.sent", "recall.planned"}
    second |= {"cluster.commanded", "usage.reconciled", "power.metered"}
    assert set(KINDS) - set(kinds) - second <= set(BY_KIND) - {
        "notice.given",
        "election.made",
        "recall.noticed",
    }
    assert not second & set(kinds)
    assert (kinds["outage.reported"], kinds["recall.noticed"], kinds["election.made"]) == (2, 1, 1)
    assert kinds["delivery.tested"] == 2


def test_two_runs_give_the_same_chain(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    one, two = (simulation(tmp_path, name, folder) for name in ("one", "two"))
    assert one.run().facts == two.run().facts > 100
    assert one._book.state.head == two._book.state.head


def test_a_run_in_steps_gives_the_same_chain_as_one_in_one_go(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folder")
    whole = simulation(tmp_path, "whole", folder)
    whole.run()
    head = (0, "")
    for month in range(8):  # each step opens the book and loads the folder again, as a new process would
        part = simulation(tmp_path, "parts", folder)
        part.run(until=Month(2026, 7).plus(month).interval("UTC").start + 3 * DAY_S)
        assert part._book.state.head >= head
        head = part._book.state.head
        part._book.close()
    assert head == whole._book.state.head


def test_another_folder_can_t_go_on_with_a_begun_book(tmp_path: Path) -> None:
    begun = simulation(tmp_path)
    begun.run(until=Month(2026, 8).interval("UTC").start)
    changed = write_folder(tmp_path / "changed", {"agreements/aster.toml": ASTER.replace("0.01", "0.02")})
    refused = simulation(tmp_path, folder=changed).check()
    assert refused is not None
    assert refused.code == "folder_changed"
    assert "agreement.amended aster" in refused.sentence
    assert simulation(tmp_path).check() is None


@dataclass(frozen=True)
class Killed:
    """What the driver said: the uninterrupted run, its points, and each run that died."""

    whole: dict[str, Any]
    points: list[str]
    runs: list[dict[str, Any]]


def killed_runs(
    tmp_path: Path,
    kills: int,
    files: dict[str, str | None] | None = None,
    *,
    at: str | None = None,
    first: int | None = None,
) -> Killed:
    folder, work = write_folder(tmp_path / "folder", files), tmp_path / "work"
    choice = json.dumps({"kills": kills, "seed": 20261121, "at": at, "first": first})
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation.kill_driver", folder, work, choice],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = [json.loads(text) for text in done.stdout.splitlines()]
    return Killed(answers[0]["whole"], answers[0]["points"], answers[1:])


def differences(killed: Killed) -> list[str]:
    return [
        f"killed at point {run['point']} ({run['name']}): {run['resumed']} instead of {killed.whole}"
        for run in killed.runs
        if run["resumed"] != killed.whole
    ]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    return killed_runs(tmp_path_factory.mktemp("kill"), KILLS)


def test_every_run_really_died_and_at_points_of_every_kind(killed: Killed) -> None:
    assert len(killed.runs) == KILLS
    assert all(run["died"] for run in killed.runs)
    assert set(killed.points) == {
        "begun",
        "appended",
        "before commit",
        "after commit",
        "before lake",
        "before rename",
        "after lake",
    }


def test_a_killed_run_that_goes_on_ends_as_if_it_had_never_died(killed: Killed) -> None:
    assert killed.whole["verified"] == killed.whole["head"][0] > 100
    assert differences(killed) == []


SHORT = SETTINGS.replace('last = "2026-12"', 'last = "2026-07"')


def test_bills_due_on_receipt_are_paid_at_the_same_event_after_a_kill(tmp_path: Path) -> None:
    files = {
        "offtake.toml": SHORT,
        "agreements/cedar.toml": CEDAR.replace("net_days = 20", "net_days = 0"),
        "agreements/aster.toml": ASTER.replace("net_days = 30", "net_days = 0"),
        "scenario.toml": "",
        "demand/internal.toml": None,
    }
    found = killed_runs(tmp_path, 6, files, at="after commit")
    assert all(run["died"] for run in found.runs)
    assert differences(found) == []


def test_an_outage_from_before_the_run_is_the_same_after_a_kill(tmp_path: Path) -> None:
    old = SCENARIO.replace("2026-08-09T08", "2026-06-09T08").replace("2026-08-12T20", "2026-06-12T20")
    files = {
        "offtake.toml": SHORT,
        "scenario.toml": old[: old.index("[[delivery]]")],
        "demand/internal.toml": None,
    }
    found = killed_runs(tmp_path, 4, files, at="after commit", first=6)
    assert differences(found) == []
