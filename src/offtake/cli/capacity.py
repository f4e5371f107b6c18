"""Commands on capacity: what is left, and the plan of years."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.allocation.horizon import Horizon
from offtake.base.errors import BadInput, Problem
from offtake.base.months import local_midnight, month_of, months_through, plus_days
from offtake.base.time import DAY_S, HOUR_S, Interval, format_instant
from offtake.cli.agreements import day_of
from offtake.cli.options import BookDirectory, Json, opened, wall_clock
from offtake.cli.show import emit, filled, hours, table
from offtake.workflows.book import Book
from offtake.workflows.capacity import (
    MICROS,
    PoolRoom,
    headroom_in,
    horizon_of,
    prices_by_month,
    reallocation_in,
)
from offtake.workflows.state import is_simulated
from offtake.workflows.view import fleet_of, operator_zone

First = Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD; today when left out.")]
Through = Annotated[str, typer.Option("--through", help="Last day, YYYY-MM-DD.")]
Pools = Annotated[list[str] | None, typer.Option("--pool", help="Only this pool; may be repeated.")]
_SECONDS = {"s": 1, "min": 60, "h": HOUR_S, "d": DAY_S}


def add_to(app: typer.Typer) -> None:
    """Add these commands to the root."""
    for command in (headroom, horizon):
        app.command()(command)


def headroom(
    book: BookDirectory, through: Through, first: First = None, pool: Pools = None, json_: Json = False
) -> None:
    """What pools have left all through some days: beside firm claims, beside leases, beside own use too."""
    with opened(book) as target:
        window = window_of(target, first, through)
        check_pools(target, pool)
        rows = headroom_in(target, window, pool or ())

    def draw(out: Console) -> None:
        built = table(
            "GPUs left at every instant",
            "pool",
            ">available",
            ">beside firm",
            ">beside leases",
            ">beside all",
        )
        for row in rows:
            if row.pool is None:
                built.add_section()
            built.add_row(row.pool or "together", *(f"{value:,}" for value in _figures(row)))
        out.print(built)
        out.print("Together: as one block on any of these pools, claims moved wherever they may go.")

    plain = [
        {
            "pool": row.pool,
            "available": row.available,
            "beside_firm": row.beside_firm,
            "beside_leases": row.beside_leases,
            "beside_all": row.beside_all,
        }
        for row in rows
    ]
    emit(json_, {"window": said_window(window), "pools": plain}, draw)


def _figures(row: PoolRoom) -> tuple[int, int, int, int]:
    return row.available, row.beside_firm, row.beside_leases, row.beside_all


def horizon(
    book: BookDirectory,
    through: Through,
    first: First = None,
    move_cost: Annotated[
        str, typer.Option("--move-cost", help="Of one GPU that changes pool, in the book's currency.")
    ] = "4",
    reallocation: Annotated[
        bool, typer.Option("--reallocation", help="Also what is lost if claims could move more rarely.")
    ] = False,
    json_: Json = False,
) -> None:
    """Plan months or years by what claims are worth: the gap to a proved bound, prices, shortfalls, moves."""
    cost = int(decimal_of("--move-cost", move_cost) * MICROS)
    with opened(book) as target:
        window = window_of(target, first, through)
        plan, notes = horizon_of(target, window, move_cost=cost)
        regimes = reallocation_in(target, window) if reallocation else ()
        zone = operator_zone(target.state)
        months = list(months_through(month_of(window.start, zone), month_of(window.end - 1, zone)))
        borders = [window.start, *(m.interval(zone).start for m in months[1:]), window.end]
    prices = prices_by_month(plan, borders)
    names = [str(month) for month in months]
    plain = _plan_plain(plan, names, prices, notes)
    plain["reallocation"] = [
        {"moves": one.name, "epochs": one.epochs, "worth": round(one.worth, 2), "loss": round(one.loss, 6)}
        for one in regimes
    ]

    def draw(out: Console) -> None:
        _draw_plan(out, plan, names, prices, notes)
        if regimes:
            out.print("\nWhat the right to move claims is worth")
            built = table("", "moves", ">epochs", ">worth", ">lost")
            for one in regimes:
                built.add_row(one.name, f"{one.epochs:,}", f"{one.worth:,.0f}", f"{one.loss:.2%}")
            out.print(built)

    emit(json_, plain, draw)


def _plan_plain(plan: Horizon, months: list[str], prices: Any, notes: Iterable[str]) -> dict[str, Any]:
    return {
        "window": said_window(plan.window),
        "objective": str(Decimal(plan.objective) / (MICROS * HOUR_S)),
        "bound": str(Decimal(plan.bound) / (MICROS * HOUR_S)),
        "gap": str(round(Decimal(plan.gap.numerator) / Decimal(plan.gap.denominator), 9)),
        "segments": len(plan.times) - 1,
        "prices": {
            pool: dict(zip(months, (str(round(p, 6)) for p in own), strict=True))
            for pool, own in prices.items()
        },
        "short": [
            {
                "claim": run.claim, "from": format_instant(run.interval.start),
                "to": format_instant(run.interval.end), "gpus_max": run.gpus_max,
                "gpu_seconds": run.gpu_seconds, "why": str(run.why),
                "price": str(Decimal(run.price) / MICROS),
            }
            for run in plan.shorts()
        ],
        "moves": [
            {
                "at": format_instant(move.at), "claim": move.claim, "from": move.source, "to": move.target,
                "gpus": move.gpus, "for": move.made_for,
            }
            for move in plan.moves
        ],
        "notes": list(notes),
    }  # fmt: skip


_WHY = {"outbid": "outbid", "moves": "moves would cost more"}


def _draw_plan(out: Console, plan: Horizon, months: list[str], prices: Any, notes: Iterable[str]) -> None:
    gap = Decimal(plan.gap.numerator) / Decimal(plan.gap.denominator)
    moved = sum(move.gpus for move in plan.moves)
    out.print(
        f"{len(plan.times) - 1} segments, {len(plan.wanted)} claims, {len(plan.moves)} moves of {moved:,} "
        f"GPUs; at most {gap * 100:.4f} % below the best that whole nodes allow."
    )
    shown = months if len(months) <= 12 else months[:: -(-len(months) // 12)]
    out.print("\nWhat one more GPU-hour would be worth")
    built = table("", "month", *(f">{pool}" for pool in prices))
    for i, month in enumerate(months):
        if month in shown:
            built.add_row(month, *(f"{own[i]:.2f}" if own[i] else "–" for own in prices.values()))
    out.print(built)
    rows = [
        [
            run.claim, format_instant(run.interval.start)[:10], format_instant(run.interval.end)[:10],
            f"{run.gpus_max:,}", hours(run.gpu_seconds), _WHY[str(run.why)],
            f"{Decimal(run.price) / MICROS:.2f}",
        ]
        for run in plan.shorts()
    ]  # fmt: skip
    if rows:
        columns = "claim", "from", "to", ">GPUs at most", ">GPU-hours", "why", ">price"
        out.print(filled("Short", columns, rows[:20]))
        if len(rows) > 20:
            out.print(f"… and {len(rows) - 20} more; --json has all of them.")
    else:
        out.print("Nobody goes short.")
    for note in notes:
        out.print(f"Note: {note}.")


def length_text(seconds: int) -> str:
    """Seconds as a length for people: 90 d, 12 h, 2 min."""
    for unit, size in reversed(_SECONDS.items()):
        if seconds % size == 0 and seconds >= size:
            return f"{seconds // size} {unit}"
    return "none"


def length_of(text: str, option: str = "--notice") -> int:
    """Seconds of a length such as 90d, 12h or 2min.

    Raises:
        BadInput: naming the option.
    """
    match = re.fullmatch(r"(\d+)\s*(s|min|h|d)", text)
    if match is None:
        raise bad_option(option, "bad_length", f"{text!r} is no length of time", "write 90d, 12h or 2min")
    return int(match[1]) * _SECONDS[match[2]]


def decimal_of(option: str, text: str) -> Decimal:
    """A number of at least nought that an option gives.

    Raises:
        BadInput: naming the option.
    """
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise bad_option(option, "not_a_number", f"{text!r} is no number") from error
    if not value.is_finite() or value < 0:
        raise bad_option(option, "not_a_number", f"{text} isn't a number of at least nought")
    return value


def window_of(book: Book, first: str | None, through: str) -> Interval:
    """Whole local days of the operator.

    Raises:
        BadInput: `empty_window`.
    """
    zone = operator_zone(book.state)
    now = book.state.now if is_simulated(book.state) else max(book.state.now, wall_clock())
    start = now // HOUR_S * HOUR_S if first is None else local_midnight(day_of("--from", first), zone)
    end = local_midnight(plus_days(day_of("--through", through), 1), zone)
    if end <= start:
        raise bad_option(
            "--through", "empty_window", f"{through} is before the first day", "give a later day"
        )
    return Interval(start, end)


def check_pools(book: Book, pools: list[str] | None) -> None:
    """Pools that an option names must exist.

    Raises:
        BadInput: `unknown_pool`.
    """
    known = [pool.id for pool in fleet_of(book.state).pool]
    for pool in pools or ():
        if pool not in known:
            raise bad_option(
                "--pool", "unknown_pool", f"there is no pool {pool!r}", f"pools are {', '.join(known)}"
            )


def bad_option(where: str, code: str, message: str, remedy: str = "") -> BadInput:
    """What is wrong with an option."""
    return BadInput([Problem(where=where, code=code, message=message, remedy=remedy)])


def said_window(window: Interval) -> dict[str, str]:
    """A window for JSON."""
    return {"start": format_instant(window.start), "end": format_instant(window.end)}
