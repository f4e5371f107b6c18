"""A rate by which fees rise every year."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Gt, Le, MinLen

from offtake.agreements.model import Agreement, Clause, Factor
from offtake.base.errors import Problem
from offtake.base.months import Month

ESCALATED = ("monthly_fee", "ramp", "term_fee", "capacity_fee", "usage_fee")
"""Clauses whose fees a rate or an index may move."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalator(Clause):
    """Fees rise by a rate on every anniversary, compounding unless it says otherwise.

    Attributes:
        rate: fraction per year, such as 0.03.
        first: the month in which fees rise for the first time; every twelve months from then on.
        clauses: sections whose fees rise.
        compound: each rise on the risen fee; otherwise on the first one.

    Source: "3.0% annual escalator" (Hut 8, River Bend, 17 December 2025); "annual escalators" (TeraWulf).
    """

    NAME: ClassVar[str] = "escalator"
    rate: Annotated[Decimal, Gt(-1), Le(1)]
    first: Month
    clauses: Annotated[tuple[str, ...], MinLen(1)] = ("monthly_fee", "term_fee", "capacity_fee")
    compound: bool = True

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Sections that carry a fee."""
        return check_moved(self.clauses, path)

    def factor(self, agreement: Agreement, path: str, month: Month) -> Factor | None:
        """(1 + rate) to the number of rises so far, or 1 + rate × rises."""
        if path.partition("[")[0] not in self.clauses or month < self.first:
            return None
        months = (month.year - self.first.year) * 12 + month.month - self.first.month
        rises, step = months // 12 + 1, Fraction(self.rate)
        own = agreement.path_of(self)
        return Factor(
            value=(1 + step) ** rises if self.compound else 1 + step * rises,
            basis=(f"{own}.rate", f"{own}.first"),
            note=f"risen {rises} times by {(self.rate * 100).normalize():f} %",
        )


def check_moved(sections: tuple[str, ...], path: str) -> Iterable[Problem]:
    """Sections that an escalator or an index names must be ones it can move."""
    for i, section in enumerate(sections):
        if section not in ESCALATED:
            yield Problem(
                where=f"{path}.clauses[{i}]",
                code="no_fee",
                message=f"{section!r} is no section with a fee",
                remedy=f"sections with a fee are {', '.join(ESCALATED)}",
            )
