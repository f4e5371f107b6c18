"""How readings are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.burst import Burst
from offtake.agreements.clauses.hourly_fee import HourlyFee
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering(Clause):
    """The time of each reading is rounded up; it counts as a whole in the month in which it begins.

    Without this section every second counts, and splitting a reading changes nothing.

    Attributes:
        increment_minutes: what the time of a reading is rounded up to a multiple of.

    Source: rounding up to 15 minutes as FPT bills model fine-tuning.
    """

    NAME: ClassVar[str] = "metering"
    increment_minutes: Annotated[int, Gt(0), Le(44_640)]

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """What asks when GPUs were held can't be counted in rounded pieces."""
        for other, clause in agreement.clauses:
            if isinstance(clause, Burst | HourlyFee):
                yield Problem(
                    where=path,
                    code="contradiction",
                    message=f"{other} asks when GPUs were held, which time that is rounded up can't tell",
                    remedy="leave one of them out",
                )

    @property
    def increment_s(self) -> int:
        """In seconds."""
        return self.increment_minutes * 60
