"""What is carried from month to month: make-up, carry-forward, minimums, prepayments. Laws and examples."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.derive import values
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import fee_schedule
from offtake.base.months import Month
from offtake.rating.model import Charge, Kind
from offtake.rating.rate import rate_term
from offtake.rating.suppose import Supposed, SupposedMonth, supposed_months
from tests.agreements.texts import FEE, agreement

FIRST, LAST = Month(2026, 2), Month(2027, 1)
USAGE = "[usage_fee]\nrate_per_gpu_h = 2.357\n"
shares = st.lists(st.fractions(0, 1, max_denominator=50), min_size=12, max_size=12)


def rated(deal: Agreement, taken: list[Fraction]) -> list[Charge]:
    supposed = Supposed(
        months=tuple(SupposedMonth(month=FIRST.plus(n), taken=share) for n, share in enumerate(taken))
    )
    months = rate_term(deal, supposed_months(deal, supposed, FIRST, LAST))
    return [charge for _, month in months for charge in month.charges]


def cents(charges: list[Charge], clause: str, *kinds: Kind) -> int:
    return sum(c.amount.minor for c in charges if c.clause == clause and (not kinds or c.kind in kinds))


@given(shares, st.decimals("0.1", "1", places=2), st.integers(1, 12))
@settings(max_examples=40)
def test_make_up_never_gives_back_more_than_was_paid_as_deficiency(
    taken: list[Fraction], share: object, months: int
) -> None:
    deal = agreement(USAGE, f"[take_or_pay]\nshare = {share}\nmake_up_months = {months}\n")
    lines = [c.amount.minor for c in rated(deal, taken) if c.clause == "take_or_pay"]
    balance = 0
    for line in lines:
        balance += line
        assert balance >= 0
    without = rated(agreement(USAGE, f"[take_or_pay]\nshare = {share}\n"), taken)
    assert sum(lines) <= cents(without, "take_or_pay")


@given(shares, st.decimals("0.1", "0.9", places=2), st.integers(1, 12))
@settings(max_examples=40)
def test_carry_forward_only_lowers_what_is_owed(taken: list[Fraction], share: object, months: int) -> None:
    plain = agreement(USAGE, f"[take_or_pay]\nshare = {share}\n")
    carried = agreement(USAGE, f"[take_or_pay]\nshare = {share}\ncarry_forward_months = {months}\n")
    one, other = rated(plain, taken), rated(carried, taken)
    assert 0 <= cents(other, "take_or_pay") <= cents(one, "take_or_pay")
    assert cents(one, "usage_fee") == cents(other, "usage_fee")


@given(shares, st.sampled_from(["month", "quarter", "year", "contract_year", "term"]))
@settings(max_examples=40)
def test_a_minimum_spend_is_reached_in_every_whole_year_and_never_exceeded_by_its_own_line(
    taken: list[Fraction], period: str
) -> None:
    deal = agreement(USAGE, f'[minimum_commitment]\nperiod = "{period}"\namount = 1_200_000\n')
    charges = rated(deal, taken)
    whole = cents(charges, "usage_fee") + cents(charges, "minimum_commitment")
    if period in ("contract_year", "term"):
        assert whole >= 120_000_000
        assert cents(charges, "minimum_commitment") == max(0, 120_000_000 - cents(charges, "usage_fee"))
    assert cents(charges, "minimum_commitment") >= 0


def test_longer_periods_forgive_what_shorter_ones_charge() -> None:
    taken = [Fraction(1), Fraction(0)] * 6
    owed = [
        cents(rated(agreement(USAGE, f'[take_or_pay]\nshare = 0.5\nperiod = "{p}"\n'), taken), "take_or_pay")
        for p in ("term", "year", "quarter", "month")
    ]
    assert owed == sorted(owed)
    assert owed[-1] > owed[0]


@given(
    shares,
    st.decimals("0.01", "1", places=2),
    st.integers(0, 14),
    st.decimals("0.05", "1", places=2),
    st.booleans(),
    st.dates(date(2026, 3, 1), date(2027, 3, 1)),
)
@settings(max_examples=60)
def test_what_is_drawn_refunded_or_forfeited_is_exactly_what_was_prepaid(
    taken: list[Fraction], share: object, wait: int, cap: object, refundable: bool, end: date
) -> None:
    text = f"[prepayment]\nshare = {share}\ncredit_from_month = {wait}\ncap_share = {cap}\n"
    deal = agreement(FEE, text + f"refundable = {str(refundable).lower()}\n")
    ended = deal.ending(end)
    charges = rated(ended, taken)
    paid = sum(c.amount.minor for c in charges if c.kind is Kind.PREPAYMENT and c.amount.minor > 0)
    assert paid == round(fee_schedule(deal).total.minor * Fraction(str(share)))
    drawn = -cents(charges, "prepayment", Kind.DRAWDOWN)
    refund = -sum(c.amount.minor for c in charges if c.kind is Kind.PREPAYMENT and c.amount.minor < 0)
    assert drawn + refund == paid
    assert 0 <= drawn <= paid
    assert refundable or refund == 0
    for month in {c.month for c in charges}:
        own = [c for c in charges if c.month == month]
        assert sum(c.amount.minor for c in own if c.kind is Kind.FEE or c.kind is Kind.DRAWDOWN) >= 0


def test_a_minimum_on_usage_is_part_of_headline_and_firm_value() -> None:
    deal = agreement(USAGE, "[take_or_pay]\nshare = 0.5\n", "[termination]\nnotice_days = 30\n")
    hours = 1_000 * 365 * 24
    worth = values(deal)
    assert abs(worth.headline.value.minor - round(hours * Fraction("0.5") * Fraction("235.7"))) <= 12
    assert 0 < worth.firm.value.minor < worth.headline.value.minor
    stays = values(replace(deal, clauses=deal.clauses[:2]))
    assert stays.firm.value == stays.headline.value


def test_an_expensive_exit_isn_t_taken() -> None:
    cheap, dear = (
        values(agreement(FEE, f"[termination]\nnotice_days = 30\nfee_months = {n}\n")) for n in (1, 100)
    )
    assert cheap.firm_notice is not None
    assert (dear.firm_notice, dear.firm.value) == (None, dear.headline.value)
