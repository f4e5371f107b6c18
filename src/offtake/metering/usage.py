"""What becomes of a reading, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReadingKind(StrEnum):
    """What a reading says.

    `ALLOCATION`: a claim held so many GPUs from start to end. `GAUGE`: it held so many for the minute that
    begins at start. `POWER`: so many watt-hours were metered for an agreement from start to end. `HEALTH`: so
    many GPUs of a pool were out of order from start to end, which is an outage.
    """

    ALLOCATION = "allocation"
    GAUGE = "gauge"
    POWER = "power"
    HEALTH = "health"


HOLDING = (ReadingKind.ALLOCATION, ReadingKind.GAUGE)
"""Kinds that say who held GPUs."""


COLUMNS = (
    ("kind", "string"),
    ("source", "string"),
    ("id", "string"),
    ("subject", "string"),
    ("pool", "string"),
    ("start", "int64"),
    ("end", "int64"),
    ("value", "int64"),
)
"""Columns of readings and their types: `subject` is the claim (agreement/tranche), or the agreement for
power, what is out of order for health; `value` is GPUs or watt-hours."""


class Verdict(StrEnum):
    """What becomes of a reading.

    `ACCEPTED`: it counts. `LATE`: it counts, and reaches back into a month that is settled, which is trued
    up. `DUPLICATE`: the very same was accepted before. `CONFLICT`: another reading of that source and id
    was accepted before; the first one counts. `REJECTED`: it can't count.
    """

    ACCEPTED = "accepted"
    LATE = "late"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRules:
    """How old and how far in the future a reading may be.

    Units: seconds.

    Attributes:
        late_window_s: a reading that ended longer ago than this isn't accepted any more.
        future_tolerance_s: how far beyond the clock a reading may end.

    Source: 35 days and five minutes are Stripe's bounds for meter events.
    """

    late_window_s: int = 35 * 86_400
    future_tolerance_s: int = 300


REASONS = {
    "no_id": "it has no source or no id",
    "unknown_kind": "its kind isn't one of allocation, gauge, power, health",
    "end_before_start": "its end isn't after its start",
    "no_quantity": "its value isn't more than nothing",
    "too_old": "it ended before the late window",
    "future": "it ends in the future",
    "unknown_pool": "the fleet has no such pool",
    "settled": "it begins in a month that is settled for an agreement; grant a credit for it instead",
}
"""Why a reading is rejected, by code, in the order in which they are looked for."""
