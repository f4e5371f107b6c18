"""The offtaker transfers part of its entitlement to somebody else for a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.resale import Resale
from offtake.agreements.model import Agreement, Event
from offtake.agreements.units import gpus_of
from offtake.base.curve import Curve, combine
from offtake.base.months import plus_days
from offtake.base.outcome import Refused
from offtake.base.time import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Event):
    """Part of a tranche is held by somebody else for a time; the offtaker goes on owing its fees.

    Attributes:
        id: name of the transfer.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche.
        gpus: how many GPUs.
        to: who holds them.
        given: the day of the notice.
        start: the first day.
        through: the last day included.
    """

    SECTION: ClassVar[str] = "transfer"
    KIND: ClassVar[str] = "entitlement.transferred"
    tranche: str
    gpus: Annotated[int, Gt(0), Le(10**12)]
    to: str
    given: date
    start: date
    through: date

    @property
    def day(self) -> date:
        """The day of the notice."""
        return self.given

    def check(self, agreement: Agreement) -> Refused | date:
        """The first day, or why it doesn't count.

        Refusals, in order: `no_right`, `unknown_tranche`, `outside_term`, `granularity`, `short_notice`,
        `retained`.
        """
        found = agreement.first_of(Resale)
        if found is None:
            return Refused(code="no_right", sentence=f"{agreement.id}: entitlement can't be transferred")
        clause = found[1]
        own = next((t for t in agreement.tranches if t.id == self.tranche), None)
        if own is None:
            return Refused(
                code="unknown_tranche", sentence=f"{agreement.id}: there is no tranche {self.tranche!r}"
            )
        if not own.start <= self.start <= self.through <= own.through:
            return Refused(
                code="outside_term",
                sentence=f"{agreement.id}: {self.start} to {self.through} isn't within {own.start} to "
                f"{own.through}",
            )
        if self.gpus % clause.granularity_gpus:
            return Refused(
                code="granularity",
                sentence=f"{agreement.id}: transfers are multiples of {clause.granularity_gpus:,} GPUs, "
                f"not {self.gpus:,}",
            )
        if self.start < plus_days(self.given, clause.notice_days):
            return Refused(
                code="short_notice",
                sentence=f"{agreement.id}: {clause.notice_days} days' notice is needed before {self.start}",
            )
        span = Interval(agreement.midnight(self.start), agreement.midnight(plus_days(self.through, 1)))
        passed_on = transferred(agreement).get(self.tranche, Curve.zero()).max_over(span)
        left = gpus_of(agreement, own) - passed_on - self.gpus
        if left < clause.retained_gpus:
            return Refused(
                code="retained",
                sentence=f"{agreement.id}: {left:,} GPUs of {self.tranche!r} would be left, "
                f"{clause.retained_gpus:,} must be retained",
            )
        return self.start


def transferred(agreement: Agreement) -> dict[str, Curve]:
    """GPUs that others hold by transfer, by tranche, over time."""
    found: dict[str, list[Curve]] = {}
    for event, start in agreement.events_of(Transfer):
        end = min(plus_days(event.through, 1), agreement.ends)
        if start < end:
            span = Interval(agreement.midnight(start), agreement.midnight(end))
            found.setdefault(event.tranche, []).append(Curve.constant(event.gpus, span))
    return {tranche: combine(curves) for tranche, curves in found.items()}
