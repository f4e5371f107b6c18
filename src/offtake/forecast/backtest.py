"""How well forecasts held on what came later, against the plainest one there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offtake.forecast.model import LEAST, Model, Series, fitted

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

WORTH = 0.02
"""A method is taken in place of the plainest one where it loses less by such a share at least."""


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
        naive: the last value that is known of the same place in the season, with its own errors; with two
            seasons the one of them that turned out to lose less.
    """

    lead: int
    forecasts: int
    windows: int
    ours: Held
    naive: Held


def backtest(
    series: Series, lead: int, *, learn: int, band: float = 0.9, model: Model | None = None
) -> Calibration:
    """Forecast at a lead from every step of the held-back part, from what was known then.

    Args:
        series: the whole.
        lead: steps ahead.
        learn: steps at its beginning that the method is fitted to; the rest is held back.
        band: share that the band should hold.
        model: the series fitted to those steps, where the caller has it already.

    Raises:
        ValueError: where no forecast can be made: for a series too short for the lead.
    """
    if not 0 < band < 1:
        raise ValueError(f"a band holds a share between 0 and 1, not {band}")
    model = model or fitted(series, learn)
    origins = np.arange(2 * series.longest, len(series.values) - lead)
    point, scale = model.ahead(origins, lead)[:, -1], model.scale[origins]
    ours, made = _held(series, origins, point, scale, lead=lead, learn=learn, band=band)
    naive = _naive(series, lead, learn=learn, band=band)
    windows = (len(series.values) - learn) // lead
    return Calibration(lead=lead, forecasts=made, windows=windows, ours=ours, naive=naive)


def _naive(series: Series, lead: int, *, learn: int, band: float) -> Held:
    """The last value of the same place in the season; with two seasons the one that turned out better."""
    found = []
    for season in {series.season, series.longest}:
        back = season * -(-lead // season)
        origins = np.arange(2 * series.longest, len(series.values) - lead)
        known = origins[origins + lead >= back]
        plain = series.values[known + lead - back].astype(np.float64)
        held, _ = _held(series, known, plain, np.ones_like(plain), lead=lead, learn=learn, band=band)
        found.append(held)
    return min(found, key=lambda held: held.pinball)


def chosen(
    series: Series, leads: Sequence[int], *, learn: int, longer: Sequence[int | None] = (None, 168)
) -> Series:
    """The series with the seasons and the count of errors that lost least on the part that is learnt from.

    Its first two thirds are fitted to, the rest forecast; what is held back later isn't looked at. A season
    that leaves too little to test the longest lead isn't taken, nor are errors in levels of demand where no
    lead that long could be tried; and what loses hardly less than the plainest isn't worth it. Where nothing
    can be tried, the series stays as it is.

    Args:
        series: the whole.
        leads: steps ahead; losses at all that could be tried are added up.
        learn: steps at its beginning that may be looked at.
        longer: seasons to have beside the series' own, in steps; None for no other.
    """
    enough = len(series.values) - 2 * max(leads) - LEAST
    losses: dict[tuple[int | None, bool], list[float]] = {}
    for other in longer:
        tried = replace(series, values=series.values[:learn], longer=other)
        if enough < 2 * tried.longest:
            continue
        for scaled, found in _losses(tried, leads, 2 * learn // 3).items():
            losses[other, scaled] = found
    most = max((len(found) for found in losses.values()), default=0)
    whole = {m: sum(found) for m, found in losses.items() if len(found) == most > 0}
    allowed = [m for m in whole if not m[1] or most == len(set(leads))]
    if not allowed:
        return series
    plain = allowed[0]
    other, scaled = best = min(allowed, key=lambda method: whole[method])
    if whole[best] > (1 - WORTH) * whole[plain]:
        other, scaled = plain
    return replace(series, longer=other, scaled=scaled)


def _losses(series: Series, leads: Sequence[int], learn: int) -> dict[bool, list[float]]:
    """Losses beyond the first steps, by whether errors are scaled, at the leads that can be tried."""
    found: dict[bool, list[float]] = {False: [], True: []}
    try:
        model = fitted(series, learn)
    except ValueError:
        return found
    for scaled, losses in found.items():
        as_scaled = replace(model, series=replace(series, scaled=scaled))
        for lead in sorted(set(leads)):
            loss = _loss(as_scaled, lead, learn)
            if loss is not None:
                losses.append(loss)
    return found


def _loss(model: Model, lead: int, learn: int) -> float | None:
    """The loss of forecasts on what lies beyond the first steps; None where it is too short."""
    try:
        return backtest(model.series, lead, learn=learn, model=model).ours.pinball
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
        need = 2 * series.longest + 2 * lead + LEAST
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
    series: Series,
    capacity: int,
    *,
    notice: int,
    learn: int,
    confidence: float,
    every: int = 24,
    model: Model | None = None,
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
        model: the series fitted to those steps, where the caller has it already.

    Raises:
        ValueError: those of `Model.known`.
    """
    model = model or fitted(series, learn)
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
