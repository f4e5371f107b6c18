"""Commands on a library of agreements: put them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.agreements.measures import Measure, Measures, Span, measures, refused_beside
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Denominator, Figure, HoursConvention
from offtake.allocation.stays import SCALE
from offtake.allocation.together import Against, Decision, Displaced
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money, round_rate
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, format_instant
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, money, percent, table
from offtake.formats.agreement import parse_agreement
from offtake.workflows.capacity import FREELY, choose_in
from offtake.workflows.state import is_simulated

app = typer.Typer(help="Deals: a library of agreements side by side.", no_args_is_help=True)


@app.callback()
def deals() -> None:
    """Deals: a library of agreements side by side."""


@app.command()
def compare(
    path: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER...", help="Agreement files, or folders of them.")
    ],
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Draw prices by date and size: .svg, .png or .html.")
    ] = None,
    json_: Json = False,
) -> None:
    """Put agreements side by side; a comparison that isn't valid is refused with its reason."""
    found = sorted((measures(a) for a in _load(path)), key=lambda m: m.signed.value)
    notes = {m: refused_beside(found, m) for m in (Measure.GPU_HOUR, Measure.MW_MONTH)}
    if chart is not None:
        _draw_chart(found, notes, chart)
    emit(json_, _plain(found, notes), lambda out: _draw(out, found, notes))


class Resets(StrEnum):
    """How often claims may be placed anew."""

    NEVER = "never"
    YEARLY = "yearly"
    QUARTERLY = "quarterly"
    MONTHLY = "monthly"
    FREELY = FREELY


@app.command()
def choose(
    book: BookDirectory,
    path: Annotated[
        list[Path], typer.Argument(metavar="FILE|FOLDER...", help="Agreements that are offered.")
    ],
    whole: Annotated[
        list[str] | None,
        typer.Option("--whole", metavar="ID", help="Each tranche of this one must run in one pool."),
    ] = None,
    resets: Annotated[Resets, typer.Option(help="How often claims may be placed anew.")] = Resets.NEVER,
    seconds: Annotated[float, typer.Option(min=0.1, help="Stop solving after so long.")] = 60.0,
    json_: Json = False,
) -> None:
    """Which of some offered agreements to accept together, where they go, and why not the others."""
    offered = _load(path)
    with opened(book) as target:
        now = target.state.now if is_simulated(target.state) else max(target.state.now, wall_clock())
        answer = choose_in(target, offered, now, whole=whole or (), resets=resets, seconds=seconds)
    if isinstance(answer, Refused):
        raise RefusedByRule(answer)
    plain = _chosen_plain(*answer, offered[0].currency)
    emit(json_, plain, lambda out: _draw_chosen(out, plain))


def _chosen_plain(found: Decision, notes: tuple[str, ...], currency: str) -> dict[str, Any]:
    times = [format_instant(at) for at in found.times.tolist()]
    places: dict[str, list[dict[str, Any]]] = {}
    for claim, pool, first, last, gpus in found.runs.tolist():
        places.setdefault(found.claims[claim], []).append(
            {"pool": found.pools[pool], "from": times[first], "to": times[last], "gpus": gpus}
        )
    return {
        "accepted": list(found.accepted),
        "worth": _major(found.objective),
        "bound": _major(found.bound),
        "gap": str(round_rate(found.gap, 6)),
        "currency": currency,
        "places": places,
        "rejected": {
            one.id: {
                "why": str(one.why),
                "loss": _major(one.loss),
                "lacking": [
                    {
                        "from": format_instant(lack.interval.start),
                        "to": format_instant(lack.interval.end),
                        "pool": lack.pool,
                        "gpus": lack.gpus,
                    }
                    for lack in one.short
                ],
                "displaces": _gpu_hours(one.displaces),
            }
            for one in found.rejected
        },
        "already_short": _gpu_hours(found.already_short),
        "notes": list(notes),
    }


def _major(worth: int) -> str:
    return str(round_rate(Fraction(worth, SCALE), 2))


