"""Force majeure: what neither side can help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceMajeure(Clause):
    """Relief from an event beyond control, for as long as it lasts.

    While it lasts, what it takes out of service counts as available in the service levels, days of delay that
    it causes don't count, and the fee for what it takes isn't owed, where `fee_abates` says so. When it has
    lasted too long, either side may leave.

    Attributes:
        notice_days: calendar days after its first day by which relief must be claimed.
        fee_abates: whether the fee for the GPU-seconds it takes falls away.
        leave_after_days: days after which either side may leave; never when left out.

    Source: the usual form; no public compute agreement discloses its own.
    """

    NAME: ClassVar[str] = "force_majeure"
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 30
    fee_abates: bool = True
    leave_after_days: Annotated[int, Gt(0), Le(36_500)] | None = None
