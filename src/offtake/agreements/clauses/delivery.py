"""A count due by a date, a grace period, and what the offtaker may choose when it is missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import plus_months


class Remedy(StrEnum):
    """What the offtaker may choose once the grace period is over."""

    TERMINATE = "terminate"
    PRO_RATA_FEE = "pro_rata_fee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Clause):
    """The delivery cliff.

    Attributes:
        due: the committed count must be in service at the end of this day.
        gpus: the committed count.
        grace_months: calendar months after `due` in which the shortfall can be made good.
        remedies: what the offtaker may choose from afterwards.

    Source: the Cloud Service Agreement of 5 June 2026 between SpaceX and Google, as reported.
    """

    NAME: ClassVar[str] = "delivery"
    due: date
    gpus: Annotated[int, Gt(0)]
    grace_months: Annotated[int, Ge(0), Le(1_200)] = 0
    remedies: Annotated[tuple[Remedy, ...], MinLen(1)]

    def short(self, delivered: int) -> int:
        """GPUs missing from the committed count."""
        return max(0, self.gpus - delivered)

    @property
    def grace_ends(self) -> date:
        """The last day on which the shortfall can be made good."""
        return plus_months(self.due, self.grace_months)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The date must lie in the term."""
        if not agreement.starts <= self.due < agreement.term_end:
            yield Problem(
                where=f"{path}.due",
                code="outside_term",
                message=f"{self.due} is outside the term {agreement.starts} to {agreement.term_end}",
            )

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The due date and the end of grace."""
        path = agreement.path_of(self)
        yield Deadline(
            on=self.due,
            what=f"{self.gpus:,} GPUs must be in service by the end of this day",
            side=Side.OPERATOR,
            basis=(f"{path}.due", f"{path}.gpus"),
        )
        choices = " or ".join(remedy.value.replace("_", " ") for remedy in self.remedies)
        yield Deadline(
            on=self.grace_ends,
            what=f"grace for a short delivery ends; after it {agreement.offtaker} may choose: {choices}",
            side=Side.OFFTAKER,
            basis=(f"{path}.due", f"{path}.grace_months", f"{path}.remedies"),
        )
