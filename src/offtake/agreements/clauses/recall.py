"""The operator's right to take capacity back without ending the agreement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import plus_days


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall(Clause):
    """Recall with notice; the fee falls in proportion to the GPU-seconds recalled.

    Attributes:
        tranches: ids of the tranches that may be recalled.
        notice_days: calendar days from notice to effect.
        not_before: first day on which a notice may be given, or None for the start.
        granularity_gpus: recalls are multiples of this.
        retained_gpus: what the offtaker keeps whatever is recalled.
    """

    NAME: ClassVar[str] = "recall"
    tranches: tuple[str, ...]
    notice_days: Annotated[int, Ge(0), Le(36_500)]
    not_before: date | None = None
    granularity_gpus: Annotated[int, Gt(0)] = 1
    retained_gpus: Annotated[int, Ge(0)] = 0

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Tranches must exist."""
        known = [tranche.id for tranche in agreement.tranches]
        for i, tranche in enumerate(self.tranches):
            if tranche not in known:
                yield Problem(
                    where=f"{path}.tranches[{i}]",
                    code="unknown_tranche",
                    message=f"there is no tranche {tranche!r}",
                    remedy=f"tranches are {', '.join(known)}",
                )

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The first day of a recall notice and the first day it can take effect."""
        path = agreement.path_of(self)
        first = max(self.not_before or agreement.starts, agreement.starts)
        yield Deadline(
            on=first,
            what=f"first day {agreement.operator} may give {self.notice_days} days' notice of recall; "
            f"it would take effect {plus_days(first, self.notice_days)}",
            side=Side.OPERATOR,
            basis=(f"{path}.notice_days", f"{path}.not_before"),
        )
