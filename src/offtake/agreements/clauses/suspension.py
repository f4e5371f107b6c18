"""The operator may stop for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension(Clause):
    """The operator may suspend delivery after notice, typically while an invoice stays unpaid.

    While it lasts the offtaker holds nothing.

    Attributes:
        notice_days: calendar days from the notice to the suspension.
        fee_continues: whether the fee is owed all the same.

    Source: suspension on written notice, as cloud terms of service have it.
    """

    NAME: ClassVar[str] = "suspension"
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 10
    fee_continues: bool = True
