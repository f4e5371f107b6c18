"""A fee that is a fraction of other charges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Gt, Le, MinLen

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentageFee(Clause):
    """A fraction of the month's charges of some sections, such as for support; rounded once on their sum.

    Attributes:
        share: the fraction.
        clauses: sections whose charges it is a fraction of, or their paths where there are several.
        what: what it is for, to be printed on its line.
    """

    NAME: ClassVar[str] = "percentage_fee"
    share: Annotated[Decimal, Gt(0), Le(1)]
    clauses: Annotated[tuple[str, ...], MinLen(1)]
    what: str = "Fee"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Sections that the agreement has."""
        known = {p for p, _ in agreement.clauses} | {c.NAME for _, c in agreement.clauses}
        for i, name in enumerate(self.clauses):
            if name not in known:
                yield Problem(
                    where=f"{path}.clauses[{i}]",
                    code="missing_clause",
                    message=f"the agreement has no section {name!r}",
                    remedy=f"sections are {', '.join(sorted(c.NAME for _, c in agreement.clauses))}",
                )
