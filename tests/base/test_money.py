"""Money is exact: whole minor units, one currency at a time, one rounding."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.money import (
    Money,
    Rate,
    Rounding,
    minor_exponent,
    money_of,
    round_fraction,
    round_rate,
    share_of,
    total,
)

DECIMAL_NAMES = {Rounding.HALF_EVEN: ROUND_HALF_EVEN, Rounding.HALF_UP: ROUND_HALF_UP}

amounts = st.integers(-(10**15), 10**15)
weights = st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(lambda w: sum(w) > 0)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [
        ("USD", "1250000000", 125_000_000_000),
        ("USD", "-0.01", -1),
        ("JPY", "1250", 1_250),
        ("KWD", "1.234", 1_234),
        ("CLF", "0.0001", 1),
    ],
)
def test_major_units_become_minor_units_by_the_currency_s_exponent(
    currency: str, amount: str, minor: int
) -> None:
    money = Money.from_major(Decimal(amount), currency)
    assert money == Money(minor, currency)
    assert money.major == Decimal(amount)


@pytest.mark.parametrize(("amount", "currency"), [("0.001", "USD"), ("1.5", "JPY"), ("1E-5", "CLF")])
def test_an_amount_finer_than_its_currency_is_refused(amount: str, currency: str) -> None:
    with pytest.raises(ValueError, match="more decimal places"):
        Money.from_major(Decimal(amount), currency)


@pytest.mark.parametrize("code", ["usd", "US", "USDX", "U$D", "", "ÜSD"])
def test_a_currency_is_three_capital_letters(code: str) -> None:
    with pytest.raises(ValueError, match="no ISO 4217"):
        minor_exponent(code)


@pytest.mark.parametrize(
    "making",
    [
        lambda: Money(1.0, "USD"),  # type: ignore[arg-type]
        lambda: Money(True, "USD"),
        lambda: Money(Decimal(1), "USD"),  # type: ignore[arg-type]
        lambda: Money.from_major(0.5, "USD"),  # type: ignore[arg-type]
        lambda: usd(100) * 0.5,  # type: ignore[operator]
        lambda: usd(100) * Decimal("0.5"),  # type: ignore[operator]
        lambda: usd(100) * True,
        lambda: usd(100) + 1,  # type: ignore[operator]
        lambda: Rate(value=0.5, currency="USD", unit="GPU-hour"),  # type: ignore[arg-type]
        lambda: Rate(value=Decimal("NaN"), currency="USD", unit="GPU-hour"),
        lambda: Rate(value=Decimal("Infinity"), currency="USD", unit="GPU-hour"),
    ],
)
def test_what_isn_t_exact_never_becomes_money(making: Callable[[], Any]) -> None:
    with pytest.raises(TypeError):
        making()


@pytest.mark.parametrize(
    "mixing",
    [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a < b,
        lambda a, b: a <= b,
        lambda a, b: a > b,
        lambda a, b: a >= b,
        lambda a, b: total([a, b], "USD"),
    ],
)
def test_currencies_never_mix(mixing: Callable[[Money, Money], Any]) -> None:
    with pytest.raises(TypeError, match="different currencies"):
        mixing(usd(1), Money(1, "EUR"))


def test_money_of_different_currencies_is_never_equal() -> None:
    assert Money(0, "USD") != Money(0, "EUR")
    assert len({usd(5), usd(5), Money(5, "EUR")}) == 2


def test_leftover_cents_go_to_the_largest_remainders_earliest_first() -> None:
    assert usd(100).split([1, 1, 1]) == (usd(34), usd(33), usd(33))
    assert usd(100).split([1, 2, 4]) == (usd(14), usd(29), usd(57))  # remainders 2/7, 4/7, 1/7
    assert usd(-100).split([1, 1, 1]) == (usd(-34), usd(-33), usd(-33))
    assert usd(7).split([0, 5, 0]) == (usd(0), usd(7), usd(0))


@pytest.mark.parametrize("bad", [[], [0, 0], [2, -1]])
def test_a_split_needs_something_to_split_by(bad: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        usd(100).split(bad)


@given(amounts, weights)
def test_a_split_sums_to_the_whole_and_no_part_is_off_by_a_unit(minor: int, parts: list[int]) -> None:
    split = usd(minor).split(parts)
    assert total(split, "USD") == usd(minor)
    for part, weight in zip(split, parts, strict=True):
        assert abs(Fraction(part.minor) - Fraction(minor * weight, sum(parts))) < 1
        assert weight or not part


@given(amounts, weights)
def test_a_split_of_a_debt_mirrors_the_split_of_a_claim(minor: int, parts: list[int]) -> None:
    assert usd(-minor).split(parts) == tuple(-part for part in usd(minor).split(parts))


@given(amounts, weights)
def test_no_other_split_has_a_smaller_largest_error(minor: int, parts: list[int]) -> None:
    # Hamilton's method: who got a leftover unit had at least the remainder of anyone who didn't.
    whole = abs(minor)
    remainders = {True: [Fraction(0)], False: [Fraction(0)]}
    for part, weight in zip(usd(whole).split(parts), parts, strict=True):
        exact = Fraction(whole * weight, sum(parts))
        remainders[part.minor > exact].append(exact - exact.__floor__())
    rounded_up = remainders[True][1:]
    assert not rounded_up or min(rounded_up) >= max(remainders[False])


@pytest.mark.parametrize(
    ("halves", "even", "up"),
    [(1, 0, 1), (3, 2, 2), (5, 2, 3), (-1, 0, -1), (-3, -2, -2), (-5, -2, -3), (4, 2, 2)],
)
def test_halves_round_to_even_or_away_from_zero(halves: int, even: int, up: int) -> None:
    assert round_fraction(Fraction(halves, 2)) == even
    assert round_fraction(Fraction(halves, 2), Rounding.HALF_UP) == up


@given(st.integers(-(10**12), 10**12), st.integers(0, 6), st.sampled_from(Rounding))
def test_rounding_agrees_with_the_decimal_module(unscaled: int, places: int, rounding: Rounding) -> None:
    value = Decimal(unscaled).scaleb(-places)
    assert round_fraction(Fraction(value), rounding) == int(
        value.quantize(Decimal(1), rounding=DECIMAL_NAMES[rounding])
    )


@given(st.fractions(max_denominator=10**6), st.sampled_from(Rounding))
def test_rounding_is_symmetric_and_off_by_half_a_unit_at_most(value: Fraction, rounding: Rounding) -> None:
    rounded = round_fraction(value, rounding)
    assert abs(rounded - value) <= Fraction(1, 2)
    assert round_fraction(-value, rounding) == -rounded


@given(amounts, st.decimals("0", "1", places=6), st.sampled_from(Rounding))
def test_a_share_agrees_with_the_decimal_module_and_stays_within_the_whole(
    minor: int, share: Decimal, rounding: Rounding
) -> None:
    part = share_of(usd(minor), Fraction(share), rounding)
    with localcontext(prec=60):
        assert part.minor == int((minor * share).quantize(Decimal(1), rounding=DECIMAL_NAMES[rounding]))
    assert abs(part.minor) <= abs(minor)


def test_a_rate_meets_a_quantity_in_one_rounding() -> None:
    # 1.25B / 325,000 / 730 = 5.2687...; rounding the rate first would lose 3.8 M a month.
    exact = Fraction(1_250_000_000, 325_000 * 730)
    assert money_of(exact * 325_000 * 730, "USD") == Money.from_major(1_250_000_000, "USD")
    assert round_rate(exact, 2) == Decimal("5.27")
    assert money_of(Fraction("0.125"), "USD") == usd(12)
    assert money_of(Fraction("0.125"), "USD", Rounding.HALF_UP) == usd(13)
    assert money_of(Fraction(5, 2), "JPY") == Money(2, "JPY")


def test_people_read_amounts_with_thousands_and_the_code() -> None:
    assert str(usd(-125_000_000_000)) == "-1,250,000,000.00 USD"
    assert str(Money(1_250, "JPY")) == "1,250 JPY"
    assert str(Rate(value=Decimal("5.27"), currency="USD", unit="GPU-hour")) == "5.27 USD per GPU-hour"
