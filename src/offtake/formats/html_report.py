"""The report of a book: one HTML file that needs nothing else, on screen, on paper or years later.

What it says arrives as a `ReportView`: figures already in words, series as lists. Here they get their
places, charts and colours. The chart libraries are written into the file once; its content security policy
forbids the page to load anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from offtake import __version__
from offtake.base.money import Money, minor_exponent, round_rate

if TYPE_CHECKING:
    import altair as alt
    from jinja2 import Template

# Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision. The last is for the rest.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#8A97A6")
_INK, _QUIET, _GRID = "#1B2733", "#52606D", "#E3E8ED"
_COMMITTED, _HEADROOM, _SHORT = "#44546A", "#C8D5E3", "#B3261E"
_HELD, _TAKEN = "#8A97A6", "#1B2733"
_LEFT = 44  # pixels that every vertical axis takes, so that charts below each other align
_FEW_DAYS = 120  # up to which a time axis names days rather than months
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', sans-serif"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An assumption that a figure rests on: how it is called, and its row in the table of assumptions."""

    label: str
    anchor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A figure in words.

    Attributes:
        text: as shown.
        exact: all its digits, where `text` is short.
        marks: assumptions it rests on.
    """

    text: str
    exact: str = ""
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A key figure."""

    name: str
    value: Cell
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureGroup:
    """Rows of the statement of agreements under one heading; one cell for each column."""

    name: str
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSeries:
    """Daily averages.

    Shapes: every list has one element for each day.
    Units: GPUs; shares in percent of what is available, None where nothing is.

    Attributes:
        days: ISO dates, local to the operator.
        holders: name and GPUs held of each, at most as many as the palette has colours.
        held_share: GPUs held by anyone.
        taken_share: GPUs in use by anyone.
    """

    days: list[str]
    holders: tuple[tuple[str, list[int]], ...]
    nameplate: list[int]
    available: list[int]
    committed: list[int]
    headroom: list[int]
    short: list[int]
    held_share: list[float | None]
    taken_share: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthSeries:
    """One agreement's settled months.

    Units: money in major units, shares in percent; None where nothing was entitled.
    """

    name: str
    currency: str
    months: list[str]
    fees: list[float]
    usage: list[float]
    credits: list[float]
    delivered: list[float | None]
    taken: list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """An agreement's value for the chart. Units: major units of the currency."""

    name: str
    currency: str
    firm: float
    cancellable: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRow:
    """A dated right or duty."""

    on: str
    agreement: str
    what: str
    whose: str
    past: bool
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something that happened."""

    on: str
    what: str
    hypothetical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """An issued document; `tone` is settled, open, overdue or empty."""

    number: str
    kind: str
    offtaker: str
    month: str
    issued: str
    due: str
    total: Cell
    status: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumptionRow:
    """A term that isn't known and was assumed."""

    anchor: str
    where: str
    path: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """Everything the page shows, in plain values.

    Attributes:
        columns: of the statement of agreements: name and currency.
    """

    operator: str
    period: str
    time_zone: str
    as_of: str
    position: int
    head: str
    simulated: bool
    sentence: str
    cards: tuple[Card, ...]
    columns: tuple[tuple[str, str], ...]
    figures: tuple[FigureGroup, ...]
    fleet: FleetSeries
    months: tuple[MonthSeries, ...]
    worth: tuple[Worth, ...]
    deadlines: tuple[DeadlineRow, ...]
    events: tuple[EventRow, ...]
    documents: tuple[DocumentRow, ...]
    assumptions: tuple[AssumptionRow, ...]
    simplifications: tuple[str, ...]


def currency_sign(currency: str) -> str:
    """What stands before an amount: a sign everyone knows, or the code and a space."""
    return _SIGNS.get(currency, f"{currency} ")


def short_money(amount: Money) -> str:
    """An amount at a glance, such as $43.75B; below a million every digit is shown."""
    sign = "\N{MINUS SIGN}" if amount.minor < 0 else ""
    symbol = currency_sign(amount.currency)
    major = Fraction(abs(amount.minor), 10 ** minor_exponent(amount.currency))
    for unit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M")):
        if major >= unit:
            digits = f"{round_rate(major / unit, 3):,f}".rstrip("0").rstrip(".")
            return f"{sign}{symbol}{digits}{letter}"
    return f"{sign}{symbol}{abs(amount.major):,}"


