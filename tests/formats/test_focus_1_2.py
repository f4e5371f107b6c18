"""FOCUS 1.2: the rows of 1.4 under that version's names, read by the FinOps Foundation's own validator."""

from __future__ import annotations

import csv
import os
import re
import subprocess
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from focus_data_toolkit.generators.versions.v1_2 import COLUMNS

from offtake.agreements.events.credit import Credit
from offtake.base.months import Month
from offtake.store.fact import Recorded
from offtake.workflows.record import record_event
from offtake.workflows.tick import tick
from tests.agreements.texts import FEE
from tests.cli.calls import succeeded
from tests.house.project import ROOT
from tests.workflows.test_usage import HOUR, USE, live, reading, taken_in
from tests.workflows.worlds import at

ORACLE = ROOT / ".venv" / "oracles" / "focus"

APPLIES = (
    "ACCOUNT_NAMING_SUPPORTED", "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "CAPACITY_RESERVATION_SUPPORTED", "MULTIPLE_PRICING_CATEGORIES_SUPPORTED", "NEGOTIATED_PRICING_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED", "TAGGING_SUPPORTED", "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
)  # fmt: skip
"""What there is to bill, in the validator's words: no price list, no commitment discounts, one currency."""

WRONG = {
    # `Condition` is empty: the rule forbids every invoice number
    "InvoiceId-C-004-C",
    # their conditions aren't in the model's own form and are ignored: one asks null of every row, the other
    # not null (FOCUS_Spec #2622 mends them in a later model)
    "CapacityReservationStatus-C-003-C",
    "CapacityReservationStatus-C-004-C",
    # made of these two
    "CapacityReservationStatus-C-000-C",
    "CapacityReservationStatus-C-002-C",
}
"""Rules of the package's model (1.2.0.1) that aren't what the specification says; a test below has those."""

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both versions of a book with a fee, use, a credit, tax, and use that came after the invoice."""
    w = live(tmp_path_factory.mktemp("focus"), FEE, USE, "[tax]\nrate = 0.2\n")
    credit = Credit(
        id="c", agreement="deal", month=Month(2026, 2), amount=Decimal(100), given=date(2026, 2, 20),
        because="goodwill",
    )  # fmt: skip
    assert isinstance(record_event(w.book, credit, at(2, 20)), Recorded)
    taken_in(w, "first", reading("a", at(2, 3), gpus=10), through={"s": at(3, 1)})
    tick(w.book, at(3, 1))
    taken_in(w, "late", reading("b", at(2, 5), seconds=10 * HOUR, gpus=100), now=at(3, 5))
    tick(w.book, at(3, 5))
    w.book.close()
    out = w.book.directory.parent / "out"
    succeeded("invoice", "focus", w.book.directory, "--out", out)
    answer = succeeded("invoice", "focus", w.book.directory, "--version", "1.2", "--out", out)
    assert answer["rows"] == {"focus_1_2_cost_and_usage.csv": 8}
    return out


def rows(directory: Path, version: str) -> Rows:
    with (directory / f"focus_{version}_cost_and_usage.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def verdicts(file: Path) -> dict[str, str]:
    """PASS, FAIL or SKIPPED by rule: the exit status is 0 for all. A file is read relative to the package."""
    if not (ORACLE / "bin" / "focus-validator").exists():
        pytest.skip(
            "no focus-validator to read FOCUS 1.2 with; install Python 3.12 and run `make test` again"
        )
    (packages,) = (ORACLE / "lib").glob("python*/site-packages")
    words = (
        "--data-file", file, "--validate-version", "1.2", "--block-download",
        "--applicability-criteria", ",".join(APPLIES),
    )  # fmt: skip
    said = subprocess.run(
        [ORACLE / "bin" / "focus-validator", *words],
        capture_output=True,
        encoding="utf-8",
        check=True,
        cwd=packages,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    return dict(re.findall(r"^\S+ (\S+): (PASS|FAIL|SKIPPED) ", said.stdout, re.MULTILINE))


def failed(said: dict[str, str]) -> set[str]:
    return {rule for rule, verdict in said.items() if verdict == "FAIL"}


def test_the_book_holds_a_row_of_every_sort(exported: Path) -> None:
    found = {(row["ChargeCategory"], row["ChargeClass"]) for row in rows(exported, "1_2")}
    assert found == {
        ("Purchase", ""), ("Usage", ""), ("Tax", ""), ("Credit", ""),
        ("Usage", "Correction"), ("Tax", "Correction"),
    }  # fmt: skip


def test_what_was_consumed_stands_once(exported: Path) -> None:
    found = [row["ConsumedQuantity"] for row in rows(exported, "1_4") if row["ConsumedQuantity"]]
    assert sorted(Decimal(text) for text in found) == [0, 0, 1010]


def test_the_rows_are_those_of_1_4_under_names_that_1_2_knows(exported: Path) -> None:
    new, old = rows(exported, "1_2"), rows(exported, "1_4")
    assert all(name in COLUMNS or name.startswith("x_") for name in new[0])
    gone = set(old[0]) - set(new[0])
    assert gone == {"ContractApplied", "HostProviderName", "InvoiceDetailId", "ServiceProviderName"}
    for row, same in zip(new, old, strict=True):
        assert {name: row[name] for name in same.keys() - gone} == {
            name: same[name] for name in same.keys() - gone
        }
        assert row["ProviderName"] == row["PublisherName"] == same["ServiceProviderName"] == "Owner"
        assert row["x_ContractApplied"] == same["ContractApplied"]
        assert row["x_InvoiceDetailId"] == same["InvoiceDetailId"]


def test_the_validator_finds_nothing_but_its_own_mistakes(exported: Path) -> None:
    said = verdicts(exported / "focus_1_2_cost_and_usage.csv")
    assert failed(said) == WRONG
    assert sum(verdict == "PASS" for verdict in said.values()) > 200


def test_what_the_wrong_rules_mean_to_say_holds(exported: Path) -> None:
    for row in rows(exported, "1_2"):
        assert row["InvoiceId"]
        assert bool(row["CapacityReservationStatus"]) == bool(row["CapacityReservationId"])


def test_the_validator_can_find_something(exported: Path, tmp_path: Path) -> None:
    found = rows(exported, "1_2")
    for row in found:
        del row["PublisherName"]
        row["BilledCost"] = row["BilledCost"].partition(".")[0]
    found[0]["ProviderName"] = ""
    with (tmp_path / "bad.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(found)
    missed = {"CostAndUsage-D-021-M", "BilledCost-C-001-M", "ProviderName-C-003-M"}
    assert missed <= failed(verdicts(tmp_path / "bad.csv"))
