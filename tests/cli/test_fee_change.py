"""A fee changed in the TOML: plan, agreement, invoices, totals, ledger and report all follow, to the cent.

What must come out is computed here from the new fees alone: months from the agreements' files, half of the
fee in the ramp, and a tenth of one month's fee credited to Anthropic for the power event of February 2027.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.house.project import ROOT

QUICK = ("--no-pdf", "--no-report")
CENT = Decimal("0.01")
TERMS: Mapping[str, tuple[str, str, int, int]] = {
    # fee in the file, another fee, months of the full fee, months of the ramp
    "anthropic": ("1_250_000_000", "1_237_654_321.10", 35, 2),
    "google": ("920_000_000", "901_234_567.05", 33, 3),
    "reflection": ("150_000_000", "149_999_999.99", 42, 0),
}
BY_JUNE = {"anthropic": (0, 2), "google": (0, 0), "reflection": (0, 0)}
BY_SEPTEMBER = {"anthropic": (3, 2), "google": (0, 3), "reflection": (3, 0)}
BY_MAY_2029 = {"anthropic": (35, 2), "google": (32, 3), "reflection": (35, 0)}
LEAST = {"anthropic": (4, 2)}  # notice on 3 August 2026 ends it on 1 November: July to October, and the ramp


def fees(agreement: str) -> tuple[Decimal, Decimal]:
    """The new full fee, and half of it."""
    full = Decimal(TERMS[agreement][1].replace("_", ""))
    return full, (full / 2).quantize(CENT, ROUND_HALF_EVEN)


def owed(agreement: str, months: tuple[int, int]) -> Decimal:
    """So many full months and so many of the ramp, at the new fee."""
    full, half = fees(agreement)
    return months[0] * full + months[1] * half


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Colossus example with other fees, run through September 2026; begun with the public ones."""
    folder = Path(
        shutil.copytree(ROOT / "examples" / "colossus", tmp_path_factory.mktemp("fees") / "colossus")
    )
    succeeded("run", folder, "--through", "2026-06", *QUICK)
    for agreement, (old, new, *_) in TERMS.items():
        edited(folder / "agreements" / f"{agreement}.toml", (f"amount = {old}\n", f"amount = {new}\n"))
    return folder


@pytest.fixture(scope="module")
def totals(changed: Path) -> Any:
    return succeeded("run", changed, "--out", changed.parent / "new", "--through", "2026-09", *QUICK)


@pytest.mark.parametrize("agreement", TERMS)
def test_the_plan_says_what_the_change_is_worth(changed: Path, agreement: str) -> None:
    old, _, full, ramp = TERMS[agreement]
    worth = succeeded("plan", changed, "--book", changed / "out")["values"][agreement]
    public = Decimal(old.replace("_", ""))
    assert worth["before"]["headline"]["minor"] == (full * public + ramp * public / 2) * 100
    # the book has run through June: the text of a month that has ended still holds for it
    before_full, before_ramp = BY_JUNE[agreement]
    kept = before_full * public + before_ramp * public / 2
    rest = owed(agreement, (full - before_full, ramp - before_ramp))
    assert worth["after"]["headline"]["minor"] == (kept + rest) * 100
    from_nothing = succeeded("plan", changed)["values"][agreement]
    assert from_nothing["before"] is None
    assert from_nothing["after"]["headline"]["minor"] == owed(agreement, (full, ramp)) * 100


@pytest.mark.parametrize("agreement", TERMS)
def test_the_agreement_says_the_same_as_the_plan(changed: Path, totals: Any, agreement: str) -> None:
    full, ramp = TERMS[agreement][2:]
    of_file = succeeded("agreement", "show", changed / "agreements" / f"{agreement}.toml")
    of_book = succeeded("agreement", "show", agreement, "--book", changed.parent / "new")
    assert of_file == of_book
    assert Decimal(of_file["values"]["headline"]["amount"]) == owed(agreement, (full, ramp))
    amounts = [Decimal(fee["amount"]) for fee in of_file["fees"]]
    assert sorted(amounts) == sorted([fees(agreement)[0]] * full + [fees(agreement)[1]] * ramp)
    planned = succeeded("plan", changed)["values"][agreement]["after"]
    for name in ("headline", "firm", "cancellable"):
        assert Decimal(of_file["values"][name]["amount"]) * 100 == planned[name]["minor"]
    if agreement in LEAST:
        assert Decimal(of_file["values"]["firm"]["amount"]) == owed(agreement, LEAST[agreement])
        implied = fees(agreement)[0] / (325_000 * 730)
        shown = next(line for line in totals["agreements"] if line["agreement"] == agreement)
        for rates, places in ((of_file, "0.0001"), (shown, "0.01")):
            assert Decimal(rates["implied_per_gpu_h"]["730"]) == implied.quantize(Decimal(places))