def render_report(view: ReportView) -> str:
    """The page as HTML."""
    colours = _colours(view)
    charts = report_charts(view)
    return _template().render(
        view=view,
        colours=colours,
        charts_json=_script_json(charts),
        chart_ids=frozenset(charts),
        has_worth=any(name.startswith("chart-worth") for name in charts),
        tones={
            "committed": _COMMITTED,
            "headroom": _HEADROOM,
            "short": _SHORT,
            "held": _HELD,
            "taken": _TAKEN,
        },
        bundle=_bundle(),
        version=__version__,
    )


def report_charts(view: ReportView) -> dict[str, dict[str, Any]]:
    """Vega-Lite specifications by the id of their place in the page, each with its rows in `datasets`."""
    colours = _colours(view)
    charts: dict[str, dict[str, Any]] = {}
    if view.fleet.days:
        charts |= _fleet_charts(view.fleet, colours)
    for i, currency in enumerate(dict.fromkeys(worth.currency for worth in view.worth)):
        worths = [worth for worth in view.worth if worth.currency == currency]
        if not any(worth.firm or worth.cancellable for worth in worths):
            continue  # nothing is fixed in advance: a chart of noughts says nothing
        chart = _worth_chart(currency, [w.name for w in worths], [colours[w.name] for w in worths])
        charts[f"chart-worth-{i}"] = _spec(chart, _worth_rows(worths))
    for i, series in enumerate(view.months):
        if series.months:
            rows = _month_rows(series)
            count, colour = len(rows), colours[series.name]
            charts[f"chart-fees-{i}"] = _spec(_fees_chart(series.currency, colour, count), rows)
            charts[f"chart-take-{i}"] = _spec(_take_chart(colour, count), rows)
    return charts


def _colours(view: ReportView) -> dict[str, str]:
    """One colour for each name throughout the page: holders first, then agreements that held nothing."""
    names = dict.fromkeys([name for name, _ in view.fleet.holders] + [series.name for series in view.months])
    return {name: PALETTE[min(i, len(PALETTE) - 1)] for i, name in enumerate(names)}


def _fleet_charts(fleet: FleetSeries, colours: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    count, names = len(fleet.days), [name for name, _ in fleet.holders]
    days = {"day": fleet.days}
    # Names may hold any character; fields of a chart shall not.
    held = {f"h{i}": values for i, (_, values) in enumerate(fleet.holders)}
    capacity = {"nameplate": fleet.nameplate, "available": fleet.available}
    promised = {
        "available": fleet.available,
        "committed": fleet.committed,
        "headroom": fleet.headroom,
        "short": fleet.short,
    }
    used = {"held_share": fleet.held_share, "taken_share": fleet.taken_share}
    holders = _fleet_chart(names, [colours[name] for name in names], count)
    return {
        "chart-fleet": _spec(holders, _rows({**days, **capacity, **held})),
        "chart-headroom": _spec(
            _headroom_chart(count, any_short=any(fleet.short)), _rows({**days, **promised})
        ),
        "chart-use": _spec(_use_chart(count), _rows({**days, **used})),
    }


def _month_rows(series: MonthSeries) -> list[Row]:
    return _rows(
        {
            "month": series.months,
            "fees": series.fees,
            "usage": series.usage,
            "credits": series.credits,
            "delivered": series.delivered,
            "taken": series.taken,
        }
    )


def _worth_rows(worths: Iterable[Worth]) -> list[Row]:
    return [{"name": w.name, "firm": w.firm, "cancellable": w.cancellable, "label": w.label} for w in worths]


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[Row]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _spec(chart: Any, rows: list[Row]) -> dict[str, Any]:
    """A chart's specification with its rows, and without the address of a schema that nothing fetches."""
    spec: dict[str, Any] = chart.properties(width="container", background="transparent").configure(
        font=_FONT,
        axis={
            "labelColor": _QUIET, "titleColor": _QUIET, "labelFontSize": 11, "titleFontSize": 11,
            "titleFontWeight": "normal", "gridColor": _GRID, "domainColor": "#B8C2CC", "tickColor": "#B8C2CC",
            "labelOverlap": True,
        },
        view={"stroke": None},
    ).to_dict()  # fmt: skip
    del spec["$schema"]
    return {**spec, "datasets": {"rows": rows}}


def _time_axis(field: str, count: int) -> alt.X:
    import altair as alt

    # Dates without a time are read as UTC, so they are shown in UTC: a reader's zone moves no day.
    return alt.X(
        f"{field}:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(
            grid=False,
            format="%-d %b" if field == "day" and count <= _FEW_DAYS else "%b %Y",
            tickCount={"expr": "max(2, floor(width / 100))"},
        ),
    )


