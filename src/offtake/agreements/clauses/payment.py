"""When invoices are issued and when they are due."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Clause


class Timing(StrEnum):
    """Whether a month's fixed fee is billed at its start or at its end."""

    ADVANCE = "advance"
    ARREARS = "arrears"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(Clause):
    """Payment terms.

    In advance, the fixed fee of a month is billed as the month begins, and what depends on the month
    (usage, credits) is on the following invoice. In arrears, everything is billed when the month has ended.

    Units: `net_days` calendar days from issue to due.
    """

    NAME: ClassVar[str] = "payment"
    timing: Timing = Timing.ARREARS
    net_days: Annotated[int, Ge(0), Le(36_500)] = 30
