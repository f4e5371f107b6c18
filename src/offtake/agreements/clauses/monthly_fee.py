"""A fixed fee for each calendar month, written out month by month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Agreement, Clause, Due
from offtake.base.declared import Declared
from offtake.base.errors import Problem
from offtake.base.months import Month, month_of_date, plus_days


@dataclass(frozen=True, slots=True, kw_only=True)
class Override(Declared):
    """Another fee for one month.

    Attributes:
        month: the month, within `first` to `last`.
        amount: its fee instead.

    Units: major units of the agreement's currency.
    """

    month: Month
    amount: Annotated[Decimal, Ge(0), Le(10**15)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyFee(Clause):
    """The same fee for every month from `first` through `last`, but for the overrides.

    A fee for the whole agreement isn't prorated for a late first day. The fee of a tranche is owed by the
    day, from the tranche's start (or its acceptance) to its end.

    Attributes:
        amount: the fee of one month.
        first: first month charged.
        last: last month charged; options to extend move it along where it is the term's last.
        tranche: the tranche it is for; the whole agreement when left out.
        what: what it is for, to be printed on its line; "Fee" when left out.
        currency: may be left out; must be the agreement's.
        override: other fees for single months.

    Units: `amount` in major units of the agreement's currency per calendar month.
    Source: SpaceX 424B4 (0001628280-26-042639) discloses a flat fee by month and no unit rate, so the
    series of months is the term and a rate per GPU is derived, never the other way round.
    """

    NAME: ClassVar[str] = "monthly_fee"
    amount: Annotated[Decimal, Ge(0), Le(10**15)]
    first: Month
    last: Month
    tranche: str | None = None
    what: str = "Fee"
    currency: str | None = None
    override: tuple[Override, ...] = ()

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The currency, the order of months, and overrides outside them."""
        yield from check_currency(agreement, path, self.currency)
        yield from check_amount(agreement, f"{path}.amount", self.amount)
        yield from check_tranches(agreement, path, self.tranche)
        yield from check_months(agreement, path, self.first, self.last)
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

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The months charged."""
        return self.first, agreement.extended(self.last)

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """The amount, or the month's own."""
        path = agreement.path_of(self)
        for i, other in enumerate(self.override):
            if other.month == month:
                amount, basis = other.amount, f"{path}.override[{i}].amount"
                break
        else:
            amount, basis = self.amount, f"{path}.amount"
        yield Due(month=month, exact=agreement.minor(amount), basis=(basis,), tranche=self.tranche)


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


def check_tranches(agreement: Agreement, path: str, *tranches: str | None) -> Iterable[Problem]:
    """Tranches that a clause names must exist."""
    known = [tranche.id for tranche in agreement.tranches]
    for tranche in tranches:
        if tranche is not None and tranche not in known:
            yield Problem(
                where=f"{path}.tranche",
                code="unknown_tranche",
                message=f"there is no tranche {tranche!r}",
                remedy=f"tranches are {', '.join(known)}",
            )


def check_months(agreement: Agreement, path: str, first: Month, last: Month) -> Iterable[Problem]:
    """A fee's months must be in order and within the term."""
    if last < first:
        yield Problem(
            where=f"{path}.last",
            code="end_before_start",
            message=f"the last month {last} is before the first {first}",
            remedy="`last` is the last month charged",
        )
    covered = month_of_date(plus_days(agreement.term_end, -1))
    if last > covered:
        yield Problem(
            where=f"{path}.last",
            code="outside_term",
            message=f"the fee runs through {last}, but no tranche does: the last ends in {covered}",
            remedy="let a tranche run as long, or end the fee with the last one",
        )