def _gpu_axis(field: str, *, stacked: bool = False) -> alt.Y:
    import altair as alt

    return alt.Y(
        f"{field}:Q",
        title=None,
        stack="zero" if stacked else None,
        axis=alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=5, minExtent=_LEFT),
    )


def _share_axis(field: str) -> alt.Y:
    import altair as alt

    return alt.Y(
        f"{field}:Q",
        title=None,
        scale=alt.Scale(domain=[0, 100]),
        axis=alt.Axis(values=[0, 25, 50, 75, 100], labelExpr="datum.value + ' %'", minExtent=_LEFT),
    )


def _hover(x: alt.X, fields: Iterable[tuple[str, str, str]]) -> Any:
    """A line that follows the pointer and tells every figure of its day."""
    import altair as alt

    nearest = alt.selection_point(
        name="nearest", nearest=True, on="pointerover", clear="pointerout", fields=["day"], empty=False
    )
    # A time unit makes Vega-Lite write the day in UTC, as it was read; without one, in the reader's zone.
    tips = [alt.Tooltip("day:T", timeUnit="utcyearmonthdate", title="day", format="%-d %B %Y")]
    tips += [alt.Tooltip(f"{field}:Q", title=title, format=digits) for field, title, digits in fields]
    return (
        alt.Chart()
        .mark_rule(color=_INK, strokeWidth=1)
        .encode(x=x, opacity=alt.condition(nearest, alt.value(0.6), alt.value(0)), tooltip=tips)
        .add_params(nearest)
    )


def _layered(*layers: Any, height: int) -> Any:
    import altair as alt

    return alt.layer(*layers, data=alt.NamedData("rows")).properties(height=height)


def _folded(keys: Iterable[str], part: str, value: str) -> alt.Chart:
    """One row for each of several columns."""
    import altair as alt

    names: list[str | alt.FieldName] = [*keys]
    return alt.Chart().transform_fold(names, as_=[part, value])


def _fitted(chart: Any) -> Any:
    """Labels count in the height, so that charts beside each other are equally high."""
    return chart.properties(autosize={"type": "fit", "contains": "padding"})


def _stacked(x: alt.X, keys: Sequence[str], colours: Sequence[str]) -> Any:
    """Areas on each other, the first at the bottom."""
    import altair as alt

    return (
        _folded(keys, "part", "gpus")
        .transform_calculate(rank=f"indexof({json.dumps(list(keys))}, datum.part)")
        .mark_area(interpolate="step-after")
        .encode(
            x=x,
            y=_gpu_axis("gpus", stacked=True),
            color=alt.Color("part:N", legend=None, scale=alt.Scale(domain=list(keys), range=list(colours))),
            order=alt.Order("rank:Q", sort="ascending"),
        )
    )


def _fleet_chart(names: Sequence[str], colours: Sequence[str], days: int) -> Any:
    import altair as alt

    x, keys = _time_axis("day", days), [f"h{i}" for i in range(len(names))]
    nameplate = alt.Chart().mark_line(
        interpolate="step-after", color=_QUIET, strokeDash=[4, 3], strokeWidth=1.5
    )
    available = alt.Chart().mark_line(interpolate="step-after", color=_INK, strokeWidth=1.5)
    tips = [("nameplate", "nameplate", ","), ("available", "available", ",")]
    tips += [(key, name, ",") for key, name in zip(keys, names, strict=True)]
    return _layered(
        _stacked(x, keys, colours),
        nameplate.encode(x=x, y=_gpu_axis("nameplate")),
        available.encode(x=x, y=_gpu_axis("available")),
        _hover(x, tips),
        height=340,
    )


def _headroom_chart(days: int, *, any_short: bool) -> Any:
    import altair as alt

    x = _time_axis("day", days)
    layers = [_stacked(x, ["committed", "headroom"], [_COMMITTED, _HEADROOM])]
    if any_short:
        # What is committed and not available hangs from the top of the commitment.
        layers.append(
            alt.Chart()
            .transform_filter("datum.short > 0")
            .transform_calculate(reached="datum.committed - datum.short")
            .mark_bar(color=_SHORT, width=3)
            .encode(x=x, y=_gpu_axis("reached"), y2="committed:Q")
        )
    tips = [(key, key, ",") for key in ("available", "committed", "headroom", "short")]
    return _layered(*layers, _hover(x, tips), height=220)


def _use_chart(days: int) -> Any:
    import altair as alt

    x = _time_axis("day", days)
    lines = [
        alt.Chart()
        .mark_line(interpolate="step-after", color=colour, strokeWidth=1.8)
        .encode(x=x, y=_share_axis(field))
        for field, colour in (("held_share", _HELD), ("taken_share", _TAKEN))
    ]
    tips = [("held_share", "held, % of available", ".1f"), ("taken_share", "in use, % of available", ".1f")]
    return _layered(*lines, _hover(x, tips), height=220)


