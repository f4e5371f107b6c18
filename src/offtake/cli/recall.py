"""Commands on recalls: which tranches to call, and the plan from notice to giving back."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.cli.agreements import day_of
from offtake.cli.capacity import decimal_of
from offtake.cli.live import Who
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, table
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.recall import (
    Proposed,
    Wish,
    issue_recall,
    plan_recall,
    recalls_of,
    return_recall,
    serve_recalls,
)
from offtake.workflows.record import Outcome
from offtake.workflows.state import is_simulated
from offtake.workflows.view import fleet_of

app = typer.Typer(help="Call recallable capacity back at least cost.", no_args_is_help=True)

Gpus = Annotated[int, typer.Option("--gpus", min=1, help="How many.")]
By = Annotated[str, typer.Option("--by", help="The day they are needed, YYYY-MM-DD.")]
Until = Annotated[
    str | None, typer.Option("--until", help="The day they are given back; for good when left out.")
]
Pool = Annotated[
    list[str] | None, typer.Option("--pool", help="Only tranches on this pool; may be repeated.")
]


@app.command()
def plan(
    book: BookDirectory,
    gpus: Gpus,
    by: By,
    until: Until = None,
    pool: Pool = None,
    market_price: Annotated[
        str | None, typer.Option("--market-price", help="Per GPU-hour, of buying instead.")
    ] = None,
    json_: Json = False,
) -> None:
    """The cheapest tranches to call, when each notice must be served, and what else could be done."""
    price = None if market_price is None else decimal_of("--market-price", market_price)
    with opened(book) as target:
        wish = _wish(target, gpus, by, until, pool)
        now = target.state.now if is_simulated(target.state) else max(target.state.now, wall_clock())
        found = plan_recall(target, wish, now)
    emit(json_, _plain(found, wish, price), lambda out: _draw(out, found, wish, price))


@app.command()
def issue(
    book: BookDirectory,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the plan.")],
    gpus: Gpus,
    by: By,
    until: Until = None,
    pool: Pool = None,
    json_: Json = False,
) -> None:
    """Record the cheapest recall as a plan; `offtake recall serve` serves its notices on their days."""
    with opened(book) as target:
        _only_live(target)
        wish = _wish(target, gpus, by, until, pool)
        known = target.find("recall.planned", name)
        found = plan_recall(target, wish, max(target.state.now, wall_clock())).chosen
        outcome: Outcome | None = None
        if known is None or not _same(dict(known.body), wish):
            outcome = issue_recall(target, name, wish, found, wall_clock())
    if isinstance(outcome, Refused):
        raise RefusedByRule(outcome)
    word = "recorded" if isinstance(outcome, Recorded) else "known already"
    emit(json_, {"plan": name, "outcome": word}, lambda out: out.print(f"{name}: {word}"))


def _same(body: dict[str, Any], wish: Wish) -> bool:
    until = None if wish.until is None else str(wish.until)
    return (body["gpus"], body["by"], body["until"]) == (wish.gpus, str(wish.by), until)


@app.command()
def serve(book: BookDirectory, who: Who = "", json_: Json = False) -> None:
    """Serve the notices that are due today; running it again adds nothing."""
    with opened(book) as target:
        _only_live(target)
        found = serve_recalls(target, wall_clock(), who)
    _outcomes(found, json_, "No notice is due.")


@app.command("return")
def return_(
    book: BookDirectory,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the plan.")],
    who: Who = "",
    json_: Json = False,
) -> None:
    """Give back what a plan called."""
    with opened(book) as target:
        _only_live(target)
        found = return_recall(target, name, wall_clock(), who)
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    _outcomes(found, json_, "Nothing is called under it.")


@app.command("list")
def list_(book: BookDirectory, json_: Json = False) -> None:
    """Every call of every plan, and where it stands."""
    with opened(book) as target:
        found = recalls_of(target, max(target.state.now, wall_clock()))
    rows = [
        {
            "plan": one.plan, "claim": one.claim, "gpus": one.gpus, "serve": str(one.serve),
            "effective": str(one.effective), "state": one.state,
        }
        for one in found
    ]  # fmt: skip

    def draw(out: Console) -> None:
        if not rows:
            out.print("No recall is planned.")
            return
        built = table("", "plan", "claim", ">GPUs", "serve by", "effective", "state")
        for row in rows:
            built.add_row(*(str(value) for value in row.values()))
        out.print(built)

    emit(json_, {"recalls": rows}, draw)


def _outcomes(found: list[tuple[str, Outcome]], json_: bool, nothing: str) -> None:
    rows = [{"notice": name, "outcome": _said(outcome)} for name, outcome in found]

    def draw(out: Console) -> None:
        for row in rows:
            out.print(f"  {row['notice']}: {row['outcome']}")
        if not rows:
            out.print(nothing)

    emit(json_, {"notices": rows}, draw)
    refused = [outcome for _, outcome in found if isinstance(outcome, Refused)]
    if refused and not json_:
        raise RefusedByRule(refused[0])
    if refused:
        raise typer.Exit(6)


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, Refused):
        return f"refused, {outcome.code}: {outcome.sentence}"
    if isinstance(outcome, Recorded):
        return "proposed" if outcome.fact.kind == "event.proposed" else "recorded"
    return "known already"


def _only_live(book: Book) -> None:
    if is_simulated(book.state):
        sentence = f"the book in {book.directory} was made by a simulation; nothing real belongs in it"
        raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))


def _wish(book: Book, gpus: int, by: str, until: str | None, pools: list[str] | None) -> Wish:
    known = [pool.id for pool in fleet_of(book.state).pool]
    for pool in pools or ():
        if pool not in known:
            raise BadInput(
                [
                    Problem(
                        where="--pool", code="unknown_pool", message=f"there is no pool {pool!r}",
                        remedy=f"pools are {', '.join(known)}",
                    )
                ]
            )  # fmt: skip
    found = Wish(
        gpus=gpus,
        by=day_of("--by", by),
        until=None if until is None else day_of("--until", until),
        pools=tuple(pools or ()),
    )
    if found.until is not None and found.until <= found.by:
        problem = Problem(
            where="--until",
            code="empty_window",
            message=f"{until} isn't after {by}",
            remedy="give a later day",
        )
        raise BadInput([problem])
    return found


def _plain(found: Proposed, wish: Wish, price: Decimal | None) -> dict[str, Any]:
    chosen = found.chosen
    return {
        "wanted": wish.gpus,
        "gpus": chosen.gpus,
        "costs": {currency: str(cost.major) for currency, cost in chosen.costs.items()},
        "chosen_in_steps_of": chosen.step,
        "calls": [
            {
                "claim": call.of.name, "gpus": call.gpus, "serve": str(call.of.serve),
                "effective": str(call.of.effective), "cost": str(call.cost.major),
                "currency": call.cost.currency, "can_be_called": call.of.most,
            }
            for call in chosen.calls
        ],
        "not_callable": dict(found.left),
        "alternatives": {
            "delay_own_gpu_hours": dict(found.own),
            "buy": None if price is None or found.hours is None else str(price * found.hours),
            "buy_missing": None
            if price is None or found.hours is None
            else str(price * found.hours * max(0, wish.gpus - chosen.gpus) / wish.gpus),
        },
    }  # fmt: skip


def _draw(out: Console, found: Proposed, wish: Wish, price: Decimal | None) -> None:
    chosen = found.chosen
    if chosen.calls:
        built = table("", "call", ">GPUs", "serve by", "effective", ">costs alone")
        for call in chosen.calls:
            built.add_row(
                call.of.name, f"{call.gpus:,}", str(call.of.serve), str(call.of.effective), str(call.cost)
            )
        out.print(built)
        out.print(
            f"In all {chosen.gpus:,} GPUs for {', '.join(str(cost) for cost in chosen.costs.values())}."
        )
    if chosen.gpus < wish.gpus:
        out.print(f"{wish.gpus - chosen.gpus:,} of {wish.gpus:,} GPUs can't be called by {wish.by}.")
    if chosen.step > 1:
        out.print(f"Chosen in steps of {chosen.step:,} GPUs.")
    for why in found.left.values():
        out.print(f"Not callable: {why}")
    for claim, gpu_hours in found.own.items():
        out.print(f"Instead: delay {claim}, up to {gpu_hours:,} GPU-hours.")
    if found.hours is not None and price is not None:
        out.print(f"Instead: buy {found.hours:,} GPU-hours on the market for {price * found.hours:,.2f}.")
    elif price is None:
        out.print("Instead: buy on the market; no price is known, give one with --market-price.")
    else:
        out.print("Instead: buy on the market; for how long is unknown, say it with --until.")
