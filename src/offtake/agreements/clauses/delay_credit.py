"""What the operator owes for each day a tranche is late."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.clauses.acceptance import governing_acceptance
from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause, Deadline
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import plus_days


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayCredit(Clause):
    """A credit for each day from the due day to acceptance, given once the tranche is accepted.

    Days of force majeure that delayed the tranche don't count.

    Attributes:
        tranche: the tranche that is late.
        due: the last day on which acceptance is in time.
        grace_days: calendar days after it that cost nothing.
        share_per_day: fraction of the tranche's fee for its first whole month, for each day.
        cap: no more than this fraction of that fee.

    Source: delay credits are a remedy of IREN and Microsoft's agreement, their rate isn't public; by the day
    with a cap is the form of construction contracts.
    """

    NAME: ClassVar[str] = "delay_credit"
    tranche: str
    due: date
    grace_days: Annotated[int, Ge(0), Le(36_500)] = 0
    share_per_day: Annotated[Decimal, Gt(0), Le(1)]
    cap: Annotated[Decimal, Gt(0), Le(10**4)] = Decimal(1)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A tranche that is accepted under a clause."""
        yield from check_tranches(agreement, path, self.tranche)
        if governing_acceptance(agreement, self.tranche) is None:
            yield Problem(
                where=path,
                code="missing_clause",
                message=f"nothing says how tranche {self.tranche!r} is accepted, so it is never late",
                remedy="add [acceptance]",
            )

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The last day in time."""
        path = agreement.path_of(self)
        yield Deadline(
            on=plus_days(self.due, self.grace_days),
            what=f"last day on which tranche {self.tranche} may be accepted without a delay credit",
            side=Side.OPERATOR,
            basis=(f"{path}.due", f"{path}.grace_days"),
        )
