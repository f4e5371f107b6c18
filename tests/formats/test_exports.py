"""Exports read by the programs they are for: FOCUS by its toolkit's gate, journals by beancount."""

from __future__ import annotations

import csv
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from offtake.formats.journal import Journal, JournalEntry, Leg, account_name, journal
from tests.cli.calls import succeeded
from tests.house.project import ROOT
from tests.simulation.folders import write_folder

DATASETS = ("cost_and_usage", "contract_commitment", "billing_period", "invoice_detail")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small business, run to its end."""
    folder = write_folder(tmp_path_factory.mktemp("exports") / "folder")
    succeeded("run", folder, "--no-pdf", "--no-report")
    return folder


def rows(directory: Path, dataset: str) -> list[dict[str, str]]:
    with (directory / f"focus_1_4_{dataset}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tool(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "focus_data_toolkit", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def test_the_toolkit_s_bundle_gate_and_lint_find_nothing(run: Path, tmp_path: Path) -> None:
    succeeded("invoice", "focus", run, "--out", tmp_path)
    gate = tool("validate-bundle", "--directory", tmp_path)
    assert (gate.returncode, "bundle validation: OK" in gate.stdout) == (0, True), gate.stdout
    assert "Billing Period, Contract Commitment, Cost and Usage, Invoice Detail" in gate.stdout
    for dataset in DATASETS:
        name = tmp_path / f"focus_1_4_{dataset}.csv"
        lint = tool("validate", "--dataset", dataset.replace("_", "-"), name)
        assert (lint.returncode, "lint OK" in lint.stdout) == (0, True), lint.stdout


def test_the_gate_can_fail(run: Path, tmp_path: Path) -> None:
    succeeded("invoice", "focus", run, "--out", tmp_path)
    name = tmp_path / "focus_1_4_cost_and_usage.csv"
    name.write_text(name.read_text(encoding="utf-8").replace("INV-000001", "INV-999999"), encoding="utf-8")
    assert tool("validate-bundle", "--directory", tmp_path).returncode != 0


def test_billed_cost_is_what_was_invoiced_and_effective_cost_is_spread(run: Path, tmp_path: Path) -> None:
    succeeded("invoice", "focus", run, "--out", tmp_path)
    documents = succeeded("invoice", "list", run)["documents"]
    billed: dict[str, Decimal] = {}
    effective: dict[str, Decimal] = {}
    for row in rows(tmp_path, "cost_and_usage"):
        billed[row["InvoiceId"]] = billed.get(row["InvoiceId"], Decimal(0)) + Decimal(row["BilledCost"])
        effective[row["InvoiceId"]] = effective.get(row["InvoiceId"], Decimal(0)) + Decimal(
            row["EffectiveCost"]
        )
    assert billed == {d["number"]: Decimal(d["total"]) for d in documents}
    assert effective == billed  # no prepayments here, so that every document spreads what it bills
    details: dict[str, Decimal] = {}
    for row in rows(tmp_path, "invoice_detail"):
        details[row["InvoiceId"]] = details.get(row["InvoiceId"], Decimal(0)) + Decimal(row["BilledCost"])
    assert details == billed


def test_used_and_unused_capacity_stand_apart_and_unused_consumes_nothing(run: Path, tmp_path: Path) -> None:
    succeeded("invoice", "focus", run, "--out", tmp_path, "--agreement", "aster")
    found = rows(tmp_path, "cost_and_usage")
    assert {row["BillingAccountId"] for row in found} == {"aster"}
    states: dict[str, list[dict[str, str]]] = {"Used": [], "Unused": []}
    for row in found:
        if row["CapacityReservationStatus"]:
            states[row["CapacityReservationStatus"]].append(row)
            assert Decimal(row["BilledCost"]) == 0
    assert states["Used"]
    assert states["Unused"]
    assert all(row["ConsumedQuantity"] == "" for row in states["Unused"])
    assert all(Decimal(row["ConsumedQuantity"]) > 0 for row in states["Used"])
    purchases = [row for row in found if row["ChargeCategory"] == "Purchase"]
    assert all(Decimal(row["EffectiveCost"]) == 0 for row in purchases)
    (commitment,) = rows(tmp_path, "contract_commitment")
    assert commitment["ContractCommitmentCost"] == "11500000.11"


def test_beancount_reads_the_ledger_without_an_error(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "ledger.beancount"
    answer = succeeded("ledger", "export", run, "--out", out)
    checked = subprocess.run(
        [sys.executable, "-m", "beancount.scripts.check", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    loader: Any = pytest.importorskip("beancount.loader")
    entries, errors, _ = loader.load_file(str(out))
    assert errors == []
    booked = [entry for entry in entries if type(entry).__name__ == "Transaction"]
    assert len(booked) == answer["entries"]
    sums: dict[tuple[str, str], Decimal] = {}
    for entry in booked:
        for posting in entry.postings:
            key = (posting.account, posting.units.currency)
            sums[key] = sums.get(key, Decimal(0)) + posting.units.number
    balances = succeeded("ledger", "balance", run)["accounts"]
    ours = {
        (account_name(b["account"]), b["currency"]): Decimal(b["minor"]) / 100 for b in balances if b["minor"]
    }
    assert {key: value for key, value in sums.items() if value} == ours


ENTRY = JournalEntry(
    id="e;1", at=1_798_761_600, text='say "hello"; | bye\nnow',
    legs=(
        Leg(account="assets.receivable.acme", minor=105, currency="USD"),
        Leg(account="income.fees.acme", minor=-105, currency="USD"),
    ),
)  # fmt: skip


def test_the_same_entry_in_each_form() -> None:
    text = journal(Journal.BEANCOUNT, [ENTRY], "America/New_York")
    assert '2026-12-31 * "say \\"hello\\"; | bye now"' in text
    assert "  Assets:Receivable:Acme  1.05 USD" in text
    text = journal(Journal.HLEDGER, [ENTRY], "UTC")
    assert '2027-01-01 (e;1) say "hello"    bye now\n    assets:receivable:acme  1.05 USD' in text
    lines = list(csv.reader(journal(Journal.CSV, [ENTRY], "UTC").splitlines()[:1]))
    assert lines == [["date", "entry", "text", "account", "amount", "currency"]]


@pytest.mark.parametrize(
    ("one", "other"), [("acme", "Acme"), ("a_b", "a-b"), ("9lives", "x9lives"), ("zoë", "zoe")]
)
def test_accounts_of_different_names_never_meet(one: str, other: str) -> None:
    names = {account_name(f"income.fees.{name}") for name in (one, other)}
    assert len(names) == 2
    assert all(part[0].isupper() or part[0].isdigit() for name in names for part in name.split(":"))
