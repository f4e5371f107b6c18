"""Dated amounts: fees are a schedule, not a curve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from offtake.base.money import Money, total
from offtake.base.months import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """One amount for one local calendar month, and the terms it rests on.

    Attributes:
        month: the service month.
        amount: what is owed for it.
        basis: paths of the terms used, such as ``monthly_fee.amount``.
    """

    month: Month
    amount: Money
    basis: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """Amounts by service month, in order, one per month.

    Raises:
        ValueError: if months repeat or are out of order.
        TypeError: if an amount is of another currency.
    """

    currency: str
    items: tuple[Dated, ...]

    def __post_init__(self) -> None:
        for earlier, later in zip(self.items, self.items[1:], strict=False):
            if earlier.month >= later.month:
                raise ValueError(f"months of a schedule must rise: {earlier.month} then {later.month}")
        for item in self.items:
            if item.amount.currency != self.currency:
                raise TypeError(f"{item.month}: {item.amount} in a schedule of {self.currency}")

    @classmethod
    def of(cls, currency: str, items: Iterable[Dated]) -> Schedule:
        """From items in any order."""
        return cls(currency, tuple(sorted(items, key=lambda item: item.month)))

    def __iter__(self) -> Iterator[Dated]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def total(self) -> Money:
        """The sum of all amounts."""
        return total((item.amount for item in self.items), self.currency)

    def at(self, month: Month) -> Dated | None:
        """The amount for one month, or None where nothing is owed."""
        return next((item for item in self.items if item.month == month), None)

    def through(self, last: Month) -> Schedule:
        """The part up to and including a month."""
        return Schedule(self.currency, tuple(item for item in self.items if item.month <= last))
