"""Commands of the deal desk: which candidates to accept together, and what reallocation is worth."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.agreements.model import Agreement
from offtake.allocation.reallocation import CADENCES, Cadence
from offtake.allocation.stays import SCALE
from offtake.allocation.together import Choice
from offtake.base.errors import BadInput, Problem
from offtake.base.money import round_rate
from offtake.base.months import local_date, local_midnight
from offtake.base.time import HOUR_S, format_instant
from offtake.cli.agreements import day_of
from offtake.cli.options import BookDirectory, Json, opened, wall_clock
from offtake.cli.show import emit, percent, table
from offtake.workflows.deals import choose, currency_of, reallocation
from offtake.workflows.view import operator_zone

Rates = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        metavar="ID=RATE",
        help="What a GPU-hour of an agreement or a demand is worth; may be repeated. "
        "Else what the fee implies, or the transfer price.",
    ),
]


def rates_of(said: list[str] | None) -> dict[str, Decimal]:
    """Rates by id.

    Raises:
        BadInput: for one that isn't a positive number.
    """
    found = {}
    for one in said or ():
        name, _, text = one.partition("=")
        try:
            rate = Decimal(text)
        except InvalidOperation:
            rate = Decimal(0)
        if not (rate.is_finite() and 0 < rate <= 10**6):
            problem = Problem(
                where=f"--rate {one}",
                code="bad_rate",
                message="it isn't a rate above 0 and up to 1,000,000",
                remedy="write acme=2.50",
            )
            raise BadInput([problem])
        found[name] = rate
    return found


def choose_offers(
    book: Path,
    offers: list[Agreement],
    said: list[str] | None,
    whole: list[str],
    resets: str,
    seconds: float,
    *,
    json_: bool,
) -> None:
    """Choose among offers beside a book, and show why."""
    if resets not in CADENCES:
        problem = Problem(
            where=f"--resets {resets}",
            code="bad_cadence",
            message="there is no such cadence",
            remedy=f"it is {', '.join(CADENCES)}",
        )
        raise BadInput([problem])
    with opened(book) as target:
        found = choose(target, offers, rates_of(said), whole=whole, cadence=resets, seconds=seconds)
        currency = currency_of(target)
    emit(json_, _plain(found, currency), lambda out: _draw(out, found, currency))


def reallocation_(
    book: BookDirectory,
    rate: Rates = None,
    on: Annotated[str | None, typer.Option("--on", help="From this day; today when left out.")] = None,
    json_: Json = False,
) -> None:
    """What claims earn if they may be placed anew never, yearly, quarterly, monthly or freely."""
    with opened(book) as target:
        zone = operator_zone(target.state)
        day = day_of("--on", on) if on else local_date(wall_clock(), zone)
        found = reallocation(target, local_midnight(day, zone), rates_of(rate))
        currency = currency_of(target)
    plain = [
        {"cadence": one.name, "resets": one.resets, "worth": _major(one.worth), "loss": _part(one.loss)}
        for one in found
    ]
    emit(
        json_,
        {"from": str(day), "currency": currency, "cadences": plain},
        lambda out: _draw_cadences(out, found, currency),
    )


def _draw_cadences(out: Console, found: tuple[Cadence, ...], currency: str) -> None:
    rows = table(
        "Worth by how often claims may be placed anew", "cadence", ">resets", f">{currency}", ">less"
    )
    for one in found:
        rows.add_row(
            one.name, str(one.resets), f"{Decimal(_major(one.worth)):,.0f}", percent(Decimal(_part(one.loss)))
        )
    out.print(rows)
    out.print("At the rates that fees imply, for choosing only. Freely is a bound that no plan exceeds.")


def _major(worth: int) -> str:
    return str(round_rate(Fraction(worth, SCALE), 2))


def _part(part: Fraction) -> str:
    return str(round_rate(part, 6))


def _plain(found: Choice, currency: str) -> dict[str, Any]:
    places = [
        {
            "claim": found.claims[claim],
            "pool": found.pools[pool],
            "start": format_instant(int(found.times[first])),
            "end": format_instant(int(found.times[last])),
            "gpus": gpus,
        }
        for claim, pool, first, last, gpus in found.runs.tolist()
    ]
    return {
        "currency": currency,
        "worth": _major(found.objective),
        "bound": _major(found.bound),
        "gap": _part(found.gap),
        "accepted": [
            {
                "id": name,
                "worth": _major(worth),
                "places": [place for place in places if str(place["claim"]).startswith(f"{name}/")],
            }
            for name, worth in found.accepted.items()
        ],
        "rejected": [
            {
                "id": one.id,
                "why": str(one.why),
                "loss": _major(one.loss),
                "short": [
                    {
                        "pool": lack.pool,
                        "start": format_instant(lack.interval.start),
                        "end": format_instant(lack.interval.end),
                        "gpus": lack.gpus,
                    }
                    for lack in one.short
                ],
                "displaces": [
                    {"claim": lost.claim, "gpu_hours": lost.gpu_seconds // HOUR_S} for lost in one.displaces
                ],
            }
            for one in found.rejected
        ],
        "already_short": [
            {"claim": one.claim, "gpu_hours": one.gpu_seconds // HOUR_S} for one in found.already_short
        ],
    }


def _draw(out: Console, found: Choice, currency: str) -> None:
    plain = _plain(found, currency)
    rows = table("Accepted", "deal", f">{currency}", "where")
    for deal in plain["accepted"]:
        pools: dict[str, int] = {}
        for place in deal["places"]:
            pools[place["pool"]] = max(pools.get(place["pool"], 0), place["gpus"])
        where = ", ".join(f"{pool} {gpus:,}" for pool, gpus in pools.items())
        rows.add_row(deal["id"], f"{Decimal(deal['worth']):,.0f}", where)
    out.print(rows)
    rows = table("Rejected", "deal", "why", f">{currency} lost", "what is short", "who would lose")
    for deal in plain["rejected"]:
        short = [
            f"{s['pool']} {s['gpus']:,} from {s['start'][:10]} to {s['end'][:10]}" for s in deal["short"]
        ]
        losers = [f"{s['claim']} {s['gpu_hours']:,} GPU-h" for s in deal["displaces"]]
        rows.add_row(
            deal["id"], deal["why"].replace("_", " "), f"{Decimal(deal['loss']):,.0f}",
            _few(short), _few(losers),
        )  # fmt: skip
    out.print(rows)
    for one in plain["already_short"]:
        out.print(f"Short already, whatever is accepted: {one['claim']}, {one['gpu_hours']:,} GPU-hours")
    out.print(f"Worth {plain['worth']} {currency}; no choice can have more than {plain['bound']}.")


def _few(lines: list[str], most: int = 3) -> str:
    more = [f"and {len(lines) - most} more"] if len(lines) > most else []
    return "\n".join(lines[:most] + more)
