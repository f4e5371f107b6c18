"""Balances in another currency, at a dated rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from offtake.base.money import Money, money_of
from offtake.ledger.model import Balances


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A balance and what it is in another currency.

    Attributes:
        account: its name.
        own: in its own currency.
        other: in the other one, rounded once.
        rate: units of the other currency for one of its own; None where it is the same.
        dated: the day the rate is of.
    """

    account: str
    own: Money
    other: Money
    rate: Decimal | None = None
    dated: date | None = None


Rates = Callable[[str], tuple[Decimal, date] | None]
"""The rate of a currency and its day, or None where none is known."""


def translated(
    balances: Balances, currency: str, rates: Rates
) -> tuple[tuple[Translated, ...], tuple[str, ...]]:
    """Every account that isn't empty in one currency, and the currencies for which no rate is known.

    Args:
        balances: by account and currency.
        currency: into which.
        rates: of other currencies.
    """
    found: list[Translated] = []
    unknown: set[str] = set()
    for (account, own), minor in sorted(balances.items()):
        if not minor:
            continue
        money = Money(minor, own)
        if own == currency:
            found.append(Translated(account=account, own=money, other=money))
            continue
        known = rates(own)
        if known is None:
            unknown.add(own)
            continue
        rate, dated = known
        exact = Fraction(money.major) * Fraction(rate)
        found.append(
            Translated(account=account, own=money, other=money_of(exact, currency), rate=rate, dated=dated)
        )
    return tuple(found), tuple(sorted(unknown))
