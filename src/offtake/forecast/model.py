"""Demand as a level with one season or two, and the errors such forecasts made before.

The point forecast is one of `methods`: fitted once, its state at any step depends on nothing later. What it
can't know comes from its own record: the errors it made, from each earlier step on, over as long a way ahead.
A path is today's forecast with one such run of errors added as a whole, so it wanders and jumps as that did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offtake.forecast.methods import Smoothed, Structural, smoothed, structural

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

LEAST = 24
"""Runs of errors that a forecast needs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Demand step by step.

    Attributes:
        start: instant of the first step, in seconds UTC.
        step_s: seconds of a step.
        values: int64[n], GPUs.
        season: steps after which the pattern comes again; a day of hours is 24.
        longer: a longer season beside it, such as a week of hours, 168.
        scaled: errors are counted in levels of demand: what has doubled errs by twice as much.
    """

    start: int
    step_s: int
    values: Counts
    season: int = 24
    longer: int | None = None
    scaled: bool = False

    def __post_init__(self) -> None:
        if len(self.values) and int(self.values.min()) < 0:
            raise ValueError(f"{int(self.values.min())} GPUs: a demand isn't for fewer than none")
        if self.season < 2:
            raise ValueError(f"a season has two steps at least, not {self.season}")
        if self.longer is not None and self.longer <= self.season:
            raise ValueError(f"a season of {self.longer} isn't longer than one of {self.season}")

    @property
    def longest(self) -> int:
        """The longest of its seasons."""
        return self.longer or self.season


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A fitted method along a series.

    Attributes:
        series: what it was fitted to.
        method: its states.
        usual: the mean of what it was fitted to, in GPUs.
    """

    series: Series
    method: Smoothed | Structural
    usual: float

    @property
    def scale(self) -> Floats:
        """What errors are counted in after each step, float64[n]: one GPU, or the level of demand then.

        A level below the usual one counts as that: what was near nothing once would err by many times what
        is there now.
        """
        if not self.series.scaled:
            return np.ones_like(self.method.level)
        return np.maximum(self.method.level, max(self.usual, 1.0))

    def ahead(self, origins: Counts, horizon: int) -> Floats:
        """Point forecasts from some steps on.

        Shapes: int64[O] to float64[O, H]: what is expected 1 to H steps after each origin, not below nothing.
        """
        found: Floats = np.maximum(self.method.ahead(origins, horizon), 0.0)
        return found

    def errors(self, origins: Counts, horizon: int) -> Floats:
        """What came less what was expected, float64[O, H], counted in `scale`."""
        came = self.series.values[origins[:, np.newaxis] + np.arange(1, horizon + 1)]
        found: Floats = (came - self.ahead(origins, horizon)) / self.scale[origins, np.newaxis]
        return found

    def known(self, origin: int, horizon: int) -> Counts:
        """Earlier steps whose way ahead has wholly come about by an origin.

        Raises:
            ValueError: where they are fewer than `LEAST`.
        """
        first, last = 2 * self.series.longest, origin - horizon
        if last - first + 1 < LEAST:
            need = 2 * self.series.longest + horizon + LEAST
            raise ValueError(
                f"{origin + 1} steps are too few to look {horizon} ahead: it takes {need} to learn how wrong "
                "such forecasts were"
            )
        return np.arange(first, last + 1)


def fitted(series: Series, learn: int | None = None) -> Model:
    """The method fitted to the first steps of a series, and its states along all of it.

    Args:
        series: at least two seasons and `LEAST` steps.
        learn: steps that its smoothing is fitted to; all when left out.

    Raises:
        ValueError: for fewer steps.
    """
    count = len(series.values) if learn is None else learn
    if count < 2 * series.longest + LEAST:
        raise ValueError(
            f"{count} steps are too few: two seasons of {series.longest} and {LEAST} more are needed"
        )
    values = series.values.astype(np.float64)
    if series.longer is None or not np.ptp(values[:count]):  # without any movement there is nothing to fit
        method: Smoothed | Structural = smoothed(values, count, series.season)
    else:
        method = structural(values, count, (series.season, series.longer))
    return Model(series=series, method=method, usual=float(values[:count].mean()))


def paths(model: Model, horizon: int, count: int, rng: np.random.Generator) -> Counts:
    """Ways in which demand may go on after the series' last step.

    Shapes: int64[S, H], whole GPUs, not below nothing.

    Args:
        model: fitted.
        horizon: steps ahead.
        count: how many paths.
        rng: drawn from once.

    Raises:
        ValueError: those of `Model.known`.
    """
    origin = len(model.series.values) - 1
    known = model.known(origin, horizon)
    errors = model.errors(known, horizon)[rng.integers(0, len(known), count)]
    ahead = model.ahead(np.array([origin]), horizon) + model.scale[origin] * errors
    found: Counts = np.rint(np.maximum(ahead, 0)).astype(np.int64)
    return found
