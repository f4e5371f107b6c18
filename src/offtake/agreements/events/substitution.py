"""The operator serves a tranche from equivalent hardware."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.substitution import Substitution
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstitutionNotice(Served):
    """The operator's notice that a tranche may be served from another pool, too.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche.
        pool: the pool, which comes first among those that serve it.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
    """

    SECTION: ClassVar[str] = "substitution"
    KIND: ClassVar[str] = "hardware.substituted"
    tranche: str
    pool: str

    @property
    def by_operator(self) -> bool:
        """It is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The day it takes effect, or why it doesn't count.

        Refusals, in order: `no_right`, `not_equivalent`, `not_served`.
        """
        found = next((c for _, c in agreement.all_of(Substitution) if c.tranche == self.tranche), None)
        if found is None:
            return Refused(
                code="no_right", sentence=f"{agreement.id}: hardware of {self.tranche!r} can't be substituted"
            )
        if self.pool not in found.pools:
            return Refused(
                code="not_equivalent",
                sentence=f"{agreement.id}: {self.pool!r} doesn't count as equivalent; "
                f"{', '.join(found.pools)} do",
            )
        received = self.received(agreement)
        return received if isinstance(received, Refused) else plus_days(received, found.notice_days)

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """With the other pool first."""
        own = agreement.tranche_of(self.tranche)
        pools = (self.pool, *(pool for pool in own.pools if pool != self.pool))
        return agreement.with_tranche(self.tranche, pools=pools)
