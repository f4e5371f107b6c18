"""Value after a month, its maturity, support behind it, and shares; and what differs between texts."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.derive import values
from offtake.agreements.diff import differences_between
from offtake.agreements.model import Agreement
from offtake.agreements.reading import term_at, terms_of
from offtake.agreements.worth import caps_of, shares_of, worth_after
from offtake.base.money import Money
from offtake.base.months import Month
from tests.agreements.texts import FEE, HEADER, TRANCHE, agreement, example

EXIT = "[termination]\nnotice_days = 30\nlock_in_months = 3\n"


def test_what_is_firm_moves_on_with_the_month_from_which_it_is_seen() -> None:
    deal = agreement(FEE, EXIT)
    # seen before anything: notice on 10 April, end on 10 May: February to April, and 9 of 31 days
    assert worth_after(deal, Month(2026, 1)).firm.value == Money(3 * 31_000_000 + 9_000_000, "USD")
    # seen after June: notice on 1 July, the first day there is: 30 of July's 31 days
    later = worth_after(deal, Month(2026, 6))
    assert later.firm.value == Money(30_000_000, "USD")
    assert later.remaining.value == Money(7 * 31_000_000, "USD")


@settings(max_examples=30, deadline=None)
@given(st.integers(-2, 14), st.sampled_from(["anthropic", "google", "reflection", ""]))
def test_rungs_sum_to_what_remains_and_firm_never_exceeds_it(months: int, name: str) -> None:
    deal = example(name) if name else agreement(FEE, EXIT)
    worth = worth_after(deal, Month(2026, 5).plus(months))
    assert sum(rung.firm.minor for rung in worth.ladder) == worth.firm.value.minor
    both = sum(rung.firm.minor + rung.cancellable.minor for rung in worth.ladder)
    assert both == worth.remaining.value.minor
    assert 0 <= worth.firm.value.minor <= worth.remaining.value.minor


def test_the_obligation_follows_the_recorded_judgement() -> None:
    kept = agreement(
        FEE, EXIT, '[recognition]\nrpo = "headline"\nbecause = "too costly to move"\njudged_by = "CFO"'
    )
    worth = worth_after(kept, Month(2026, 1))
    assert worth.obligation == worth.remaining
    assert worth.judgement == "headline value: too costly to move, judged by CFO"
    plain = worth_after(agreement(FEE, EXIT), Month(2026, 1))
    assert (plain.obligation, plain.judgement) == (plain.firm, "firm value, as no judgement is recorded")


@pytest.mark.parametrize(
    ("support", "uncovered"),
    [
        ("", 372_000_000),
        ('[credit_support]\nform = "deposit"\nprovider = "B"\namount = 1_000_000', 272_000_000),
        ('[credit_support]\nform = "deposit"\nprovider = "B"\namount = 9_000_000', 0),
        ('[credit_support]\nform = "guaranty"\nprovider = "Parent"', 0),
        ('[credit_support]\nform = "guaranty"\nprovider = "Parent"\nthrough = 2026-01-31', 372_000_000),
        ('[credit_support]\nform = "guaranty"\nprovider = "Parent"\nbehind = "operator"', 372_000_000),
    ],
)
def test_what_nothing_stands_behind(support: str, uncovered: int) -> None:
    worth = worth_after(agreement(FEE, support), Month(2026, 1))
    assert worth.uncovered.value.minor == uncovered


def of(offtaker: str, *sections: str, amount: int = 310_000) -> Agreement:
    header = HEADER.replace('"Taker"', f'"{offtaker}"').replace('"deal"', f'"{offtaker.lower()}"')
    return agreement(FEE.replace("310_000", str(amount)), *sections, header=header)


def test_shares_are_of_all_firm_value_and_caps_hold_or_break() -> None:
    book = [
        worth_after(one, Month(2026, 1))
        for one in (
            of("Big", "[concentration]\ncap = 0.7\n"),
            of("Small", '[concentration]\ncap = 0.8\nofftaker = "Big"\n', amount=103_334),
        )
    ]
    shares = {share.offtaker: share.share for share in shares_of(book)}
    assert sum(shares.values()) == 1
    assert shares["Big"] == Fraction(310_000, 413_334)
    tested = caps_of(book, 0)
    assert [(one.offtaker, one.holds) for one in tested] == [("Big", False), ("Big", True)]


def test_a_cap_on_gpus_counts_what_is_entitled_in_its_pools() -> None:
    text = '[concentration]\nof = "gpus"\npools = ["p"]\ncap = 0.75\n'
    elsewhere = agreement(
        FEE, header=HEADER.replace('"Taker"', '"Other"'), tranche=TRANCHE.replace('"p"', '"q"')
    )
    book = [worth_after(one, Month(2026, 1)) for one in (of("Big", text), elsewhere)]
    at = book[0].agreement.month(Month(2026, 5)).start
    (found,) = caps_of(book, at)
    assert (found.offtaker, found.share, found.holds) == ("Big", Fraction(1), False)


def test_differences_name_terms_and_tranches_whatever_their_order() -> None:
    before = agreement(FEE, EXIT)
    more = TRANCHE.replace('"main"', '"early"').replace('"p"', '"q"')
    after = agreement(FEE.replace("310_000", "320_000"), tranche=more + TRANCHE)
    found = {one.path: (one.before, one.after) for one in differences_between(before, after)}
    assert found["monthly_fee.amount"] == ("310,000", "320,000")
    assert found["termination.notice_days"] == ("30", None)
    assert found["tranche early: quantity"] == (None, "1,000")
    assert not any(path.startswith("tranche main") for path in found)
    assert differences_between(before, before) == ()


@pytest.mark.parametrize("name", ["anthropic", "google", "reflection"])
def test_every_term_a_value_rests_on_can_be_read(name: str) -> None:
    deal = example(name)
    paths = set(values(deal).headline.basis) | set(values(deal).firm.basis)
    stated = {path: term_at(deal, path) for path in paths}
    unsaid = {path for path, term in stated.items() if term.value == "not stated"}
    assert unsaid <= {"termination.lock_in_from"}
    assert "tranche[0].quantity" in terms_of(deal)
    assert term_at(deal, "ramp").value.startswith("first 2026-05") or name == "reflection" or name == "google"
