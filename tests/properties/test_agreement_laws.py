"""Laws of what an agreement is worth, on random terms."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.clauses.termination import Termination
from offtake.agreements.derive import entitlement, values
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Side
from offtake.base.money import Money, total
from offtake.base.months import Month, days_in_month, months_through
from offtake.base.time import Interval
from tests.agreements.texts import FEE, HEADER, agreement

FIRST = Month(2026, 2)
LAST = Month(2027, 1)
ZONES = ["America/Chicago", "UTC", "Pacific/Kiritimati", "Asia/Kathmandu", "America/Sao_Paulo"]

amounts = st.decimals("0", "99999999.99", places=2)
days = st.dates(date(2026, 1, 15), date(2027, 4, 1))
notices = st.integers(0, 500)


@st.composite
def agreements(draw: st.DrawFn, zone: str = "America/Chicago") -> Agreement:
    """A flat fee with overrides, perhaps a ramp, perhaps ways out."""
    ramp_months = draw(st.integers(0, 4))
    full = FIRST.plus(ramp_months)
    overridden = draw(st.lists(st.integers(ramp_months, 11), unique=True, max_size=3))
    overrides = ", ".join(f'{{ month = "{FIRST.plus(n)}", amount = {draw(amounts)} }}' for n in overridden)
    months = f'first = "{full}"\nlast = "{LAST}"\noverride = [{overrides}]'
    parts = [f"[monthly_fee]\namount = {draw(amounts)}\n{months}"]
    if ramp_months:
        share = draw(st.decimals("0", "1", places=4))
        parts.append(f'[ramp]\nfirst = "{FIRST}"\nlast = "{full.plus(-1)}"\nfee_share = {share}')
    parts += [
        f"[[termination]]\nnotice_days = {draw(notices)}\nlock_in_months = {draw(st.integers(0, 14))}"
        for _ in range(draw(st.integers(0, 2)))
    ]
    header = (
        HEADER.replace("America/Chicago", zone)
        + f'rounding = "{draw(st.sampled_from(["half_even", "half_up"]))}"'
    )
    return agreement(*parts, header=header + "\n")


@given(agreements(), st.lists(st.integers(0, 12), max_size=4), days)
def test_fees_over_any_partition_of_the_months_sum_to_the_total(
    deal: Agreement, cuts: list[int], end: date
) -> None:
    schedule = fee_schedule(deal.ending(end))
    borders = sorted({-1, *cuts, 13})
    parts = [
        total((i.amount for i in schedule if FIRST.plus(a) < i.month <= FIRST.plus(b)), "USD")
        for a, b in pairwise(borders)
    ]
    assert total(parts, "USD") == schedule.total


@given(agreements())
def test_firm_and_cancellable_value_make_up_the_headline(deal: Agreement) -> None:
    worth = values(deal)
    assert Money(0, "USD") <= worth.firm.value <= worth.headline.value
    assert worth.firm.value + worth.cancellable.value == worth.headline.value
    assert set(worth.firm.assumed) <= set(worth.firm.basis)
    if worth.firm_notice is None:
        assert worth.cancellable.value == Money(0, "USD")
        assert worth.firm_end == deal.ends
    else:
        assert worth.firm_notice <= worth.firm_end < deal.ends


def with_notice(deal: Agreement, notice_days: int) -> Agreement:
    return replace(
        deal,
        clauses=tuple(
            (path, replace(clause, notice_days=notice_days) if isinstance(clause, Termination) else clause)
            for path, clause in deal.clauses
        ),
    )


@given(agreements(), notices, notices)
def test_more_notice_never_lowers_the_firm_value(deal: Agreement, a: int, b: int) -> None:
    less, more = (values(with_notice(deal, n)).firm.value for n in sorted((a, b)))
    assert less <= more


@given(agreements(), days, days)
def test_ending_later_never_lowers_the_total(deal: Agreement, a: date, b: date) -> None:
    earlier, later = (fee_schedule(deal.ending(end)) for end in sorted((a, b)))
    assert earlier.total <= later.total
    for item in earlier:
        still = later.at(item.month)
        assert still is not None
        assert item.amount <= still.amount


@given(agreements(), st.sampled_from(ZONES))
def test_moving_the_time_zone_moves_no_total(deal: Agreement, zone: str) -> None:
    moved = replace(deal, time_zone=zone)
    assert fee_schedule(moved) == fee_schedule(deal)
    assert values(moved) == values(deal)


@given(agreements(), days)
def test_an_early_end_is_final_however_often_it_is_said(deal: Agreement, end: date) -> None:
    once = deal.ending(end)
    assert once.ending(date(2027, 12, 31)) == once
    assert once.ending(end) == once
    assert once.ends == min(end, deal.term_end)


@given(agreements(), days)
@settings(max_examples=60)
def test_a_cut_month_owes_the_share_of_its_days_to_half_a_cent(deal: Agreement, end: date) -> None:
    ended, month = deal.ending(end), Month(end.year, end.month)
    whole = fee_schedule(deal).at(month)
    if whole is None or ended.ends != end:
        return
    part = fee_schedule(ended).at(month)
    owed = part.amount.minor if part else 0
    days, covered = days_in_month(month), end.day - 1
    # a ramp month is a share of the fee: the month itself is already rounded to half a cent
    assert abs(2 * (owed * days - whole.amount.minor * covered)) <= days + covered


@given(st.lists(amounts, min_size=1, max_size=12))
def test_a_fee_by_overrides_is_the_sum_of_them(fees: list[object]) -> None:
    overrides = ", ".join(f'{{ month = "{FIRST.plus(n)}", amount = {fee} }}' for n, fee in enumerate(fees))
    deal = agreement(
        f'[monthly_fee]\namount = 0\nfirst = "{FIRST}"\nlast = "{LAST}"\noverride = [{overrides}]'
    )
    expected = total((Money.from_major(fee, "USD") for fee in fees), "USD")  # type: ignore[arg-type]
    assert fee_schedule(deal).total == expected


@given(agreements(), days, st.sampled_from(ZONES))
@settings(max_examples=60)
def test_an_entitlement_holds_from_its_first_local_midnight_to_its_end(
    deal: Agreement, end: date, zone: str
) -> None:
    ended = replace(deal.ending(end), time_zone=zone)
    curve = entitlement(ended, ended.tranches[0]).value
    start = ended.midnight(ended.starts)
    stop = max(start, ended.midnight(ended.ends))
    assert curve.integrate(Interval(0, 2_000_000_000)) == 1_000 * (stop - start)
    months = months_through(Month(2026, 1), Month(2027, 5))
    assert sum(curve.integrate(ended.month(month)) for month in months) == 1_000 * (stop - start)


def test_the_sides_of_a_way_out_are_told_apart() -> None:
    text = FEE + '[termination]\nby = ["operator"]\nnotice_days = 1'
    deal = agreement(text)
    assert values(deal).firm_notice is None
    flipped = agreement(text.replace("operator", str(Side.OFFTAKER)))
    assert values(flipped).firm_notice == date(2026, 1, 10)
