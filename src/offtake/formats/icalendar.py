"""Deadlines as an iCalendar file that calendar programs open.

Source: RFC 5545. Events are all-day; the same deadline keeps its UID, so that importing again updates it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from icalendar import Alarm, Calendar, Event

from offtake.base.canonical import canonical_bytes, digest

DAYS_BEFORE = 14
"""An alarm comes so many days ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarEntry:
    """A date to keep.

    Attributes:
        key: what makes it the same entry when it is written again.
        on: the local day.
        summary: one line.
        description: the rest, such as the clauses it follows from.
    """

    key: tuple[str, ...]
    on: date
    summary: str
    description: str = ""


def calendar_of(name: str, entries: Iterable[CalendarEntry], *, stamp: int) -> bytes:
    """A calendar of all-day entries, each with an alarm.

    Args:
        name: of the calendar.
        entries: in any order.
        stamp: instant at which it is written, in seconds since the epoch.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//offtake//deadlines//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", name)
    for entry in sorted(entries, key=lambda e: (e.on, e.key)):
        event = Event()
        event.add("uid", f"{digest(canonical_bytes(list(entry.key)))[:32]}@offtake")
        event.add("dtstamp", datetime.fromtimestamp(stamp, UTC))
        event.add("dtstart", entry.on)
        event.add("dtend", entry.on + timedelta(days=1))
        event.add("summary", entry.summary)
        event.add("description", entry.description)
        event.add("sequence", 0)
        event.add("transp", "TRANSPARENT")
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", entry.summary)
        alarm.add("trigger", timedelta(days=-DAYS_BEFORE))
        event.add_component(alarm)
        calendar.add_component(event)
    content: bytes = calendar.to_ical()
    return content
