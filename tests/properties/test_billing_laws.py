"""Laws of the whole way from readings to postings, on random months."""

from __future__ import annotations

from collections import Counter
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.events.recall import GiveBack, RecallNotice
from offtake.base.months import Month
from offtake.rating.rate import differences, rate_month
from offtake.rating.suppose import Supposed, SupposedMonth, supposed_months
from offtake.store.fact import Recorded
from offtake.workflows.record import record_event
from offtake.workflows.tick import tick
from tests.agreements.texts import FEE, agreement
from tests.workflows.test_usage import HOUR, live, reading, taken_in
from tests.workflows.worlds import at

CLAUSES = (
    "[[metered_fee]]\ntier = [{ up_to = 500, rate = 2.337 }, { rate = 1.111, flat = 7 }]\n",
    "[tax]\nrate = 0.19\n",
    '[percentage_fee]\nshare = 0.03\nclauses = ["metered_fee"]\n',
)

hours = st.lists(
    st.tuples(st.integers(0, 600), st.integers(1, 30), st.integers(1, 64)), min_size=1, max_size=8
)


@settings(max_examples=10, deadline=None)
@given(first=hours, late=hours)
def test_lines_sum_to_documents_and_documents_to_postings(
    tmp_path_factory: pytest.TempPathFactory, first: Any, late: Any
) -> None:
    w = live(tmp_path_factory.mktemp("law"), *CLAUSES)

    def rows(name: str, found: Any) -> list[dict[str, Any]]:
        return [
            reading(f"{name}{i}", at(2, 2) + begin * HOUR, seconds=length * HOUR, gpus=gpus)
            for i, (begin, length, gpus) in enumerate(found)
        ]

    taken_in(w, "first", *rows("a", first), now=at(3, 1), through={"s": at(3, 1)})
    tick(w.book, at(3, 1))
    taken_in(w, "late", *rows("b", late), now=at(3, 3))
    tick(w.book, at(3, 3))
    documents = w.book.items("document")
    postings: Counter[str] = Counter()
    for posting in w.book.database.postings():
        postings[posting["account"]] += posting["minor"]
    assert sum(postings.values()) == 0
    for doc in documents.values():
        assert sum(line["amount"]["minor"] for line in doc["lines"]) == doc["total"]["minor"]
    assert postings["assets.receivable.deal"] == sum(doc["total"]["minor"] for doc in documents.values())
    income = -sum(minor for account, minor in postings.items() if account.startswith("income."))
    kinds = Counter[str]()
    for doc in documents.values():
        for line in doc["lines"]:
            kinds[line["kind"]] += line["amount"]["minor"]
    assert income == kinds["usage"] + kinds["fee"] + kinds["credit"]
    assert -postings["liabilities.tax.deal"] == kinds["tax"]
    # all documents together are what rating everything at once comes to
    whole = live(tmp_path_factory.mktemp("whole"), *CLAUSES)
    taken_in(whole, "all", *rows("a", first), *rows("b", late), now=at(3, 1), through={"s": at(3, 1)})
    tick(whole.book, at(3, 1))
    once = sum(doc["total"]["minor"] for doc in whole.book.items("document").values())
    assert once == sum(doc["total"]["minor"] for doc in documents.values())
    w.book.close()
    whole.book.close()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 744_000), st.integers(0, 744_000))
def test_a_correction_and_its_inverse_net_to_zero(before: int, after: int) -> None:
    deal = agreement(FEE, *CLAUSES)

    def charges(taken: int) -> tuple[Any, ...]:
        month = SupposedMonth(month=Month(2026, 3), taken_gpu_h=Fraction(taken))
        (facts,) = supposed_months(deal, Supposed(months=(month,)), Month(2026, 3), Month(2026, 3))
        return rate_month(deal, facts).charges

    one, other = charges(before), charges(after)
    there = list(differences(other, one, "USD"))
    back = list(differences(one, [*one, *there], "USD"))
    assert sum(c.amount.minor for c in (*there, *back)) == 0
    assert list(differences(one, one, "USD")) == []
    assert list(differences(other, [*one, *there], "USD")) == []


def test_a_recall_that_is_undone_nets_to_zero(tmp_path_factory: pytest.TempPathFactory) -> None:
    w = live(
        tmp_path_factory.mktemp("undone"),
        FEE,
        '[recall]\ntranches = ["main"]\nnotice_days = 0\n',
    )
    taken_in(w, "none", through={"s": at(3, 1)}, now=at(3, 1))
    tick(w.book, at(3, 1))
    before = sum(total for _, _, total in w.invoices())
    recall = RecallNotice(id="r", agreement="deal", tranche="main", gpus=500, given=date(2026, 2, 10))
    assert isinstance(record_event(w.book, recall, at(3, 2)), Recorded)
    tick(w.book, at(3, 2))
    assert sum(total for _, _, total in w.invoices()) < before
    undone = GiveBack(id="g", agreement="deal", tranche="main", gpus=500, given=date(2026, 2, 10))
    assert isinstance(record_event(w.book, undone, at(3, 3)), Recorded)
    tick(w.book, at(3, 3))
    assert sum(total for _, _, total in w.invoices()) == before
    tick(w.book, at(3, 3))
    assert len(w.invoices()) == 3
    w.book.close()
