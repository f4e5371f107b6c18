"""Judgements on how the agreement's value is reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


class Obligation(StrEnum):
    """Which value counts as the remaining performance obligation."""

    FIRM = "firm"
    HEADLINE = "headline"


class Method(StrEnum):
    """When fixed fees become revenue."""

    AS_BILLED = "as_billed"
    STRAIGHT_LINE = "straight_line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition(Clause):
    """What the operator's accountants decided, and why; reported beside the figures.

    Attributes:
        rpo: which value is reported as the remaining performance obligation: the "firm" one, or the
            "headline" where a right to leave isn't substantive.
        method: whether fixed fees become revenue "as_billed", month by month, or on a "straight_line" over
            the term's months, as for take-or-pay capacity and for leases.
        lease: whether the agreement is, or holds, a lease; nothing when it isn't judged yet.
        financing: whether a prepayment finances the operator; nothing when it isn't judged yet.
        financing_rate: the rate a year at which it does, as a fraction; interest accrues by the month on what
            is prepaid, and becomes revenue as that is drawn.
        because: the reason for these judgements.
        judged_by: who decided.
        judged_on: when.

    A lease is recognised on a straight line. Where a prepayment finances the operator, revenue is the cash
    and the interest on it, and the interest is an expense.

    Source: ASC 606-10-25-3 and 25-4 (the enforceable term), 606-10-50-13 (the disclosure), 842-10-15 (what
    is a lease), 842-30-25 (straight-line income), 606-10-32-15 (financing).
    """

    NAME: ClassVar[str] = "recognition"
    rpo: Obligation = Obligation.FIRM
    method: Method = Method.AS_BILLED
    lease: bool | None = None
    financing: bool | None = None
    financing_rate: Annotated[Decimal, Gt(0), Le(1)] | None = None
    because: str
    judged_by: str = ""
    judged_on: date | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A lease is recognised on a straight line."""
        if self.lease and self.method is not Method.STRAIGHT_LINE:
            yield Problem(
                where=f"{path}.method",
                code="contradiction",
                message="a lease is recognised on a straight line",
                remedy='write method = "straight_line"',
            )
        if bool(self.financing) != (self.financing_rate is not None):
            yield Problem(
                where=f"{path}.financing_rate",
                code="contradiction",
                message="a prepayment that finances the operator has a rate, and one that doesn't has none",
                remedy="write financing = true and financing_rate = 0.06, or neither",
            )
