"""Every worked figure of the clause reference comes out, through the command line and to the cent."""

from __future__ import annotations

from pathlib import Path

import pytest

from offtake.agreements.catalogue import CLAUSES
from offtake.formats.agreement import parse_agreement
from tests.cli.calls import offtake, succeeded
from tests.house.project import ROOT

FOLDER = ROOT / "docs" / "reference" / "clauses"
WORKED = sorted(path for path in FOLDER.glob("*.toml") if not path.name.endswith(".facts.toml"))


@pytest.mark.parametrize("deal", WORKED, ids=lambda path: path.stem)
def test_a_worked_figure_comes_out(deal: Path) -> None:
    facts = deal.with_suffix(".facts.toml")
    assert deal.stem in {clause.NAME for _, clause in parse_agreement(deal.read_text(), deal.name).clauses}
    answer = succeeded("agreement", "charges", deal, "--facts", facts)
    assert answer["misses"] == answer["refused"] == []
    assert answer["expected"] > 0


def test_every_clause_has_a_worked_figure() -> None:
    assert {path.stem for path in WORKED} == set(CLAUSES)


def test_a_figure_that_doesn_t_come_out_is_named(tmp_path: Path) -> None:
    facts = tmp_path / "wrong.toml"
    text = (FOLDER / "usage_fee.facts.toml").read_text(encoding="utf-8")
    facts.write_text(text.replace("1_250_000", "1_250_000.01"), encoding="utf-8")
    said = offtake("agreement", "charges", FOLDER / "usage_fee.toml", "--facts", facts)
    assert said.code == 6
    assert "1,250,000.01 USD expected, 1,250,000.00 USD found" in said.err
