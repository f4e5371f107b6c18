"""A calendar that other programs read, with what was written in it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import vobject

from offtake.formats.icalendar import CalendarEntry, calendar_of
from tests.cli.calls import succeeded
from tests.house.project import ROOT

ENTRIES = [
    CalendarEntry(
        key=("b", "x"), on=date(2026, 10, 30), summary="Grace ends; choose: a, b", description="§ 4\nline 2"
    ),
    CalendarEntry(key=("a", "x"), on=date(2026, 8, 3), summary="Première journée — " + "long " * 40),
]


def test_another_program_reads_the_same_dates_and_texts() -> None:
    calendar = vobject.readOne(calendar_of("dates", ENTRIES, stamp=1_780_000_000).decode())
    events = calendar.vevent_list
    assert [event.dtstart.value for event in events] == [date(2026, 8, 3), date(2026, 10, 30)]
    assert [event.dtend.value for event in events] == [date(2026, 8, 4), date(2026, 10, 31)]
    assert [event.summary.value for event in events] == [ENTRIES[1].summary, ENTRIES[0].summary]
    assert events[1].description.value == "§ 4\nline 2"
    assert all(event.valarm.action.value == "DISPLAY" for event in events)


def test_the_same_deadline_keeps_its_identity_and_others_have_their_own() -> None:
    first, again = (calendar_of("dates", entries, stamp=0) for entries in (ENTRIES, ENTRIES[::-1]))
    assert first == again
    uids = [event.uid.value for event in vobject.readOne(first.decode()).vevent_list]
    assert len(set(uids)) == 2
    moved = CalendarEntry(key=("a", "x"), on=date(2026, 9, 1), summary="moved")
    assert vobject.readOne(calendar_of("d", [moved], stamp=0).decode()).vevent.uid.value == uids[0]


def test_the_command_writes_every_deadline_of_an_agreement(tmp_path: Path) -> None:
    google = ROOT / "examples" / "colossus" / "agreements" / "google.toml"
    file = tmp_path / "dates.ics"
    listed = succeeded("agreement", "deadlines", google, "--from", "2026-10-01", "--ics", file)["deadlines"]
    events = vobject.readOne(file.read_bytes().decode()).vevent_list
    assert [str(event.dtstart.value) for event in events] == [row["on"] for row in listed]
    assert [row["on"] for row in listed] == ["2026-10-30", "2027-01-01", "2029-07-01"]
