"""Equivalent hardware in place of what was agreed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution(Clause):
    """The operator may serve a tranche from other pools, GPU for GPU, which count as equivalent.

    Attributes:
        tranche: the tranche.
        pools: pools that count as equivalent to its own.
        notice_days: calendar days from notice to effect.
    """

    NAME: ClassVar[str] = "substitution"
    tranche: str
    pools: Annotated[tuple[str, ...], MinLen(1)]
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 0

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A tranche to be served."""
        return check_tranches(agreement, path, self.tranche)
