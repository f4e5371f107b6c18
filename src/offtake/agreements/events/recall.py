"""The operator's notice that it takes capacity back, and giving it back again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.recall import WINDOW_DAYS, Recall, governing_recall
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement, Event
from offtake.agreements.units import gpus_of
from offtake.base.curve import Curve
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallNotice(Served):
    """The operator's notice that it takes GPUs of a tranche back.

    Attributes:
        id: name of the recall.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche that gives GPUs back.
        gpus: how many.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways; it then counts as received when they say.
    """

    SECTION: ClassVar[str] = "recall"
    KIND: ClassVar[str] = "recall.noticed"
    tranche: str
    gpus: int

    @property
    def by_operator(self) -> bool:
        """A recall is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The day the recall takes effect, or why it doesn't count.

        Refusals, in order: `no_right`, `not_served`, `too_early`, `granularity`, `too_often`,
        `blacked_out`, `more_than_held`, `retained`.
        """
        governing = governing_recall(agreement, self.tranche)
        if governing is None:
            return Refused(
                code="no_right", sentence=f"{agreement.id}: tranche {self.tranche!r} can't be recalled"
            )
        path, clause = governing
        received = self.received(agreement)
        if isinstance(received, Refused):
            return received
        first = max(clause.not_before or agreement.starts, agreement.starts)
        if received < first:
            return Refused(code="too_early", sentence=f"{agreement.id}: no recall before {first}")
        if self.gpus <= 0 or self.gpus % clause.granularity_gpus:
            return _uneven(agreement, clause, self.gpus)
        effective = plus_days(received, clause.notice_days)
        refused = self._out_of_turn(agreement, path, clause, received, effective)
        return refused or self._too_many(agreement, clause, effective) or effective

    def _out_of_turn(
        self, agreement: Agreement, path: str, clause: Recall, received: date, effective: date
    ) -> Refused | None:
        if clause.times_per_year is not None:
            recent = [
                event
                for event, _ in agreement.events_of(RecallNotice)
                if (governing_recall(agreement, event.tranche) or ("",))[0] == path
                and abs((received - event.counted(agreement)).days) < WINDOW_DAYS
            ]
            if len(recent) >= clause.times_per_year:
                return Refused(
                    code="too_often",
                    sentence=f"{agreement.id}: {clause.times_per_year} recalls in {WINDOW_DAYS} days are "
                    f"allowed, and {len(recent)} were given",
                )
        days = clause.blacked_out(effective)
        if days is not None:
            return Refused(
                code="blacked_out",
                sentence=f"{agreement.id}: no recall may take effect from {days.first} to {days.through}; "
                f"this one would on {effective}",
            )
        return None

    def _too_many(self, agreement: Agreement, clause: Recall, effective: date) -> Refused | None:
        own = gpus_of(agreement, agreement.tranche_of(self.tranche))
        taken = self.gpus + still_back(agreement, (self.tranche,), effective)
        if taken > own:
            return Refused(
                code="more_than_held",
                sentence=f"{agreement.id}: {taken:,} GPUs of {self.tranche!r} would be recalled, "
                f"it has {own:,}",
            )
        held = sum(gpus_of(agreement, t) for t in agreement.tranches if t.id in clause.tranches)
        left = held - self.gpus - still_back(agreement, clause.tranches, effective)
        if left < clause.retained_gpus:
            return Refused(
                code="retained",
                sentence=f"{agreement.id}: {left:,} GPUs would be left, "
                f"{clause.retained_gpus:,} must be retained",
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack(Event):
    """The operator gives GPUs that it recalled back.

    Attributes:
        id: name of it.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: the tranche that gets them.
        gpus: how many.
        given: the day from which the offtaker has them again.
    """

    SECTION: ClassVar[str] = "give_back"
    KIND: ClassVar[str] = "recall.ended"
    tranche: str
    gpus: int
    given: date

    @property
    def day(self) -> date:
        """The day of it."""
        return self.given

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of it, or why it doesn't count.

        Refusals, in order: `no_right`, `granularity`, `not_recalled`, `too_soon`.
        """
        governing = governing_recall(agreement, self.tranche)
        if governing is None:
            return Refused(
                code="no_right", sentence=f"{agreement.id}: tranche {self.tranche!r} can't be recalled"
            )
        clause = governing[1]
        if self.gpus <= 0 or self.gpus % clause.granularity_gpus:
            return _uneven(agreement, clause, self.gpus)
        back = still_back(agreement, (self.tranche,), self.given)
        if self.gpus > back:
            return Refused(
                code="not_recalled",
                sentence=f"{agreement.id}: {back:,} GPUs of {self.tranche!r} are recalled on {self.given}, "
                f"not {self.gpus:,}",
            )
        rested = [d for e, d in agreement.events_of(RecallNotice) if e.tranche == self.tranche]
        due = [d for d in rested if plus_days(d, clause.minimum_days) <= self.given]
        ripe = sum(
            e.gpus for e, d in agreement.events_of(RecallNotice) if e.tranche == self.tranche and d in due
        ) - sum(e.gpus for e, _ in agreement.events_of(GiveBack) if e.tranche == self.tranche)
        if self.gpus > ripe:
            return Refused(
                code="too_soon",
                sentence=f"{agreement.id}: a recall lasts {clause.minimum_days} days at least; "
                f"{max(ripe, 0):,} GPUs may be given back on {self.given}",
            )
        return self.given


def _uneven(agreement: Agreement, clause: Recall, gpus: int) -> Refused:
    return Refused(
        code="granularity",
        sentence=f"{agreement.id}: recalls are multiples of {clause.granularity_gpus:,} GPUs, not {gpus:,}",
    )


def still_back(agreement: Agreement, tranches: tuple[str, ...], on: date) -> int:
    """GPUs of tranches that are recalled on a day or will be, less what has been given back by then."""
    taken = sum(e.gpus for e, _ in agreement.events_of(RecallNotice) if e.tranche in tranches)
    given = sum(e.gpus for e, d in agreement.events_of(GiveBack) if e.tranche in tranches and d <= on)
    return taken - given


def recalled(agreement: Agreement) -> dict[str, Curve]:
    """GPUs taken back by recalls that count and not given back yet, by tranche, over time."""
    steps: dict[str, dict[int, int]] = {}
    events: list[tuple[str, date, int]] = [
        (e.tranche, d, e.gpus) for e, d in agreement.events_of(RecallNotice)
    ]
    events += [(e.tranche, d, -e.gpus) for e, d in agreement.events_of(GiveBack)]
    for tranche, day, gpus in events:
        own = steps.setdefault(tranche, {})
        own[agreement.midnight(day)] = own.get(agreement.midnight(day), 0) + gpus
    curves = {}
    for tranche, changes in steps.items():
        level, found = 0, []
        for instant in sorted(changes):
            level += changes[instant]
            found.append((instant, level))
        curves[tranche] = Curve.from_steps(found)
    return curves