def _gpu_hours(lost: Sequence[Displaced]) -> dict[str, int]:
    return {one.claim: one.gpu_seconds // HOUR_S for one in lost}


def _draw_chosen(out: Console, plain: dict[str, Any]) -> None:
    out.print(f"Accept {', '.join(plain['accepted']) or 'none of them'}.")
    for claim, places in plain["places"].items():
        if claim.partition("/")[0] in plain["accepted"]:
            where = [f"{p['gpus']:,} on {p['pool']} from {p['from'][:10]} to {p['to'][:10]}" for p in places]
            out.print(f"  {claim}: {_few(where)}")
    for id_, one in plain["rejected"].items():
        out.print(f"Not {id_}: {_WHY[one['why']]}.")
        if one["lacking"]:
            rows = [
                f"{p['gpus']:,} on {p['pool']} from {p['from'][:10]} to {p['to'][:10]}"
                for p in one["lacking"]
            ]
            out.print(f"  beside them GPUs would be lacking: {_few(rows)}")
        if one["displaces"]:
            rows = [f"{claim} {hours:,} GPU-hours" for claim, hours in one["displaces"].items()]
            out.print(f"  it would take from {_few(rows)}: {one['loss']} {plain['currency']} less, at least")
    for claim, hours in plain["already_short"].items():
        out.print(f"Short whatever is accepted: {claim}, {hours:,} GPU-hours.")
    out.print(
        f"With what the book has, worth {plain['worth']} {plain['currency']}; "
        f"no choice is worth more than {plain['bound']}."
    )
    for note in plain["notes"]:
        out.print(f"* {note}")


_WHY = {
    Against.NO_ROOM: "it doesn't fit beside firm claims",
    Against.WORTH_LESS: "what would have to give way is worth more",
    Against.NO_GAIN: "what would have to give way is worth as much, or it would run on parts of nodes",
    Against.NOT_PROVED: "whether it is worth more wasn't settled in time",
}


def _few(said: Sequence[str], most: int = 3) -> str:
    more = [f"{len(said) - most} more"] if len(said) > most else []
    return ", ".join([*said[:most], *more])


Notes = dict[Measure, list[Refused | None]]


def _load(paths: Sequence[Path]) -> list[Agreement]:
    problems: list[Problem] = []
    found = []
    for path in [f for p in paths for f in (sorted(p.glob("*.toml")) if p.is_dir() else [p])]:
        try:
            found.append(parse_agreement(path.read_text(encoding="utf-8"), str(path)))
        except BadInput as error:
            problems += error.problems
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(where=str(path), code="unreadable", message=str(error)))
    if not found and not problems:
        where = ", ".join(map(str, paths))
        problems.append(
            Problem(
                where=where, code="nothing", message="no agreement file", remedy="name a folder of *.toml"
            )
        )
    if problems:
        raise BadInput(problems)
    return found


def _plain(found: Sequence[Measures], notes: Notes) -> dict[str, Any]:
    return {
        "deals": [
            {
                "id": m.id,
                "operator": m.operator,
                "offtaker": m.offtaker,
                "signed": str(m.signed.value),
                "term_months": m.term_months.value,
                "currency": m.currency,
                "covers": str(m.covers),
                "megawatts_are": m.mw_kind and str(m.mw_kind),
                "gpu_hour": {str(h): _value(price) for h, price in m.gpu_hour.items()},
                **{
                    measure.value: _value(m.of(measure)) for measure in Measure if measure != Measure.GPU_HOUR
                },
                "not_comparable": {
                    measure.value: {"code": refused.code, "why": refused.sentence}
                    for measure, all_ in notes.items()
                    if (refused := all_[i]) is not None
                },
            }
            for i, m in enumerate(found)
        ]
    }


def _value(figure: Figure[Any] | Refused) -> dict[str, Any]:
    if isinstance(figure, Refused):
        return {"refused": figure.code, "why": figure.sentence}
    value = figure.value
    if isinstance(value, Span):
        shown: Any = {"low": str(round_rate(value.low, 4)), "high": str(round_rate(value.high, 4))}
    elif isinstance(value, Money):
        shown = str(value.major)
    elif isinstance(value, Fraction):
        shown = str(round_rate(value, 6))
    else:
        shown = value if isinstance(value, int) else str(value)
    return {"value": shown, "assumed": list(figure.assumed)}


