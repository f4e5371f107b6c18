"""Month-end: what was earned is accrued, a closed period takes nothing more, fees on a straight line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from offtake.agreements.events.notice import Notice
from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.terms import Side
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.store.fact import Recorded
from offtake.workflows.close import close_period
from offtake.workflows.record import Outcome, record_event
from offtake.workflows.tick import tick
from tests.agreements.texts import FEE
from tests.workflows.test_usage import live, taken_in
from tests.workflows.worlds import World, at

RECALL = '[recall]\ntranches = ["main"]\nnotice_days = 0\n'
RAMP = (
    FEE.replace('first = "2026-02"', 'first = "2026-04"')
    + """
[ramp]
first = "2026-02"
last = "2026-03"
fee_share = 0.5
"""
)
STRAIGHT = '[recognition]\nmethod = "straight_line"\nlease = true\nbecause = "the offtaker directs the use"\n'


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    found = live(tmp_path, FEE, RECALL)
    yield found
    found.book.close()


def through(w: World, month: int, day: int = 1) -> None:
    """Everything is sent and decided up to a day."""
    now = at(month, day)
    taken_in(w, f"through-{month}-{day}", through={"s": now}, now=now)
    tick(w.book, now)


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.code


def entries(w: World) -> dict[str, tuple[int, dict[str, int]]]:
    """Instant and legs of every entry, by id."""
    return {
        item.fact.id: (
            item.fact.effective_at,
            {leg["account"]: leg["amount"]["minor"] for leg in item.fact.body["postings"]},
        )
        for item in w.log("entry.posted")
    }


def test_a_month_s_income_is_dated_in_the_month(w: World) -> None:
    through(w, 3, 5)
    found = entries(w)
    assert found["INV-000001/accrued"] == (
        at(3, 1) - 1,
        {"assets.unbilled.deal": 31_000_000, "income.fees.deal": -31_000_000},
    )
    assert found["INV-000001/issue"] == (
        at(3, 5),
        {"assets.receivable.deal": 31_000_000, "assets.unbilled.deal": -31_000_000},
    )
    assert w.balance("assets.unbilled.deal") == 0


def test_a_closed_period_takes_nothing_more(w: World) -> None:
    through(w, 3, 2)
    assert code(close_period(w.book, Month(2026, 3), at(3, 2))) == "not_ended"
    assert isinstance(close_period(w.book, Month(2026, 2), at(3, 2)), Recorded)
    assert code(close_period(w.book, Month(2026, 2), at(3, 2))) == "closed_already"
    before = set(entries(w))
    late = RecallNotice(id="r", agreement="deal", tranche="main", gpus=500, given=date(2026, 2, 15))
    assert isinstance(record_event(w.book, late, at(3, 3)), Recorded)
    tick(w.book, at(3, 3))
    new = {name: entry for name, entry in entries(w).items() if name not in before}
    assert set(new) == {"INV-000002/accrued", "INV-000002/issue"}
    # February is closed: the credit is earned on the first instant of March
    assert new["INV-000002/accrued"][0] == at(3, 1)
    assert min(instant for instant, _ in new.values()) >= at(3, 1)
    # the document still says which month it is for
    assert w.invoices()[-1] == ("2026-02", "credit_note", -7_750_000)


def test_a_period_with_a_month_that_isn_t_settled_can_t_be_closed(w: World) -> None:
    tick(w.book, at(3, 2))
    assert code(close_period(w.book, Month(2026, 2), at(3, 2))) == "not_settled"


def test_fees_on_a_straight_line_are_the_same_in_the_end(tmp_path: Path) -> None:
    """Two months at half the fee, ten whole ones: 11/12 of a month's fee in each of them."""
    w = live(tmp_path, RAMP, STRAIGHT)
    even = 11 * 31_000_000 // 12
    found = []
    for month in range(3, 9):
        through(w, month)
        income = -(w.balance("income.fees.deal") + w.balance("income.straight_line.deal"))
        found.append(income)
    assert [abs(income - even * n) <= n for n, income in enumerate(found, start=1)] == [True] * 6
    assert w.balance("assets.contract.deal") == found[-1] - (2 * 15_500_000 + 4 * 31_000_000)
    for month in (9, 10, 11, 12):
        through(w, month)
    for year_end in (Month(2026, 12), Month(2027, 1)):
        now = year_end.interval("America/Chicago").end
        taken_in(w, str(year_end), through={"s": now}, now=now)
        tick(w.book, now)
    assert w.balance("assets.contract.deal") == 0
    assert w.balance("income.straight_line.deal") == 0
    assert w.balance("income.fees.deal") == -11 * 31_000_000
    w.book.close()


def test_a_change_of_terms_catches_up(tmp_path: Path) -> None:
    w = live(tmp_path, RAMP, STRAIGHT, "[termination]\nnotice_days = 30\n")
    through(w, 4)
    leaving = Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 4, 2))
    assert isinstance(record_event(w.book, leaving, at(4, 2)), Recorded)
    through(w, 5)
    through(w, 6)
    # the agreement has ended: what was recognised is what was billed
    assert w.balance("assets.contract.deal") == 0
    w.book.close()


@pytest.mark.parametrize(
    ("ahead", "interest", "released"),
    [
        (0, [300_000, 202_000, 102_010], [100_000, 201_000, 303_010]),
        (2, [909_030, 206_060, 104_060], [303_010, 406_040, 510_100]),
    ],
)
def test_a_prepayment_that_finances_the_operator_bears_interest(
    tmp_path: Path, ahead: int, interest: list[int], released: list[int]
) -> None:
    """1 % a month on 300,000, a third of it drawn in each month; what accrues is revenue in the end."""
    fee = '[monthly_fee]\namount = 100_000\nfirst = "2026-02"\nlast = "2026-08"\n'
    paid = f"[prepayment]\namount = 300_000\nmonths_before_start = {ahead}\n"
    judged = '[recognition]\nfinancing = true\nfinancing_rate = 0.12\nbecause = "paid a year ahead"\n'
    w = live(tmp_path, fee, paid, judged)
    for n, month in enumerate((3, 4, 5, 6)):
        through(w, month)
        assert w.balance("expenses.interest.deal") == sum(interest[: n + 1])
        assert -w.balance("income.financing.deal") == sum(released[: n + 1])
        assert -w.balance("liabilities.accreted.deal") == sum(interest[: n + 1]) - sum(released[: n + 1])
    assert sum(interest) == sum(released)
    assert w.balance("liabilities.prepaid.deal") == 0
    assert w.balance("income.fees.deal") == -4 * 10_000_000
    w.book.close()
