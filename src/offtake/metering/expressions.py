"""What readings add up to, as Ibis expressions: exact in integers, and the same on every engine.

Nothing here is computed: an engine (DuckDB on one machine, Spark on many) runs what is built. No expression
uses what only one engine has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis

SLOT_S = 900
"""Every local hour of every time zone begins on one of these."""

FEW = 2
"""Up to so many segments a reading is compared with each; beyond it they are looked up by slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Segments of time that some subjects are counted by, side by side and in order.

    Units: seconds UTC; borders lie on a quarter of an hour.

    Attributes:
        subjects: claims or agreements that are counted by it.
        borders: one more than there are segments.
    """

    subjects: tuple[str, ...]
    borders: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.borders) < 2 or any(b <= a for a, b in zip(self.borders, self.borders[1:], strict=False)):
            raise ValueError(f"borders must rise: {self.borders[:5]} …")
        odd = next((b for b in self.borders if b % SLOT_S), None)
        if odd is not None:
            raise ValueError(f"the border {odd} isn't on a quarter of an hour")


def gpu_seconds(readings: ibis.Table, calendar: Calendar) -> ibis.Table:
    """Value × seconds of each subject, pool and segment, with how many readings touch it.

    A reading that lies across a border counts in each segment for its own part.

    Args:
        readings: columns `subject`, `pool`, `start`, `end`, `value`.
        calendar: the segments.

    Returns:
        Columns `subject`, `pool`, `segment`, `quantity`, `readings`.
    """
    subjects = _subjects(calendar.subjects)
    own = readings.semi_join(subjects, "subject")
    if len(calendar.borders) - 1 <= FEW:
        parts = [
            _clipped(own, begin, until, segment)
            for segment, (begin, until) in enumerate(
                zip(calendar.borders, calendar.borders[1:], strict=False)
            )
        ]
        return _summed(_together(parts))
    slots = _slots(calendar)
    first, last = slots.view(), slots.view()
    # readings outside the calendar have no slot: they are looked at with those that cross a border
    within = (
        own.mutate(first=own.start // SLOT_S, last=(own.end - 1) // SLOT_S)
        .join(first, ibis._.first == first.slot)
        .select("subject", "pool", "start", "end", "value", "last", a="segment")
    )
    placed = within.join(last, within.last == last.slot).select(
        "subject", "pool", "start", "end", "value", "a", b=last.segment
    )
    inside = placed.filter(placed.a == placed.b)
    whole = inside.select(
        "subject", "pool", segment=inside.a, quantity=inside.value * (inside.end - inside.start)
    )
    return _summed(whole.union(_crossing(own, calendar, slots)))


def rounded_up(readings: ibis.Table, calendar: Calendar, increment_s: int) -> ibis.Table:
    """Value × seconds rounded up to an increment, each reading whole in the segment in which it begins.

    Columns as of `gpu_seconds`.
    """
    own = readings.semi_join(_subjects(calendar.subjects), "subject")
    slots = _slots(calendar)
    placed = own.mutate(first=own.start // SLOT_S).join(slots, ibis._.first == slots.slot)
    pieces = (placed.end - placed.start + (increment_s - 1)) // increment_s
    return _summed(placed.select("subject", "pool", "segment", quantity=placed.value * pieces * increment_s))


def _crossing(own: ibis.Table, calendar: Calendar, slots: ibis.Table) -> ibis.Table:
    """Readings that lie across a border, cut at it."""
    first, last = slots.view(), slots.view()
    numbered = own.mutate(first=own.start // SLOT_S, last=(own.end - 1) // SLOT_S)
    begun = numbered.left_join(first, numbered.first == first.slot).select(
        "subject", "pool", "start", "end", "value", "last", a=first.segment
    )
    ended = begun.left_join(last, begun.last == last.slot).select(
        "subject", "pool", "start", "end", "value", a=begun.a.fill_null(-1), b=last.segment.fill_null(-1)
    )
    across = ended.filter((ended.a != ended.b) | (ended.a == -1))
    segments = ibis.memtable(
        {
            "segment": list(range(len(calendar.borders) - 1)),
            "begin": list(calendar.borders[:-1]),
            "until": list(calendar.borders[1:]),
        },
        schema={"segment": "int64", "begin": "int64", "until": "int64"},
    )
    cut = across.join(segments, [across.start < segments.until, across.end > segments.begin])
    seconds = ibis.least(cut.end, cut.until) - ibis.greatest(cut.start, cut.begin)
    return cut.select("subject", "pool", "segment", quantity=cut.value * seconds)


def _slots(calendar: Calendar) -> ibis.Table:
    """Which segment each quarter of an hour belongs to."""
    slots: list[int] = []
    segments: list[int] = []
    for segment, (begin, until) in enumerate(zip(calendar.borders, calendar.borders[1:], strict=False)):
        own = range(begin // SLOT_S, until // SLOT_S)
        slots += own
        segments += [segment] * len(own)
    schema = {"slot": "int64", "segment": "int64"}
    return ibis.memtable({"slot": slots, "segment": segments}, schema=schema)


def _subjects(names: Sequence[str]) -> ibis.Table:
    return ibis.memtable({"subject": list(names)}, schema={"subject": "string"})


def _clipped(own: ibis.Table, begin: int, until: int, segment: int) -> ibis.Table:
    """Readings of one segment, cut to it."""
    inside = own.filter((own.start < until) & (own.end > begin))
    seconds = ibis.least(inside.end, until) - ibis.greatest(inside.start, begin)
    return inside.select(
        "subject", "pool", segment=ibis.literal(segment, "int64"), quantity=inside.value * seconds
    )


def _together(parts: Sequence[ibis.Table]) -> ibis.Table:
    return parts[0] if len(parts) == 1 else parts[0].union(*parts[1:])


def _summed(parts: ibis.Table) -> ibis.Table:
    return parts.group_by("subject", "pool", "segment").aggregate(
        quantity=parts.quantity.sum(), readings=parts.count()
    )


def levels(readings: ibis.Table, subjects: Sequence[str], begin: int, until: int) -> ibis.Table:
    """What each subject held over time, from one change to the next.

    Args:
        readings: columns `subject`, `start`, `end`, `value`.
        subjects: whose.
        begin: nothing before it.
        until: nothing from it on.

    Returns:
        Columns `subject`, `at`, `level`; the level holds from `at` to the subject's next row.
    """
    own = readings.semi_join(_subjects(subjects), "subject")
    inside = own.filter((own.start < until) & (own.end > begin))
    rises = inside.select("subject", at=ibis.greatest(inside.start, begin), change=inside.value)
    falls = inside.select("subject", at=ibis.least(inside.end, until), change=-inside.value)
    changes = rises.union(falls)
    net = changes.group_by("subject", "at").aggregate(change=changes.change.sum())
    running: Any = ibis.cumulative_window(group_by="subject", order_by="at")
    return net.select("subject", "at", level=net.change.sum().over(running))


def peaks(readings: ibis.Table, subjects: Sequence[str], begin: int, until: int) -> ibis.Table:
    """The most that each subject held at once: columns `subject`, `peak`."""
    over_time = levels(readings, subjects, begin, until)
    return over_time.group_by("subject").aggregate(peak=over_time.level.max())


def energy(readings: ibis.Table, begin: int, until: int) -> ibis.Table:
    """Watt-hours by subject of readings that begin in a period: columns `subject`, `quantity`."""
    inside = readings.filter((readings.start >= begin) & (readings.start < until))
    return inside.group_by("subject").aggregate(quantity=inside.value.sum())
