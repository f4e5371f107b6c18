"""A count due by a date, a grace period, and what the offtaker may choose when it is missed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import plus_days, plus_months


class Remedy(StrEnum):
    """What the offtaker may choose once the grace period is over.

    `TERMINATE`: end the agreement. `TERMINATE_TRANCHE`: end the tranche, keep the rest. `PRO_RATA_FEE`:
    accept the number delivered, with the fee × delivered / committed. `DISCOUNTED_FEE`: accept it at a fee
    lowered by the clause's discount. `SHIFT_DATES`: the tranche begins and ends later by as many days.
    """

    TERMINATE = "terminate"
    TERMINATE_TRANCHE = "terminate_tranche"
    PRO_RATA_FEE = "pro_rata_fee"
    DISCOUNTED_FEE = "discounted_fee"
    SHIFT_DATES = "shift_dates"


OF_A_TRANCHE = (Remedy.TERMINATE_TRANCHE, Remedy.SHIFT_DATES)
"""Remedies that only a tranche's delivery clause can offer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Clause):
    """The delivery cliff.

    Attributes:
        due: the committed count must be in service at the end of this day.
        gpus: the committed count.
        tranche: the tranche that is to be delivered; the whole agreement when left out.
        grace_months: calendar months after `due` in which the shortfall can be made good.
        grace_days: calendar days after that.
        remedies: what the offtaker may choose from afterwards: "terminate" the agreement,
            "terminate_tranche", "pro_rata_fee" (fee × delivered / committed), "discounted_fee", or
            "shift_dates" (the tranche begins and ends later, and owes as much).
        discount: fraction by which a discounted fee is lower.

    Source: the Cloud Service Agreement of 5 June 2026 between SpaceX and Google, as reported; a tranche that
    may be terminated alone, Nebius and Meta; discounted fees, IREN and Nebius; moved dates with the value
    kept, CoreWeave and OpenAI.
    """

    NAME: ClassVar[str] = "delivery"
    due: date
    gpus: Annotated[int, Gt(0)]
    tranche: str | None = None
    grace_months: Annotated[int, Ge(0), Le(1_200)] = 0
    grace_days: Annotated[int, Ge(0), Le(36_500)] = 0
    remedies: Annotated[tuple[Remedy, ...], MinLen(1)]
    discount: Annotated[Decimal, Gt(0), Le(1)] | None = None

    def short(self, delivered: int) -> int:
        """GPUs missing from the committed count."""
        return max(0, self.gpus - delivered)

    @property
    def grace_ends(self) -> date:
        """The last day on which the shortfall can be made good."""
        return plus_days(plus_months(self.due, self.grace_months), self.grace_days)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The date must lie in the term; a remedy must have what it needs."""
        yield from check_tranches(agreement, path, self.tranche)
        if not agreement.starts <= self.due < agreement.term_end:
            yield Problem(
                where=f"{path}.due",
                code="outside_term",
                message=f"{self.due} is outside the term {agreement.starts} to {agreement.term_end}",
            )
        if (Remedy.DISCOUNTED_FEE in self.remedies) != (self.discount is not None):
            yield Problem(
                where=f"{path}.discount",
                code="missing" if self.discount is None else "contradiction",
                message="the discounted fee and its discount go together",
                remedy='write discount = 0.1 and "discounted_fee" among the remedies, or neither',
            )
        for remedy in (r for r in self.remedies if r in OF_A_TRANCHE and self.tranche is None):
            yield Problem(
                where=f"{path}.tranche",
                code="missing",
                message=f"{remedy} is about one tranche, and none is named",
                remedy="add tranche",
            )
        if Remedy.SHIFT_DATES in self.remedies and self.tranche is not None:
            yield from self._check_shift(agreement, path)

    def _check_shift(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Fees written out by month can't move with their tranche."""
        for other, clause in agreement.clauses:
            fixed = getattr(clause, "tranche", None) == self.tranche and hasattr(clause, "first")
            if fixed:
                yield Problem(
                    where=f"{path}.remedies",
                    code="contradiction",
                    message=f"{other} names its months, so it can't move with tranche {self.tranche!r}",
                    remedy="price the tranche by [capacity_fee]",
                )

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The due date and the end of grace."""
        path = agreement.path_of(self)
        of = "" if self.tranche is None else f" of tranche {self.tranche}"
        yield Deadline(
            on=self.due,
            what=f"{self.gpus:,} GPUs{of} must be in service by the end of this day",
            side=Side.OPERATOR,
            basis=(f"{path}.due", f"{path}.gpus"),
        )
        choices = " or ".join(remedy.value.replace("_", " ") for remedy in self.remedies)
        yield Deadline(
            on=self.grace_ends,
            what=f"grace for a short delivery ends; after it {agreement.offtaker} may choose: {choices}",
            side=Side.OFFTAKER,
            basis=(f"{path}.due", f"{path}.grace_months", f"{path}.grace_days", f"{path}.remedies"),
        )
