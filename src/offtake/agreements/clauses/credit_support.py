"""What stands behind a side's obligations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.monthly_fee import check_amount
from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.errors import Problem


class Support(StrEnum):
    """What kind of support it is."""

    GUARANTY = "guaranty"
    LETTER_OF_CREDIT = "letter_of_credit"
    DEPOSIT = "deposit"
    BACKSTOP = "backstop"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditSupport(Clause):
    """Somebody answers for a side, up to an amount.

    Attributes:
        form: "guaranty", "letter_of_credit", "deposit" or "backstop".
        behind: the side it stands behind.
        provider: who answers.
        amount: up to how much; without limit when left out.
        through: the last day it holds; the whole term when left out.

    Units: `amount` in major units of the agreement's currency.
    Source: parent guaranty (Soluna); Google's backstops of $1.8B and $3.2B for Fluidstack's leases.
    """

    NAME: ClassVar[str] = "credit_support"
    form: Support
    behind: Side = Side.OFFTAKER
    provider: str
    amount: Annotated[Decimal, Gt(0), Le(10**15)] | None = None
    through: date | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """An amount in whole minor units."""
        if self.amount is not None:
            yield from check_amount(agreement, f"{path}.amount", self.amount)

    def holds(self, day: date) -> bool:
        """Whether it stands on a day."""
        return self.through is None or day <= self.through

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The day it lapses."""
        if self.through is not None:
            path = agreement.path_of(self)
            yield Deadline(
                on=self.through,
                what=f"last day of the {self.form.value.replace('_', ' ')} of {self.provider}",
                side=self.behind,
                basis=(f"{path}.through",),
            )
