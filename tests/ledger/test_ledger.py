"""Double entry: what doesn't balance can't be posted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.errors import Broken
from offtake.base.money import Money
from offtake.ledger.model import Entry, Posting, ensure_balanced, entry, post_to, sums, trial_balance


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def test_an_entry_out_of_balance_can_t_exist() -> None:
    with pytest.raises(Broken, match="entry e is out of balance by 1 minor units of USD"):
        entry("e", 0, "t", [("assets.cash", usd(5)), ("income.fees.a", usd(-4))])


def test_each_currency_balances_by_itself() -> None:
    legs = [("assets.cash", usd(5)), ("income.fees.a", Money(-5, "EUR"))]
    with pytest.raises(Broken, match=r"5 minor units of (USD|EUR)"):
        entry("e", 0, "t", legs)
    both = entry("e", 0, "t", [*legs, ("income.fees.a", usd(-5)), ("assets.cash", Money(5, "EUR"))])
    assert sums(both.postings) == {"USD": 0, "EUR": 0}


@pytest.mark.parametrize("account", ["cash", "asset.cash", "", "Assets.cash", "receivable.assets"])
def test_an_account_of_no_known_kind_is_refused(account: str) -> None:
    with pytest.raises(Broken, match="begins with none of"):
        entry("e", 0, "t", [(account, usd(5)), ("equity.owner", usd(-5))])


def test_legs_of_nothing_are_left_out() -> None:
    made = entry("e", 0, "t", [("assets.cash", usd(0)), ("nonsense", usd(0))])
    assert made.postings == ()


def test_a_ledger_out_of_balance_is_named_by_currency_and_difference() -> None:
    with pytest.raises(Broken, match="off by -3 minor units of EUR"):
        ensure_balanced({("assets.cash", "USD"): 5, ("income.x", "USD"): -5, ("assets.cash", "EUR"): -3})
    ensure_balanced({})


accounts = st.sampled_from(["assets.cash", "assets.receivable.a", "income.fees.a", "liabilities.deferred.a"])
legs_of = st.lists(
    st.tuples(accounts, st.integers(-(10**14), 10**14), st.sampled_from(["USD", "EUR"])), max_size=5
)


def balanced(number: int, legs: list[tuple[str, int, str]]) -> Entry:
    made = [(account, Money(minor, currency)) for account, minor, currency in legs]
    for currency in ("USD", "EUR"):
        rest = -sum(money.minor for _, money in made if money.currency == currency)
        made.append(("equity.balancing", Money(rest, currency)))
    return entry(f"e{number}", number, "t", made)


@given(st.lists(legs_of, max_size=6))
def test_balances_are_the_sums_of_postings_in_any_order(
    entries: list[list[tuple[str, int, str]]],
) -> None:
    made = [balanced(i, legs) for i, legs in enumerate(entries)]
    balances: dict[tuple[str, str], int] = {}
    for item in made:
        balances = post_to(balances, item)
        ensure_balanced(balances)
    backwards: dict[tuple[str, str], int] = {}
    for item in reversed(made):
        backwards = post_to(backwards, item)
    assert backwards == balances
    assert set(trial_balance(balances).values()) <= {0}
    for (account, currency), minor in balances.items():
        assert minor == sum(
            p.amount.minor
            for item in made
            for p in item.postings
            if p.account == account and p.amount.currency == currency
        )


def test_posting_leaves_the_balances_before_it_alone() -> None:
    before = {("assets.cash", "USD"): 1, ("equity.owner", "USD"): -1}
    new = Entry(
        id="e",
        at=0,
        text="t",
        postings=(
            Posting(account="assets.cash", amount=usd(-1)),
            Posting(account="equity.owner", amount=usd(1)),
        ),
    )
    after = post_to(before, new)
    assert before == {("assets.cash", "USD"): 1, ("equity.owner", "USD"): -1}
    assert after == {("assets.cash", "USD"): 0, ("equity.owner", "USD"): 0}
