"""The Colossus example from May 2026 through May 2029: what was invoiced, paid and credited, to the cent.

Expected: the public fees by the month (see the agreements' files), the ramp at its assumed half, and one
credit of 10 % of a month's fee for the hypothetical power event of February 2027.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from offtake.base.money import Money, total
from offtake.base.months import Month, local_midnight
from offtake.base.time import DAY_S, Interval
from offtake.formats.folder import load_folder
from offtake.ledger.model import trial_balance
from offtake.sim.run import RunResult, Simulation
from offtake.workflows.book import Book
from offtake.workflows.selling import Question, Selling, Worth, sellable_in
from offtake.workflows.state import balances, month_key
from offtake.workflows.view import agreement_of, open_documents
from tests.house.project import ROOT

MILLION = 1_000_000


def usd(millions: int) -> Money:
    return Money(millions * MILLION * 100, "USD")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    book: Book
    result: RunResult
    documents: dict[str, dict[str, Any]]

    def lines(self, agreement: str, clause: str) -> dict[Month, Money]:
        """Amounts of one clause's lines, by service month."""
        found: dict[Month, Money] = {}
        for doc in self.documents.values():
            for line in doc["lines"]:
                if doc["agreement"] == agreement and line["clause"] == clause:
                    month = month_key(line["month"])
                    assert month not in found, f"{agreement}: {clause} twice for {month}"
                    found[month] = Money(line["amount"]["minor"], line["amount"]["currency"])
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    book = Book(tmp_path_factory.mktemp("colossus") / "out", create=True)
    simulation = Simulation(book, load_folder(ROOT / "examples" / "colossus"))
    result = simulation.run()
    return Run(book, result, book.items("document"))


@pytest.mark.parametrize(
    ("agreement", "clause", "first", "last", "months", "sum_"),
    [
        ("anthropic", "monthly_fee", Month(2026, 7), Month(2029, 5), 35, 43_750),
        ("anthropic", "ramp", Month(2026, 5), Month(2026, 6), 2, 1_250),
        ("google", "monthly_fee", Month(2026, 10), Month(2029, 5), 32, 29_440),
        ("google", "ramp", Month(2026, 7), Month(2026, 9), 3, 1_380),
        ("reflection", "monthly_fee", Month(2026, 7), Month(2029, 5), 35, 5_250),
    ],
)
def test_fees_invoiced_by_the_end_of_may_2029(
    run: Run, agreement: str, clause: str, first: Month, last: Month, months: int, sum_: int
) -> None:
    lines = run.lines(agreement, clause)
    assert (min(lines), max(lines), len(lines)) == (first, last, months)
    assert len(set(lines.values())) == 1
    assert total(lines.values(), "USD") == usd(sum_)


@pytest.mark.parametrize(
    ("agreement", "remaining"), [("anthropic", 0), ("google", 920), ("reflection", 1_050)]
)
def test_what_remains_to_be_invoiced(run: Run, agreement: str, remaining: int) -> None:
    from offtake.agreements.schedule import fee_schedule

    invoiced = total(
        (amount for clause in ("monthly_fee", "ramp") for amount in run.lines(agreement, clause).values()),
        "USD",
    )
    assert fee_schedule(agreement_of(run.book.state, agreement)).total - invoiced == usd(remaining)


def test_the_power_event_is_the_only_thing_credited(run: Run) -> None:
    credits_ = run.lines("anthropic", "availability_credit")
    assert credits_ == {Month(2027, 2): usd(-125)}
    clauses = Counter(line["clause"] for doc in run.documents.values() for line in doc["lines"])
    assert clauses == {"monthly_fee": 35 + 32 + 35, "ramp": 5, "availability_credit": 1}


def test_the_credit_rests_on_assumptions_and_the_full_fee_doesn_t(run: Run) -> None:
    for doc in run.documents.values():
        for line in doc["lines"]:
            expected = line["clause"] in ("ramp", "availability_credit")
            assert bool(line["assumed"]) == expected, line


