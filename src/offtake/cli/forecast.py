"""The command on forecasts of own demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.months import local_midnight
from offtake.base.time import HOUR_S, Interval
from offtake.claims.campaigns import Campaign, Counts, beyond, campaign_paths
from offtake.cli.agreements import day_of
from offtake.cli.capacity import length_of, length_text
from offtake.cli.options import Json, wall_clock
from offtake.cli.show import emit, table
from offtake.forecast.backtest import Calibration, Lent, backtest, chosen, lend
from offtake.forecast.model import Model, fitted
from offtake.forecast.model import paths as paths_of
from offtake.formats.campaigns_file import parse_campaigns
from offtake.formats.demand_series import read_series
from offtake.formats.files import disk_errors, read_text

SEED = 20_260_501
SEASONS = {24: "a day", 168: "a week"}

Plan = Annotated[
    Path | None, typer.Option("--plan", help="Campaigns to come, in TOML: alone, or on top of FILE.")
]
Season = Annotated[
    list[int] | None,
    typer.Option("--season", min=2, help="Hours of a season; twice for two at once; chosen when left out."),
]


def add_to(app: typer.Typer) -> None:
    """Add this command to the root."""
    app.command()(forecast)


def forecast(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Demand hour by hour: CSV or Parquet.")
    ] = None,
    plan: Plan = None,
    first: Annotated[
        str | None, typer.Option("--from", help="First day of a plan without FILE, YYYY-MM-DD, UTC; today.")
    ] = None,
    lead: Annotated[
        list[str] | None, typer.Option("--lead", help="Such as 1d, 7d, 12h; may be repeated.")
    ] = None,
    band: Annotated[
        float, typer.Option("--band", min=0.01, max=0.99, help="Share a band should hold.")
    ] = 0.9,
    learn: Annotated[
        float, typer.Option("--learn", min=0.1, max=0.9, help="Share of the series to learn from.")
    ] = 0.5,
    hold: Annotated[
        bool, typer.Option("--hold", help="An hour without a row is as the one before, not a gap.")
    ] = False,
    season: Season = None,
    capacity: Annotated[
        int | None, typer.Option("--capacity", min=1, help="GPUs there are: try lending out what is idle.")
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.01, max=0.999, help="Share of hours own demand should fit.")
    ] = 0.9,
    out: Annotated[
        Path | None, typer.Option("--paths", help="Write paths to this Parquet file, for `offtake sellable`.")
    ] = None,
    horizon: Annotated[str, typer.Option("--horizon", help="How far paths go.")] = "7d",
    draws: Annotated[int, typer.Option("--draws", min=1, max=10_000, help="How many paths.")] = 200,
    json_: Json = False,
) -> None:
    """Forecast own demand, and say how well such forecasts held on the part of the series kept back.

    Demand is what FILE lets expect, what a --plan of campaigns adds, or both.
    """
    campaigns = () if plan is None else parse_campaigns(read_text(plan), str(plan))
    leads = [max(1, length_of(text, "--lead") // HOUR_S) for text in lead or ("1d", "7d")]
    asked = _Asked(leads=leads, out=out, horizon=length_of(horizon, "--horizon") // HOUR_S, draws=draws)
    if file is None:
        return _from_plan(campaigns, _first(plan, first), asked, json_)
    series = read_series(file, hold=hold, seasons=_seasons(season))
    known = int(len(series.values) * learn)
    try:
        if season is None:
            series = chosen(series, leads, learn=known)
        model = fitted(series, known)
        tested = [backtest(series, steps, learn=known, band=band, model=model) for steps in leads]
        lent = _lending(model, capacity, leads, known, confidence)
        made = paths_of(fitted(series), asked.hours, draws, np.random.default_rng(SEED))
    except ValueError as error:
        raise BadInput([Problem(where=str(file), code="too_short", message=str(error))]) from error
    start = series.start + len(series.values) * series.step_s
    made = asked.write(made + _planned(campaigns, start, asked), start)
    plain = {
        "hours": len(series.values), "learnt_from": known, "band": band,
        "season_hours": [hours for hours in (series.season, series.longer) if hours],
        "season_chosen": season is None, "errors_in": "levels" if series.scaled else "gpus",
        "leads": [_tested(one) for one in tested],
        "lent": [_lent(one, steps) for one, steps in zip(lent, leads, strict=False)],
        **asked.plain(made, _outside(campaigns, start, asked)),
    }  # fmt: skip

    def draw(console: Console) -> None:
        _draw(console, plain, tested)
        if lent:
            _draw_lent(console, lent, leads, confidence)
        asked.draw(console, made, plain["not_in_paths"])

    return emit(json_, plain, draw)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked of paths: demand at leads, and a file of them."""

    leads: list[int]
    out: Path | None
    horizon: int
    draws: int

    @property
    def hours(self) -> int:
        """How far paths must go."""
        return max([*self.leads, self.horizon] if self.out is not None else self.leads)

    def write(self, made: Counts, start: int) -> Counts:
        """The paths, written to the file if one is asked for."""
        if self.out is None:
            return made
        columns = {
            "path": np.repeat(np.arange(self.draws), self.horizon),
            "start": np.tile(start + np.arange(self.horizon) * HOUR_S, self.draws),
            "gpus": made[:, : self.horizon].ravel(),
        }
        with disk_errors(self.out):
            pq.write_table(pa.table(columns), self.out)
        return made

    def at_leads(self, made: Counts) -> list[tuple[int, int]]:
        """Demand at each lead: what half of the paths don't exceed, and what 90 % don't."""
        at = made[:, [lead - 1 for lead in self.leads]]
        found = np.quantile(at, [0.5, 0.9], axis=0, method="inverted_cdf")
        return [(int(middle), int(most)) for middle, most in found.T]

    def plain(self, made: Counts, outside: tuple[str, ...]) -> dict[str, Any]:
        """For JSON."""
        rows = [
            {"lead_hours": lead, "median": middle, "most": most}
            for lead, (middle, most) in zip(self.leads, self.at_leads(made), strict=True)
        ]
        out = None if self.out is None else str(self.out)
        return {"demand": rows, "draws": self.draws, "not_in_paths": list(outside), "paths": out}

    def draw(self, console: Console, made: Counts, outside: Sequence[str]) -> None:
        """For people."""
        built = table("GPUs of own demand, by paths", ">lead", ">half stay below", ">90 % stay below")
        for lead, (middle, most) in zip(self.leads, self.at_leads(made), strict=True):
            built.add_row(length_text(lead * HOUR_S), f"{middle:,}", f"{most:,}")
        console.print(built)
        if outside:
            reach = length_text(self.hours * HOUR_S)
            console.print(f"Nothing of {', '.join(outside)} falls into the {reach} that paths go.")
        if self.out is not None:
            console.print(f"{self.out}: {self.draws} paths of {length_text(self.horizon * HOUR_S)}")


