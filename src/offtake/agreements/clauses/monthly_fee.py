"""A fixed fee for each calendar month, written out month by month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Agreement, Clause
from offtake.base.declared import Declared
from offtake.base.errors import Problem
from offtake.base.months import Month, month_of_date, months_through, plus_days
from offtake.base.schedule import Dated


@dataclass(frozen=True, slots=True, kw_only=True)
class Override(Declared):
    """Another fee for one month.

    Units: major units of the agreement's currency.
    """

    month: Month
    amount: Annotated[Decimal, Ge(0), Le(10**15)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyFee(Clause):
    """The same fee for every month from `first` through `last`, but for the overrides.

    Units: `amount` in major units of the agreement's currency per calendar month.
    Source: SpaceX 424B4 (0001628280-26-042639) discloses a flat fee by month and no unit rate, so the
    series of months is the term and a rate per GPU is derived, never the other way round.
    """

    NAME: ClassVar[str] = "monthly_fee"
    amount: Annotated[Decimal, Ge(0), Le(10**15)]
    first: Month
    last: Month
    currency: str | None = None
    override: tuple[Override, ...] = ()

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The currency, the order of months, and overrides outside them."""
        yield from check_currency(agreement, path, self.currency)
        yield from check_amount(agreement, f"{path}.amount", self.amount)
        if self.last < self.first:
            yield Problem(
                where=f"{path}.last",
                code="end_before_start",
                message=f"the last month {self.last} is before the first {self.first}",
                remedy="`last` is the last month charged",
            )
        covered = month_of_date(plus_days(agreement.term_end, -1))
        if self.last > covered:
            yield Problem(
                where=f"{path}.last",
                code="outside_term",
                message=f"the fee runs through {self.last}, but no tranche does: the last ends in {covered}",
                remedy="let a tranche run as long, or end the fee with the last one",
            )
        seen: set[Month] = set()
        for i, override in enumerate(self.override):
            yield from check_amount(agreement, f"{path}.override[{i}].amount", override.amount)
            if not self.first <= override.month <= self.last:
                yield Problem(
                    where=f"{path}.override[{i}].month",
                    code="outside_term",
                    message=f"{override.month} is outside {self.first} to {self.last}",
                )
            if override.month in seen:
                yield Problem(
                    where=f"{path}.override[{i}].month",
                    code="duplicate",
                    message=f"{override.month} is overridden twice",
                )
            seen.add(override.month)

    def scheduled(self, agreement: Agreement) -> Iterable[Dated]:
        """One amount for each month."""
        path = agreement.path_of(self)
        overridden = {o.month: (i, o.amount) for i, o in enumerate(self.override)}
        for month in months_through(self.first, self.last):
            if month in overridden:
                i, amount = overridden[month]
                yield Dated(
                    month=month, amount=agreement.money(amount), basis=(f"{path}.override[{i}].amount",)
                )
            else:
                yield Dated(month=month, amount=agreement.money(self.amount), basis=(f"{path}.amount",))


def check_amount(agreement: Agreement, path: str, amount: Decimal) -> Iterable[Problem]:
    """An amount must be whole minor units of the agreement's currency."""
    try:
        agreement.money(amount)
    except ValueError as error:
        yield Problem(where=path, code="too_fine", message=str(error), remedy="write whole minor units")


def check_currency(agreement: Agreement, path: str, currency: str | None) -> Iterable[Problem]:
    """A clause that names a currency must name the agreement's."""
    if currency is not None and currency != agreement.currency:
        yield Problem(
            where=f"{path}.currency",
            code="other_currency",
            message=f"the fee is in {currency!r}, the agreement in {agreement.currency!r}",
            remedy="an agreement has one currency; write a second agreement for another",
        )
