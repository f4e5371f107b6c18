"""The command on forecasts of own demand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.time import HOUR_S
from offtake.cli.capacity import length_of, length_text
from offtake.cli.options import Json
from offtake.cli.show import emit, table
from offtake.forecast.backtest import Calibration, Lent, backtest, lend
from offtake.forecast.model import Series, fitted
from offtake.forecast.model import paths as paths_of
from offtake.formats.demand_series import read_series
from offtake.formats.files import disk_errors

SEED = 20_260_501


def add_to(app: typer.Typer) -> None:
    """Add this command to the root."""
    app.command()(forecast)


def forecast(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Demand hour by hour: CSV or Parquet.")],
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
    season: Annotated[
        int, typer.Option("--season", min=2, help="Hours after which the pattern comes again.")
    ] = 24,
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
    """Forecast own demand, and say how well such forecasts held on the part of the series kept back."""
    series = read_series(file, hold=hold, season=season)
    known = int(len(series.values) * learn)
    leads = [max(1, length_of(text, "--lead") // HOUR_S) for text in lead or ("1d", "7d")]
    try:
        tested = [backtest(series, steps, learn=known, band=band) for steps in leads]
        lent = [
            lend(series, capacity, notice=steps, learn=known, confidence=confidence)
            for steps in (leads if capacity is not None else ())
            if capacity is not None
        ]
        if out is not None:
            _write_paths(out, series, length_of(horizon, "--horizon") // HOUR_S, draws)
    except ValueError as error:
        raise BadInput([Problem(where=str(file), code="too_short", message=str(error))]) from error
    plain = {
        "hours": len(series.values),
        "learnt_from": known,
        "band": band,
        "leads": [_tested(one) for one in tested],
        "lent": [_lent(one, steps) for one, steps in zip(lent, leads, strict=False)],
        "paths": None if out is None else str(out),
    }

    def draw(console: Console) -> None:
        _draw(console, plain, tested)
        if lent:
            _draw_lent(console, lent, leads, confidence)
        if out is not None:
            console.print(f"{out}: {draws} paths of {horizon}")

    emit(json_, plain, draw)


def _write_paths(out: Path, series: Series, hours: int, draws: int) -> None:
    made = paths_of(fitted(series), hours, draws, np.random.default_rng(SEED))
    start = series.start + len(series.values) * series.step_s
    columns = {
        "path": np.repeat(np.arange(draws), hours),
        "start": np.tile(start + np.arange(hours) * series.step_s, draws),
        "gpus": made.ravel(),
    }
    with disk_errors(out):
        pq.write_table(pa.table(columns), out)


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
