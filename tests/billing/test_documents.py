"""Documents sum to their lines, post balanced entries, and are settled by payments to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.base.errors import Broken
from offtake.base.money import Money, total
from offtake.base.months import Month, local_midnight
from offtake.base.time import DAY_S
from offtake.billing.document import (
    Document,
    DocumentKind,
    Open,
    apply_payment,
    document,
    in_advance,
    owed,
    payment_terms,
)
from offtake.billing.entries import (
    deferred,
    entries_for_document,
    entry_for_month,
    entry_for_payment,
    receivable,
    unapplied,
)
from offtake.ledger.model import Entry, post_to, trial_balance
from offtake.rating.model import Charge, Kind, charge
from tests.agreements.texts import FEE, agreement

DEAL = agreement(FEE, "[payment]\nnet_days = 20\n")
MAY = Month(2026, 5)
ISSUED = DEAL.month(MAY).end


def line(minor: int, kind: Kind = Kind.FEE) -> Charge:
    return charge(
        DEAL,
        "monthly_fee",
        MAY,
        kind=kind,
        text="t",
        amount=Money(minor, "USD"),
        basis=("monthly_fee.amount",),
    )


def issued(*lines: Charge, sequence: int = 1, in_advance_: bool = False) -> Document:
    return document(DEAL, MAY, lines, sequence=sequence, issued_at=ISSUED, fixed_in_advance=in_advance_)


def legs(entry: Entry) -> dict[str, int]:
    return {posting.account: posting.amount.minor for posting in entry.postings}


def test_an_invoice_is_due_at_local_midnight_so_many_days_later() -> None:
    doc = issued(line(500), line(-100))
    assert (doc.number, doc.kind, doc.total) == ("INV-000001", DocumentKind.INVOICE, Money(400, "USD"))
    assert doc.due_at == local_midnight(date(2026, 6, 21), "America/Chicago")


def test_a_document_below_nothing_is_a_credit_note_due_at_once() -> None:
    doc = issued(line(-100), sequence=7)
    assert (doc.number, doc.kind, doc.due_at) == ("INV-000007", DocumentKind.CREDIT_NOTE, ISSUED)


def test_a_document_whose_lines_don_t_sum_to_its_total_can_t_exist() -> None:
    with pytest.raises(Broken, match=r"lines sum to 4\.00 USD, the total is 4\.01 USD"):
        replace(issued(line(400)), total=Money(401, "USD"))


def test_without_a_payment_clause_bills_come_in_arrears_due_in_30_days() -> None:
    assert payment_terms(agreement(FEE)).net_days == 30
    assert not in_advance(agreement(FEE))
    assert in_advance(agreement(FEE, '[payment]\ntiming = "advance"'))


def test_what_a_document_posts() -> None:
    doc = issued(line(1_000), line(300, Kind.USAGE), line(-50, Kind.CREDIT))
    accrued, entry = entries_for_document(doc, ISSUED - 100)
    assert (accrued.id, accrued.at) == ("INV-000001/accrued", ISSUED - 100)
    assert legs(accrued) == {
        "assets.unbilled.deal": 1_250,
        "income.fees.deal": -1_000,
        "income.usage.deal": -300,
        "income.credits.deal": 50,
    }
    assert (entry.id, entry.at) == ("INV-000001/issue", ISSUED)
    assert legs(entry) == {"assets.receivable.deal": 1_250, "assets.unbilled.deal": -1_250}


def test_what_isn_t_income_is_posted_when_it_is_billed() -> None:
    doc = issued(line(1_000), line(190, Kind.TAX), line(500, Kind.PREPAYMENT))
    accrued, entry = entries_for_document(doc, ISSUED + 100)
    assert accrued.at == ISSUED  # nothing is earned after it was billed
    assert legs(entry) == {
        "assets.receivable.deal": 1_690,
        "assets.unbilled.deal": -1_000,
        "liabilities.tax.deal": -190,
        "liabilities.prepaid.deal": -500,
    }
    (only,) = entries_for_document(issued(line(500, Kind.PREPAYMENT)), ISSUED)
    assert legs(only) == {"assets.receivable.deal": 500, "liabilities.prepaid.deal": -500}


def test_a_fee_billed_in_advance_is_deferred_and_then_earned() -> None:
    doc = issued(line(1_000), in_advance_=True)
    (entry,) = entries_for_document(doc, ISSUED)
    assert legs(entry) == {receivable("deal"): 1_000, deferred("deal"): -1_000}
    earned = entry_for_month(doc, ISSUED + 9)
    assert earned.at == ISSUED + 9
    assert legs(earned) == {deferred("deal"): 1_000, "income.fees.deal": -1_000}


def test_what_a_payment_posts() -> None:
    exact = entry_for_payment("p", "deal", 5, Money(100, "USD"), Money(0, "USD"))
    assert legs(exact) == {"assets.cash": 100, receivable("deal"): -100}
    over = entry_for_payment("p", "deal", 5, Money(100, "USD"), Money(30, "USD"))
    assert legs(over) == {"assets.cash": 100, receivable("deal"): -70, unapplied("deal"): -30}


def open_(number: str, left: int, due: int = 0) -> Open:
    return Open(number=number, agreement="deal", issued_at=0, due_at=due, left=Money(left, "USD"))


def applied(amount: int, *documents: Open) -> tuple[dict[str, int], int]:
    parts, left = apply_payment(Money(amount, "USD"), documents)
    return {number: part.minor for number, part in parts}, left.minor


def test_a_payment_settles_the_oldest_due_first_and_leaves_the_rest_open() -> None:
    documents = (open_("2", 100, 5), open_("1", 100, 9), open_("3", 100, 5))
    assert applied(150, *documents) == ({"2": 100, "3": 50}, 0)
    assert applied(300, *documents) == ({"2": 100, "3": 100, "1": 100}, 0)
    assert applied(301, *documents)[1] == 1
    assert applied(10) == ({}, 10)


def test_credit_notes_are_used_before_money() -> None:
    # G25: a credit of 10 against 100 charged leaves 90 to pay
    documents = (open_("1", 100, 5), open_("2", -10, 9))
    assert applied(90, *documents) == ({"2": -10, "1": 100}, 0)
    assert applied(50, *documents) == ({"2": -10, "1": 60}, 0)


def test_what_is_owed_counts_what_is_due_and_deducts_credits() -> None:
    documents = (open_("1", 100, 5), open_("2", -30, 5), open_("3", 1_000, 6))
    assert [owed(documents, at, "USD").minor for at in (4, 5, 6)] == [0, 70, 1_070]


opens = st.lists(st.tuples(st.integers(-10_000, 10_000).filter(bool), st.integers(0, 5)), max_size=8).map(
    lambda rows: [open_(f"{i}", left, due) for i, (left, due) in enumerate(rows)]
)


@given(opens, st.integers(0, 30_000))
def test_a_payment_is_conserved(documents: list[Open], amount: int) -> None:
    parts, left = applied(amount, *documents)
    by_number = {item.number: item.left.minor for item in documents}
    assert sum(parts.values()) + left == amount
    assert left >= 0
    for number, part in parts.items():
        assert abs(part) <= abs(by_number[number])
        assert (part > 0) == (by_number[number] > 0)
    # every credit note is used; nothing is left over while an invoice is open
    assert all(parts.get(n) == minor for n, minor in by_number.items() if minor < 0)
    assert left == 0 or all(parts.get(n) == minor for n, minor in by_number.items())


actions = st.lists(
    st.one_of(
        st.tuples(
            st.just("bill"),
            st.lists(st.tuples(st.integers(-9_999, 9_999), st.sampled_from(Kind)), max_size=4),
        ),
        st.tuples(st.just("advance"), st.integers(1, 9_999)),
        st.tuples(st.just("earn"), st.integers(0, 5)),
        st.tuples(st.just("pay"), st.integers(1, 20_000)),
    ),
    max_size=14,
)


@given(actions)
@settings(max_examples=80)
def test_any_sequence_of_documents_and_payments_balances(steps: list[tuple[str, object]]) -> None:
    balances: dict[tuple[str, str], int] = {}
    documents: dict[str, Open] = {}
    unearned: list[Document] = []
    cash = billed = 0
    for n, (what, value) in enumerate(steps):
        posted: list[Entry] = []
        if what in ("bill", "advance"):
            lines = [line(value)] if isinstance(value, int) else [line(m, k) for m, k in value]  # type: ignore[attr-defined]
            doc = issued(*lines, sequence=n, in_advance_=what == "advance")
            assert total((item.amount for item in doc.lines), "USD") == doc.total
            posted, billed = list(entries_for_document(doc, ISSUED - 1)), billed + doc.total.minor
            unearned += [doc] if what == "advance" else []
            if doc.total:
                documents[doc.number] = open_(doc.number, doc.total.minor, doc.due_at)
        elif what == "earn" and unearned:
            posted = [entry_for_month(unearned.pop(0), ISSUED + DAY_S)]
        elif what == "pay":
            assert isinstance(value, int)
            parts, left = apply_payment(Money(value, "USD"), list(documents.values()))
            for number, part in parts:
                item = replace(documents[number], left=documents[number].left - part)
                documents = (
                    {**documents, number: item}
                    if item.left
                    else {k: v for k, v in documents.items() if k != number}
                )
            posted = [entry_for_payment(f"p{n}", "deal", n, Money(value, "USD"), left)]
            cash += value
        for entry in posted:
            balances = post_to(balances, entry)
        assert set(trial_balance(balances).values()) <= {0}
    usd = {account: minor for (account, _), minor in balances.items()}
    still_open = sum(item.left.minor for item in documents.values())
    assert usd.get(receivable("deal"), 0) == still_open
    assert usd.get("assets.cash", 0) == cash
    assert cash - billed == -usd.get(unapplied("deal"), 0) - still_open
    assert usd.get(deferred("deal"), 0) == -sum(doc.total.minor for doc in unearned)