def _money_axis(field: str, currency: str, **options: Any) -> Any:
    import altair as alt

    # The SI prefix of 10^9 is G; people who read money say B.
    label = f"{json.dumps(_SIGNS.get(currency, ''))} + replace(format(datum.value, '~s'), 'G', 'B')"
    title = None if currency in _SIGNS else currency
    return {
        "shorthand": f"{field}:Q",
        "title": title,
        "axis": alt.Axis(labelExpr=label, tickCount=4, **options),
    }


def _worth_chart(currency: str, names: Sequence[str], colours: Sequence[str]) -> Any:
    import altair as alt

    y = alt.Y("name:N", sort=list(names), axis=None, scale=alt.Scale(paddingInner=0.55, paddingOuter=0.5))
    bars = (
        _folded(["firm", "cancellable"], "part", "amount")
        .mark_bar()
        .encode(
            x=alt.X(**_money_axis("amount", currency), stack="zero"),
            y=y,
            color=alt.Color("name:N", legend=None, scale=alt.Scale(domain=list(names), range=list(colours))),
            opacity=alt.Opacity(
                "part:O", legend=None, scale=alt.Scale(domain=["firm", "cancellable"], range=[1, 0.35])
            ),
            order=alt.Order("part:N", sort="descending"),
            tooltip=[alt.Tooltip("label:N", title=" ")],
        )
    )
    labels = (
        alt.Chart()
        .mark_text(align="left", baseline="bottom", yOffset=-15, fontSize=12, color=_INK)
        .encode(x=alt.datum(0), y=y, text="label:N")
    )
    return _layered(bars, labels, height=34 + 52 * len(names))


def _fees_chart(currency: str, colour: str, months: int) -> Any:
    import altair as alt

    x = _month_axis(months, labels=False)
    keys, colours = ["fees", "usage", "credits"], [colour, _HELD, _SHORT]
    bars = (
        _folded(keys, "part", "amount")
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y(**_money_axis("amount", currency, minExtent=_LEFT), stack="zero"),
            color=alt.Color("part:N", legend=None, scale=alt.Scale(domain=keys, range=colours)),
            tooltip=[
                alt.Tooltip("month:O", title="month"),
                *(alt.Tooltip(f"{key}:Q", title=f"{key}, {currency}", format=",.2f") for key in keys),
            ],
        )
    )
    return _fitted(_layered(bars, height=140))


def _take_chart(colour: str, months: int) -> Any:
    import altair as alt

    x = _month_axis(months, labels=True)
    delivered = alt.Chart().mark_line(color=_QUIET, strokeDash=[3, 3], strokeWidth=1.2)
    taken = alt.Chart().mark_line(color=colour, strokeWidth=2.2, point={"size": 18, "color": colour})
    tips = [
        alt.Tooltip("month:O", title="month"),
        alt.Tooltip("taken:Q", title="taken, % of entitled", format=".2f"),
        alt.Tooltip("delivered:Q", title="delivered, % of entitled", format=".2f"),
    ]
    layers = (
        delivered.encode(x=x, y=_share_axis("delivered"), tooltip=tips),
        taken.encode(x=x, y=_share_axis("taken"), tooltip=tips),
    )
    return _fitted(_layered(*layers, height=130))


def _month_axis(months: int, *, labels: bool) -> alt.X:
    """Months as bands, so that bars and points of the two charts of an agreement stand below each other."""
    import altair as alt

    # Labels every so many months that years have a whole number of them, at most seven.
    step = next((step for step in (1, 2, 3, 6, 12, 24) if months <= 7 * step), 60)
    shown = (
        f"(toNumber(slice(datum.value, 0, 4)) * 12 + toNumber(slice(datum.value, 5, 7)) - 1) % {step} == 0"
    )
    return alt.X(
        "month:O",
        title=None,
        scale=alt.Scale(type="band", paddingInner=0.25, paddingOuter=0.1),
        axis=alt.Axis(
            labels=labels,
            ticks=False,
            labelPadding=5,
            labelAngle=0,
            labelExpr=f"{shown} ? utcFormat(toDate(datum.value + '-01'), '%b %y') : ''",
        ),
    )


def _script_json(value: Any) -> str:
    """JSON that can stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@lru_cache(maxsize=1)
def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed of the version that the charts are written for, from the package."""
    import altair as alt
    import vl_convert

    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return bundle.replace("</script", "<\\/script")


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("offtake.formats", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")
