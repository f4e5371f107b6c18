"""Amendments dated back, late notices, and what was known when."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from offtake.agreements.derive import values
from offtake.agreements.events.notice import Notice
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Side
from offtake.base.errors import BadInput
from offtake.base.months import Month
from offtake.formats.folder import load_folder
from offtake.workflows.apply import apply_folder, plan_folder
from offtake.workflows.as_of import agreement_as_of
from offtake.workflows.book import Book, Branch
from offtake.workflows.record import record_event
from offtake.workflows.state import balances
from offtake.workflows.tick import decide, tick
from offtake.workflows.view import agreement_of
from tests.agreements.texts import FEE
from tests.workflows.worlds import NET_400, World, at, text_of, world, write_world

LEAVE = "[termination]\nnotice_days = 30\n"


def amendment(number: int, effective: str, *sections: str, remove: str = "[]") -> str:
    head = f'[amendment]\nof = "deal"\nnumber = {number}\nsigned = 2026-05-01\n'
    return head + f"effective = {effective}\nremove = {remove}\n" + "\n".join(sections)


def amended(w: World, tmp_path: Path, *texts: str) -> World:
    files = {f"agreements__deal-{i}__toml": text for i, text in enumerate(texts, start=1)}
    path = tmp_path / f"amended-{len(list(tmp_path.iterdir()))}"
    return replace(w, folder=load_folder(write_world(path, {"deal": text_of(FEE, NET_400, LEAVE)}, **files)))


def settled_to_may(tmp_path: Path) -> World:
    """February to April billed at 310,000.00 each."""
    w = world(tmp_path, FEE, NET_400, LEAVE).go(at(5, 10))
    assert w.invoices() == [(f"2026-0{month}", "invoice", 31_000_000) for month in (2, 3, 4)]
    return w


def test_an_amendment_dated_back_is_trued_up_and_edits_nothing(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    before = w.book.items("document")
    later = amended(w, tmp_path, amendment(1, "2026-03-01", "[monthly_fee]\namount = 300_000\n"))
    apply_folder(w.book, later.folder, at(5, 10))
    tick(w.book, at(5, 10))
    after = w.book.items("document")
    assert {number: after[number] for number in before} == before
    assert w.invoices()[3:] == [
        ("2026-03", "credit_note", -1_000_000),
        ("2026-04", "credit_note", -1_000_000),
    ]
    credit = after["INV-000004"]
    assert credit["corrects"] == ["INV-000002"]
    assert "300,000.00 USD owed for 2026-03, billed 310,000.00 USD" in credit["lines"][0]["text"]
    assert sum(balances(w.book.state).values()) == 0
    assert w.balance("income.fees.deal") == -(3 * 31_000_000 - 2_000_000)
    assert not w.book.state.of("late")
    assert tick(w.book, at(5, 10)) == []
    w.book.verify()


def test_months_after_it_are_rated_on_the_amendment(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    later = amended(w, tmp_path, amendment(1, "2026-06-15", "[monthly_fee]\namount = 300_000\n"))
    apply_folder(w.book, later.folder, at(5, 10))
    w.simulation.run(until=at(8, 2))
    # June is rated on the text that holds on its last day
    assert [cents for _, _, cents in w.invoices()[3:]] == [31_000_000, 30_000_000, 30_000_000]
    stands = agreement_of(w.book.state, "deal")
    assert values(stands).headline.value.minor == 4 * 31_000_000 + 8 * 30_000_000
    assert [item.amount.minor for item in fee_schedule(stands)][:6] == [31_000_000] * 4 + [30_000_000] * 2


def test_an_amendment_that_changes_nothing_changes_no_figure(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    before = agreement_of(w.book.state, "deal")
    later = amended(w, tmp_path, amendment(1, "2026-03-01", "[monthly_fee]\namount = 310_000\n"))
    apply_folder(w.book, later.folder, at(5, 10))
    recorded = [item.fact.kind for item in tick(w.book, at(5, 10))]
    assert "document.issued" not in recorded
    assert "month.resettled" not in recorded
    after = agreement_of(w.book.state, "deal")
    assert [(i.month, i.amount) for i in fee_schedule(after)] == [
        (i.month, i.amount) for i in fee_schedule(before)
    ]
    assert values(after).firm.value == values(before).firm.value
    assert not w.book.state.of("late")


def test_a_second_amendment_corrects_the_correction(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    first = amendment(1, "2026-03-01", "[monthly_fee]\namount = 300_000\n")
    apply_folder(w.book, amended(w, tmp_path, first).folder, at(5, 10))
    tick(w.book, at(5, 10))
    second = amendment(2, "2026-04-01", "[monthly_fee]\namount = 310_000.50\n")
    apply_folder(w.book, amended(w, tmp_path, first, second).folder, at(5, 11))
    tick(w.book, at(5, 11))
    assert w.invoices()[5:] == [("2026-04", "invoice", 1_000_050)]
    assert w.balance("income.fees.deal") == -(31_000_000 + 30_000_000 + 31_000_050)


def test_a_notice_that_arrives_late_credits_what_was_billed_beyond_the_end(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    notice = Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 3, 1))
    record_event(w.book, notice, at(5, 10))
    tick(w.book, at(5, 10))
    # 30 days later the agreement ended on 31 March: 30 of 31 days of March, and none of April
    assert w.invoices()[3:] == [
        ("2026-03", "credit_note", -1_000_000),
        ("2026-04", "credit_note", -31_000_000),
    ]
    assert sum(balances(w.book.state).values()) == 0


def test_a_what_if_trues_up_and_leaves_the_book_alone(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    later = amended(w, tmp_path, amendment(1, "2026-03-01", "[monthly_fee]\namount = 300_000\n"))
    branch, head = Branch(w.book), w.book.state.head
    branch.append(plan_folder(w.book, later.folder, at(5, 10)).facts)
    kinds = [item.fact.kind for item in decide(branch, at(5, 10))]
    assert kinds.count("document.issued") == 2
    assert w.book.state.head == head


def test_as_of_gives_what_held_and_what_was_known(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    later = amended(w, tmp_path, amendment(1, "2026-03-01", "[monthly_fee]\namount = 300_000\n"))
    apply_folder(w.book, later.folder, at(5, 10))

    def total(effective: int, known: int) -> int:
        agreement = agreement_as_of(w.book, "deal", effective=effective, known=known)
        assert isinstance(agreement, Agreement)
        return fee_schedule(agreement).total.minor

    whole, lowered = 12 * 31_000_000, 31_000_000 + 11 * 30_000_000
    assert total(at(8, 1), at(8, 1)) == lowered
    assert total(at(8, 1), at(5, 9)) == whole  # it wasn't known yet
    assert total(at(3, 1), at(8, 1)) == whole  # it didn't hold yet
    assert total(at(3, 2), at(8, 1)) == lowered
    before = agreement_as_of(w.book, "deal", effective=at(3, 1), known=at(1, 1))
    assert getattr(before, "code", None) == "not_known"


def test_rebuilt_from_the_log_it_is_the_same_book(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    later = amended(w, tmp_path, amendment(1, "2026-03-01", "[monthly_fee]\namount = 300_000\n"))
    apply_folder(w.book, later.folder, at(5, 10))
    tick(w.book, at(5, 10))
    held = w.book.state.items
    w.book.rebuild()
    assert {k: {i: item.body for i, item in v.items()} for k, v in w.book.state.items.items() if v} == {
        k: {i: item.body for i, item in v.items()} for k, v in held.items() if v
    }
    w.book.close()
    Book(tmp_path / "book").verify()


def test_a_clause_can_be_added_and_taken_out(tmp_path: Path) -> None:
    w = settled_to_may(tmp_path)
    text = amendment(
        1, "2026-06-01", '[escalator]\nrate = 0.10\nfirst = "2026-07"\n', remove='["termination"]'
    )
    stands = amended(w, tmp_path, text).folder.agreements["deal"]
    assert values(stands).firm_notice is None
    assert [fee_schedule(stands).at(Month(2026, m)).amount.minor for m in (6, 7)] == [31_000_000, 34_100_000]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (amendment(1, "2026-06-01", remove='["recall"]'), "unknown_key"),
        (amendment(1, "2026-06-01", "[monthly_fee]\namuont = 1\n"), "unknown_key"),
        (amendment(1, "2026-06-01").replace('"deal"', '"dael"'), "unknown_agreement"),
        (amendment(1, "2026-06-01", '[agreement]\nid = "other"\n'), "contradiction"),
    ],
)
def test_an_amendment_that_can_t_be_is_named(tmp_path: Path, text: str, code: str) -> None:
    w = world(tmp_path, FEE, NET_400, LEAVE)
    with pytest.raises(BadInput) as refused:
        amended(w, tmp_path, text)
    assert code in {problem.code for problem in refused.value.problems}
