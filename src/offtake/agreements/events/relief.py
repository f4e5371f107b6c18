"""Maintenance that was announced, relief for force majeure, and what both excuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Predicate

from offtake.agreements.clauses.force_majeure import ForceMajeure
from offtake.agreements.clauses.maintenance import Maintenance
from offtake.agreements.model import Agreement, Event
from offtake.agreements.terms import Side
from offtake.base.months import Month, plus_days
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval, parse_instant

Instant = Annotated[str, Predicate(parse_instant)]
"""An instant as people write it, such as `2027-02-07T08:00:00Z`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceWindow(Event):
    """The operator announces that capacity will be out of service for a while.

    Attributes:
        id: name of the window.
        agreement: the agreement's id.
        hypothetical: it was made up.
        tranche: whose capacity; every tranche's when left out.
        announced: when it was announced, such as `2027-02-07T08:00:00Z`.
        start: when it begins.
        end: when it is over.
    """

    SECTION: ClassVar[str] = "maintenance"
    KIND: ClassVar[str] = "maintenance.announced"
    tranche: str | None = None
    announced: Instant
    start: Instant
    end: Instant

    @property
    def day(self) -> date:
        """The day of the announcement, as it is written."""
        return date.fromisoformat(self.announced[:10])

    def check(self, agreement: Agreement) -> Refused | date:
        """The day of the announcement, or why it excuses nothing.

        Refusals, in order: `end_before_start`, `no_clause`, `short_notice`.
        """
        announced, start, end = (parse_instant(text) for text in (self.announced, self.start, self.end))
        if end <= start:
            return Refused(code="end_before_start", sentence=f"{self.end} isn't after {self.start}")
        clauses = [
            c for _, c in agreement.all_of(Maintenance) if self.tranche is None or c.covers(self.tranche)
        ]
        if not clauses:
            return Refused(code="no_clause", sentence=f"{agreement.id}: no maintenance is excused")
        if start - announced < clauses[0].notice_hours * HOUR_S:
            return Refused(
                code="short_notice",
                sentence=f"{agreement.id}: maintenance needs {clauses[0].notice_hours} hours' notice; "
                f"from {self.announced} to {self.start} is less",
            )
        return self.day

    @property
    def window(self) -> Interval:
        """From its start to its end."""
        return Interval(parse_instant(self.start), parse_instant(self.end))


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief(Event):
    """A side claims relief for an event beyond its control.

    Attributes:
        id: name of the event.
        agreement: the agreement's id.
        hypothetical: it was made up.
        by: the side that claims relief.
        given: the day of the claim.
        start: the first day of the event.
        through: its last day; while it lasts, left out.
        tranche: the tranche it is about; all of them when left out.
        what: what happened, for people.
    """

    SECTION: ClassVar[str] = "relief"
    KIND: ClassVar[str] = "relief.claimed"
    by: Side = Side.OPERATOR
    given: date
    start: date
    through: date | None = None
    tranche: str | None = None
    what: str = ""

    @property
    def day(self) -> date:
        """The day of the claim."""
        return self.given

    @property
    def by_operator(self) -> bool:
        """Whether the operator claims it."""
        return self.by is Side.OPERATOR

    def check(self, agreement: Agreement) -> Refused | date:
        """The first day of relief, or why there is none.

        Refusals, in order: `no_clause`, `end_before_start`, `too_late`.
        """
        found = agreement.first_of(ForceMajeure)
        if found is None:
            return Refused(code="no_clause", sentence=f"{agreement.id}: nothing provides for force majeure")
        if self.through is not None and self.through < self.start:
            return Refused(code="end_before_start", sentence=f"{self.through} is before {self.start}")
        last = plus_days(self.start, found[1].notice_days)
        if self.given > last:
            return Refused(
                code="too_late",
                sentence=f"{agreement.id}: relief for {self.start} had to be claimed by {last}, "
                f"not on {self.given}",
            )
        return self.start

    def about(self, tranche: str) -> bool:
        """Whether it relieves what is owed under a tranche."""
        return self.tranche in (None, tranche)


def relieved(agreement: Agreement, tranche: str, within: Interval) -> Iterator[Interval]:
    """Intervals in which force majeure relieves a tranche."""
    for event, start in agreement.events_of(Relief):
        if event.about(tranche):
            end = agreement.ends if event.through is None else plus_days(event.through, 1)
            if start < end:
                part = Interval(agreement.midnight(start), agreement.midnight(end)).overlap(within)
                if part is not None:
                    yield part


def excused(agreement: Agreement, tranche: str, month: Month) -> tuple[Interval, ...]:
    """Intervals of a month in which what is out of service counts as available.

    Maintenance that was announced in time, in the order in which it begins and up to the month's hours; and
    force majeure.
    """
    period = agreement.month(month)
    found = list(relieved(agreement, tranche, period))
    for _, clause in agreement.all_of(Maintenance):
        if not clause.covers(tranche):
            continue
        hours = clause.hours_per_month
        left = period.seconds if hours is None else int(hours * HOUR_S)
        windows = [
            e.window for e, _ in agreement.events_of(MaintenanceWindow) if e.tranche in (None, tranche)
        ]
        for window in sorted(windows):
            part = window.overlap(period)
            if part is not None and left > 0:
                found.append(Interval(part.start, min(part.end, part.start + left)))
                left -= found[-1].seconds
    return tuple(sorted(found))


def excused_days(agreement: Agreement, tranche: str, first: date, until: date) -> int:
    """Days from `first` to the day before `until` in which force majeure relieves a tranche."""
    days = set()
    for event, start in agreement.events_of(Relief):
        if event.about(tranche):
            day, end = max(start, first), until
            if event.through is not None:
                end = min(until, plus_days(event.through, 1))
            while day < end:
                days.add(day)
                day = plus_days(day, 1)
    return len(days)


def longest_relief(agreement: Agreement, by: date) -> int:
    """Days that the longest event of force majeure has lasted by a day, that day included."""
    lasted = [
        (min(by, by if event.through is None else event.through) - start).days + 1
        for event, start in agreement.events_of(Relief)
        if start <= by
    ]
    return max(lasted, default=0)
