"""Deals side by side: what compares is shown, what doesn't is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calls import offtake, refused, succeeded
from tests.house.project import ROOT

DEALS = ROOT / "examples" / "deals"


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, object]]:
    answer = succeeded("deals", "compare", DEALS)["deals"]
    assert [deal["signed"] for deal in answer] == sorted(deal["signed"] for deal in answer)
    return {deal["id"]: deal for deal in answer}


def test_a_price_comes_at_three_hour_conventions(found: dict[str, dict[str, object]]) -> None:
    prices = {
        hours: price["value"]["low"]
        for hours, price in found["spacex-google"]["gpu_hour"].items()  # type: ignore[attr-defined]
    }
    assert prices == {"calendar": "11.4570", "720": "11.6162", "730": "11.4570"}


@pytest.mark.parametrize(
    ("deal", "measure", "code"),
    [
        ("spacex-reflection", "gpu_hour", "no_quantity"),
        ("terawulf-fluidstack", "gpu_hour", "space_and_power"),
        ("cerebras-openai", "gpu_hour", "other_hardware"),
        ("iren-microsoft", "mw_month", "whole_bundle"),
        ("cipher-aws", "mw_month", "gross_not_critical"),
    ],
)
def test_what_doesn_t_compare_says_why(
    found: dict[str, dict[str, object]], deal: str, measure: str, code: str
) -> None:
    assert found[deal]["not_comparable"][measure]["code"] == code  # type: ignore[index]


def test_the_table_shows_no_price_that_was_refused() -> None:
    said = offtake("deals", "compare", DEALS).out
    (row,) = (line for line in said.splitlines() if line.strip().startswith("cipher-aws"))
    assert "101.85" not in row
    assert "gross megawatts aren't critical-IT megawatts" in said


@pytest.mark.parametrize("ending", ["svg", "html"])
def test_the_chart_draws_what_compares_and_loads_nothing(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"deals.{ending}"
    succeeded("deals", "compare", DEALS, "--chart", file)
    text = file.read_text(encoding="utf-8")
    assert "spacex-anthropic" in text
    assert "cipher-aws" not in text
    assert 'src="http' not in text


def test_a_chart_of_another_kind_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    (problem,) = refused(3, "deals", "compare", DEALS, "--chart", tmp_path / "deals.gif")["problems"]
    assert ".svg, .png or .html" in problem["message"]
    (problem,) = refused(3, "deals", "compare", tmp_path)["problems"]
    assert problem["code"] == "nothing"
