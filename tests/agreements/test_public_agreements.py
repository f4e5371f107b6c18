"""The three public agreements say what was published about them, and their figures follow the text.

Expected figures: SpaceX's filings as reported (35 full months of $1.25B; 33 of $920M; 42 of $150M), the
published prices per GPU-hour ($5.27 for one; $11.45 and $11.62 for the other, by the hours of a month), and
arithmetic on the terms that are public.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from offtake.agreements.clauses.delivery import Remedy
from offtake.agreements.derive import deadlines, entitlement, implied_rate, values
from offtake.agreements.events.election import Election
from offtake.agreements.model import after_events
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import HoursConvention, Side
from offtake.base.money import Money, total
from offtake.base.months import Month
from offtake.formats.agreement import parse_agreement
from offtake.rating.model import MonthFacts
from offtake.rating.rate import rate_fixed, rate_settled
from tests.agreements.texts import example, example_text


def usd(amount: int | str | Decimal) -> Money:
    return Money.from_major(Decimal(amount), "USD")


MILLION = 1_000_000

FULL_MONTHS = [
    # G48, G2, G1: first and last full month, how many, how much
    ("anthropic", Month(2026, 7), Month(2029, 5), 35, 43_750 * MILLION),
    ("google", Month(2026, 10), Month(2029, 6), 33, 30_360 * MILLION),
    ("reflection", Month(2026, 7), Month(2029, 12), 42, 6_300 * MILLION),
]


@pytest.mark.parametrize(("name", "first", "last", "count", "sum_"), FULL_MONTHS)
def test_full_months_sum_to_the_published_headline(
    name: str, first: Month, last: Month, count: int, sum_: int
) -> None:
    full = [item for item in fee_schedule(example(name)) if item.month >= first]
    assert (full[0].month, full[-1].month, len(full)) == (first, last, count)
    assert total((item.amount for item in full), "USD") == usd(sum_)


@pytest.mark.parametrize(
    ("name", "ramp_months", "ramp", "headline", "firm", "notice", "end"),
    [
        # four full months and two at half; notice three months after signature, end 90 days later
        ("anthropic", 2, 1_250, 45_000, 6_250, date(2026, 8, 3), date(2026, 11, 1)),
        # three months at half, then October 2026 through March 2027
        ("google", 3, 1_380, 31_740, 1_380 + 6 * 920, date(2027, 1, 1), date(2027, 4, 1)),
        # notice on 1 October 2026 ends it on 30 December: five months and 29 of 31 days
        ("reflection", 0, 0, 6_300, None, date(2026, 10, 1), date(2026, 12, 30)),
    ],
)
def test_values_with_the_ramp_and_the_earliest_exit(
    name: str, ramp_months: int, ramp: int, headline: int, firm: int | None, notice: date, end: date
) -> None:
    agreement = example(name)
    worth = values(agreement)
    before = [item for item in fee_schedule(agreement) if "ramp.fee_share" in item.basis]
    assert len(before) == ramp_months
    assert total((item.amount for item in before), "USD") == usd(ramp * MILLION)
    assert worth.headline.value == usd(headline * MILLION)
    # Reflection: five whole months and 29 / 31 of $150M, to the cent
    assert worth.firm.value == (usd("890322580.65") if firm is None else usd(firm * MILLION))
    assert (worth.firm_notice, worth.firm_end) == (notice, end)
    assert worth.cancellable.value == worth.headline.value - worth.firm.value


@pytest.mark.parametrize(
    ("name", "convention", "places", "rate"),
    [
        ("anthropic", None, 2, "5.27"),  # G3
        ("anthropic", HoursConvention.H730, 4, "5.2687"),
        ("anthropic", HoursConvention.H720, 2, "5.34"),
        ("anthropic", HoursConvention.CALENDAR, 2, "5.27"),  # 8,760 / 12 = 730
        ("google", None, 2, "11.46"),  # G4: 11.457, published cut as 11.45 and rounded as 11.46
        ("google", None, 3, "11.457"),
        ("google", HoursConvention.H720, 2, "11.62"),
    ],
)
def test_the_implied_price_per_gpu_hour_is_the_published_one(
    name: str, convention: HoursConvention | None, places: int, rate: str
) -> None:
    implied = implied_rate(example(name), convention, places)
    assert implied is not None
    assert implied.value == Decimal(rate)
    assert "monthly_fee.amount" in implied.basis
    assert not implied.assumed


def test_no_price_is_implied_where_the_count_isn_t_stated() -> None:
    assert implied_rate(example("reflection")) is None


def test_g4_and_g5_fee_per_gpu_and_its_ratio() -> None:
    per_gpu = Fraction(920 * MILLION, 110_000)
    assert round(per_gpu, 2) == Fraction("8363.64")
    google, anthropic = (implied_rate(example(name), places=8) for name in ("google", "anthropic"))
    assert google is not None
    assert anthropic is not None
    assert round(google.value / anthropic.value, 2) == Decimal("2.17")


def test_g3_the_denominator_decides() -> None:
    text = example_text("anthropic")
    first_site_only = parse_agreement(
        text.replace("quantity = { value = 105_000", "quantity = { value = 1"), "a"
    )
    implied = implied_rate(first_site_only, places=2)
    assert implied is not None
    assert implied.value == Decimal("7.78")


def test_g23_accepting_99_000_of_110_000_reduces_the_fee_to_828_million() -> None:
    google = example("google")
    month = Month(2026, 12)
    election = Election(
        id="e", agreement="google", choice=Remedy.PRO_RATA_FEE, made=date(2026, 11, 1), gpus=99_000
    )
    google = after_events(google, [election])
    lines = (*rate_fixed(google, month), *rate_settled(google, MonthFacts(month=month)))
    assert total((line.amount for line in lines), "USD") == usd(828 * MILLION)
    assert [line.amount for line in lines] == [usd(920 * MILLION), usd(-92 * MILLION)]


def test_what_rests_on_an_assumption_says_so_and_what_doesn_t_doesn_t() -> None:
    anthropic = example("anthropic")
    worth = values(anthropic)
    assert worth.firm.assumed == ("ramp.fee_share",)
    assert worth.headline.assumed == ("ramp.fee_share",)
    for item in fee_schedule(anthropic):
        rests = anthropic.sheet.assumed(item.basis)
        assert rests == (("ramp.fee_share",) if item.month < Month(2026, 7) else ())
    # Reflection's fee is public; only where its lock-in is counted from is assumed
    reflection = values(example("reflection"))
    assert reflection.headline.assumed == ()
    assert reflection.firm.assumed == ("termination.lock_in_from",)


def test_entitlements_rest_on_assumed_steps_but_not_on_the_published_quantity() -> None:
    anthropic = example("anthropic")
    colossus = entitlement(anthropic, anthropic.tranches[0])
    assert set(colossus.assumed) == {"tranche[0].start", "tranche[0].steps", "tranche[0].full_from"}
    google = example("google")
    assert "tranche[0].quantity" not in entitlement(google, google.tranches[0]).assumed


def test_entitlements_step_up_at_local_midnights_to_325_000() -> None:
    anthropic = example("anthropic")
    curves = [entitlement(anthropic, tranche).value for tranche in anthropic.tranches]
    gpus = [
        sum(curve.value_at(anthropic.midnight(day) + off) for curve in curves)
        for day, off in (
            (date(2026, 5, 3), -1),
            (date(2026, 5, 3), 0),
            (date(2026, 5, 20), 0),
            (date(2026, 6, 1), 0),
            (date(2026, 7, 1), 0),
            (date(2029, 6, 1), -1),
            (date(2029, 6, 1), 0),
        )
    ]
    assert gpus == [0, 110_000, 160_000, 270_000, 325_000, 325_000, 0]


def test_deadlines_come_in_order_and_name_their_terms() -> None:
    google = deadlines(example("google"))
    assert [str(deadline.on) for deadline in google] == [
        "2026-09-30",
        "2026-10-30",
        "2027-01-01",
        "2029-07-01",
    ]
    due, grace, notice, _ = google
    assert (due.side, grace.side, notice.side) == (Side.OPERATOR, Side.OFFTAKER, None)
    assert "110,000 GPUs" in due.what
    assert "terminate or pro rata fee" in grace.what
    assert "2027-04-01" in notice.what
    assert notice.basis == ("termination.notice_days", "termination.notice_after")


@pytest.mark.parametrize("amount", [1, 999_999_999, 2_000_000_000])
def test_a_fee_changed_in_the_text_moves_every_total(amount: int) -> None:
    text = example_text("anthropic").replace("amount = 1_250_000_000", f"amount = {amount}")
    changed = parse_agreement(text, "anthropic.toml")
    half = usd(Decimal(amount) / 2)
    worth = values(changed)
    assert worth.headline.value == usd(35 * amount) + half * 2
    assert worth.firm.value == usd(4 * amount) + half * 2
    implied = implied_rate(changed, places=10)
    assert implied is not None
    assert implied.value == round(Decimal(amount) / 325_000 / 730, 10)
    charges = rate_fixed(changed, Month(2027, 1))
    assert [charge.amount for charge in charges] == [usd(amount)]
    assert [charge.amount for charge in rate_fixed(changed, Month(2026, 5))] == [half]


@pytest.mark.parametrize(("share", "ramp"), [("0", 0), ("0.3", 375), ("1", 1_250)])
def test_another_assumption_about_the_ramp_moves_only_the_ramp(share: str, ramp: int) -> None:
    text = example_text("anthropic").replace("fee_share = { value = 0.5", f"fee_share = {{ value = {share}")
    worth = values(parse_agreement(text, "anthropic.toml"))
    assert worth.headline.value == usd((43_750 + 2 * ramp) * MILLION)
    assert worth.firm.value == usd((5_000 + 2 * ramp) * MILLION)


def test_musk_s_180_days_read_literally_is_data_too() -> None:
    # "180-day lease", then 90 days: 180 + 90 from 3 May 2026 is 28 January 2027
    text = example_text("anthropic").replace("lock_in_months = 3", "notice_after = 2026-10-29")
    worth = values(parse_agreement(text, "anthropic.toml"))
    assert (worth.firm_notice, worth.firm_end) == (date(2026, 10, 30), date(2027, 1, 28))


def test_an_agreement_without_a_way_out_is_firm_to_its_end() -> None:
    anthropic = example("anthropic")
    bound = replace(anthropic, clauses=tuple(c for c in anthropic.clauses if c[0] != "termination"))
    worth = values(bound)
    assert worth.firm.value == worth.headline.value
    assert worth.firm_notice is None
    assert worth.firm_end == date(2029, 6, 1)
    assert worth.cancellable.value == usd(0)
