"""Pay whether taken or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOrPay(Clause):
    """A minimum take each month.

    With a usage fee, the deficiency (share × entitlement - taken - excused) is charged at the same
    rate. With a monthly fee, the fee is owed whatever was taken, so the clause adds no charge.

    Units: `share` is a fraction of the month's entitled GPU-seconds.
    """

    NAME: ClassVar[str] = "take_or_pay"
    share: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Something must be owed for the clause to bite."""
        if agreement.first_of(MonthlyFee) is None and agreement.first_of(UsageFee) is None:
            yield Problem(
                where=path,
                code="missing_clause",
                message="take-or-pay needs a fee to be owed",
                remedy="add [monthly_fee] or [usage_fee]",
            )
