"""Pay whether taken or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.term_fee import TermFee
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.model import Agreement, Clause, Due
from offtake.agreements.periods import Period, term_months
from offtake.agreements.units import gpus_of
from offtake.base.errors import Problem
from offtake.base.months import Month, plus_days
from offtake.base.time import HOUR_S, Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOrPay(Clause):
    """A minimum take in each period.

    With a usage fee, the deficiency (share × entitlement - taken - excused) is charged at its rate. With a
    flat fee, the fee is owed whatever was taken, so the clause adds no charge. What was paid for as a
    deficiency may be taken later without paying again (make-up); what was taken beyond the minimum may count
    for later periods (carry-forward).

    Attributes:
        share: fraction of the period's entitlement that is owed for in any case.
        period: over which taken and committed are counted: "month", "quarter", "year", "contract_year" (from
            the first tranche's month) or "term"; the deficiency is charged in its last month.
        rate_per_gpu_h: rate of the deficiency; the usage fee's when left out.
        make_up_months: for how many months a paid deficiency may be made up; 0 for not at all.
        carry_forward_months: for how many months take beyond the minimum counts later; 0 for not at all.

    Units: `share` is a fraction of the entitled GPU-seconds; `rate_per_gpu_h` in major units.
    """

    NAME: ClassVar[str] = "take_or_pay"
    share: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)
    period: Period = Period.MONTH
    rate_per_gpu_h: Annotated[Decimal, Ge(0), Le(10**9)] | None = None
    make_up_months: Annotated[int, Ge(0), Le(1_200)] = 0
    carry_forward_months: Annotated[int, Ge(0), Le(1_200)] = 0

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Something must be owed for the clause to bite."""
        fees = (MonthlyFee, TermFee, UsageFee)
        if self.rate_per_gpu_h is None and all(agreement.first_of(kind) is None for kind in fees):
            yield Problem(
                where=path,
                code="missing_clause",
                message="take-or-pay needs a fee to be owed",
                remedy="add [monthly_fee], [term_fee] or [usage_fee], or a rate_per_gpu_h",
            )

    def rate(self, agreement: Agreement) -> tuple[Decimal, str] | None:
        """The rate of a deficiency per GPU-hour with its path, or None where a flat fee covers it."""
        if self.rate_per_gpu_h is not None:
            return self.rate_per_gpu_h, f"{agreement.path_of(self)}.rate_per_gpu_h"
        usage = agreement.first_of(UsageFee)
        return (usage[1].rate_per_gpu_h, f"{usage[0]}.rate_per_gpu_h") if usage else None

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The months of the tranches."""
        return term_months(agreement)

    def least(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """The minimum for what is entitled in the month, where it is paid by use."""
        found = self.rate(agreement)
        if found is None:
            return
        entitled = Fraction(0)
        for tranche in agreement.tranches:
            steps = [(s.start, gpus_of(agreement, tranche, s.quantity)) for s in tranche.steps]
            steps.append((tranche.full_from or tranche.start, gpus_of(agreement, tranche)))
            end = min(plus_days(tranche.through, 1), agreement.ends)
            for (start, gpus), (until, _) in zip(steps, [*steps[1:], (end, 0)], strict=True):
                if start < min(until, end) and tranche.queue is None:
                    held = Interval(agreement.midnight(start), agreement.midnight(min(until, end)))
                    overlap = held.overlap(agreement.month(month))
                    entitled += gpus * (overlap.seconds if overlap else 0)
        exact = agreement.minor(found[0]) * Fraction(self.share) * entitled / HOUR_S
        if exact:
            basis = (f"{agreement.path_of(self)}.share", found[1])
            yield Due(month=month, exact=exact, basis=basis, measured=True)
