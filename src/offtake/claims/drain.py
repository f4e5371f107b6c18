"""What a recall cost in hours: GPUs that idled while its notice ran, and work that its effect cut off."""

from __future__ import annotations

from dataclasses import dataclass

from offtake.base.curve import Curve, maximum, minimum
from offtake.base.time import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How a recall went, by what was metered.

    Units: GPU-seconds; GPUs.

    Attributes:
        idle: of the GPUs called, those that nobody used while the notice ran.
        killed: work that ran without a break into the moment of effect on GPUs that then had to stop, counted
            from the notice on: at most so much is lost. What a checkpoint saves isn't known.
        overrun: use beyond what was left, after the effect.
        still_used: GPUs of those called that are used at the last instant known.
    """

    idle: int
    killed: int
    overrun: int
    still_used: int


def drain(use: Curve, kept: Curve, gpus: int, notice: Interval, through: int) -> Drain:
    """How a recall of so many GPUs went.

    Args:
        use: GPUs metered over time.
        kept: GPUs that the offtaker may use once the recall has taken effect, over time, before it too.
        gpus: how many were called.
        notice: from the notice to its effect.
        through: readings are complete before this instant.
    """
    called = maximum(minimum(use - kept, Curve.constant(gpus)), Curve.zero())
    ran = Interval(notice.start, min(notice.end, through)) if through > notice.start else None
    idle = gpus * ran.seconds - called.integrate(ran) if ran else 0
    after = Interval(notice.end, through) if through > notice.end else None
    return Drain(
        idle=idle,
        killed=_unbroken(called, notice) if after else 0,
        overrun=called.integrate(after) if after else 0,
        still_used=called.value_at(through - 1) if after else 0,
    )


def _unbroken(called: Curve, notice: Interval) -> int:
    """GPU-seconds below the lowest level between each instant and the end of the notice."""
    starts, ends, levels = called.to_records(notice)
    lowest, total, until = called.value_at(notice.end - 1), 0, notice.end
    for start, end, level in zip(starts[::-1], ends[::-1], levels[::-1], strict=True):
        if int(end) < until:
            return total  # nothing ran in between
        lowest, until = min(lowest, int(level)), int(start)
        total += lowest * int(end - start)
    return total
