"""The fee for what stays broken isn't owed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem
from offtake.base.workdays import check_place


@dataclass(frozen=True, slots=True, kw_only=True)
class RentAbatement(Clause):
    """A failure that lasts so many business days in a row cancels the fee of what failed until it is back.

    The day of the failure isn't counted; the fee falls away from the end of the last of those days. Where
    counts alone don't say which GPUs are back, those that were out longest are back first.

    Attributes:
        business_days: how many, after the day of the failure.
        place: whose public holidays count: a country such as "US", a part of it such as "US-TX", or an
            exchange such as "NYSE".
        tranches: ids of the tranches it is about; all of them when left out.

    Source: CoreWeave's agreement with Microsoft: "two consecutive business days" cancel the fees for the
    affected services until they are restored.
    """

    NAME: ClassVar[str] = "rent_abatement"
    business_days: Annotated[int, Ge(0), Le(3_650)]
    place: str = "US"
    tranches: tuple[str, ...] = ()

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Tranches must exist, and the place must have a calendar."""
        yield from check_tranches(agreement, path, *self.tranches)
        try:
            check_place(self.place)
        except ValueError as error:
            yield Problem(where=f"{path}.place", code="unknown_place", message=str(error))

    def covers(self, tranche: str) -> bool:
        """Whether it is about a tranche."""
        return not self.tranches or tranche in self.tranches
