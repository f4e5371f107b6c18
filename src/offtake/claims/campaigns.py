"""Campaigns that are planned: gangs of GPUs whose start and length aren't certain yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offtake.base.time import DAY_S, Interval

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A planned campaign.

    Units: instants in seconds UTC; days of 86,400 s.

    Attributes:
        id: its name.
        gpus: the gang; it runs with all of them or not at all.
        earliest: when it may begin.
        slack_days: it begins on any day from then to so many days later, each as likely.
        days: shortest and longest it may take, each length as likely.
        probability: that it comes at all.
    """

    id: str
    gpus: int
    earliest: int
    slack_days: int
    days: tuple[int, int]
    probability: float

    def __post_init__(self) -> None:
        if self.gpus <= 0 or self.slack_days < 0 or not 0 < self.days[0] <= self.days[1]:
            raise ValueError(f"campaign {self.id}: GPUs and days are above nought, the shortest length first")
        if not 0 < self.probability <= 1:
            raise ValueError(f"campaign {self.id}: a probability is above 0 and at most 1")


def beyond(campaigns: Sequence[Campaign], window: Interval) -> tuple[str, ...]:
    """Ids of campaigns of which nothing can fall into a window: over before it, or never begun by its end."""
    return tuple(
        one.id
        for one in campaigns
        if one.earliest >= window.end or one.earliest + (one.slack_days + one.days[1]) * DAY_S <= window.start
    )


def campaign_paths(
    campaigns: Sequence[Campaign], hours: Counts, count: int, rng: np.random.Generator
) -> Counts:
    """Ways in which a plan may turn out, each as likely; campaigns know nothing of one another.

    Shapes: hours int64[T] to int64[S, T], GPUs.

    Args:
        campaigns: the plan.
        hours: instants.
        count: how many ways.
        rng: drawn from three times for each campaign, in order.
    """
    found = np.zeros((count, len(hours)), dtype=np.int64)
    for one in campaigns:
        comes = rng.random(count) < one.probability
        start = one.earliest + rng.integers(0, one.slack_days + 1, count) * DAY_S
        end = start + rng.integers(one.days[0], one.days[1] + 1, count) * DAY_S
        inside = (hours >= start[:, np.newaxis]) & (hours < end[:, np.newaxis]) & comes[:, np.newaxis]
        found += inside * one.gpus
    return found
