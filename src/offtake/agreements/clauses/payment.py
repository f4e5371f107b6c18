"""When invoices are issued and due, and what early or late payment changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


class Timing(StrEnum):
    """Whether a month's fixed fee is billed at its start or at its end."""

    ADVANCE = "advance"
    ARREARS = "arrears"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(Clause):
    """Payment terms.

    In advance, the fixed fee of a month is billed as the month begins, and what depends on the month
    (usage, credits) is on the following invoice. In arrears, everything is billed when the month has ended.

    Attributes:
        timing: whether the fixed fee is billed as the month begins ("advance") or has ended ("arrears").
        net_days: calendar days from issue to due.
        review_days: calendar days after a month has ended before it is settled and billed, in which late
            readings still come onto its invoice; until then it can be looked at as a draft.
        discount: fraction of an invoice that isn't owed when it is paid early.
        discount_days: calendar days from issue within which that is early.
        late_interest_per_month: fraction of what is late that a month of 30 days costs, simple, by the day.
        late_grace_days: calendar days after the due day that cost nothing; after them, interest counts from
            the due day.

    Source: net 10 with a discount, net 15, 30 and 60; 1.5 % a month when late (CoreWeave's terms of service,
    Voltage Park).
    """

    NAME: ClassVar[str] = "payment"
    timing: Timing = Timing.ARREARS
    net_days: Annotated[int, Ge(0), Le(36_500)] = 30
    review_days: Annotated[int, Ge(0), Le(90)] = 0
    discount: Annotated[Decimal, Gt(0), Le(1)] | None = None
    discount_days: Annotated[int, Ge(0), Le(36_500)] | None = None
    late_interest_per_month: Annotated[Decimal, Ge(0), Le(1)] = Decimal(0)
    late_grace_days: Annotated[int, Ge(0), Le(36_500)] = 0

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A discount needs its days, within those in which payment is due."""
        if (self.discount is None) != (self.discount_days is None):
            yield Problem(
                where=path,
                code="missing",
                message="discount and discount_days go together",
                remedy="write both, or neither",
            )
        elif self.discount_days is not None and self.discount_days > self.net_days:
            yield Problem(
                where=f"{path}.discount_days",
                code="contradiction",
                message=f"payment after {self.discount_days} days is late, it is due after {self.net_days}",
            )
