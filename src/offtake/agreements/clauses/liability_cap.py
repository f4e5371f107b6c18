"""The most that the operator owes for what it does wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.monthly_fee import check_amount
from offtake.agreements.model import Agreement, Clause
from offtake.agreements.periods import Period
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class LiabilityCap(Clause):
    """Credits and damages of the operator are capped over a period; what exceeds the cap isn't owed.

    Compensation for a recall is the price of a right, and doesn't count.

    Attributes:
        amount: the cap as an amount.
        share_of_fees: instead, the cap as a fraction of what was earned in the period so far.
        period: over which it counts: "month", "quarter", "year", "contract_year" or "term".

    Units: `amount` in major units of the agreement's currency.
    Source: a month's fee of the failing service at Voltage Park, up to 30 % of fees for Lambda and NVIDIA.
    """

    NAME: ClassVar[str] = "liability_cap"
    amount: Annotated[Decimal, Gt(0), Le(10**15)] | None = None
    share_of_fees: Annotated[Decimal, Gt(0), Le(100)] | None = None
    period: Period = Period.CONTRACT_YEAR

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """One way of saying the cap, not two and not none."""
        if self.amount is not None:
            yield from check_amount(agreement, f"{path}.amount", self.amount)
        if (self.amount is None) == (self.share_of_fees is None):
            yield Problem(
                where=path,
                code="missing" if self.amount is None else "contradiction",
                message="the cap is an amount or a share of fees",
                remedy="write one of amount and share_of_fees",
            )
