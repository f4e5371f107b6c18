"""Tiers, volumes and packages: what a quantity costs, exactly, and which part costs what."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from offtake.agreements.clauses.metered_fee import MeteredFee, Model, Packages, Tier


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a quantity at one price.

    Units: `amount` in major units of the currency, exact.

    Attributes:
        tier: number of the tier, from 0.
        quantity: units, or packages.
        rate: what one costs.
        flat: the tier's flat fee.
    """

    tier: int
    quantity: Fraction
    rate: Decimal
    flat: Decimal

    @property
    def amount(self) -> Fraction:
        """Quantity × rate + flat."""
        return self.quantity * Fraction(self.rate) + Fraction(self.flat)


def price(fee: MeteredFee, quantity: Fraction) -> tuple[Part, ...]:
    """What a quantity of a whole period costs, part by part.

    A tier holds its upper edge: up to 5 means that the fifth unit is in it.
    """
    counted = max(Fraction(0), quantity - Fraction(fee.free))
    if fee.model is Model.PACKAGE:
        return _packages(fee, counted)
    if not counted:
        first = fee.tier[0]
        return (_part(0, Fraction(0), first),) if fee.flat_at_zero and first.flat else ()
    if fee.model is Model.VOLUME:
        i = next(
            i for i, tier in enumerate(fee.tier) if tier.up_to is None or counted <= Fraction(tier.up_to)
        )
        return (_part(i, counted, fee.tier[i]),)
    parts, below = [], Fraction(0)
    for i, tier in enumerate(fee.tier):
        upper = counted if tier.up_to is None else min(counted, Fraction(tier.up_to))
        if upper > below:
            parts.append(_part(i, upper - below, tier))
            below = upper
    return tuple(parts)


def _packages(fee: MeteredFee, counted: Fraction) -> tuple[Part, ...]:
    exact = counted / Fraction(fee.package or 1)
    whole = exact.numerator // exact.denominator
    if fee.packages is Packages.BEGUN and exact > whole:
        whole += 1
    return (_part(0, Fraction(whole), fee.tier[0]),) if whole else ()


def _part(i: int, quantity: Fraction, tier: Tier) -> Part:
    return Part(tier=i, quantity=quantity, rate=tier.rate, flat=tier.flat)


def cost(parts: tuple[Part, ...]) -> Fraction:
    """The sum of parts, in major units, exact."""
    return sum((part.amount for part in parts), Fraction(0))
