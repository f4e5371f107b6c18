"""Seeded demand: training campaigns, inference that follows the day, and take below an entitlement.

For examples, simulation and what-ifs; real demand comes from files. The random generator is an argument,
so the same seed gives the same curve. Floats end here: what comes out counts whole GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from numpy.typing import NDArray

from offtake.base.curve import Curve
from offtake.base.declared import Declared
from offtake.base.time import DAY_S, HOUR_S, Interval

_YEAR_S = 365 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Training(Declared):
    """Training campaigns: gangs of GPUs that come and go on whole days.

    Units: `days` and `gap_days` are ranges of calendar-free days of 86,400 s; `gpus` a range of GPUs.

    Attributes:
        seed: of the generator.
        gpus: smallest and largest gang; sizes are uniform and rounded down to `step_gpus`.
        days: shortest and longest campaign, uniform.
        gap_days: shortest and longest pause before the next, uniform.
        growth_per_year: sizes grow by this factor a year (1 = not).
        step_gpus: sizes are multiples of this.
    """

    seed: Annotated[int, Ge(0)]
    gpus: Annotated[tuple[int, ...], MinLen(2), MaxLen(2)]
    days: Annotated[tuple[int, ...], MinLen(2), MaxLen(2)]
    gap_days: Annotated[tuple[int, ...], MinLen(2), MaxLen(2)]
    growth_per_year: Annotated[float, Gt(0)] = 1.0
    step_gpus: Annotated[int, Gt(0)] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference(Declared):
    """Inference demand by the hour: a level that grows, a daily and a weekly swing, and noise.

    level(t) = start_gpus · growth_per_year^years · (1 + daily_swing · cos(hour - peak)) ·
    (1 - weekend_drop on Saturday and Sunday, UTC) · (1 + noise · N(0, 1)).

    Units: `peak_hour_utc` in hours; swings, drop and noise as fractions of the level.
    """

    seed: Annotated[int, Ge(0)]
    start_gpus: Annotated[int, Gt(0)]
    growth_per_year: Annotated[float, Gt(0)] = 1.0
    daily_swing: Annotated[float, Ge(0), Le(1)] = 0.0
    weekend_drop: Annotated[float, Ge(0), Le(1)] = 0.0
    noise: Annotated[float, Ge(0), Le(1)] = 0.0
    peak_hour_utc: Annotated[int, Ge(0), Le(23)] = 20
    step_gpus: Annotated[int, Gt(0)] = 1
    ceiling_gpus: Annotated[int, Gt(0)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOfEntitlement(Declared):
    """What an offtaker wants of its entitlement, by the hour: never more than all of it.

    share(t) goes linearly from `first` to `last` over the run, with a daily swing and noise.

    Units: fractions of the entitlement.
    """

    seed: Annotated[int, Ge(0)]
    first: Annotated[float, Ge(0), Le(1)]
    last: Annotated[float, Ge(0), Le(1)]
    daily_swing: Annotated[float, Ge(0), Le(1)] = 0.0
    noise: Annotated[float, Ge(0), Le(1)] = 0.0
    peak_hour_utc: Annotated[int, Ge(0), Le(23)] = 20


def training_demand(model: Training, window: Interval, rng: np.random.Generator) -> Curve:
    """Campaigns one after another through the window.

    Units: GPUs. The generator is drawn from once for each campaign, in order.
    """
    starts, ends, gpus = [], [], []
    at = window.start + int(rng.integers(0, model.gap_days[1] + 1)) * DAY_S
    while at < window.end:
        days = int(rng.integers(model.days[0], model.days[1] + 1))
        size = rng.integers(model.gpus[0], model.gpus[1] + 1) * model.growth_per_year ** (
            (at - window.start) / _YEAR_S
        )
        starts.append(at)
        ends.append(min(at + days * DAY_S, window.end))
        gpus.append(int(size) // model.step_gpus * model.step_gpus)
        at += (days + int(rng.integers(model.gap_days[0], model.gap_days[1] + 1))) * DAY_S
    if not starts:
        return Curve.zero()
    return Curve.from_records(starts, ends, gpus)


def inference_demand(model: Inference, window: Interval, rng: np.random.Generator) -> Curve:
    """Hourly demand through the window.

    Units: GPUs, rounded to the nearest multiple of `step_gpus`.
    """
    hours = _hours(window)
    years = (hours - window.start) / _YEAR_S
    weekend = ((hours // DAY_S + 3) % 7) >= 5  # 1970-01-01 was a Thursday
    level = model.start_gpus * model.growth_per_year**years
    level *= 1 + model.daily_swing * _day_wave(hours, model.peak_hour_utc)
    level *= np.where(weekend, 1 - model.weekend_drop, 1)
    level *= 1 + model.noise * rng.standard_normal(len(hours))
    steps = np.rint(np.maximum(level, 0) / model.step_gpus).astype(np.int64)
    if model.ceiling_gpus is not None:
        steps = np.minimum(steps, model.ceiling_gpus // model.step_gpus)
    return _over(window, hours, steps * model.step_gpus)


def share_demand(
    model: ShareOfEntitlement, entitled: Curve, window: Interval, rng: np.random.Generator
) -> Curve:
    """Hourly demand below an entitlement.

    Units: GPUs, rounded down.
    """
    hours = _hours(window)
    share = np.linspace(model.first, model.last, len(hours))
    share = share * (1 + model.daily_swing * _day_wave(hours, model.peak_hour_utc))
    share = share * (1 + model.noise * rng.standard_normal(len(hours)))
    wanted = np.floor(entitled.at(hours) * np.clip(share, 0, 1)).astype(np.int64)
    return _over(window, hours, wanted)


def _hours(window: Interval) -> NDArray[np.int64]:
    return np.arange(window.start, window.end, HOUR_S, dtype=np.int64)


def _day_wave(hours: NDArray[np.int64], peak_hour: int) -> NDArray[np.float64]:
    return np.cos(2 * np.pi * ((hours % DAY_S) / HOUR_S - peak_hour) / 24)


def _over(window: Interval, times: NDArray[np.int64], values: NDArray[np.int64]) -> Curve:
    return Curve.from_arrays(np.append(times, window.end), np.append(values, 0))