def _from_plan(campaigns: tuple[Campaign, ...], start: int, asked: _Asked, json_: bool) -> None:
    """The answer of a plan alone."""
    made = asked.write(_planned(campaigns, start, asked), start)
    outside = _outside(campaigns, start, asked)
    emit(json_, asked.plain(made, outside), lambda console: asked.draw(console, made, outside))


def _lending(
    model: Model, capacity: int | None, notices: list[int], learn: int, confidence: float
) -> list[Lent]:
    if capacity is None:
        return []
    return [
        lend(model.series, capacity, notice=one, learn=learn, confidence=confidence, model=model)
        for one in notices
    ]


def _seasons(asked: list[int] | None) -> tuple[int, int | None]:
    """The season, and a longer one if two are asked for."""
    if not asked:
        return 24, None
    first, *more = sorted(asked)
    if len(more) > 1 or first in more:
        message = f"{', '.join(map(str, asked))}: one season, or two that differ"
        raise BadInput([Problem(where="--season", code="bad_range", message=message)])
    return first, more[0] if more else None


def _first(plan: Path | None, first: str | None) -> int:
    """Where a forecast from a plan alone begins."""
    if plan is None:
        message, remedy = "there is nothing to forecast from", "name a series, a --plan, or both"
        raise BadInput([Problem(where="FILE", code="nothing_given", message=message, remedy=remedy)])
    if first is None:
        return wall_clock() // HOUR_S * HOUR_S
    return local_midnight(day_of("--from", first), "UTC")


