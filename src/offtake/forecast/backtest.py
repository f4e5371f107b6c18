"""How well forecasts held on what came later, against the plainest one there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offtake.forecast.model import LEAST, Model, Series, fitted

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How one method did at one lead.

    Attributes:
        coverage: the share of forecasts whose band held what came.
        width: mean width of the band, in GPUs.
        pinball: mean loss of the band's two ends and the middle, in GPUs; lower is better.
    """

    coverage: float
    width: float
    pinball: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How forecasts at a lead did on the part of a series that was held back from the fit.

    Attributes:
        lead: steps ahead.
        forecasts: how many were made, one at each step.
        windows: how many of the held-back part's stretches of that length don't overlap: as many independent
            trials there are, however many forecasts.
        ours: this method.
        naive: the last value that is known of the same place in the season, with its own errors.
    """

    lead: int
    forecasts: int
    windows: int
    ours: Held
    naive: Held


def backtest(series: Series, lead: int, *, learn: int, band: float = 0.9) -> Calibration:
    """Forecast at a lead from every step of the held-back part, from what was known then.

    Args:
        series: the whole.
        lead: steps ahead.
        learn: steps at its beginning that the method is fitted to; the rest is held back.
        band: share that the band should hold.

    Raises:
        ValueError: where no forecast can be made: for a series too short for the lead.
    """
    if not 0 < band < 1:
        raise ValueError(f"a band holds a share between 0 and 1, not {band}")
    model = fitted(series, learn)
    origins = np.arange(2 * series.season, len(series.values) - lead)
    point, scale = model.ahead(origins, lead)[:, -1], model.scale[origins]
    ours, made = _held(series, origins, point, scale, lead=lead, learn=learn, band=band)
    back = series.season * -(-lead // series.season)
    known = origins[origins + lead >= back]
    plain = series.values[known + lead - back].astype(np.float64)
    naive, _ = _held(series, known, plain, np.ones_like(plain), lead=lead, learn=learn, band=band)
    windows = (len(series.values) - learn) // lead
    return Calibration(lead=lead, forecasts=made, windows=windows, ours=ours, naive=naive)


def chosen(series: Series, leads: Sequence[int], *, learn: int, seasons: Sequence[int] = (24, 168)) -> Series:
    """The series with the season and the count of errors that lost least on the part that is learnt from.

    Its first two thirds are fitted to, the rest forecast; what is held back later isn't looked at. A season
    that leaves too little to test the longest lead isn't taken, nor are errors in levels of demand where no
    lead that long could be tried: what had been near nothing would err by many times what is there. Where
    nothing can be tried, the series stays as it is.

    Args:
        series: the whole.
        leads: steps ahead; losses at all that could be tried are added up.
        learn: steps at its beginning that may be looked at.
        seasons: to choose among, in steps.
    """
    learnt = replace(series, values=series.values[:learn])
    seasons = [one for one in seasons if len(series.values) >= 2 * one + 2 * max(leads) + LEAST]
    losses: dict[tuple[int, bool], list[float]] = {}
    for lead in sorted(set(leads)):
        tried = {
            (season, scaled): _loss(replace(learnt, season=season, scaled=scaled), lead, 2 * learn // 3)
            for season in seasons
            for scaled in (False, True)
        }
        for method, loss in tried.items():
            if loss is not None:
                losses.setdefault(method, []).append(loss)
    most = max((len(found) for found in losses.values()), default=0)
    whole = {m: sum(found) for m, found in losses.items() if len(found) == most}
    allowed = [m for m in whole if not m[1] or most == len(set(leads))]
    if not allowed:
        return series
    season, scaled = min(allowed, key=lambda method: whole[method])
    return replace(series, season=season, scaled=scaled)


def _loss(series: Series, lead: int, learn: int) -> float | None:
    """The loss of forecasts on what lies beyond the first steps; None where it is too short."""
    try:
        return backtest(series, lead, learn=learn).ours.pinball
    except ValueError:
        return None


def _held(
    series: Series, origins: Counts, point: Floats, scale: Floats, *, lead: int, learn: int, band: float
) -> tuple[Held, int]:
    came = series.values[origins + lead].astype(np.float64)
    errors = (came - point) / scale
    ends = np.array([(1 - band) / 2, 0.5, (1 + band) / 2])
    inside, widths, losses = [], [], []
    for i in np.flatnonzero(origins >= learn).tolist():
        known = errors[origins + lead <= origins[i]]
        if len(known) < LEAST:
            continue
        low, middle, high = point[i] + scale[i] * np.quantile(known, ends)
        inside.append(low <= came[i] <= high)
        widths.append(high - low)
        off = came[i] - np.array([low, middle, high])
        losses.append(float(np.maximum(ends * off, (ends - 1) * off).mean()))
    if not inside:
        need = 2 * series.season + 2 * lead + LEAST
        raise ValueError(
            f"{len(series.values)} steps, {learn} of them to learn from, are too few to test a lead of "
            f"{lead}: it takes about {need}"
        )
    held = Held(coverage=float(np.mean(inside)), width=float(np.mean(widths)), pinball=float(np.mean(losses)))
    return held, len(inside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """What lending idle capacity out, to be recalled by notice, would have done.

    Units: GPUs and steps; GPU-steps where it says so.

    Attributes:
        steps: how many.
        own: GPU-steps of own use that ran.
        lent: GPU-steps lent.
        short: GPU-steps of own demand that found no room because of what was lent.
        recalls: how many notices were given.
        recalled: GPUs in all of them.
        capacity: GPU-steps there were.
    """

    steps: int
    own: int
    lent: int
    short: int
    recalls: int
    recalled: int
    capacity: int


def lend(
    series: Series, capacity: int, *, notice: int, learn: int, confidence: float, every: int = 24
) -> Lent:
    """Lend what forecasts leave, step by step through the held-back part, and recall it by notice.

    Every so many steps: what demand leaves at this share of the steps until a notice has run may be lent.
    Where it is less than what is lent, the difference is recalled and comes back when the notice has run;
    where it is more, more is lent, but not while a notice runs: nothing is lent, recalled and lent again.

    Args:
        series: own demand.
        capacity: GPUs there are.
        notice: steps from notice to return.
        learn: steps the method is fitted to.
        confidence: share of steps at which own demand should fit.
        every: steps between decisions.

    Raises:
        ValueError: those of `Model.known`.
    """
    model = fitted(series, learn)
    demand = np.minimum(series.values, capacity)
    lent, back = 0, [0] * (len(demand) + notice + 1)
    running_until, recalls, recalled, sum_lent, sum_short = -1, 0, 0, 0, 0
    for t in range(learn, len(demand)):
        lent -= back[t]
        if (t - learn) % every == 0 and t > running_until:
            spare = max(0, capacity - _most(model, t - 1, notice, confidence))
            if spare < lent:
                back[t + notice] = lent - spare
                running_until, recalls, recalled = t + notice, recalls + 1, recalled + lent - spare
            else:
                lent = spare
        sum_lent += lent
        sum_short += max(0, int(demand[t]) + lent - capacity)
    own = int(demand[learn:].sum()) - sum_short
    steps = len(demand) - learn
    return Lent(
        steps=steps, own=own, lent=sum_lent, short=sum_short, recalls=recalls, recalled=recalled,
        capacity=capacity * steps,
    )  # fmt: skip


def _most(model: Model, origin: int, notice: int, confidence: float) -> int:
    """The demand that isn't exceeded at this share of the steps ahead, over all ways they may go."""
    known = model.known(origin, notice)
    errors = model.scale[origin] * model.errors(known, notice)
    ahead = (model.ahead(np.array([origin]), notice) + errors).ravel()
    return int(np.ceil(np.quantile(ahead, confidence, method="inverted_cdf") - 1e-6))
