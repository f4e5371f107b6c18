"""Commands on a live book: the two verbs that write, `record` and `tick`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit
from offtake.formats.scenario import parse_scenario
from offtake.store.fact import Recorded
from offtake.workflows.happenings import Happening, happenings
from offtake.workflows.record import Outcome, record_event
from offtake.workflows.state import is_simulated
from offtake.workflows.tick import tick as decide_all
from offtake.workflows.view import agreement_ids, fleet_of, signed_agreement


def add_to(app: typer.Typer) -> None:
    """Add these commands to the root."""
    app.command()(record)
    app.command()(tick)


def record(
    book: BookDirectory,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Facts in the format of scenario.toml.")],
    json_: Json = False,
) -> None:
    """Record outside facts (outages, deliveries, notices, elections, recalls, payments), once each."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput([Problem(where=str(file), code="unreadable", message=str(error))]) from error
    with opened(book) as target:
        state = target.state
        if is_simulated(state):
            raise RefusedByRule(_simulated(book))
        now = wall_clock()
        agreements = {id_: signed_agreement(state, id_) for id_ in agreement_ids(state)}
        scenario = parse_scenario(text, str(file), fleet_of(state), agreements)
        if scenario.hypothetical:
            raise RefusedByRule(
                Refused(code="hypothetical", sentence=f"{file} says it is hypothetical; this is a live book")
            )
        real = replace(scenario, hypothetical=False)
        found = happenings(real, fleet_of(state), agreements, since=now)
        _refuse_future(found, now)
        outcomes = [(happening, record_event(target, happening.event, now)) for happening in found]
    rows = [_row(happening, outcome) for happening, outcome in outcomes]
    emit(json_, {"facts": rows}, lambda out: _draw(out, rows))
    refused = [outcome for _, outcome in outcomes if isinstance(outcome, Refused)]
    if refused and not json_:
        raise RefusedByRule(refused[0])
    if refused:
        raise typer.Exit(6)


def _simulated(book: Path) -> Refused:
    return Refused(
        code="simulated_book",
        sentence=f"the book in {book} was made by a simulation; nothing real belongs in it",
    )


def _refuse_future(found: tuple[Happening, ...], now: int) -> None:
    late = next((happening for happening in found if happening.at > now), None)
    if late is not None:
        raise RefusedByRule(
            Refused(
                code="in_the_future",
                sentence=f"{late.what} is dated {format_instant(late.at)}, and it is {format_instant(now)}; "
                "nothing of the file was recorded",
            )
        )


def _row(happening: Happening, outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Refused):
        return {"what": happening.what, "outcome": "refused", "code": outcome.code, "why": outcome.sentence}
    if isinstance(outcome, Recorded):
        return {"what": happening.what, "outcome": "recorded", "seq": outcome.seq}
    return {"what": happening.what, "outcome": "known"}


def _draw(out: Console, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        detail = f": {row['why']}" if "why" in row else ""
        out.print(f"  {row['what']}  {row['outcome']}{detail}")
    if not rows:
        out.print("The file holds no facts.")


def tick(book: BookDirectory, json_: Json = False) -> None:
    """Decide what is due now: allocation, settled months, invoices, payments. Twice changes nothing."""
    with opened(book) as target:
        if is_simulated(target.state):
            raise RefusedByRule(_simulated(book))
        recorded = decide_all(target, wall_clock())
    rows = [{"seq": item.seq, "kind": item.fact.kind, "id": item.fact.id} for item in recorded]

    def draw(out: Console) -> None:
        for row in rows:
            out.print(f"  {row['kind']} {row['id']}")
        out.print(f"{len(rows)} decisions recorded." if rows else "Nothing was due.")

    emit(json_, {"decisions": rows}, draw)
