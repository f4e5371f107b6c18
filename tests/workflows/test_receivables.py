"""What is owed by age, what is disputed, and whose payment a bank's line is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from offtake.agreements.events.dispute import Dispute
from offtake.agreements.events.dispute import Outcome as Ended
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.billing.ageing import aged, buckets
from offtake.billing.document import Open
from offtake.formats.bank import read_bank
from offtake.formats.folder import load_folder
from offtake.store.fact import Recorded
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.receivables import ageing, match
from offtake.workflows.record import Outcome, record_event
from offtake.workflows.tick import tick
from tests.agreements.texts import FEE
from tests.workflows.test_usage import taken_in
from tests.workflows.worlds import World, at, text_of, write_world

NET_30 = "[payment]\nnet_days = 30\n"


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    """Two offtakers, each with February's invoice: 310,000.00 and 155,000.00."""
    other = text_of(FEE.replace("310_000", "155_000"), NET_30, id_="other").replace('"Taker"', '"Birch Labs"')
    folder = write_world(
        tmp_path / "folder",
        {
            "deal": text_of(FEE, NET_30),
            "other": other.replace('pools = ["p"]', 'pools = ["p"]\nadditive = true'),
        },
    )
    book = Book(tmp_path / "book", create=True)
    apply_folder(book, load_folder(folder), at(2, 1))
    found = World(book, load_folder(folder), None)  # type: ignore[arg-type]
    taken_in(found, "close", through={"s": at(3, 1)})
    tick(book, at(3, 1))
    yield found
    book.close()


def dispute(amount: str, **more: object) -> Dispute:
    return Dispute(
        id="d", agreement="deal", document="INV-000001", amount=Decimal(amount), given=date(2026, 3, 5),
        because="an outage", **more,  # type: ignore[arg-type]
    )  # fmt: skip


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.code


def test_documents_age_and_reminders_follow(w: World) -> None:
    # due on 31 March
    for day, days, step in (
        (at(3, 30), -1, "not due"),
        (at(3, 31), 0, "due"),
        (at(4, 7), 7, "first reminder"),
        (at(5, 30), 60, "suspension"),
    ):
        (first, _) = ageing(w.book, day)
        assert (first.days, first.step) == (days, step)
    sums = buckets(ageing(w.book, at(4, 10)), "USD")
    assert sums["0–30 days"] == Money(46_500_000, "USD")
    assert sum(amount.minor for amount in sums.values()) == 46_500_000


def test_what_is_disputed_isn_t_asked_for_and_the_rest_is(w: World) -> None:
    assert isinstance(record_event(w.book, dispute("100_000", line=1), at(3, 5)), Recorded)
    aged_ = {one.document: one for one in ageing(w.book, at(4, 10))}
    one = aged_["INV-000001"]
    assert (one.asked, one.disputed, one.step) == (
        Money(21_000_000, "USD"),
        Money(10_000_000, "USD"),
        "first reminder",
    )
    assert isinstance(record_event(w.book, dispute("310_000"), at(3, 6)), Recorded)
    assert {a.document: a.step for a in ageing(w.book, at(4, 10))}["INV-000001"] == "disputed"
    ended = dispute("310_000", ended=date(2026, 3, 20), outcome=Ended.UPHELD)
    assert isinstance(record_event(w.book, ended, at(3, 20)), Recorded)
    assert {a.document: a.disputed.minor for a in ageing(w.book, at(4, 10))}["INV-000001"] == 0


def test_a_dispute_is_about_something_that_was_billed(w: World) -> None:
    assert code(record_event(w.book, dispute("310_000.01"), at(3, 5))) == "more_than_billed"
    assert code(record_event(w.book, dispute("1", line=2), at(3, 5))) == "no_line"
    assert code(record_event(w.book, dispute("0.001"), at(3, 5))) == "too_fine"
    assert code(record_event(w.book, dispute("1", ended=date(2026, 3, 9)), at(3, 5))) == "no_outcome"
    foreign = Dispute(
        id="x",
        agreement="other",
        document="INV-000001",
        amount=Decimal(1),
        given=date(2026, 3, 5),
        because="-",
    )
    assert code(record_event(w.book, foreign, at(3, 5))) == "no_document"


def test_a_credit_note_is_no_debt() -> None:
    note = Open(number="C", agreement="a", issued_at=0, due_at=0, left=Money(-5, "USD"))
    (one,) = aged([note], {}, 10**9)
    assert one.step == "credit"
    assert sum(amount.minor for amount in buckets([one], "USD").values()) == 0


BANK = """date,amount,currency,text
2026-03-10,"310,000.00",USD,payment of INV-000001
2026-03-11,155000.00,USD,march
2026-03-12,7.00,USD,birch labs thanks
2026-03-13,8.00,USD,INV-000001 and INV-000002
2026-03-14,9.00,USD,?
2026-03-15,310000.00,EUR,INV-000001
2026-03-16,-50.00,USD,fee of the bank
2026-03-17,9.00,USD,?
"""


def test_a_bank_s_lines_find_their_agreements(w: World, tmp_path: Path) -> None:
    path = tmp_path / "bank.csv"
    path.write_text(BANK, encoding="utf-8")
    found = match(w.book, read_bank(path))
    said = [(one.payment.agreement if one.payment else None, one.because) for one in found]
    assert said == [
        ("deal", "its text names the document"),
        ("other", "its amount is what is open"),
        ("other", "its text names the offtaker"),
        (None, "its text names documents of deal, other"),
        (None, "neither its text nor its amount says whose it is"),
        (None, "deal is settled in USD"),
        (None, "neither its text nor its amount says whose it is"),
    ]
    assert len({one.line.id for one in found}) == len(found)
    payment = found[0].payment
    assert payment is not None
    assert isinstance(record_event(w.book, payment, at(3, 18)), Recorded)
    tick(w.book, at(3, 18))
    assert [one.document for one in ageing(w.book, at(4, 1))] == ["INV-000002"]
    # the same statement again pays nothing twice
    again = match(w.book, read_bank(path))[0].payment
    assert again is None or not isinstance(record_event(w.book, payment, at(3, 19)), Recorded)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("date,amount\n2026-03-10,1\n", {"missing_column"}),
        (
            "date,amount,currency,text\nyesterday,1,USD,x\n2026-03-10,one,USD,x\n2026-03-10,1,US,x\n",
            {"bad_line"},
        ),
    ],
)
def test_a_statement_that_can_t_be_read_is_named(tmp_path: Path, text: str, codes: set[str]) -> None:
    path = tmp_path / "bank.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as raised:
        read_bank(path)
    assert {problem.code for problem in raised.value.problems} == codes
    assert len(raised.value.problems) == (3 if codes == {"bad_line"} else 1)
