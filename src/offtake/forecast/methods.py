"""Two methods of point forecasts, both by statsmodels, with their states along a whole series.

With one season it is the Holt-Winters method: a level, a damped trend, a value for each step of the season.
With a day's and a week's it is the structural model with trigonometric seasons, which holds both at once. A
week alone by Holt-Winters has 168 values to learn, each once a week: of nine trials on Philly and two made
series (a lead of one, three and seven days) it lost more in five, and its bands held less often in eight.

Either is fitted to the first steps only, and its state after a step depends on nothing that comes later.

Source: Holt-Winters and structural models as in statsmodels (`ExponentialSmoothing`, `UnobservedComponents`);
    A. C. Harvey, Forecasting, Structural Time Series Models and the Kalman Filter (1989), sections 2.3 and 4.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

SHORTEST_HARMONICS, LONGER_HARMONICS = 4, 10
"""Waves in a season: a day's shape down to six hours; a week's down to 17, so that a weekend's days may be
flatter, not only lower. Measured on made series with weekends: three waves of a week lose nearly twice as
much as ten."""

FIT_SEASONS = 8
"""The structural model is fitted to so many of its longest season, the last ones: more takes longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Smoothed:
    """States of Holt-Winters, float64[n] each: after each step."""

    level: Floats
    trend: Floats
    season: Floats
    length: int
    damping: float

    def ahead(self, origins: Counts, horizon: int) -> Floats:
        """Point forecasts 1 to H steps after each origin: int64[O] to float64[O, H], maybe below nothing."""
        steps = np.arange(1, horizon + 1)
        gain = np.cumsum(self.damping**steps)
        place = origins[:, np.newaxis] - self.length + 1 + (steps - 1) % self.length
        level, trend = self.level[origins, np.newaxis], self.trend[origins, np.newaxis]
        found: Floats = level + gain * trend + self.season[place]
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Structural:
    """States of the structural model.

    Shapes: states float64[n, K]: what each step lets expect of the next; transition [K, K]; design [K], both
    in units of `unit` GPUs.
    """

    states: Floats
    transition: Floats
    design: Floats
    unit: float

    @property
    def level(self) -> Floats:
        """The level after each step, in GPUs."""
        found: Floats = self.states[:, 0] * self.unit
        return found

    def ahead(self, origins: Counts, horizon: int) -> Floats:
        """Point forecasts 1 to H steps after each origin: int64[O] to float64[O, H], maybe below nothing."""
        weights = np.empty((horizon, len(self.design)))
        weight = self.design * self.unit
        for i in range(horizon):
            weights[i] = weight
            weight = weight @ self.transition
        found: Floats = self.states[origins] @ weights.T
        return found


def smoothed(values: Floats, count: int, season: int) -> Smoothed:
    """Holt-Winters, its smoothing fitted to the first steps."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    how = {
        "trend": "add", "damped_trend": True, "seasonal": "add", "seasonal_periods": season,
        "initialization_method": "heuristic",
    }  # fmt: skip
    with warnings.catch_warnings():
        # a series that never moves leaves the optimiser nothing to do, and it says so
        warnings.simplefilter("ignore")
        found = ExponentialSmoothing(values[:count], **how).fit().params
        along = ExponentialSmoothing(values, **how).fit(
            smoothing_level=found["smoothing_level"],
            smoothing_trend=found["smoothing_trend"],
            smoothing_seasonal=found["smoothing_seasonal"],
            damping_trend=found["damping_trend"],
            optimized=False,
        )
    return Smoothed(
        level=np.asarray(along.level),
        trend=np.asarray(along.trend),
        season=np.asarray(along.season),
        length=season,
        damping=float(found["damping_trend"]),
    )


def structural(values: Floats, count: int, seasons: Sequence[int]) -> Structural:
    """A level that wanders and several seasons that drift, their variances fitted to the first steps.

    Values are counted in the spread of those steps, so that a fleet ten times as big is forecast alike.
    Powell's search needs no gradient: on made series it found the default's likelihoods in half the time.
    """
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    unit = float(values[:count].std()) or 1.0
    waves = [
        {"period": season, "harmonics": min(most, season // 2)}
        for season, most in zip(
            seasons, [SHORTEST_HARMONICS] + [LONGER_HARMONICS] * (len(seasons) - 1), strict=True
        )
    ]
    learnt = values[max(0, count - FIT_SEASONS * max(seasons)) : count] / unit
    with warnings.catch_warnings():
        # of a series that hardly moves it says that nothing can be found
        warnings.simplefilter("ignore")
        fit = UnobservedComponents(learnt, level="llevel", freq_seasonal=waves).fit(
            method="powell", disp=False, cov_type="none"
        )
        along = UnobservedComponents(values / unit, level="llevel", freq_seasonal=waves)
        states = along.filter(fit.params).predicted_state[:, 1:].T
    return Structural(
        states=np.asarray(states),
        transition=np.asarray(along.ssm["transition"]),
        design=np.asarray(along.ssm["design"]).reshape(-1),
        unit=unit,
    )