def _draw(out: Console, found: Sequence[Measures], notes: Notes) -> None:
    reasons: dict[str, int] = {}
    rows = table(
        "Price per GPU-hour by hours of a month, and per MW-month", "agreement", "signed", ">months",
        ">headline", ">$/h 720", ">730", ">8,760/12", ">$K/MW", "MW", ">firm", ">notice", ">prepaid",
    )  # fmt: skip
    for column in rows.columns:
        column.no_wrap = True
    for i, m in enumerate(found):
        why = notes[Measure.GPU_HOUR][i]
        hours = [
            _cell(why or m.gpu_hour[h], reasons)
            for h in (HoursConvention.H720, HoursConvention.H730, HoursConvention.CALENDAR)
        ]
        kind = {Denominator.CRITICAL_IT_MW: "IT", Denominator.GROSS_MW: "gross"}.get(
            m.mw_kind or Denominator.NONE, ""
        )
        rows.add_row(
            m.id,
            f"{m.signed.value:%Y-%m}" + ("*" if m.signed.assumed else ""),
            str(m.term_months.value),
            _cell(m.headline, reasons),
            hours[0],
            *hours[1:],
            _cell(notes[Measure.MW_MONTH][i] or _thousands(m.mw_month), reasons),
            kind if notes[Measure.MW_MONTH][i] is None else "",
            _cell(m.firm_share, reasons),
            _cell(m.notice_days, reasons, " d"),
            _cell(m.prepayment_share, reasons),
        )
    out.print(rows)
    out.print("* rests on an assumption; a range where a source gives one; a bundle's price, not a GPU's")
    for sentence, number in reasons.items():
        out.print(f"[{number}] {sentence}")


def _thousands(price: Figure[Span] | Refused) -> Figure[Span] | Refused:
    if isinstance(price, Refused):
        return price
    return Figure(value=price.value.over(Fraction(1000)), basis=price.basis, assumed=price.assumed)


def _cell(figure: Figure[Any] | Refused, reasons: dict[str, int], unit: str = "") -> str:
    if isinstance(figure, Refused):
        return f"– [{reasons.setdefault(figure.sentence, len(reasons) + 1)}]"
    value, star = figure.value, "*" if figure.assumed else ""
    if isinstance(value, Span):
        low, high = (f"{round_rate(end, 2):,}" for end in (value.low, value.high))
        return (low if low == high else f"{low}–{high}") + star
    if isinstance(value, Money):
        return money(value) + star
    if isinstance(value, Fraction):
        return percent(Decimal(value.numerator) / value.denominator) + star
    return f"{value}{unit}{star}"


def _draw_chart(found: Sequence[Measures], notes: Notes, path: Path) -> None:
    from offtake.formats.deals_chart import PricePoint, deals_chart, save_chart

    def points(measure: Measure) -> list[PricePoint]:
        drawn = []
        for i, m in enumerate(found):
            price, size = m.of(measure), m.gpus if measure is Measure.GPU_HOUR else m.megawatts
            if isinstance(price, Refused) or isinstance(size, Refused) or notes[measure][i] is not None:
                continue
            drawn.append(
                PricePoint(
                    label=m.id,
                    signed=m.signed.value,
                    low=float(price.value.low),
                    high=float(price.value.high),
                    size=float(size.value.high),
                    assumed=bool(price.assumed),
                )
            )
        return drawn

    note = "bundle prices; * rests on an assumption; what can't be compared is left out"
    panels = [
        ("$ per GPU-hour at 730 hours a month", "GPUs", points(Measure.GPU_HOUR)),
        ("$ per MW-month, critical IT, space and power", "MW", points(Measure.MW_MONTH)),
    ]
    try:
        save_chart(deals_chart(panels, note), path)
    except ValueError as error:
        raise BadInput([Problem(where=str(path), code="bad_ending", message=str(error))]) from error
