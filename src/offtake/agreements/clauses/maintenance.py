"""Maintenance that counts as time in service."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance(Clause):
    """The operator may take capacity out of service for a while, if it says so in time.

    What was announced in time counts as available in the service levels, up to the month's hours; what
    exceeds them, and what wasn't announced in time, counts as an outage. The fee isn't reduced.

    Attributes:
        tranches: ids of the tranches it is about; all of them when left out.
        notice_hours: hours between the announcement and the beginning.
        hours_per_month: most hours of a local month that are excused; any number when left out.

    Source: notices of 24 to 72 hours as UpCloud, Volt Serv and Lumin publish them.
    """

    NAME: ClassVar[str] = "maintenance"
    tranches: tuple[str, ...] = ()
    notice_hours: Annotated[int, Ge(0), Le(87_600)] = 0
    hours_per_month: Annotated[Decimal, Ge(0), Le(744)] | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Tranches must exist."""
        return check_tranches(agreement, path, *self.tranches)

    def covers(self, tranche: str) -> bool:
        """Whether it is about a tranche."""
        return not self.tranches or tranche in self.tranches
