"""Every charge by example, and the laws of what can't be charged."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.clauses.availability_credit import AvailabilityCredit
from offtake.agreements.clauses.delivery import Remedy
from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.events.election import Election
from offtake.agreements.events.notice import Notice
from offtake.agreements.model import Agreement, after_events
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Side
from offtake.base.money import Money, total
from offtake.base.months import Month
from offtake.rating.clauses.take_or_pay import deficiency
from offtake.rating.model import Charge, Kind, MonthFacts, gpu_hours
from offtake.rating.rate import fee_at_stake, rate_fixed, rate_settled
from tests.agreements.texts import FEE, HEADER, agreement, example
from tests.rating.facts import month_facts

MAY = Month(2026, 5)
ENTITLED = 1_000 * 31 * 86_400
H = 3_600

RAMP = '[ramp]\nfirst = "2026-02"\nlast = "2026-03"\nfee_share = 0.333\n'
LATER_FEE = FEE.replace('"2026-02"', '"2026-04"')
USAGE = "[usage_fee]\nrate_per_gpu_h = 2.357\n"
TAKE_OR_PAY = "[take_or_pay]\nshare = 0.8\n"
RECALL = '[recall]\ntranches = ["main"]\nnotice_days = 14\n'
CREDIT = "[availability_credit]\nband = [{ below = 0.99, credit = 0.10 }, { below = 0.95, credit = 0.30 }]\n"
DELIVERY = (
    "[delivery]\ndue = 2026-03-31\ngpus = 1_000\ngrace_months = 1\nremedies = ['pro_rata_fee', 'terminate']\n"
)


def charges(deal: Agreement, election: Election | None = None, **facts: Any) -> list[tuple[str, str, int]]:
    missing = sum(facts.get("lost", {}).values()) + facts.get("recalled", 0)
    facts.setdefault("delivered", ENTITLED - missing)
    deal = after_events(deal, [election] if election else [])
    rated = rate_settled(deal, month_facts(MAY, entitled=ENTITLED, **facts))
    return [(c.clause, c.kind.value, c.amount.minor) for c in rated]


def fixed(deal: Agreement, month: Month) -> list[Charge]:
    return list(rate_fixed(deal, month))


def accepted(gpus: int, made: date = date(2026, 5, 2)) -> Election:
    return Election(id="e", agreement="deal", choice=Remedy.PRO_RATA_FEE, made=made, gpus=gpus)


def test_the_flat_fee_is_owed_for_each_of_its_months() -> None:
    deal = agreement(FEE)
    (line,) = fixed(deal, MAY)
    assert (line.clause, line.kind, line.amount, line.month) == (
        "monthly_fee",
        Kind.FEE,
        Money(31_000_000, "USD"),
        MAY,
    )
    assert line.basis == ("monthly_fee.amount",)
    assert fixed(deal, Month(2026, 1)) == fixed(deal, Month(2027, 2)) == []


def test_the_ramp_is_a_share_rounded_once() -> None:
    deal = agreement(RAMP, LATER_FEE.replace("310_000", "310_000.01"))
    (line,) = fixed(deal, Month(2026, 3))
    assert line.amount == Money(10_323_000, "USD")  # 0.333 × 31,000,001 cents = 10,323,000.333
    assert line.basis == ("ramp.fee_share", "monthly_fee.amount")
    assert [c.clause for c in fixed(deal, Month(2026, 4))] == ["monthly_fee"]


@pytest.mark.parametrize(("rounding", "minor"), [("half_even", 15_500_000), ("half_up", 15_500_001)])
def test_half_a_cent_goes_the_way_the_agreement_says(rounding: str, minor: int) -> None:
    header = HEADER + f'rounding = "{rounding}"\n'
    text = LATER_FEE.replace("310_000", "310_000.01")
    deal = agreement(RAMP.replace("0.333", "0.5"), text, header=header)
    (line,) = fixed(deal, Month(2026, 2))
    assert line.amount.minor == minor


def test_a_month_cut_by_notice_owes_its_days_and_says_so() -> None:
    deal = agreement(FEE, "[termination]\nnotice_days = 30")
    left = after_events(deal, [Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 4, 20))])
    (line,) = fixed(left, MAY)
    assert line.amount == Money(19_000_000, "USD")  # 19 of 31 days of 310,000
    assert "19 of 31 days" in line.text
    assert fixed(left, Month(2026, 6)) == []


def test_take_is_charged_to_the_gpu_second_and_rounded_once() -> None:
    deal = agreement(USAGE)
    assert charges(deal, taken=H) == [("usage_fee", "usage", 236)]
    assert charges(deal, taken=1_000_000 * H + 1) == [("usage_fee", "usage", 235_700_000)]
    assert charges(deal) == []


def test_a_deficiency_is_charged_at_the_same_rate_less_what_is_excused() -> None:
    deal = agreement(USAGE, TAKE_OR_PAY)
    committed = ENTITLED * 8 // 10
    assert charges(deal, taken=committed) == [("usage_fee", "usage", round(committed / H * 235.7))]
    short = charges(deal, taken=committed - 10 * H)
    assert short[1] == ("take_or_pay", "usage", 2_357)
    assert len(charges(deal, taken=committed - 10 * H, lost={"outage": 9 * H, "outranked": H})) == 1
    assert len(charges(deal, taken=committed - 10 * H, recalled=10 * H)) == 1


def test_take_or_pay_beside_a_flat_fee_adds_nothing() -> None:
    assert charges(agreement(FEE, TAKE_OR_PAY)) == []


def test_a_recall_lowers_the_fee_in_proportion() -> None:
    deal = agreement(FEE, RECALL)
    assert charges(deal, recalled=ENTITLED // 4) == [("recall", "fee", -7_750_000)]
    assert charges(deal) == []


def test_a_recall_never_lowers_the_price_of_what_was_taken() -> None:
    deal = agreement(USAGE, RECALL)
    assert charges(deal, taken=ENTITLED // 2, recalled=ENTITLED // 2) == [
        ("usage_fee", "usage", 87_680_400),  # 372,000 GPU-hours at 2.357
    ]
    both = agreement(FEE, USAGE, RECALL)
    assert charges(both, taken=H, recalled=ENTITLED // 2)[-1] == ("recall", "fee", -15_500_000)


def test_an_accepted_short_delivery_lowers_the_fee_after_the_due_month() -> None:
    deal = agreement(FEE, DELIVERY)
    assert charges(deal, election=accepted(900)) == [("delivery", "fee", -3_100_000)]
    assert charges(deal, election=accepted(1_000)) == []
    assert charges(deal, election=accepted(900, date(2026, 4, 30))) == []  # still in grace: doesn't count
    assert rate_settled(after_events(deal, [accepted(900)]), month_facts(Month(2026, 3), entitled=1)) == ()


@pytest.mark.parametrize(
    ("lost_of_1000", "credit"),
    [(10, 0), (11, 3_100_000), (50, 3_100_000), (51, 9_300_000), (1_000, 9_300_000)],
)
def test_the_ladder_of_credits(lost_of_1000: int, credit: int) -> None:
    found = charges(agreement(FEE, CREDIT), lost={"outage": ENTITLED // 1_000 * lost_of_1000})
    assert found == ([("availability_credit", "credit", -credit)] if credit else [])


def test_only_outages_earn_a_credit_and_only_up_to_the_cap() -> None:
    assert charges(agreement(FEE, CREDIT), lost={"outranked": ENTITLED, "not_in_service": ENTITLED}) == []
    capped = charges(agreement(FEE, CREDIT + "cap = 0.05\n"), lost={"outage": ENTITLED})
    assert capped == [("availability_credit", "credit", -1_550_000)]


def test_a_credit_is_a_share_of_what_is_left_of_the_fee() -> None:
    deal = agreement(FEE, CREDIT, RECALL, DELIVERY)  # the order of the file doesn't matter
    found = charges(deal, recalled=ENTITLED // 2, lost={"outage": ENTITLED // 50}, election=accepted(500))
    assert found == [
        ("delivery", "fee", -15_500_000),
        ("recall", "fee", -7_750_000),
        ("availability_credit", "credit", -775_000),
    ]


def test_availability_is_of_what_wasn_t_recalled() -> None:
    deal = agreement(FEE, CREDIT, RECALL)
    # 0.6 % of the entitlement is lost, but 1.2 % of the half that is left
    found = charges(deal, recalled=ENTITLED // 2, lost={"outage": ENTITLED * 6 // 1_000})
    assert found[-1] == ("availability_credit", "credit", -1_550_000)


def test_nothing_is_credited_where_nothing_is_owed() -> None:
    assert charges(agreement(CREDIT), lost={"outage": ENTITLED}) == []
    outside = month_facts(Month(2027, 3), entitled=ENTITLED, lost={"outage": ENTITLED})
    assert rate_settled(agreement(FEE, CREDIT), outside) == ()


def test_a_charge_says_which_of_its_terms_are_assumed() -> None:
    deal = agreement(FEE, CREDIT.replace("[availability_credit]", "[availability_credit]\nassumed = true"))
    facts = month_facts(MAY, entitled=ENTITLED, lost={"outage": ENTITLED})
    (line,) = rate_settled(deal, facts)
    assert line.assumed == line.basis
    assert line.basis[-1] == "availability_credit.cap"
    assert fixed(deal, MAY)[0].assumed == ()


def test_the_public_case_earns_125_million_for_one_band() -> None:
    anthropic = example("anthropic")
    month = Month(2027, 2)
    entitled = 325_000 * anthropic.month(month).seconds
    facts = month_facts(month, tranche="colossus", entitled=entitled, lost={"outage": 60_000 * 60 * H})
    (line,) = rate_settled(anthropic, facts)
    assert line.amount == Money.from_major(-125_000_000, "USD")
    assert "98.3516 %" in line.text
    assert fee_at_stake(anthropic) == 125_000_000_000 // 325_000


def test_people_read_gpu_hours() -> None:
    assert gpu_hours(3_600 * 1_234_567 + 1_800) == "1,234,567.50 GPU-hours"


shares = st.decimals("0", "1", places=3)
seconds = st.integers(0, ENTITLED)
amounts = st.decimals("0", "9999999.99", places=2)


@st.composite
def deals(draw: st.DrawFn) -> Agreement:
    parts = [FEE.replace("310_000", str(draw(amounts)))]
    optional = (
        USAGE.replace("2.357", str(draw(st.decimals("0", "20", places=4)))),
        TAKE_OR_PAY.replace("0.8", str(draw(shares))),
        RECALL,
        DELIVERY,
        CREDIT + f"cap = {draw(shares)}\n",
    )
    parts += [part for part in optional if draw(st.booleans())]
    rounding = draw(st.sampled_from(["half_even", "half_up"]))
    return agreement(*parts, header=HEADER + f'rounding = "{rounding}"\n')


@st.composite
def months_of_facts(draw: st.DrawFn) -> MonthFacts:
    recalled = draw(seconds)
    lost = draw(st.integers(0, ENTITLED - recalled))
    return month_facts(
        MAY,
        entitled=ENTITLED,
        delivered=ENTITLED - recalled - lost,
        taken=draw(st.integers(0, ENTITLED - recalled - lost)),
        recalled=recalled,
        lost={"outage": lost},
    )


@given(deals(), months_of_facts(), st.none() | st.builds(accepted, st.integers(0, 1_000)))
@settings(max_examples=80)
def test_no_month_is_negative_no_reduction_exceeds_the_fee_no_credit_its_cap(
    deal: Agreement, facts: MonthFacts, election: Election | None
) -> None:
    deal = after_events(deal, [election] if election else [])
    flat = rate_fixed(deal, MAY)
    settled = rate_settled(deal, facts)
    fee = total((c.amount for c in flat), "USD").minor
    reductions = sum(c.amount.minor for c in settled if c.kind is Kind.FEE)
    usage = sum(c.amount.minor for c in settled if c.kind is Kind.USAGE)
    credits_ = sum(c.amount.minor for c in settled if c.kind is Kind.CREDIT)
    assert 0 <= fee + reductions <= fee
    assert usage >= 0
    assert credits_ <= 0
    owed = fee + reductions + usage
    found = deal.first_of(AvailabilityCredit)
    cap = min(Fraction(found[1].cap), Fraction(3, 10)) if found else Fraction(0)
    assert -credits_ <= owed * cap + Fraction(1, 2)
    assert owed + credits_ >= 0


@given(shares, seconds, st.integers(0, ENTITLED))
def test_a_deficiency_is_never_negative_and_never_more_than_committed(
    share: Decimal, taken: int, delivered: int
) -> None:
    facts = month_facts(MAY, entitled=ENTITLED, taken=taken, delivered=delivered)
    short = deficiency(TakeOrPay(share=share), facts)
    assert 0 <= short <= share * ENTITLED
    assert short == max(0, int(share * ENTITLED) - taken - (ENTITLED - delivered))


def test_time_that_was_never_planned_is_excused() -> None:
    deal = agreement(USAGE, TAKE_OR_PAY)
    assert charges(deal, taken=0, delivered=ENTITLED * 2 // 10) == []


@given(deals(), st.integers(0, 400))
@settings(max_examples=50)
def test_the_invoice_and_the_forecast_are_the_same_figures(deal: Agreement, day: int) -> None:
    ended = deal.ending(date.fromordinal(date(2026, 2, 1).toordinal() + day))
    schedule = fee_schedule(ended)
    for item in schedule:
        assert total((c.amount for c in rate_fixed(ended, item.month)), "USD") == item.amount
    first = Month(2026, 1)
    everything = [c.amount for n in range(16) for c in rate_fixed(ended, first.plus(n))]
    assert total(everything, "USD") == schedule.total