def test_the_late_hall_was_made_good_within_grace(run: Run) -> None:
    tested = {
        recorded.fact.id: (recorded.fact.body["delivered"], recorded.fact.body["short"])
        for recorded in run.book.database.facts_of(["delivery.tested"])
    }
    assert tested == {
        "google/delivery/due": (99_000, 11_000),
        "google/delivery/grace": (110_000, 0),
    }


def test_the_book_took_everything_the_scenario_said(run: Run) -> None:
    assert run.result.refused == []
    kinds = Counter(
        recorded.fact.kind
        for recorded in run.book.database.facts_of(["outage.reported", "delivery.reported", "month.settled"])
    )
    assert kinds == {"outage.reported": 2, "delivery.reported": 1, "month.settled": 37 + 35 + 35}


def test_numbers_of_documents_have_no_gaps(run: Run) -> None:
    assert sorted(run.documents) == [f"INV-{n:06d}" for n in range(1, len(run.documents) + 1)]


def test_each_invoice_is_the_sum_of_its_lines(run: Run) -> None:
    for number, doc in run.documents.items():
        assert sum(line["amount"]["minor"] for line in doc["lines"]) == doc["total"]["minor"], number


def test_cash_and_receivables_are_what_was_invoiced(run: Run) -> None:
    accounts = {account: minor for (account, _), minor in balances(run.book.state).items()}
    invoiced = sum(doc["total"]["minor"] for doc in run.documents.values())
    receivables = sum(
        minor for account, minor in accounts.items() if account.startswith("assets.receivable.")
    )
    assert invoiced == usd(43_750 + 1_250 + 29_440 + 1_380 + 5_250 - 125).minor
    assert accounts["assets.cash"] + receivables == invoiced
    still_open = sum(item.left.minor for item in open_documents(run.book.state))
    assert receivables == still_open == usd(1_250 + 920).minor  # May 2029, due at the end of June
    income = sum(minor for account, minor in accounts.items() if account.startswith("income."))
    assert income == -invoiced
    assert trial_balance(balances(run.book.state)) == {"USD": 0}


def test_postings_are_the_balances(run: Run) -> None:
    summed: Counter[tuple[str, str]] = Counter()
    for leg in run.book.database.postings():
        summed[leg["account"], leg["currency"]] += leg["minor"]
    assert dict(summed) == balances(run.book.state)


def test_the_chain_verifies(run: Run) -> None:
    assert run.book.database.verify() == run.book.state.head[0] == run.result.facts


def test_a_rerun_finds_nothing_left_to_do(run: Run, tmp_path: Path) -> None:
    head = run.book.state.head
    again = Simulation(run.book, load_folder(ROOT / "examples" / "colossus"))
    assert again.check() is None
    assert again.run().facts == 0
    assert run.book.state.head == head


def test_shorter_notice_sells_more_of_what_colossus_has_to_spare(run: Run) -> None:
    """Half a year from June 2027 on Colossus II: own demand drawn 200 times from its declared generators."""
    zone = "America/Chicago"
    window = Interval(local_midnight(date(2027, 6, 1), zone), local_midnight(date(2027, 11, 30), zone))
    pools = ("c2-gb200", "c2-gb300-a", "c2-gb300-b")
    notices = (90 * DAY_S, 30 * DAY_S, 7 * DAY_S, 120)
    worth = Worth(firm=Decimal("5.27"), own=Decimal(10))
    question = Question(window=window, pools=pools, notices=notices, worth=worth, rebate=Decimal("0.50"))
    found = sellable_in(run.book, question)
    assert isinstance(found, Selling)
    sold = [one.amount.firm + one.amount.recallable for one in found.at]
    assert (found.at[0].amount.firm, sold) == (6_408, [24_696, 38_736, 40_896, 45_576])
    assert {sum((o.amount.firm, o.amount.recallable, o.amount.interruptible)) for o in found.at} == {45_576}
    shares = [one.recalls.share for one in found.at]
    assert shares == sorted(shares)
    assert shares[-1] < Fraction(1, 10)
    firm = Fraction(worth.firm)
    discounts = [float(1 - one.even_price / firm) for one in found.at if one.even_price is not None]
    assert [round(d, 4) for d in discounts] == [0.0084, 0.0342, 0.0404, 0.0565]
