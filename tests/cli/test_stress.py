"""What if, by the command line: the same kernel twice, and nothing written."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished


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
    assert set(by_name) == {"lose-site", "late", "inference", "leaves"}
    assert by_name["inference"]["applies"] is False
    assert "declared as inference" in by_name["inference"]["why_not"]
    lost = by_name["lose-site"]
    assert Decimal(lost["difference"]["revenue"]) < 0
    assert Decimal(lost["after"]["agreements"]["acme"]["credits"]) < 0
    # every GPU of the lease for 30 days
    assert lost["difference"]["short_gpu_hours"] == 1_024 * 30 * 24
    assert by_name["late"]["difference"]["available_gpu_hours"] < 0
    left = by_name["leaves"]
    (acme,) = succeeded("run", folder, "--no-pdf", "--no-report")["agreements"]
    assert left["after"]["revenue"] == acme["firm"]
    said = offtake("stress", folder, "--case", "late", "--case", "inference").said
    assert "91 days late" in said
    assert "doesn't apply" in said


def test_what_can_t_be_asked_is_refused(folder: Path) -> None:
    assert refused(3, "stress", folder, "--case", "meteor")["problems"][0]["code"] == "unknown_case"
    assert refused(3, "stress", folder, "--through", "2030-01")["problems"][0]["code"] == "outside_run"
    assert refused(3, "whatif", folder, folder / "nowhere")["problems"]


def test_a_fleet_with_everything_in_it(small: Finished) -> None:
    found = succeeded("stress", small.folder, "--case", "leaves")
    assert found["cases"][0]["applies"] in (True, False)
    assert Decimal(found["base"]["revenue"]) > 0