def test_a_run_that_began_with_the_old_fees_doesn_t_go_on_with_the_new(changed: Path) -> None:
    head = succeeded("verify", changed / "out")["head"]
    answer = refused(6, "run", changed, *QUICK)
    assert answer["error"] == "folder_changed"
    for agreement in TERMS:
        assert f"agreement.amended {agreement}" in answer["message"]
    assert succeeded("verify", changed / "out")["head"] == head


def test_every_total_through_september_follows(changed: Path, totals: Any) -> None:
    agrees(changed.parent / "new", totals, BY_SEPTEMBER, {})
    for_people = offtake("invoice", "list", changed.parent / "new").said
    assert for_people.count("450,617,283.52 USD") == 3  # half of 901,234,567.05 is rounded once, to even
    assert for_people.count("1,237,654,321.10 USD") == 3


def test_every_total_through_may_2029_follows(changed: Path, totals: Any) -> None:
    whole = succeeded("run", changed, "--out", changed.parent / "new", *QUICK)
    credit = (fees("anthropic")[0] / 10).quantize(CENT, ROUND_HALF_EVEN)
    agrees(changed.parent / "new", whole, BY_MAY_2029, {"anthropic": -credit})


def agrees(
    book: Path, totals: Any, months: Mapping[str, tuple[int, int]], credits_: Mapping[str, Decimal]
) -> None:
    """Totals, invoices, their lines, the ledger and the report say what the new fees make."""
    documents = succeeded("invoice", "list", book)["documents"]
    invoiced, lines = defaultdict[str, Decimal](Decimal), defaultdict[tuple[str, str], Decimal](Decimal)
    for listed in documents:
        invoiced[listed["agreement"]] += Decimal(listed["total"])
        for line in succeeded("invoice", "show", book, listed["number"])["lines"]:
            lines[listed["agreement"], line["clause"]] += Decimal(line["amount"]["major"])
    legs = succeeded("ledger", "balance", book)
    accounts = {row["account"]: Decimal(row["minor"]) / 100 for row in legs["accounts"]}
    assert legs["trial_balance_minor"] == {"USD": 0}
    assert {line["agreement"] for line in totals["agreements"]} == set(months)
    for line in totals["agreements"]:
        agreement = line["agreement"]
        full, half = fees(agreement)
        credit = credits_.get(agreement, Decimal(0))
        due = owed(agreement, months[agreement]) + credit
        assert (
            Decimal(line["full_invoiced"]) == lines[agreement, "monthly_fee"] == months[agreement][0] * full
        )
        assert Decimal(line["ramp_invoiced"]) == lines[agreement, "ramp"] == months[agreement][1] * half
        assert Decimal(line["credits"]) == lines[agreement, "availability_credit"] == credit
        assert Decimal(line["invoiced"]) == invoiced[agreement] == due
        whole = owed(agreement, TERMS[agreement][2:])
        assert Decimal(line["headline"]) == whole
        assert Decimal(line["remaining"]) == whole - owed(agreement, months[agreement])
        assert Decimal(line["outstanding"]) == accounts.get(f"assets.receivable.{agreement}", Decimal(0))
        earned = -sum(accounts.get(f"income.{part}.{agreement}", Decimal(0)) for part in ("fees", "credits"))
        assert earned == due
    receivable = sum(
        amount for account, amount in accounts.items() if account.startswith("assets.receivable.")
    )
    assert receivable == sum(Decimal(listed["left_minor"]) / 100 for listed in documents)
    assert accounts["assets.cash"] + receivable == sum(invoiced.values())
    report = succeeded("report", book)
    assert report["agreements"] == totals["agreements"]
