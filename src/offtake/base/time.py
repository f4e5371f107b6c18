"""Instants and half-open intervals in UTC.

An instant is a whole number of seconds since 1970-01-01T00:00:00Z. Local time exists only in
`offtake.base.months`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

HOUR_S = 3_600
DAY_S = 86_400


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The instants t with start <= t < end.

    Units: seconds since the epoch, UTC.

    Raises:
        ValueError: if end is before start.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(
                f"an interval can't end before it starts: "
                f"{format_instant(self.start)} .. {format_instant(self.end)}"
            )

    def __contains__(self, instant: int) -> bool:
        return self.start <= instant < self.end

    @property
    def seconds(self) -> int:
        """Length in seconds."""
        return self.end - self.start

    def overlap(self, other: Interval) -> Interval | None:
        """The common part, or None where there is none."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Interval(start, end) if start < end else None

    def __str__(self) -> str:
        return f"{format_instant(self.start)} .. {format_instant(self.end)}"


def format_instant(instant: int) -> str:
    """ISO 8601 with a Z, to the second."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str) -> int:
    """Seconds since the epoch from ISO 8601 with an explicit offset.

    Raises:
        ValueError: if the text is no ISO 8601 time, carries no offset, or has a fraction of a second.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write for example {text}Z")
    if moment.microsecond:
        raise ValueError(f"{text!r} has a fraction of a second; offtake counts whole seconds")
    return int(moment.timestamp())
