"""Commands on recalls: plan the cheapest, issue it, watch it, give back."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.ids import check_name
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.base.time import Interval, format_instant
from offtake.cli.agreements import day_of, text_of
from offtake.cli.capacity import decimal_of
from offtake.cli.live import refuse_simulated
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, hours, money, table
from offtake.formats.paths_file import read_paths
from offtake.formats.plain import to_plain
from offtake.rating.recall_plan import Call, Need
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.recall_life import (
    CallNow,
    PlanNow,
    issue_recall,
    no_plan,
    plans_now,
    return_recall,
    serve_due,
)
from offtake.workflows.recall_plan import (
    Alternative,
    Likelihood,
    RecallPlan,
    alternatives,
    likelihood,
    plan_from,
    plan_recall,
    plans_of,
)
from offtake.workflows.record import Outcome
from offtake.workflows.state import is_simulated
from offtake.workflows.view import fleet_of, operator_zone

app = typer.Typer(help="Take back capacity that may be recalled, at least cost.", no_args_is_help=True)

PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="Name of a plan that was issued.")]


def _now(book: Book) -> int:
    """The clock of the book: the wall's, or where a simulation has come to."""
    return book.state.now if is_simulated(book.state) else max(wall_clock(), book.state.now)


@app.command()
def plan(
    book: BookDirectory,
    gpus: Annotated[int, typer.Option("--gpus", help="How many GPUs are needed.")],
    by: Annotated[str, typer.Option("--by", help="The day from which they are needed.")],
    until: Annotated[
        str | None, typer.Option("--until", help="The first day on which they aren't any more.")
    ] = None,
    pool: Annotated[
        list[str] | None, typer.Option("--pool", help="Only tranches that these pools alone serve.")
    ] = None,
    hold_days: Annotated[
        int, typer.Option("--hold-days", help="What is called isn't lent again for so many days.")
    ] = 0,
    market_price: Annotated[
        str | None, typer.Option("--market-price", help="What a GPU-hour costs elsewhere.")
    ] = None,
    paths: Annotated[
        Path | None,
        typer.Option("--paths", help="Scenarios of your own demand: Parquet with path, start, gpus."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What to call the plan.", show_default=False)] = "",
    json_: Json = False,
) -> None:
    """Choose the tranches to call at least cost, and show what else would serve.

    Nothing is recorded. What --json prints is the file that `offtake recall issue` takes.
    """
    with opened(book) as target:
        need = _need(target, gpus, by, until, hold_days, pool or [])
        price = None if market_price is None else decimal_of("--market-price", market_price)
        found = plan_recall(target, need, _now(target), _name(name))
        if isinstance(found, Refused):
            raise RefusedByRule(found)
        chance = None if paths is None else likelihood(target, need, read_paths(paths, _window(need)))
        others = alternatives(target, need, need.gpus, price)
        more = alternatives(target, need, found.short, price, found.calls) if found.short else ()
    plain = {
        "plan": to_plain(found),
        "short": found.short,
        "probability": None if chance is None else to_plain(chance),
        "alternatives": [to_plain(one) for one in others],
        "for_what_is_short": [to_plain(one) for one in more],
    }
    emit(json_, plain, lambda out: _draw_plan(out, found, chance, others, more))


def _need(book: Book, gpus: int, by: str, until: str | None, hold_days: int, pools: list[str]) -> Need:
    """What is wanted; every problem at once."""
    problems = []
    start, end = day_of("--by", by), None if until is None else day_of("--until", until)
    if gpus <= 0:
        problems.append(
            Problem(where="--gpus", code="not_positive", message=f"{gpus} GPUs can't be recalled")
        )
    if not 0 <= hold_days <= 36_500:
        problems.append(
            Problem(where="--hold-days", code="bad_range", message=f"{hold_days} isn't 0 to 36500")
        )
    if end is not None and end <= start:
        problems.append(
            Problem(
                where="--until",
                code="end_before_start",
                message=f"{end} isn't after {start}",
                remedy="name the first day on which the GPUs aren't needed any more",
            )
        )
    known = [one.id for one in fleet_of(book.state).pool]
    problems += [
        Problem(
            where="--pool",
            code="unknown_pool",
            message=f"there is no pool {one!r}",
            remedy=f"pools are {', '.join(known)}",
        )
        for one in pools
        if one not in known
    ]
    if problems:
        raise BadInput(problems)
    return Need(
        gpus=gpus,
        by=start,
        until=end,
        hold_until=start + timedelta(days=hold_days),
        zone=operator_zone(book.state),
        pools=tuple(pools),
    )


def _window(need: Need) -> Interval:
    """The time for which paths must say the demand."""
    if need.end is None:
        problem = Problem(
            where="--paths", code="no_end", message="a probability needs an end", remedy="--until"
        )
        raise BadInput([problem])
    return Interval(need.start, need.end)


def _name(name: str) -> str:
    try:
        return name and check_name(name)
    except ValueError as error:
        raise BadInput([Problem(where="--name", code="bad_name", message=str(error))]) from error


def _draw_plan(
    out: Console,
    found: RecallPlan,
    chance: Likelihood | None,
    others: tuple[Alternative, ...],
    more: tuple[Alternative, ...],
) -> None:
    need = found.need
    end = f" until {need.until}" if need.until else ", with no end known"
    if found.calls:
        out.print(_calls_table(f"{found.gpus:,} of {need.gpus:,} GPUs by {need.by}{end}", found.calls))
        out.print(f"Total {money(found.cost)}; {_least(found)}. Plan {found.id}.")
        out.print(f"What is called isn't lent again before {need.hold_until}.")
    else:
        out.print(f"No tranche can be called for {need.by}.")
    for one in found.passed:
        out.print(f"Passed over {one.agreement}/{one.tranche}: {one.code}: {one.why}")
    out.print(_chance(chance, need))
    _draw_others(out, f"For {need.gpus:,} GPUs, instead", found, others)
    if more:
        out.print(f"Recalls give {found.short:,} GPUs too few.")
        _draw_others(out, f"For the {found.short:,} that recalls don't give", None, more)


def _least(found: RecallPlan) -> str:
    if found.least == found.cost:
        return "no other choice costs less"
    return f"counts were tried in steps, and no choice costs less than {money(found.least)}"


def _chance(chance: Likelihood | None, need: Need) -> str:
    if chance is None:
        return "How likely it is that they are needed isn't known: no --paths of demand were given."
    return (
        f"Of {chance.paths:,} paths of demand, {chance.any:,} need a recall "
        f"and {chance.all:,} need {need.gpus:,} GPUs or more."
    )


def _calls_table(title: str, calls: tuple[Call, ...]) -> Any:
    rows = table(
        title, "call", ">GPUs", "serve by", "effect", "back", ">fee lost", ">compensation", ">other", ">cost"
    )
    for call in calls:
        notice = call.notice
        served = f"{notice.given}" + (f" by {notice.how}" if notice.how else "")
        rows.add_row(
            f"{notice.agreement}/{notice.tranche}", f"{notice.gpus:,}", served, str(call.effective),
            str(call.back or "–"), money(call.fee), money(call.compensation), money(call.other),
            money(call.cost),
        )  # fmt: skip
    return rows


def _draw_others(out: Console, title: str, found: RecallPlan | None, others: tuple[Alternative, ...]) -> None:
    rows = table(title, "what", ">GPUs", ">cost", "why")
    if found is not None:
        rows.add_row("recall", f"{found.gpus:,}", money(found.cost) if found.calls else "–", "the plan above")
    for one in others:
        rows.add_row(one.what, f"{one.gpus:,}", _cost(one.cost), one.why)
    out.print(rows)


def _cost(cost: Money | None) -> str:
    return "–" if cost is None else money(cost)


@app.command()
def issue(
    book: BookDirectory,
    plan: Annotated[
        str, typer.Argument(metavar="PLAN", help="A file that `plan --json` wrote, or a plan issued before.")
    ],
    who: Annotated[str, typer.Option("--as", help="Your name.", show_default=False)] = "",
    json_: Json = False,
) -> None:
    """Record a plan and serve the notices whose day has come; again, and it goes on where it stopped."""
    with opened(book) as target:
        refuse_simulated(target, book)
        known = next((one for one in plans_of(target.state) if one.id == plan), None)
        chosen = known or _read_plan(plan)
        outcomes = issue_recall(target, chosen, wall_clock(), who)
    _answer(json_, chosen.id, outcomes)


def _read_plan(file: str) -> RecallPlan:
    text = text_of(Path(file))
    try:
        return plan_from(json.loads(text)["plan"])
    except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = str(error).splitlines()[0]
        remedy = "name a file that `offtake recall plan --json` wrote"
        raise BadInput([Problem(where=file, code="bad_plan", message=message, remedy=remedy)]) from error


@app.command()
def serve(
    book: BookDirectory,
    who: Annotated[str, typer.Option("--as", help="Your name.", show_default=False)] = "",
    json_: Json = False,
) -> None:
    """Serve every notice that is due today, of whatever plan; for a timer that runs every day."""
    with opened(book) as target:
        refuse_simulated(target, book)
        outcomes = serve_due(target, wall_clock(), who)
    _answer(json_, None, outcomes)


@app.command("return")
def return_(book: BookDirectory, plan: PlanId, json_: Json = False) -> None:
    """Give back what a plan called, from today on."""
    with opened(book) as target:
        refuse_simulated(target, book)
        outcomes = return_recall(target, plan, wall_clock())
    _answer(json_, plan, outcomes)


def _answer(json_: bool, plan_id: str | None, outcomes: Refused | list[tuple[Call, Outcome]]) -> None:
    if isinstance(outcomes, Refused):
        raise RefusedByRule(outcomes)
    rows = [_outcome(call, outcome) for call, outcome in outcomes]

    def draw(out: Console) -> None:
        out.print(f"Plan {plan_id}:" if plan_id else "Due today:" if rows else "No notice is due.")
        for row in rows:
            out.print(f"  {row['call']}  {row['outcome']}" + (f": {row['why']}" if row["why"] else ""))

    emit(json_, {"plan": plan_id, "calls": rows}, draw)
    if any(row["outcome"] == "refused" for row in rows):
        raise typer.Exit(6)


def _outcome(call: Call, outcome: Outcome) -> dict[str, Any]:
    word, why = "known", ""
    if isinstance(outcome, Refused):
        word, why = ("waits" if outcome.code == "not_yet" else "refused"), outcome.sentence
    elif isinstance(outcome, Recorded):
        word = "recorded"
        if outcome.fact.kind == "event.proposed":
            word, why = "proposed", f"somebody else: offtake approve BOOK {outcome.fact.id} --as NAME"
    return {"call": call.notice.id, "outcome": word, "why": why}


@app.command("list")
def list_(book: BookDirectory, json_: Json = False) -> None:
    """Every plan that was issued, and how far it is."""
    with opened(book) as target:
        found = plans_now(target, _now(target))

    def draw(out: Console) -> None:
        rows = table("Recalls", "plan", "stage", ">GPUs", "by", "held until", "issued by", ">cost")
        for one in found:
            rows.add_row(
                one.plan.id, one.stage.value, f"{one.plan.gpus:,}", str(one.plan.need.by),
                str(one.plan.need.hold_until), one.issued_by, money(one.plan.cost),
            )  # fmt: skip
        out.print(rows if found else "No recall was issued.")

    emit(json_, {"plans": [_plain(one) for one in found]}, draw)


@app.command()
def show(book: BookDirectory, plan: PlanId, json_: Json = False) -> None:
    """One plan: each notice, how far it is, hours that idled while it ran and work that was cut off."""
    with opened(book) as target:
        found = next((one for one in plans_now(target, _now(target)) if one.plan.id == plan), None)
        if found is None:
            raise RefusedByRule(no_plan(target, plan))
    emit(json_, _plain(found), lambda out: _draw_now(out, found))


def _plain(now: PlanNow) -> dict[str, Any]:
    return {
        "plan": to_plain(now.plan),
        "stage": now.stage.value,
        "issued_by": now.issued_by,
        "readings_through": None if now.known_through is None else format_instant(now.known_through),
        "calls": [
            {
                "notice": one.call.notice.id,
                "step": one.step.value,
                "gpu_seconds": None if one.drain is None else to_plain(one.drain),
            }
            for one in now.calls
        ],
    }


def _draw_now(out: Console, now: PlanNow) -> None:
    out.print(f"Plan {now.plan.id} is {now.stage.value}; issued by {now.issued_by}.")
    out.print(_calls_table(f"{now.plan.gpus:,} GPUs by {now.plan.need.by}", tuple(c.call for c in now.calls)))
    rows = table(
        "How it goes, in GPU-hours", "notice", "step", ">idled", ">cut off", ">overrun", ">still used"
    )
    for one in now.calls:
        rows.add_row(one.call.notice.id, one.step.value, *_hours(one))
    out.print(rows)
    if now.known_through is None:
        out.print("There are no readings, so hours aren't known.")
    else:
        out.print(f"By readings through {format_instant(now.known_through)}.")
    out.print(f"What was called isn't lent again before {now.plan.need.hold_until}.")


def _hours(one: CallNow) -> tuple[str, ...]:
    if one.drain is None:
        return ("–",) * 4
    d = one.drain
    return (hours(d.idle), hours(d.killed), hours(d.overrun), f"{d.still_used:,} GPUs")
