"""A most that a month may cost."""

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
class SpendCap(Clause):
    """Fees and use beyond a cap aren't owed.

    Attributes:
        amount: the most that is owed in a period.
        period: over which it counts: "month", "quarter", "year", "contract_year" or "term".
        counts: sections whose charges are capped; all of them when left out.

    Units: `amount` in major units of the agreement's currency.
    """

    NAME: ClassVar[str] = "spend_cap"
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    period: Period = Period.MONTH
    counts: tuple[str, ...] = ()

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """An amount in whole minor units."""
        return check_amount(agreement, f"{path}.amount", self.amount)
