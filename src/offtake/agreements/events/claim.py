"""The offtaker claims a service-level credit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.service_level import ServiceLevel
from offtake.agreements.model import Agreement, Event
from offtake.agreements.periods import period_of
from offtake.base.months import Month, days_in_month, plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Event):
    """The offtaker claims the credit of a window, where the service level gives none without a claim.

    Attributes:
        id: name of the claim.
        agreement: the agreement's id.
        hypothetical: it was made up.
        clause: path of the service level, such as `service_level` or `service_level[1]`.
        month: the window's last month.
        made: the day of the claim.
    """

    SECTION: ClassVar[str] = "claim"
    KIND: ClassVar[str] = "credit.claimed"
    clause: str
    month: Month
    made: date

    @property
    def day(self) -> date:
        """The day of the claim."""
        return self.made

    def check(self, agreement: Agreement) -> Refused | date:
        """The window's last day, or why the claim doesn't count.

        Refusals, in order: `no_clause`, `no_claim_needed`, `no_window`, `too_late`.
        """
        clause = dict(agreement.clauses).get(self.clause)
        if not isinstance(clause, ServiceLevel):
            return Refused(code="no_clause", sentence=f"{agreement.id}: {self.clause!r} is no service level")
        if clause.claim_days is None:
            return Refused(
                code="no_claim_needed",
                sentence=f"{agreement.id}: credits of {self.clause} are given without a claim",
            )
        if period_of(agreement, clause.window, self.month)[1] != self.month:
            return Refused(
                code="no_window", sentence=f"{agreement.id}: no window of {self.clause} ends in {self.month}"
            )
        end = date(self.month.year, self.month.month, days_in_month(self.month))
        if self.made > plus_days(end, clause.claim_days):
            return Refused(
                code="too_late",
                sentence=f"{agreement.id}: the credit of {self.month} had to be claimed by "
                f"{plus_days(end, clause.claim_days)}, not on {self.made}",
            )
        return end


def claimed(agreement: Agreement, path: str, month: Month) -> bool:
    """Whether the credit of a window was claimed in time."""
    return any(e.clause == path and e.month == month for e, _ in agreement.events_of(Claim))
