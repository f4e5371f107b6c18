"""Integer money and decimal rates.

Allowed operations: Money ± Money of one currency, Money × int, -Money, comparison within a currency,
`split` by weights. Money × Decimal doesn't exist: a `Rate` meets a quantity in `Rate.amount`, which
rounds once. A float is refused everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from enum import StrEnum
from fractions import Fraction

# ISO 4217 exponents that aren't 2; every other three-letter code has two decimal places.
_EXPONENTS = {
    "BHD": 3, "CLF": 4, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0,
    "KRW": 0, "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "UYI": 0, "UYW": 4,
    "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
}  # fmt: skip


class Rounding(StrEnum):
    """How the one rounding of a charge is done."""

    HALF_EVEN = "half_even"
    HALF_UP = "half_up"


def minor_exponent(currency: str) -> int:
    """Decimal places of a currency's minor unit.

    Source: ISO 4217.

    Raises:
        ValueError: if the code isn't three capital letters.
    """
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ValueError(f"{currency!r} is no ISO 4217 currency code, such as USD")
    return _EXPONENTS.get(currency, 2)


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An exact amount: whole minor units of one currency.

    Units: `minor` is cents for USD, yen for JPY.

    Raises:
        TypeError: if minor isn't an int.
        ValueError: if the currency isn't an ISO 4217 code.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"money is a whole number of minor units, not {self.minor!r}")
        minor_exponent(self.currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        """Nothing, in a currency."""
        return cls(0, currency)

    @classmethod
    def from_major(cls, amount: Decimal | int | str, currency: str) -> Money:
        """Exact conversion from major units.

        Raises:
            TypeError: for a float.
            ValueError: if the amount has more decimal places than the currency.
        """
        if isinstance(amount, float):
            raise TypeError(f"a float never becomes money: {amount!r}")
        scaled = Fraction(Decimal(amount)) * 10 ** minor_exponent(currency)
        if scaled.denominator != 1:
            raise ValueError(f"{amount} {currency} has more decimal places than the currency")
        return cls(int(scaled), currency)

    @property
    def major(self) -> Decimal:
        """The amount in major units, exact."""
        return Decimal(self.minor).scaleb(-minor_exponent(self.currency))

    def _same(self, other: Money) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"{self} and {other!r} can't be combined")
        if other.currency != self.currency:
            raise TypeError(f"{self} and {other} are of different currencies")
        return other.minor

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        return Money(-self.minor, self.currency)

    def __mul__(self, factor: int) -> Money:
        if type(factor) is not int:
            raise TypeError(f"money is multiplied by whole numbers only, not {factor!r}")
        return Money(self.minor * factor, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: Money) -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: Money) -> bool:
        return self.minor >= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        return f"{self.major:,} {self.currency}"

    def split(self, weights: Sequence[int]) -> tuple[Money, ...]:
        """Parts in proportion to whole weights that sum exactly to the whole.

        Leftover minor units go to the largest remainders, earliest first among equals.

        Source: the largest-remainder (Hamilton) method.

        Raises:
            ValueError: if a weight is negative or all are zero.
        """
        total = sum(weights)
        if total <= 0 or any(weight < 0 for weight in weights):
            raise ValueError(f"weights must be whole, not negative, and not all zero: {list(weights)}")
        sign, whole = (-1, -self.minor) if self.minor < 0 else (1, self.minor)
        floors = [whole * weight // total for weight in weights]
        by_remainder = sorted(range(len(weights)), key=lambda i: (-(whole * weights[i] % total), i))
        for i in by_remainder[: whole - sum(floors)]:
            floors[i] += 1
        return tuple(Money(sign * part, self.currency) for part in floors)


def total(amounts: Iterable[Money], currency: str) -> Money:
    """Sum of amounts of one currency; nothing sums to zero of it."""
    result = Money.zero(currency)
    for amount in amounts:
        result += amount
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """An agreed price for one unit.

    Units: `value` in major units of `currency` per `unit` (such as ``GPU-hour``).
    """

    value: Decimal
    currency: str
    unit: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, Decimal) or not self.value.is_finite():
            raise TypeError(f"a rate is a finite Decimal, not {self.value!r}")
        minor_exponent(self.currency)

    def __str__(self) -> str:
        return f"{self.value:,f} {self.currency} per {self.unit}"

    def amount(self, quantity: Fraction, rounding: Rounding) -> Money:
        """An exact quantity in units at this rate, rounded once."""
        return money_of(Fraction(self.value) * quantity, self.currency, rounding)


def round_fraction(value: Fraction, rounding: Rounding = Rounding.HALF_EVEN) -> int:
    """The one rounding: an exact fraction of minor units to whole minor units."""
    whole, rest = divmod(value.numerator, value.denominator)
    twice = 2 * rest
    if twice > value.denominator:
        return whole + 1
    if twice < value.denominator:
        return whole
    if rounding is Rounding.HALF_UP:
        # Half-up means away from zero, as invoices do it, so that credits mirror charges.
        return whole + 1 if value > 0 else whole
    return whole + (whole % 2)


def money_of(amount: Fraction, currency: str, rounding: Rounding = Rounding.HALF_EVEN) -> Money:
    """Round an exact number of major units to money, once."""
    return Money(round_fraction(amount * 10 ** minor_exponent(currency), rounding), currency)


def share_of(whole: Money, share: Fraction, rounding: Rounding = Rounding.HALF_EVEN) -> Money:
    """A fraction of an amount, rounded once."""
    return Money(round_fraction(whole.minor * share, rounding), whole.currency)


def round_rate(value: Fraction, places: int) -> Decimal:
    """An exact fraction as a decimal for display, half-even at so many places."""
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
