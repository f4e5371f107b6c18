"""Prices of agreements against their dates and sizes, as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

NEAR_DAYS, NEAR = 150, 1.12
"""Within so many days and such a factor of price, labels would touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePoint:
    """One agreement in one panel.

    Units: `low` and `high` in major units of the currency per unit of the panel; `size` in GPUs or megawatts.
    """

    label: str
    signed: date
    low: float
    high: float
    size: float
    assumed: bool


def deals_chart(panels: Sequence[tuple[str, str, Sequence[PricePoint]]], note: str) -> alt.HConcatChart:
    """A panel for each unit of price, side by side.

    Args:
        panels: title of the panel, what its sizes count, and its points.
        note: printed below.
    """
    drawn = [_panel(title, size, points) for title, size, points in panels if points]
    joined: Any = alt.hconcat(*drawn).resolve_scale(size="independent")
    result: alt.HConcatChart = joined.properties(
        title=alt.TitleParams("Public compute agreements", subtitle=[note], anchor="start", fontSize=16)
    ).configure_view(stroke=None)
    return result


def _panel(title: str, size: str, points: Sequence[PricePoint]) -> Any:
    rows = [
        {
            "agreement": point.label + ("*" if point.assumed else ""),
            "signed": point.signed.isoformat(),
            "low": point.low,
            "high": point.high,
            "price": (point.low * point.high) ** 0.5,
            "size": point.size,
            "level": level,
        }
        for point, level in zip(points, _levels(points), strict=True)
    ]
    low, high = min(point.low for point in points), max(point.high for point in points)
    dates = sorted(point.signed for point in points)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X(
            "signed:T",
            title="signed",
            axis=alt.Axis(format="%b %Y", labelAngle=-35, grid=False),
            scale=alt.Scale(
                domain=[str(dates[0] - timedelta(days=40)), str(dates[-1] + timedelta(days=220))]
            ),
        )
    )
    y = alt.Y("price:Q", title=title, scale=alt.Scale(type="log", nice=False, domain=[low / 1.3, high * 1.3]))
    ranges = base.mark_rule(strokeWidth=2, color="#7a8ca3").encode(y=alt.Y("low:Q"), y2="high:Q")
    marks = base.mark_circle(opacity=0.65, color="#2a6fb0").encode(
        y=y,
        size=alt.Size(
            "size:Q",
            title=size,
            scale=alt.Scale(type="sqrt", range=[30, 900]),
            legend=alt.Legend(orient="bottom", format=",.0f", tickCount=3),
        ),
        tooltip=["agreement:N", "signed:T", "low:Q", "high:Q", "size:Q"],
    )
    names = [
        base.transform_filter(f"datum.level == {level}")
        .mark_text(
            align="left",
            dx=12,
            dy=-4 - 7 * level if level % 2 == 0 else 8 + 7 * level,
            fontSize=10,
            color="#333",
        )
        .encode(y=y, text="agreement:N")
        for level in sorted({row["level"] for row in rows})
    ]
    return alt.layer(ranges, marks, *names).properties(width=470, height=380)


def _levels(points: Sequence[PricePoint]) -> list[int]:
    """How many labels each one is raised by, so that those of neighbours don't cover each other."""
    levels: list[int] = []
    for i, point in enumerate(points):
        near = {
            levels[j]
            for j, other in enumerate(points[:i])
            if abs((point.signed - other.signed).days) < NEAR_DAYS and 1 / NEAR < point.low / other.low < NEAR
        }
        levels.append(next(level for level in range(len(points)) if level not in near))
    return levels


def save_chart(chart: alt.HConcatChart, path: Path) -> None:
    """Write a chart as SVG, PNG or a self-contained HTML page, by the file's ending.

    Raises:
        ValueError: for another ending.
    """
    spec = chart.to_dict()
    match path.suffix:
        case ".svg":
            path.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
        case ".png":
            path.write_bytes(vl_convert.vegalite_to_png(spec, scale=1.5))
        case ".html":
            path.write_text(vl_convert.vegalite_to_html(spec, bundle=True), encoding="utf-8")
        case _:
            raise ValueError(f"{path.name}: a chart is written as .svg, .png or .html")
