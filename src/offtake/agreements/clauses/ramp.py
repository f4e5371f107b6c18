"""Months before the full fee, charged at a share of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem
from offtake.base.money import share_of
from offtake.base.months import Month, months_through
from offtake.base.schedule import Dated


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp(Clause):
    """A reduced fee from `first` through `last`, whole months, no proration for a late first day.

    Units: `fee_share` is a fraction of the full monthly fee.
    """

    NAME: ClassVar[str] = "ramp"
    first: Month
    last: Month
    fee_share: Annotated[Decimal, Ge(0), Le(1)]

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Order of months, a fee to share, and no month charged twice."""
        fee = agreement.first_of(MonthlyFee)
        if self.last < self.first:
            yield Problem(
                where=f"{path}.last",
                code="end_before_start",
                message=f"the last month {self.last} is before the first {self.first}",
            )
        if fee is None:
            yield Problem(
                where=path,
                code="missing_clause",
                message="a ramp is a share of a monthly fee, and there is none",
                remedy="add [monthly_fee]",
            )
        elif self.last >= fee[1].first:
            yield Problem(
                where=f"{path}.last",
                code="overlap",
                message=f"the ramp runs through {self.last} but the full fee begins {fee[1].first}",
                remedy="end the ramp the month before",
            )

    def scheduled(self, agreement: Agreement) -> Iterable[Dated]:
        """The share of the full fee, for each month."""
        fee = agreement.first_of(MonthlyFee)
        if fee is None:
            return
        path = agreement.path_of(self)
        amount = share_of(agreement.money(fee[1].amount), Fraction(self.fee_share), agreement.rounding)
        for month in months_through(self.first, self.last):
            yield Dated(month=month, amount=amount, basis=(f"{path}.fee_share", f"{fee[0]}.amount"))