def _planned(campaigns: tuple[Campaign, ...], start: int, asked: _Asked) -> Counts:
    """Paths of a plan; its own generator, so that a plan doesn't change what is drawn of a series."""
    at = start + np.arange(asked.hours, dtype=np.int64) * HOUR_S
    return campaign_paths(campaigns, at, asked.draws, np.random.default_rng([SEED, 1]))


def _outside(campaigns: tuple[Campaign, ...], start: int, asked: _Asked) -> tuple[str, ...]:
    return beyond(campaigns, Interval(start=start, end=start + asked.hours * HOUR_S))


def _tested(one: Calibration) -> dict[str, Any]:
    return {
        "lead_hours": one.lead,
        "forecasts": one.forecasts,
        "windows": one.windows,
        "coverage": round(one.ours.coverage, 4),
        "width": round(one.ours.width, 1),
        "pinball": round(one.ours.pinball, 2),
        "naive_coverage": round(one.naive.coverage, 4),
        "naive_width": round(one.naive.width, 1),
        "naive_pinball": round(one.naive.pinball, 2),
    }


def _lent(one: Lent, notice: int) -> dict[str, Any]:
    return {
        "notice_hours": notice,
        "capacity_gpu_hours": one.capacity,
        "own_gpu_hours": one.own,
        "lent_gpu_hours": one.lent,
        "short_gpu_hours": one.short,
        "recalls": one.recalls,
        "recalled_gpus": one.recalled,
    }


def _draw(console: Console, plain: dict[str, Any], tested: list[Calibration]) -> None:
    console.print(
        f"{plain['hours']:,} hours, {plain['learnt_from']:,} to learn from, the rest kept back; a band "
        f"should hold {plain['band']:.0%}."
    )
    named = " and ".join(SEASONS.get(hours, f"{hours} hours") for hours in plain["season_hours"])
    how = "chosen by what lost least in the part learnt from" if plain["season_chosen"] else "as asked"
    errors = "levels of demand" if plain["errors_in"] == "levels" else "GPUs"
    console.print(f"A season of {named}, errors counted in {errors}: {how}.")
    built = table(
        "", ">lead", ">forecasts", ">independent windows", ">band held", ">width", ">loss", ">loss, naive"
    )
    for one in tested:
        built.add_row(
            length_text(one.lead * HOUR_S), f"{one.forecasts:,}", str(one.windows),
            f"{one.ours.coverage:.1%}", f"{one.ours.width:,.0f}", f"{one.ours.pinball:.1f}",
            f"{one.naive.pinball:.1f}",
        )  # fmt: skip
    console.print(built)
    few = [length_text(one.lead * HOUR_S) for one in tested if one.windows < 5]
    if few:
        console.print(f"Few windows at {', '.join(few)}: what held there says little.")


def _draw_lent(console: Console, lent: list[Lent], leads: list[int], confidence: float) -> None:
    console.print(f"Had idle capacity been lent out, own demand fitting in {confidence:.0%} of hours:")
    built = table(
        "", ">notice", ">used before", ">used after", ">lent GPU-hours", ">own work short", ">recalls"
    )
    for one, notice in zip(lent, leads, strict=True):
        built.add_row(
            length_text(notice * HOUR_S), f"{(one.own + one.short) / one.capacity:.1%}",
            f"{(one.own + one.lent) / one.capacity:.1%}", f"{one.lent:,}",
            f"{one.short / max(1, one.own + one.short):.2%}", str(one.recalls),
        )  # fmt: skip
    console.print(built)
