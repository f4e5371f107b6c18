"""Months before the full fee, charged at a share of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.model import Agreement, Clause, Due
from offtake.base.errors import Problem
from offtake.base.months import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp(Clause):
    """A reduced fee from `first` through `last`, whole months, no proration for a late first day.

    Attributes:
        first: first ramp month.
        last: last ramp month, before the full fee begins.
        fee_share: fraction of the full monthly fee.

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

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The ramp's months."""
        return self.first, self.last

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """The share of the full fee."""
        fee = agreement.first_of(MonthlyFee)
        if fee is not None:
            exact = agreement.minor(fee[1].amount) * Fraction(self.fee_share)
            path = agreement.path_of(self)
            yield Due(month=month, exact=exact, basis=(f"{path}.fee_share", f"{fee[0]}.amount"))
