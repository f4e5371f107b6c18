"""What the operator does takes two people in a live book, and what is given up is posted once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from offtake.agreements.events.acceptance import Answer, Tender
from offtake.agreements.events.credit import Credit, WriteOff
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.series import Point, Published
from offtake.agreements.terms import Side
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.billing.document import Received
from offtake.formats.folder import load_folder
from offtake.metering.readings import Readings
from offtake.store.fact import Recorded
from offtake.workflows.apply import apply_folder
from offtake.workflows.approve import approve, needs_two, proposals, propose
from offtake.workflows.book import Book
from offtake.workflows.explain import explain_billed
from offtake.workflows.realised import realisation_of
from offtake.workflows.record import Known, Outcome, record_event, record_readings
from offtake.workflows.tick import tick
from offtake.workflows.view import agreement_of
from tests.agreements.texts import FEE
from tests.workflows.worlds import SETTINGS, World, at, text_of, world, write_world

RECALL = '[recall]\ntranches = ["main"]\nnotice_days = 14\n'
NOW = at(3, 12, 9)


def recall(gpus: int = 80) -> RecallNotice:
    return RecallNotice(id="r", agreement="deal", tranche="main", gpus=gpus, given=date(2026, 3, 12))


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.code


ONE_PERSON = SETTINGS.replace('currency = "USD"', 'currency = "USD"\ntwo_people = false')


def live_book(path: Path, settings: str = SETTINGS) -> Book:
    folder = write_world(path / "folder", {"deal": text_of(FEE, RECALL)})
    (folder / "offtake.toml").write_text(settings, encoding="utf-8")
    book = Book(path / "book", create=True)
    apply_folder(book, load_folder(folder), at(2, 1))
    return book


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Book]:
    """A live book of one agreement that may be recalled."""
    book = live_book(tmp_path)
    yield book
    book.close()


def test_a_recall_counts_only_once_a_second_person_agrees(live: Book) -> None:
    assert needs_two(live.state, recall())
    assert isinstance(propose(live, recall(), NOW, "Alice"), Recorded)
    assert agreement_of(live.state, "deal").happened == ()
    (waiting,) = proposals(live.state)
    assert (waiting.id, waiting.by, waiting.event) == ("recall.noticed/r", "Alice", recall())
    assert code(approve(live, waiting.id, NOW, " alice ")) == "same_person"
    assert code(approve(live, waiting.id, NOW, "")) == "who"
    assert isinstance(approve(live, waiting.id, NOW, "Bob"), Recorded)
    assert [event for event, _ in agreement_of(live.state, "deal").happened] == [recall()]
    assert proposals(live.state) == ()
    decided = live.find("proposal.decided", waiting.id)
    assert decided is not None
    assert (decided.body["proposed_by"], decided.body["by"]) == ("Alice", "Bob")
    assert code(approve(live, waiting.id, NOW, "Carol")) == "no_proposal"
    assert isinstance(propose(live, recall(), NOW, "Alice"), Known)


def test_a_rejected_proposal_is_gone_and_never_counted(live: Book) -> None:
    propose(live, recall(), NOW, "Alice")
    assert isinstance(approve(live, "recall.noticed/r", NOW, "Alice", approved=False), Recorded)
    assert proposals(live.state) == ()
    assert agreement_of(live.state, "deal").happened == ()


def test_what_wouldn_t_count_can_t_be_proposed_and_is_checked_again_when_approved(live: Book) -> None:
    assert code(propose(live, recall(2_000), NOW, "Alice")) == "more_than_held"
    assert code(propose(live, recall(), NOW, "  ")) == "who"
    propose(live, recall(800), NOW, "Alice")
    other = RecallNotice(id="q", agreement="deal", tranche="main", gpus=800, given=date(2026, 3, 12))
    assert isinstance(record_event(live, other, NOW), Recorded)
    assert code(approve(live, "recall.noticed/r", NOW, "Bob")) == "more_than_held"
    assert len(proposals(live.state)) == 1


def test_a_proposal_can_be_corrected_and_said_twice(live: Book) -> None:
    propose(live, recall(80), NOW, "Alice")
    head = live.state.head
    assert isinstance(propose(live, recall(80), NOW, "Alice"), Known)
    assert live.state.head == head
    propose(live, recall(160), NOW, "Carol")
    (waiting,) = proposals(live.state)
    assert (waiting.by, waiting.event) == ("Carol", recall(160))


def test_the_rule_is_a_setting_and_doesn_t_hold_for_the_offtaker_or_in_a_simulation(tmp_path: Path) -> None:
    book = live_book(tmp_path / "one", ONE_PERSON)
    assert not needs_two(book.state, recall())
    book.close()
    strict = live_book(tmp_path / "two")
    leaving = Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 3, 12))
    assert not needs_two(strict.state, leaving)
    strict.close()
    w = world(tmp_path / "three", FEE, RECALL).go(at(2, 2))
    assert not needs_two(w.book.state, recall())


def given_up(w: World) -> None:
    """A credit of 1,000.00 for February, and 5,000.00 of its invoice written off."""
    now = w.book.state.now
    credit = Credit(
        id="k", agreement="deal", month=Month(2026, 2), amount=Decimal(1_000), given=date(2026, 3, 10),
        because="a slow start",
    )  # fmt: skip
    off = WriteOff(
        id="w", agreement="deal", document="INV-000001", amount=Decimal(5_000), given=date(2026, 3, 10),
        because="settled in court",
    )  # fmt: skip
    assert isinstance(record_event(w.book, credit, now), Recorded)
    assert isinstance(record_event(w.book, off, now), Recorded)
    too_much = WriteOff(
        id="v", agreement="deal", document="INV-000001", amount=Decimal(400_000), given=date(2026, 3, 10),
        because="-",
    )  # fmt: skip
    assert code(record_event(w.book, too_much, now)) == "more_than_open"
    tick(w.book, now)


def test_credits_and_write_offs_are_posted_once_and_survive_a_true_up(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, "[payment]\nnet_days = 400\n", RECALL).go(at(3, 10))
    before = w.invoices()
    given_up(w)
    assert w.invoices() == [*before, ("2026-02", "credit_note", -100_000)]
    assert w.balance("expenses.bad_debt.deal") == 500_000
    assert w.balance("assets.receivable.deal") == 31_000_000 - 100_000 - 500_000
    head = w.book.state.head
    tick(w.book, w.book.state.now)
    assert w.book.state.head == head
    other = Credit(
        id="k", agreement="deal", month=Month(2026, 2), amount=Decimal(2), given=date(2026, 3, 10),
        because="-",
    )  # fmt: skip
    assert code(record_event(w.book, other, w.book.state.now)) == "conflict"
    # a late recall settles February again: the credit stays what it is
    late = RecallNotice(id="r", agreement="deal", tranche="main", gpus=500, given=date(2026, 2, 1))
    assert isinstance(record_event(w.book, late, w.book.state.now), Recorded)
    tick(w.book, w.book.state.now)
    # 14 of February's 28 days, half of the GPUs
    assert w.invoices()[-1] == ("2026-02", "credit_note", -7_750_000)
    whole = explain_billed(w.book, "2026-02", "deal")
    assert whole.amount == Money(31_000_000 - 100_000 - 7_750_000, "USD")
    assert sum(part.amount.minor for part in whole.parts) == whole.amount.minor
    assert "entitled 672,000.00 GPU-hours" in whole.facts
    line = explain_billed(w.book, "INV-000001/1", None)
    assert [(t.path, t.value) for t in line.terms] == [("monthly_fee.amount", "310,000")]
    with pytest.raises(BadInput, match="its lines are 1 to 1"):
        explain_billed(w.book, "INV-000001/2", None)
    with pytest.raises(BadInput, match="documents are"):
        explain_billed(w.book, "INV-000099", None)
    with pytest.raises(BadInput, match="nothing was billed"):
        explain_billed(w.book, "2026-09", "deal")
    earned, scheduled = realisation_of(w.book, ["deal"])["deal"]
    assert (earned.minor, scheduled.minor) == (31_000_000 - 100_000 - 7_750_000, 31_000_000)


def test_an_acceptance_learnt_after_the_month_is_billed_by_a_true_up(tmp_path: Path) -> None:
    w = world(tmp_path, FEE + 'tranche = "main"\n', "[acceptance]\ndays = 10\ndeemed = false\n")
    w.go(at(3, 2))
    assert w.lines(Month(2026, 2)) == []
    now = w.book.state.now
    tender = Tender(id="t", agreement="deal", tranche="main", given=date(2026, 2, 10))
    answer = Answer(id="a", agreement="deal", tranche="main", made=date(2026, 2, 15))
    assert isinstance(record_event(w.book, tender, now), Recorded)
    assert isinstance(record_event(w.book, answer, now), Recorded)
    tick(w.book, now)
    assert w.lines(Month(2026, 2)) == [("monthly_fee", 15_500_000)]  # 14 of 28 days


def test_late_interest_is_charged_on_money_that_came_late(live: Book, tmp_path: Path) -> None:
    folder = write_world(
        tmp_path / "late",
        {
            "deal": text_of(
                FEE, '[payment]\ntiming = "advance"\nnet_days = 10\nlate_interest_per_month = 0.015\n'
            )
        },
    )
    book = Book(tmp_path / "late-book", create=True)
    apply_folder(book, load_folder(folder), at(1, 31))
    tick(book, at(2, 1, 1))
    (number,) = book.items("document")
    payment = Received(id="p", agreement="deal", amount=Money(31_000_000, "USD"), received_at=at(2, 21))
    assert isinstance(record_event(book, payment, at(2, 21)), Recorded)
    tick(book, at(2, 21))
    (paid,) = book.state.of("paid").values()
    assert (paid.body["document"], paid.body["minor"]) == (number, 31_000_000)
    window = Interval(at(2, 1), at(3, 1))
    one = np.ones(1, dtype=np.int64)
    taken = Readings(
        claims=("deal/main",), pools=("p",), ids=("r",), claim=one * 0, pool=one * 0,
        start=one * at(2, 1), end=one * (at(2, 1) + 60), gpus=one * 8,
    )  # fmt: skip
    assert isinstance(
        record_readings(book, taken, batch="b", source="s", window=window, now=at(3, 1)), Recorded
    )
    tick(book, at(3, 1))
    (line,) = [
        line
        for doc in book.items("document").values()
        for line in doc["lines"]
        if line["clause"] == "payment"
    ]
    # ten days of thirty at 1.5 %
    assert (line["amount"]["minor"], line["kind"]) == (155_000, "interest")
    assert dict(book.state.of("paid")) == {}
    assert len(book.kept("old_paid")) == 1
    book.close()


def test_a_published_index_sets_the_fee_of_the_months_after_it(tmp_path: Path) -> None:
    index = '[index_link]\nseries = "X"\nbase = 2\nfirst = "2026-03"\ndisrupted_days = 31\n'
    said = '[[published]]\nseries = "X"\non = 2026-02-10\nvalue = 3\n'
    w = world(tmp_path, FEE, index, scenario__toml=said).go(at(4, 1, 1))
    assert [total for _, _, total in w.invoices()] == [31_000_000, 46_500_000]
    other = Published(series="X", on=date(2026, 2, 10), value=Decimal(9))
    assert code(record_event(w.book, other, w.book.state.now)) == "conflict"
    revision = Published(series="X", on=date(2026, 2, 10), value=Decimal(9), published=date(2026, 3, 1))
    assert isinstance(record_event(w.book, revision, w.book.state.now), Recorded)
    assert agreement_of(w.book.state, "deal").series["X"].at(date(2026, 2, 28)) == Point(
        on=date(2026, 2, 10), value=Decimal(3)
    )
