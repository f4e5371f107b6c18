"""What if, by the command line: the same kernel twice, and nothing written."""

from __future__ import annotations

import math
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "fleet"
    succeeded("init", path)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_beside_itself_differs_in_nothing(folder: Path) -> None:
    before = files(folder)
    found = succeeded("whatif", folder, folder)
    assert set(found["difference"].values()) == {0, "0.00"}
    assert found["before"] == found["after"]
    assert files(folder) == before


def test_what_if_is_what_a_run_of_the_changed_folder_says(folder: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed)
    edited(changed / "agreements" / "acme.toml", ("amount = 1_650_000", "amount = 1_950_000"))
    found = succeeded("whatif", folder, changed)
    assert Decimal(found["difference"]["revenue"]) == 12 * 300_000
    ran = succeeded("run", changed, "--no-pdf", "--no-report")
    (acme,) = [one for one in ran["agreements"] if one["agreement"] == "acme"]
    assert Decimal(found["after"]["agreements"]["acme"]["invoiced"]) == Decimal(acme["invoiced"])
    said = offtake("whatif", folder, changed, "--through", "2027-03").said
    assert "invoiced in all" in said
    short = succeeded("whatif", folder, changed, "--through", "2027-03")
    assert 0 < Decimal(short["difference"]["revenue"]) < 12 * 300_000


def test_stress_tries_every_case_that_applies(folder: Path) -> None:
    found = succeeded("stress", folder)
    by_name = {one["case"]: one for one in found["cases"]}
    assert set(by_name) == {"lose-site", "power", "late", "inference", "leaves"}
    assert by_name["inference"]["applies"] is False
    assert "declared as inference" in by_name["inference"]["why_not"]
    lost = by_name["lose-site"]
    assert Decimal(lost["difference"]["revenue"]) < 0
    assert Decimal(lost["after"]["agreements"]["acme"]["credits"]) < 0
    # every GPU of the lease for 30 days
    assert lost["difference"]["short_gpu_hours"] == 1_024 * 30 * 24
    # a fifth of the nodes, whole ones, for 60 days
    capped = by_name["power"]
    there = capped["difference"]["available_gpu_hours"]
    assert there == -math.ceil(lost_nodes(lost) / 5) * 8 * 60 * 24
    assert "20 % less power" in capped["what"]
    assert by_name["late"]["difference"]["available_gpu_hours"] < 0
    left = by_name["leaves"]
    (acme,) = succeeded("run", folder, "--no-pdf", "--no-report")["agreements"]
    assert left["after"]["revenue"] == acme["firm"]
    said = offtake("stress", folder, "--case", "late", "--case", "inference").said
    assert "91 days late" in said
    assert "doesn't apply" in said


def lost_nodes(lost: dict[str, Any]) -> int:
    """Nodes that a loss of the whole site for 30 days takes."""
    return -int(lost["difference"]["available_gpu_hours"]) // (30 * 24 * 8)


def supposed(file: Path, gpus: int = 1_536) -> Path:
    file.write_text(
        "[[outage]]\nid = 'fire'\npool = 'h200'\nstart = '2027-03-01T00:00:00Z'\n"
        f"end = '2027-03-15T00:00:00Z'\ngpus = {gpus}\n",
        encoding="utf-8",
    )
    return file


def test_supposed_facts_are_run_beside_a_folder(folder: Path, tmp_path: Path) -> None:
    found = succeeded("whatif", folder, "--facts", supposed(tmp_path / "fire.toml"), "--through", "2027-04")
    assert found["live"] is False
    assert found["difference"]["available_gpu_hours"] == -1_536 * 14 * 24
    assert Decimal(found["difference"]["revenue"]) < 0


def test_a_live_book_is_asked_from_now_on_and_stays_as_it_is(
    folder: Path, tmp_path: Path, clock: WallClock
) -> None:
    clock.set("2026-12-20T12:00:00Z")
    succeeded("apply", folder)
    clock.set("2027-02-10T12:00:00Z")
    assert succeeded("tick", folder)["decisions"]
    before = files(folder)
    fire = supposed(tmp_path / "fire.toml")
    found = succeeded("whatif", folder, "--facts", fire, "--through", "2027-04")
    assert found["live"] is True
    assert found["difference"]["available_gpu_hours"] == -1_536 * 14 * 24
    assert found["difference"]["short_gpu_hours"] > 0
    assert Decimal(found["difference"]["revenue"]) < 0
    changed = tmp_path / "changed"
    shutil.copytree(folder, changed, ignore=shutil.ignore_patterns("book"))
    same = succeeded("whatif", folder, changed, "--through", "2027-04")
    assert set(same["difference"].values()) == {0, "0.00"}
    assert same["before"] == same["after"] == found["before"]
    edited(changed / "demand" / "internal.toml", ("gpus = [256, 1024]", "gpus = [8, 16]"))
    assert succeeded("whatif", folder, changed, "--through", "2027-04")["difference"]["used_gpu_hours"] < 0
    assert "The live book so far" in offtake("whatif", folder, "--facts", fire).said
    # nothing was written, but for what SQLite keeps beside an open file
    assert {k: v for k, v in files(folder).items() if "sqlite-" not in k} == before
    edited(folder / "demand" / "internal.toml", ("gpus = [256, 1024]", "gpus = [8, 16]"))
    assert refused(6, "whatif", folder, "--facts", fire)["error"] == "not_applied"
    edited(folder / "demand" / "internal.toml", ("gpus = [8, 16]", "gpus = [256, 1024]"))
    (changed / "agreements" / "acme.toml").unlink()
    assert refused(6, "whatif", folder, changed)["error"] == "agreement_dropped"
    clock.set("2028-02-10T12:00:00Z")
    assert refused(6, "whatif", folder, "--facts", fire)["error"] == "over"


def test_what_can_t_be_asked_is_refused(folder: Path) -> None:
    assert refused(3, "whatif", folder)["problems"][0]["code"] == "nothing_changed"
    assert refused(3, "whatif", folder, "--facts", folder / "none")["problems"][0]["code"] == "unreadable"
    assert refused(3, "stress", folder, "--case", "meteor")["problems"][0]["code"] == "unknown_case"
    assert refused(3, "stress", folder, "--through", "2030-01")["problems"][0]["code"] == "outside_run"
    assert refused(3, "whatif", folder, folder / "nowhere")["problems"]


def test_a_fleet_with_everything_in_it(small: Finished) -> None:
    found = succeeded("stress", small.folder, "--case", "leaves")
    assert found["cases"][0]["applies"] in (True, False)
    assert Decimal(found["base"]["revenue"]) > 0
