"""Agreements as tests write them: a small text to vary, and the public ones of the example."""

from __future__ import annotations

from offtake.agreements.model import Agreement
from offtake.formats.agreement import parse_agreement
from tests.house.project import ROOT

EXAMPLES = ROOT / "examples" / "colossus" / "agreements"

HEADER = """
[agreement]
id = "deal"
operator = "Owner"
offtaker = "Taker"
signed = 2026-01-10
currency = "USD"
time_zone = "America/Chicago"
"""

TRANCHE = """
[[tranche]]
id = "main"
pools = ["p"]
quantity = 1_000
start = 2026-02-01
through = 2027-01-31
"""

FEE = """
[monthly_fee]
amount = 310_000
first = "2026-02"
last = "2027-01"
"""


def agreement(*sections: str, header: str = HEADER, tranche: str = TRANCHE) -> Agreement:
    """An agreement of a header, a tranche and some sections."""
    return parse_agreement("\n".join((header, tranche, *sections)), "deal.toml")


def example_text(name: str) -> str:
    """The file of one of the public agreements."""
    return (EXAMPLES / f"{name}.toml").read_text(encoding="utf-8")


def example(name: str) -> Agreement:
    """One of the public agreements."""
    return parse_agreement(example_text(name), f"agreements/{name}.toml")
