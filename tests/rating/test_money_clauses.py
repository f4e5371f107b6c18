"""Index links, power, the put, tax, payment terms, damages: edges that the worked figures don't show."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.agreements.events.cause import DefaultNotice
from offtake.agreements.model import Agreement, after_events
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.series import Point, Series
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.rating.model import Kind, MonthFacts, Paid
from offtake.rating.rate import rate_month, rate_term
from offtake.rating.suppose import Supposed, SupposedMonth, supposed_months
from tests.agreements.texts import FEE, agreement

INDEX = """
[index_link]
series = "X"
base = 2
first = "2026-03"
disrupted_days = 31
"""


def priced(text: str, *points: tuple[date, str]) -> list[int]:
    """Fees of February to May in thousands of minor units."""
    deal = agreement(FEE, text)
    series = Series.of("X", (Point(on=on, value=Decimal(value)) for on, value in points))
    schedule = fee_schedule(replace(deal, series={"X": series}))
    return [item.amount.minor // 1_000 for item in schedule][:4]


FEB = (date(2026, 2, 10), "3")


@pytest.mark.parametrize(
    ("more", "points", "fees"),
    [
        ("", (), [31_000, 31_000, 31_000, 31_000]),  # not published: the base
        ("", (FEB,), [31_000, 46_500, 46_500, 46_500]),  # disrupted in April and May: its last value
        ('fallback = "base"', (FEB,), [31_000, 46_500, 31_000, 31_000]),
        ("weight = 0.5", (FEB,), [31_000, 38_750, 38_750, 38_750]),
        ("ceiling = 1.2", (FEB,), [31_000, 37_200, 37_200, 37_200]),
        ("floor = 1.6\nceiling = 1.7", (FEB,), [31_000, 49_600, 49_600, 49_600]),
        (
            "every_months = 2",
            (FEB, (date(2026, 3, 10), "4"), (date(2026, 4, 10), "5")),
            [31_000, 46_500, 46_500, 77_500],
        ),
        ('observed = "last"', (FEB, (date(2026, 2, 20), "4")), [31_000, 62_000, 62_000, 62_000]),
        ("", (FEB, (date(2026, 2, 20), "4")), [31_000, 54_250, 62_000, 62_000]),
    ],
    ids=["unknown", "disrupted", "base", "weight", "ceiling", "floor", "every", "last", "average"],
)
def test_an_index_sets_fees_as_its_terms_say(
    more: str, points: tuple[tuple[date, str], ...], fees: list[int]
) -> None:
    assert priced(INDEX + more, *points) == fees


def test_a_fallback_is_named_on_the_line() -> None:
    deal = agreement(FEE, INDEX)
    (line,) = rate_month(deal, MonthFacts(month=Month(2026, 3))).fixed
    assert "X isn't known, its base 2 taken" in line.text
    assert "index_link.series" in line.basis


def test_power_without_a_known_tariff_says_so_and_charges_nothing() -> None:
    deal = agreement(FEE, '[power_pass_through]\nseries = "T"\npue = 1.2')
    facts = MonthFacts(month=Month(2026, 3), energy_wh=5_000_000)
    (line,) = rate_month(deal, facts).settled
    assert (line.amount.minor, line.kind) == (0, Kind.PASS_THROUGH)
    assert "no tariff is known" in line.text
    known = replace(deal, series={"T": Series.of("T", [Point(on=date(2026, 3, 1), value=Decimal("0.1"))])})
    (line,) = rate_month(known, facts).settled
    assert line.amount == Money(60_000, "USD")
    assert rate_month(deal, MonthFacts(month=Month(2026, 3))).settled == ()


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
def test_a_put_never_exceeds_its_cap_and_reaches_it_when_there_is_enough(unsold: list[int]) -> None:
    deal = agreement(FEE, '[capacity_put]\npools = ["p"]\nprice_per_gpu_h = 1.5\ncap = 2_000_000')
    months = [
        MonthFacts(month=Month(2026, 2).plus(i), unsold={"p": hours * 3_600, "q": 10**12})
        for i, hours in enumerate(unsold)
    ]
    owed = sum(
        c.amount.minor for _, r in rate_term(deal, months) for c in r.charges if c.clause == "capacity_put"
    )
    assert owed == min(200_000_000, 150 * sum(unsold))


def test_tax_leaves_out_what_is_exempt_and_what_is_no_supply() -> None:
    base = agreement(FEE, '[tax]\nrate = 0.19\nwhat = "VAT"')
    (line,) = rate_month(base, MonthFacts(month=Month(2026, 3))).settled
    assert line.amount == Money(5_890_000, "USD")
    exempt = agreement(FEE, '[tax]\nrate = 0.19\nexempt = ["monthly_fee"]')
    assert rate_month(exempt, MonthFacts(month=Month(2026, 3))).settled == ()
    reverse = agreement(FEE, "[tax]\nrate = 0.19\nreverse_charge = true")
    (line,) = rate_month(reverse, MonthFacts(month=Month(2026, 3))).settled
    assert (line.amount.minor, "for Taker to account for" in line.text) == (0, True)
    late = agreement(FEE, "[tax]\nrate = 0.19", "[payment]\nlate_interest_per_month = 0.015")
    paid = Paid(document="D", amount=Money(100_000, "USD"), due=date(2026, 3, 1), paid=date(2026, 3, 11))
    lines = rate_month(late, MonthFacts(month=Month(2026, 3), paid=(paid,))).settled
    assert {c.clause: c.amount.minor for c in lines} == {"payment": 500, "tax": 5_890_000}


@pytest.mark.parametrize(("days", "interest"), [(-1, 0), (0, 0), (5, 0), (6, 300), (30, 1_500)])
def test_interest_counts_from_the_due_day_once_grace_is_over(days: int, interest: int) -> None:
    deal = agreement(FEE, "[payment]\nlate_interest_per_month = 0.015\nlate_grace_days = 5")
    paid = Paid(
        document="D",
        amount=Money(100_000, "USD"),
        due=date(2026, 3, 1),
        paid=date.fromordinal(date(2026, 3, 1).toordinal() + days),
    )
    lines = rate_month(deal, MonthFacts(month=Month(2026, 3), paid=(paid,))).settled
    assert sum(c.amount.minor for c in lines) == interest


def defaulted(text: str, rate: str | None, proceeds: int = 0) -> tuple[int, str]:
    """What is owed for a default that ends the agreement on 1 June, and its line."""
    deal = agreement(FEE, text)
    if rate is not None:
        deal = replace(
            deal, series={"od": Series.of("od", [Point(on=date(2026, 1, 1), value=Decimal(rate))])}
        )
    notice = DefaultNotice(id="d", agreement="deal", given=date(2026, 5, 31), proceeds=Decimal(proceeds))
    ended = after_events(deal, [notice])
    taken = tuple(SupposedMonth(month=Month(2026, m), taken_gpu_h=Fraction(10**5)) for m in range(2, 6))
    months = supposed_months(ended, Supposed(months=taken), Month(2026, 2), Month(2026, 5))
    (line,) = [c for _, r in rate_term(ended, months) for c in r.charges if c.clause == "default"]
    assert line.kind is Kind.DAMAGES
    return line.amount.minor, line.text


def test_damages_are_what_falls_away_or_the_lesser_of_two() -> None:
    # eight months of 310,000.00 fall away, four were charged, 400,000 GPU-hours were taken
    simple = "[default]\ncure_days = 0"
    assert defaulted(simple, None)[0] == 248_000_000
    assert defaulted(simple, None, proceeds=480_000)[0] == 200_000_000
    assert defaulted(simple + "\nshare = 0.5", None)[0] == 124_000_000
    lesser = '[default]\ncure_days = 0\ndamages = "lesser_of"\non_demand_series = "od"'
    assert defaulted(lesser, "4")[0] == 160_000_000 - 124_000_000
    assert defaulted(lesser, "40")[0] == 248_000_000
    assert defaulted(lesser, "1")[0] == 0  # on demand would have cost less than what was charged
    owed, text = defaulted(lesser, None)
    assert owed == 248_000_000
    assert "no on-demand rate is known for 4 of its months" in text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('[default]\ndamages = "lesser_of"', "go together"),
        ("[power_pass_through]", "a price or a series"),
        ('[power_pass_through]\nseries = "T"\ntariff_per_kwh = 0.1', "a price or a series"),
        ("[liability_cap]", "an amount or a share"),
        ("[liability_cap]\namount = 1\nshare_of_fees = 1", "an amount or a share"),
        ("[payment]\ndiscount = 0.01", "go together"),
        ("[payment]\ndiscount = 0.01\ndiscount_days = 60", "is late"),
        (INDEX + "floor = 2\nceiling = 1", "below the floor"),
        (INDEX + 'clauses = ["payment"]', "no section with a fee"),
        ('[rent_abatement]\nbusiness_days = 2\nplace = "Atlantis"', "aren't known"),
        ('[notices]\nway = [{ how = "hand" }, { how = "hand" }]', "appears twice"),
        ('[concentration]\nof = "gpus"\ncap = 0.3', "go together"),
        ('[credit_support]\nform = "deposit"\nprovider = "B"\namount = 0.001', "whole minor units"),
        (
            '[expansion]\ntranche = "main"\nquantity = 1\nlast_day = 2026-03-01\nstart = 2030-01-01',
            "isn't within",
        ),
        ('[delay_credit]\ntranche = "main"\ndue = 2026-03-01\nshare_per_day = 0.1', "never late"),
    ],
)
def test_what_a_clause_can_t_mean_is_refused(text: str, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        agreement(FEE, text)


def test_a_cap_as_a_share_grows_with_what_is_earned() -> None:
    text = "[availability_credit]\nband = [{ below = 1, credit = 1 }]\n\n[liability_cap]\nshare_of_fees = 0.1"
    deal: Agreement = agreement(FEE, text)
    months = [
        replace(facts, tranches={"main": replace(facts.tranches["main"], lost={"outage": 1})})
        for facts in supposed_months(deal, Supposed(), Month(2026, 2), Month(2026, 4))
    ]
    owed = [
        sum(c.amount.minor for c in rated.charges if c.kind is Kind.CREDIT)
        for _, rated in rate_term(deal, months)
    ]
    assert owed == [-3_100_000, -3_100_000, -3_100_000]
