"""A minimum spend, or a minimum of GPU-hours, in a period."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Gt, Le, MinLen

from offtake.agreements.clauses.monthly_fee import check_amount
from offtake.agreements.model import Agreement, Clause, Due, DueKind
from offtake.agreements.periods import (
    Period,
    closes,
    days_of_period,
    months_of,
    share_of_period,
    term_months,
)  # fmt: skip
from offtake.agreements.schedule import owed_in
from offtake.base.errors import Problem
from offtake.base.months import Month


class Prorate(StrEnum):
    """What a period that lies only partly in the term commits to."""

    MONTHS = "months"
    DAYS = "days"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumCommitment(Clause):
    """What is missing to the minimum is charged in the period's last month.

    A period that lies only partly in the term counts the share of its months, or of its days, or the whole
    minimum, as `prorate` says. GPU-hours that weren't
    delivered or were recalled lower a commitment of GPU-hours.

    Attributes:
        period: "month", "quarter", "year", "contract_year" or "term".
        amount: the least spent in a period; or
        gpu_h: the least GPU-hours taken in a period, with
        rate_per_gpu_h: the rate of each that is missing.
        prorate: "months", "days" or "whole".
        counts: sections whose charges count towards a minimum spend.

    Units: `amount` and `rate_per_gpu_h` in major units of the agreement's currency.
    """

    NAME: ClassVar[str] = "minimum_commitment"
    period: Period = Period.MONTH
    amount: Annotated[Decimal, Gt(0), Le(10**15)] | None = None
    gpu_h: Annotated[Decimal, Gt(0), Le(10**12)] | None = None
    rate_per_gpu_h: Annotated[Decimal, Gt(0), Le(10**9)] | None = None
    prorate: Prorate = Prorate.MONTHS
    counts: Annotated[tuple[str, ...], MinLen(1)] = (
        "usage_fee", "metered_fee", "hourly_fee", "capacity_fee", "monthly_fee", "one_off_fee", "burst",
    )  # fmt: skip

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Money, or GPU-hours with their rate: one of the two."""
        if (self.amount is None) == (self.gpu_h is None):
            yield Problem(
                where=path,
                code="one_of",
                message="the minimum is an amount or a number of GPU-hours",
                remedy="write amount, or gpu_h with rate_per_gpu_h",
            )
        if self.gpu_h is not None and self.rate_per_gpu_h is None:
            yield Problem(
                where=f"{path}.rate_per_gpu_h",
                code="missing",
                message="GPU-hours that are missing need a rate",
                remedy="add rate_per_gpu_h",
            )
        if self.amount is not None:
            yield from check_amount(agreement, f"{path}.amount", self.amount)

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The months of the tranches."""
        return term_months(agreement)

    def committed(self, agreement: Agreement, month: Month) -> Fraction:
        """The minimum of the period that holds a month: minor units, or GPU-hours."""
        if self.prorate is Prorate.DAYS:
            inside, whole = days_of_period(agreement, self.period, month)
        else:
            inside, whole = share_of_period(agreement, self.period, month)
        if self.prorate is Prorate.WHOLE:
            inside = whole
        full = agreement.minor(self.amount) if self.amount is not None else Fraction(self.gpu_h or 0)
        return full * Fraction(inside, whole)

    def least(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """In a period's last month, what fixed fees that count leave of the minimum."""
        if not closes(agreement, self.period, month):
            return
        path, exact = agreement.path_of(self), self.committed(agreement, month)
        if self.amount is None:
            exact *= agreement.minor(self.rate_per_gpu_h or Decimal(0))
        else:
            exact -= sum(
                item.amount.minor
                for m in months_of(agreement, self.period, month)
                for other, clause in agreement.clauses
                if clause.NAME in self.counts
                for item in owed_in(agreement, other, clause, m)
                if item.kind is DueKind.FEE
            )
        if exact > 0:
            terms = ("amount",) if self.amount is not None else ("gpu_h", "rate_per_gpu_h")
            basis = tuple(f"{path}.{name}" for name in terms)
            yield Due(month=month, exact=exact, basis=basis, measured=True)
