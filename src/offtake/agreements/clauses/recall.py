"""The operator's right to take capacity back without ending the agreement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.declared import Declared
from offtake.base.errors import Problem
from offtake.base.months import plus_days

WINDOW_DAYS = 365
"""Days in which `times_per_year` counts notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout(Declared):
    """Days on which no recall may take effect.

    Attributes:
        first: the first of them.
        through: the last of them.
    """

    first: date
    through: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall(Clause):
    """The operator may take GPUs back by notice; the agreement goes on, and the offtaker keeps the rest.

    A recall lasts until the operator gives the GPUs back. It isn't termination: nothing ends, and what is
    given back is owed again. The fee falls in proportion to the GPU-seconds recalled, or by a share of that.

    Attributes:
        tranches: ids of the tranches that may be recalled; the first clause that names a tranche governs it.
        notice_days: calendar days from notice to effect.
        not_before: first day on which a notice may be given, or None for the start.
        granularity_gpus: GPUs are recalled, and given back, in multiples of this.
        retained_gpus: what the offtaker keeps of these tranches together, whatever is recalled.
        times_per_year: most notices in any 365 days; any number when left out.
        blackout: days on which no recall may take effect.
        minimum_days: calendar days that a recall lasts at least, so that the offtaker can plan for it.
        fee_reduction: fraction of the proportionate fee that isn't owed: 1 for the whole, 0 if the fee stays.
        compensation_per_gpu_h: what the operator pays on top for each GPU-hour recalled.

    Units: `compensation_per_gpu_h` in major units of the agreement's currency.
    Source: notice, granularity, frequency and compensation as AWS, Google Cloud and SF Compute publish them
    for capacity they may take back (two minutes to a day, by the instance); SpaceX's S-1 permits reallocation
    and discloses none of them, so each is a term of its own here.
    """

    NAME: ClassVar[str] = "recall"
    tranches: tuple[str, ...]
    notice_days: Annotated[int, Ge(0), Le(36_500)]
    not_before: date | None = None
    granularity_gpus: Annotated[int, Gt(0), Le(10**9)] = 1
    retained_gpus: Annotated[int, Ge(0), Le(10**12)] = 0
    times_per_year: Annotated[int, Gt(0), Le(10_000)] | None = None
    blackout: tuple[Blackout, ...] = ()
    minimum_days: Annotated[int, Ge(0), Le(36_500)] = 0
    fee_reduction: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)
    compensation_per_gpu_h: Annotated[Decimal, Ge(0), Le(10**6)] = Decimal(0)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Tranches must exist; the days of a blackout must be in order."""
        known = [tranche.id for tranche in agreement.tranches]
        for i, tranche in enumerate(self.tranches):
            if tranche not in known:
                yield Problem(
                    where=f"{path}.tranches[{i}]",
                    code="unknown_tranche",
                    message=f"there is no tranche {tranche!r}",
                    remedy=f"tranches are {', '.join(known)}",
                )
        for i, days in enumerate(self.blackout):
            if days.through < days.first:
                yield Problem(
                    where=f"{path}.blackout[{i}].through",
                    code="end_before_start",
                    message=f"the last day {days.through} is before the first {days.first}",
                    remedy="`through` is the last day included",
                )

    def blacked_out(self, day: date) -> Blackout | None:
        """The blackout that a day falls into, or None."""
        return next((days for days in self.blackout if days.first <= day <= days.through), None)

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


def governing_recall(agreement: Agreement, tranche: str) -> tuple[str, Recall] | None:
    """The clause under which a tranche may be recalled, with its path, or None."""
    found = (pair for pair in agreement.all_of(Recall) if tranche in pair[1].tranches)
    return next(found, None)
