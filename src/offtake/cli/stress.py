"""Commands that ask what if: a folder as it is, and with something changed, on the same kernel."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.cli.options import FolderPath, Json, RefusedByRule, opened, read_month, wall_clock
from offtake.cli.show import console, emit, money, percent, table
from offtake.formats.files import read_text
from offtake.formats.folder import Folder, load_folder
from offtake.formats.scenario import Scenario, parse_scenario
from offtake.sim.stress import Outcome, cases_of, forward_of, outcome_of, supposing
from offtake.workflows.book import DATABASE


def add_to(app: typer.Typer) -> None:
    """Add these commands to the root."""
    app.command()(whatif)
    app.command()(stress)


def whatif(
    folder: FolderPath,
    changed: Annotated[
        Path | None, typer.Argument(metavar="[CHANGED]", help="A copy of the folder with your changes in it.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option("--facts", help="What is supposed to happen, as scenario.toml says it."),
    ] = None,
    through: Annotated[str | None, typer.Option("--through", help="Last month, YYYY-MM.")] = None,
    json_: Json = False,
) -> None:
    """As it is and changed, side by side: capacity, use, revenue, promises broken. Nothing is kept.

    A folder that was applied is run from now on, in a copy of its live book; any other from its first month.
    What a simulation supposes holds for both: take as declared, everything paid on time.
    """
    if changed is None and facts is None:
        message = "nothing is changed"
        remedy = "name a changed copy of the folder, or facts with --facts FILE"
        raise BadInput([Problem(where="CHANGED", code="nothing_changed", message=message, remedy=remedy)])
    before = load_folder(folder)
    after = before if changed is None else load_folder(changed)
    supposed = None if facts is None else _supposed(facts, after)
    until = _until(before, through)
    live = (folder / "book" / DATABASE).exists()
    with Progress(console=console(to_error=True), transient=True, disable=json_) as progress:
        task = progress.add_task("as it is", total=2)
        if live:
            with opened(folder / "book") as book:
                now = wall_clock()
                base = _allowed(forward_of(book, before, now, until=until))
                progress.update(task, description="changed", advance=1)
                other = _allowed(
                    forward_of(
                        book, before, now, changed=after if changed else None, supposed=supposed, until=until
                    )
                )
        else:
            base = outcome_of(before, until)
            progress.update(task, description="changed", advance=1)
            other = outcome_of(after if supposed is None else supposing(after, supposed), until)
    plain = {
        "live": live, "before": _plain(base), "after": _plain(other), "difference": _difference(base, other),
    }  # fmt: skip
    emit(json_, plain, lambda out: _draw(out, base, other, live=live))


def _allowed(outcome: Outcome | Refused) -> Outcome:
    if isinstance(outcome, Refused):
        raise RefusedByRule(outcome)
    return outcome


def _supposed(file: Path, folder: Folder) -> Scenario:
    return parse_scenario(read_text(file), str(file), folder.fleet, folder.agreements)


def stress(
    folder: FolderPath,
    case: Annotated[
        list[str] | None,
        typer.Option("--case", help="Of lose-site, power, late, inference, leaves."),
    ] = None,
    through: Annotated[str | None, typer.Option("--through", help="Last month, YYYY-MM.")] = None,
    json_: Json = False,
) -> None:
    """Try a fleet with a set of misfortunes: what each costs and which promises it breaks."""
    loaded = load_folder(folder)
    until = _until(loaded, through)
    cases = list(cases_of(loaded))
    for name in case or ():
        if name not in [one.name for one in cases]:
            names = ", ".join(one.name for one in cases)
            problem = Problem(
                where="--case", code="unknown_case", message=f"there is no case {name!r}",
                remedy=f"cases are {names}",
            )  # fmt: skip
            raise BadInput([problem])
    cases = [one for one in cases if not case or one.name in case]
    found: list[tuple[str, str, Outcome | None, str]] = []
    with Progress(console=console(to_error=True), transient=True, disable=json_) as progress:
        task = progress.add_task("as it is", total=len(cases) + 1)
        base = outcome_of(loaded, until)
        for one in cases:
            progress.update(task, description=one.name, advance=1)
            outcome = None if one.folder is None else outcome_of(one.folder, until)
            found.append((one.name, one.what, outcome, one.why_not))
    found.sort(key=lambda row: 0 if row[2] is None else row[2].revenue.minor - base.revenue.minor)
    plain = {
        "base": _plain(base),
        "cases": [
            {
                "case": name,
                "what": what,
                "applies": outcome is not None,
                "why_not": why_not or None,
                **(
                    {}
                    if outcome is None
                    else {"after": _plain(outcome), "difference": _difference(base, outcome)}
                ),
            }
            for name, what, outcome, why_not in found
        ],
    }
    emit(json_, plain, lambda out: _draw_stress(out, base, found))


def _until(folder: Folder, through: str | None) -> int | None:
    if through is None:
        return None
    month = read_month("--through", through)
    if not folder.settings.first <= month <= folder.settings.last:
        message = f"{month} is outside the run, {folder.settings.first} to {folder.settings.last}"
        raise BadInput([Problem(where="--through", code="outside_run", message=message)])
    return month.interval(folder.settings.time_zone).end


def _plain(one: Outcome) -> dict[str, Any]:
    return {
        "available_gpu_hours": one.available,
        "held_gpu_hours": one.held,
        "used_gpu_hours": one.used,
        "revenue": str(one.revenue.major),
        "currency": one.revenue.currency,
        "agreements": {
            id_: {
                "invoiced": str(one.invoiced[id_].major),
                "credits": str(one.credits[id_].major),
                "short_gpu_hours": one.short[id_],
            }
            for id_ in one.invoiced
        },
        "refused": list(one.refused),
    }


def _difference(base: Outcome, other: Outcome) -> dict[str, Any]:
    return {
        "available_gpu_hours": other.available - base.available,
        "held_gpu_hours": other.held - base.held,
        "used_gpu_hours": other.used - base.used,
        "short_gpu_hours": sum(other.short.values()) - sum(base.short.values()),
        "revenue": str((other.revenue - base.revenue).major),
    }


def _credits(one: Outcome) -> Money:
    currency = one.revenue.currency
    return Money(sum(c.minor for c in one.credits.values() if c.currency == currency), currency)


def _used(one: Outcome) -> str:
    return percent(Decimal(one.used) / one.available if one.available else None)


def _draw(out: Console, base: Outcome, other: Outcome, *, live: bool) -> None:
    built = table("", "", ">before", ">after", ">difference")
    for name, a, b in (
        ("GPU-hours available", base.available, other.available),
        ("held", base.held, other.held),
        ("used", base.used, other.used),
        ("short of what is owed", sum(base.short.values()), sum(other.short.values())),
    ):
        built.add_row(name, f"{a:,}", f"{b:,}", f"{b - a:+,}")
    built.add_row("used of available", _used(base), _used(other), "")
    built.add_section()
    for id_ in dict.fromkeys([*base.invoiced, *other.invoiced]):
        zero = Money.zero(base.revenue.currency)
        a_, b_ = base.invoiced.get(id_, zero), other.invoiced.get(id_, zero)
        change = money(b_ - a_) if a_.currency == b_.currency else ""
        built.add_row(f"invoiced, {id_}", money(a_), money(b_), change)
    built.add_row(
        "credits", money(_credits(base)), money(_credits(other)), money(_credits(other) - _credits(base))
    )
    built.add_row(
        "invoiced in all", money(base.revenue), money(other.revenue), money(other.revenue - base.revenue)
    )
    out.print(built)
    for sentence in other.refused:
        out.print(f"Refused: {sentence}")
    since = "The live book so far, then both simulated" if live else "Both simulated"
    out.print(f"{since}: take as declared, everything paid on its due date.")


def _draw_stress(out: Console, base: Outcome, found: Sequence[tuple[str, str, Outcome | None, str]]) -> None:
    built = table("", "case", ">invoiced", ">change", ">credits", ">short GPU-hours", ">used", "who is short")
    built.add_row(
        "as it is",
        money(base.revenue),
        "–",
        money(_credits(base)),
        f"{sum(base.short.values()):,}",
        _used(base),
        "",
    )
    for name, _, outcome, _ in found:
        if outcome is not None:
            hurt = [id_ for id_, hours in outcome.short.items() if hours > base.short.get(id_, 0)]
            built.add_row(
                name, money(outcome.revenue), money(outcome.revenue - base.revenue), money(_credits(outcome)),
                f"{sum(outcome.short.values()):,}", _used(outcome), ", ".join(hurt),
            )  # fmt: skip
    out.print(built)
    for name, what, outcome, why_not in found:
        out.print(f"{name}: {what}" + (f"; doesn't apply: {why_not}" if outcome is None else ""))
    out.print("All simulated: take as declared, everything paid on its due date.")
