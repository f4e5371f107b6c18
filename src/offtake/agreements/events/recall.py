"""The operator's notice that it takes capacity back, and giving it back again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.recall import Recall
from offtake.agreements.model import Agreement, Event
from offtake.agreements.units import gpus_of
from offtake.base.curve import Curve
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallNotice(Event):
    """The operator's notice that it takes GPUs of a tranche back.

    Attributes:
        id: name of the recall.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche that gives GPUs back.
        gpus: how many.
        given: the day of the notice.
    """

    SECTION: ClassVar[str] = "recall"
    KIND: ClassVar[str] = "recall.noticed"
    tranche: str
    gpus: int
    given: date

    @property
    def day(self) -> date:
        """The day of the notice."""
        return self.given

    @property
    def by_operator(self) -> bool:
        """A recall is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The day the recall takes effect, or why it doesn't count.

        Refusals, in order: `no_right`, `too_early`, `granularity`, `more_than_held`, `retained`.
        """
        rights = [c for _, c in agreement.all_of(Recall) if self.tranche in c.tranches]
        if not rights:
            return Refused(
                code="no_right", sentence=f"{agreement.id}: tranche {self.tranche!r} can't be recalled"
            )
        clause = rights[0]
        first = max(clause.not_before or agreement.starts, agreement.starts)
        if self.given < first:
            return Refused(code="too_early", sentence=f"{agreement.id}: no recall before {first}")
        if self.gpus <= 0 or self.gpus % clause.granularity_gpus:
            return Refused(
                code="granularity",
                sentence=f"{agreement.id}: recalls are multiples of {clause.granularity_gpus:,} GPUs, "
                f"not {self.gpus:,}",
            )
        return self._too_many(agreement, clause) or plus_days(self.given, clause.notice_days)

    def _too_many(self, agreement: Agreement, clause: Recall) -> Refused | None:
        earlier = [event for event, _ in agreement.events_of(RecallNotice)]
        own = gpus_of(agreement, agreement.tranche_of(self.tranche))
        taken = self.gpus + sum(other.gpus for other in earlier if other.tranche == self.tranche)
        if taken > own:
            return Refused(
                code="more_than_held",
                sentence=f"{agreement.id}: {taken:,} GPUs of {self.tranche!r} would be recalled, "
                f"it has {own:,}",
            )
        held = sum(gpus_of(agreement, t) for t in agreement.tranches if t.id in clause.tranches)
        left = held - self.gpus - sum(n.gpus for n in earlier if n.tranche in clause.tranches)
        if left < clause.retained_gpus:
            return Refused(
                code="retained",
                sentence=f"{agreement.id}: {left:,} GPUs would be left, "
                f"{clause.retained_gpus:,} must be retained",
            )
        return None


def recalled(agreement: Agreement) -> dict[str, Curve]:
    """GPUs taken back by recalls that count, by tranche, over time."""
    curves: dict[str, Curve] = {}
    for notice, effective in agreement.events_of(RecallNotice):
        step = Curve.from_steps([(agreement.midnight(effective), notice.gpus)])
        curves[notice.tranche] = curves.get(notice.tranche, Curve.zero()) + step
    return curves
