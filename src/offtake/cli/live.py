"""Commands on a live book: the two verbs that write, `record` and `tick`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.adapters.webhooks import deliver
from offtake.agreements.events.credit import Credit, WriteOff
from offtake.agreements.model import Agreement, Event
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit
from offtake.formats.files import read_text
from offtake.formats.scenario import parse_scenario
from offtake.formats.webhooks_file import read_endpoints
from offtake.rating.quote import quote
from offtake.store.fact import Recorded
from offtake.workflows.approve import approve as decide
from offtake.workflows.approve import needs_two, proposals, propose
from offtake.workflows.book import Book
from offtake.workflows.happenings import Happening, happenings
from offtake.workflows.record import Happened, Outcome, record_event
from offtake.workflows.state import is_simulated
from offtake.workflows.tell import tell as tell_one
from offtake.workflows.tick import tick as decide_all
from offtake.workflows.view import agreement_ids, agreement_of, fleet_of, signed_agreement

Who = Annotated[str, typer.Option("--as", help="Your name, for what takes two people.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the root."""
    app.command()(record)
    app.command()(tick)
    app.command()(proposed)
    app.command()(approve)
    app.command()(tell)


def record(
    book: BookDirectory,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Facts in the format of scenario.toml.")],
    who: Who = "",
    json_: Json = False,
) -> None:
    """Record outside facts (outages, deliveries, notices, elections, payments), once each.

    What the operator does under an agreement (a recall, a notice, a credit) is proposed, and waits for
    `offtake approve` by somebody else, unless offtake.toml says two_people = false.
    """
    text = read_text(file)
    with opened(book) as target:
        state = target.state
        refuse_simulated(target, book)
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
        outcomes = [(happening, _record(target, happening.event, now, who)) for happening in found]
    rows = [_row(happening, outcome) for happening, outcome in outcomes]
    emit(json_, {"facts": rows}, lambda out: _draw(out, rows))
    refused = [outcome for _, outcome in outcomes if isinstance(outcome, Refused)]
    if refused and not json_:
        raise RefusedByRule(refused[0])
    if refused:
        raise typer.Exit(6)


def _record(book: Book, event: Happened, now: int, who: str) -> Outcome:
    if isinstance(event, Event) and needs_two(book.state, event):
        return propose(book, event, now, who)
    return record_event(book, event, now)


def proposed(book: BookDirectory, json_: Json = False) -> None:
    """What the operator is about to do and a second person hasn't approved yet."""
    with opened(book) as target:
        waiting = proposals(target.state)
        effects = [_effect(agreement_of(target.state, one.event.agreement), one.event) for one in waiting]
    rows = [
        {
            "id": one.id,
            "agreement": one.event.agreement,
            "by": one.by,
            "at": format_instant(one.at),
            "effect": effect,
        }
        for one, effect in zip(waiting, effects, strict=True)
    ]

    def draw(out: Console) -> None:
        for row in rows:
            out.print(f"  {row['id']}  {row['agreement']}: {row['effect']}; by {row['by']} at {row['at']}")
        if not rows:
            out.print("Nothing waits for a second person.")

    emit(json_, {"proposals": rows}, draw)


def _effect(agreement: Agreement, event: Event) -> str:
    """What a proposal would change of what is paid."""
    if isinstance(event, Credit | WriteOff):
        return f"{agreement.money(event.amount)} given up: {event.because}"
    priced = quote(agreement, event)
    if isinstance(priced, Refused):
        return f"wouldn't count any more: {priced.sentence}"
    more = "less" if priced.change.minor < 0 else "more"
    amount = Money(abs(priced.change.minor), priced.change.currency)
    return f"effective {priced.effective}, {amount} {more} is paid"


def approve(
    book: BookDirectory,
    proposal: Annotated[str, typer.Argument(metavar="PROPOSAL", help="Such as recall.noticed/r1.")],
    who: Who = "",
    reject: Annotated[bool, typer.Option("--reject", help="Say no: the proposal is gone.")] = False,
    json_: Json = False,
) -> None:
    """Approve what somebody else proposed, so that it counts; or reject it."""
    with opened(book) as target:
        refuse_simulated(target, book)
        outcome = decide(target, proposal, wall_clock(), who, approved=not reject)
    if isinstance(outcome, Refused):
        raise RefusedByRule(outcome)
    word = "rejected" if reject else "approved"
    emit(json_, {"proposal": proposal, "outcome": word}, lambda out: out.print(f"  {proposal}  {word}"))


def tell(
    book: BookDirectory,
    config: Annotated[Path, typer.Option("--config", help="Receivers, such as webhooks.toml.")],
    json_: Json = False,
) -> None:
    """Tell other programs what changed: signed webhooks, in order, from where the last telling stopped."""
    endpoints = read_endpoints(config)
    with opened(book) as target:
        refuse_simulated(target, book)
        found = {
            endpoint.name: tell_one(target, endpoint, partial(deliver, endpoint.url, secret), wall_clock())
            for endpoint, secret in endpoints
        }

    def draw(out: Console) -> None:
        for name, one in found.items():
            out.print(f"  {name}: {one.sent} told" + (f"; stopped, {one.failed}" if one.failed else ""))

    rows = {name: {"sent": one.sent, "failed": one.failed or None} for name, one in found.items()}
    emit(json_, {"endpoints": rows}, draw)
    if any(one.failed for one in found.values()):
        raise typer.Exit(1)


def refuse_simulated(book: Book, directory: Path) -> None:
    """Nothing real is recorded in a book that a simulation made.

    Raises:
        RefusedByRule: `simulated_book`.
    """
    if is_simulated(book.state):
        sentence = f"the book in {directory} was made by a simulation; nothing real belongs in it"
        raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))


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
    if isinstance(outcome, Recorded) and outcome.fact.kind == "event.proposed":
        return {
            "what": happening.what,
            "outcome": "proposed",
            "seq": outcome.seq,
            "proposal": outcome.fact.id,
        }
    if isinstance(outcome, Recorded):
        return {"what": happening.what, "outcome": "recorded", "seq": outcome.seq}
    return {"what": happening.what, "outcome": "known"}


def _draw(out: Console, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        detail = f": {row['why']}" if "why" in row else ""
        if "proposal" in row:
            detail = f"; somebody else: offtake approve BOOK {row['proposal']} --as NAME"
        out.print(f"  {row['what']}  {row['outcome']}{detail}")
    if not rows:
        out.print("The file holds no facts.")


def tick(book: BookDirectory, json_: Json = False) -> None:
    """Decide what is due now: allocation, settled months, invoices, payments. Twice changes nothing."""
    with opened(book) as target:
        refuse_simulated(target, book)
        recorded = decide_all(target, wall_clock())
    rows = [{"seq": item.seq, "kind": item.fact.kind, "id": item.fact.id} for item in recorded]

    def draw(out: Console) -> None:
        for row in rows:
            out.print(f"  {row['kind']} {row['id']}")
        out.print(f"{len(rows)} decisions recorded." if rows else "Nothing was due.")

    emit(json_, {"decisions": rows}, draw)
