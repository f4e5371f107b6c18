"""What the offtaker owes when it defaults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


class Damages(StrEnum):
    """How damages are measured."""

    ACCELERATION = "acceleration"
    LESSER_OF = "lesser_of"


@dataclass(frozen=True, slots=True, kw_only=True)
class Default(Clause):
    """The operator may end the agreement when the offtaker is in default and doesn't cure it.

    Damages by acceleration are the scheduled fees that fall away, less what selling the capacity elsewhere
    brings. The lesser of two is that, or what everything taken so far would have cost on demand less what was
    charged for it.

    Attributes:
        cure_days: calendar days after the notice in which the offtaker may put it right.
        damages: "acceleration", or the "lesser_of" that and the on-demand price of what was taken.
        share: fraction of the accelerated fees that is owed.
        on_demand_series: name of the history of on-demand rates per GPU-hour, for the lesser of two.

    Source: acceleration of all remaining payments (Soluna); the lesser of two, Microsoft and CoreWeave.
    """

    NAME: ClassVar[str] = "default"
    cure_days: Annotated[int, Ge(0), Le(36_500)] = 30
    damages: Damages = Damages.ACCELERATION
    share: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)
    on_demand_series: str | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The lesser of two needs a history of on-demand rates."""
        if (self.damages is Damages.LESSER_OF) != (self.on_demand_series is not None):
            yield Problem(
                where=f"{path}.on_demand_series",
                code="missing" if self.on_demand_series is None else "contradiction",
                message="the lesser of two and the history of on-demand rates go together",
                remedy="name the series, or measure damages by acceleration",
            )
