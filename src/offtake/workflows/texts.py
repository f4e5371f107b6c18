"""An agreement's texts as the book recorded them: which held when, and which was known when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from offtake.agreements.model import Agreement
from offtake.base.months import local_date
from offtake.formats.agreement import Versions, parse_agreement
from offtake.formats.amendment import Amendment, parse_amendment
from offtake.workflows.state import Body


def compose(texts: Sequence[Body]) -> Versions:
    """The versions that recorded texts make.

    A restated text holds from the day it took effect; amendments apply on top of whatever text holds, from
    their own effective day, in the order of their numbers. An amendment recorded again under its number takes
    the place of what it said before.

    Args:
        texts: bodies with ``toml`` or ``amendment``, ``where`` and ``from``, in the order of recording.
    """
    full = [body for body in texts if "toml" in body]
    amendments = _amendments(body for body in texts if "amendment" in body)
    first = parse_agreement(full[0]["toml"], full[0]["where"])
    days = {_day(body, first.time_zone) for body in full[1:]} | {a.header.effective for a in amendments}
    found: list[tuple[date | None, Agreement]] = []
    for day in [None, *sorted(days)]:
        bases = [b for b in full[1:] if day is not None and _day(b, first.time_zone) <= day]
        base = max(bases, key=lambda b: (_day(b, first.time_zone), int(b["seq"])), default=full[0])
        own = [a for a in amendments if day is not None and a.header.effective <= day]
        found.append((day, parse_agreement(base["toml"], base["where"], amendments=own)))
    return tuple(found)


def _day(body: Body, zone: str) -> date:
    """The first local day a recorded text holds: the day it was recorded counts as its own."""
    return local_date(int(body["from"]), zone)


def _amendments(bodies: Iterable[Body]) -> list[Amendment]:
    latest: dict[int, Amendment] = {}
    for body in bodies:
        amendment = parse_amendment(body["amendment"], body["where"])
        latest[amendment.header.number] = amendment
    return sorted(latest.values(), key=lambda a: (a.header.effective, a.header.number))
