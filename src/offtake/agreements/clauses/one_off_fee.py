"""A fee owed once, or spread over some months."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.monthly_fee import check_amount, check_months
from offtake.agreements.clauses.term_fee import spread
from offtake.agreements.model import Agreement, Clause, Due
from offtake.base.errors import Problem
from offtake.base.months import Month


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOffFee(Clause):
    """A fee owed once, such as for set-up, in one month or in equal parts that sum to it exactly.

    Attributes:
        amount: the whole fee.
        month: the month it is owed for, or the first of several.
        over_months: how many months it is spread over.
        what: what it is for, to be printed on its line.

    Units: `amount` in major units of the agreement's currency.
    """

    NAME: ClassVar[str] = "one_off_fee"
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    month: Month
    over_months: Annotated[int, Gt(0), Le(1_200)] = 1
    what: str = "One-off fee"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Whole minor units, within the term."""
        yield from check_amount(agreement, f"{path}.amount", self.amount)
        yield from check_months(agreement, path, *self.span(agreement))

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The months it is spread over."""
        return self.month, self.month.plus(self.over_months - 1)

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """The month's part; a month cut by an early end still owes it whole."""
        path = agreement.path_of(self)
        parts = spread(agreement.minor(self.amount), (Fraction(1),) * self.over_months)
        position = (month.year - self.month.year) * 12 + month.month - self.month.month
        yield Due(month=month, exact=parts[position], basis=(f"{path}.amount",), measured=True)
