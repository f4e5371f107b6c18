"""Commands on agreements that answer questions: ways out, prices of decisions, differences, explanations."""

from __future__ import annotations

import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.tree import Tree

from offtake.agreements.catalogue import EVENTS
from offtake.agreements.derive import values
from offtake.agreements.diff import Difference, differences_between
from offtake.agreements.lifecycle import history, stage_on
from offtake.agreements.model import Agreement, Event
from offtake.agreements.worth import Worth, caps_of, shares_of, worth_after
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money, round_rate
from offtake.base.months import Month, local_date, month_of_date, parse_month
from offtake.base.outcome import Refused
from offtake.cli.agreements import BookPath, Subject, day_of, load, text_of
from offtake.cli.options import Json, RefusedByRule, check_agreement_known, opened, read_month, wall_clock
from offtake.cli.show import emit, figure, money, percent, table
from offtake.formats.toml import read
from offtake.rating.explain import Explained, as_plain, explain_month, explain_value
from offtake.rating.quote import Exit, Quote, exits, quote
from offtake.workflows.explain import explain_billed
from offtake.workflows.realised import realisation_of
from offtake.workflows.suppose import charges_of
from offtake.workflows.view import agreement_ids, agreement_of

On = Annotated[str | None, typer.Option("--on", help="As seen on this day; today when left out.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the group of agreements."""
    app.command("exits")(exits_)
    app.command("quote")(quote_)
    app.command("diff")(diff)
    app.command("explain")(explain)
    app.command("value")(value)
    app.command("history")(history_)


def _today(on: str | None, agreement: Agreement) -> date:
    return day_of("--on", on) if on else local_date(wall_clock(), agreement.time_zone)


def exits_(agreement: Subject, book: BookPath = None, on: On = None, json_: Json = False) -> None:
    """Every way out of an agreement: who may leave, from when, what is owed until then, what falls away."""
    found = load(agreement, book)
    day = _today(on, found)
    ways = exits(found, day)
    emit(
        json_,
        {"agreement": found.id, "on": str(day), "exits": [_exit_plain(way) for way in ways]},
        lambda out: _draw_exits(out, found, day, ways),
    )


def _exit_plain(way: Exit) -> dict[str, Any]:
    return {
        "side": str(way.side),
        "clause": way.clause,
        "condition": way.condition or None,
        "first_day": way.first_day and str(way.first_day),
        "ends": way.ends and str(way.ends),
        "owed": _major(way.owed),
        "costs": _major(way.costs),
        "falls_away": _major(way.falls_away),
    }


def _major(amount: Money | None) -> str | None:
    return None if amount is None else str(amount.major)


def _draw_exits(out: Console, agreement: Agreement, day: date, ways: tuple[Exit, ...]) -> None:
    if not ways:
        out.print(f"{agreement.id}: as seen on {day}, nobody can leave before it ends on {agreement.ends}.")
        return
    rows = table(
        f"Ways out as seen on {day}",
        "who",
        "clause",
        "from",
        "ends",
        ">owed",
        ">of it to leave",
        ">falls away",
        "if",
    )
    for way in ways:
        rows.add_row(
            str(way.side),
            way.clause,
            str(way.first_day or "–"),
            str(way.ends or "–"),
            *("–" if part is None else money(part) for part in (way.owed, way.costs, way.falls_away)),
            way.condition,
        )
    out.print(rows)
    out.print("Owed counts everything from this month on, delivered and taken in full.")


def quote_(
    agreement: Subject,
    event: Annotated[
        str, typer.Argument(metavar="EVENT", help="A decision, such as notice, recall or exercise.")
    ],
    term: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE...", help="What it says, such as by=offtaker given=2027-03-01."),
    ] = None,
    book: BookPath = None,
    json_: Json = False,
) -> None:
    """What a decision costs or saves by month, what survives it, and until when that holds."""
    found = load(agreement, book)
    priced = quote(found, _event(found, event, term or []))
    if isinstance(priced, Refused):
        raise RefusedByRule(priced)
    emit(json_, _quote_plain(priced), lambda out: _draw_quote(out, found, priced))


def _event(agreement: Agreement, section: str, terms: list[str]) -> Event:
    """A decision from words of the command line."""
    kind = EVENTS.get(section)
    if kind is None:
        problem = Problem(
            where=section,
            code="unknown_event",
            message="there is no such event",
            remedy=f"events are {', '.join(EVENTS)}",
        )
        raise BadInput([problem])
    node: dict[str, Any] = {"id": "quote", "agreement": agreement.id}
    for term in terms:
        key, equals, said = term.partition("=")
        if not equals:
            problem = Problem(
                where=term,
                code="no_value",
                message="it has no value",
                remedy="write key=value, such as gpus=64",
            )
            raise BadInput([problem])
        node[key] = _value(said)
    problems: list[Problem] = []
    event = read(kind, node, section, problems)
    if event is None or problems:
        raise BadInput(problems)
    return event


def _value(said: str) -> Any:
    """A value as TOML writes it; anything else is text."""
    try:
        return tomllib.loads(f"value = {said}", parse_float=Decimal)["value"]
    except tomllib.TOMLDecodeError:
        return said


def _quote_plain(priced: Quote) -> dict[str, Any]:
    return {
        "event": priced.event.SECTION,
        "effective": str(priced.effective),
        "ends": str(priced.ends),
        "holds_through": str(priced.holds_through),
        "change": str(priced.change.major),
        "currency": priced.change.currency,
        "months": [
            {"month": str(m.month), "before": str(m.before.major), "after": str(m.after.major)}
            for m in priced.months
        ],
        "clauses": list(priced.clauses),
        "survives": list(priced.survives),
        "basis": list(priced.basis),
        "assumed": list(priced.assumed),
    }


def _draw_quote(out: Console, agreement: Agreement, priced: Quote) -> None:
    star = "*" if priced.assumed else ""
    rows = table(
        f"{agreement.offtaker} pays by month",
        "from",
        "through",
        ">months",
        ">without",
        ">with",
        ">difference",
    )
    run: list[Any] = []
    for item in [*priced.months, None]:
        if run and (item is None or (item.before, item.after) != (run[-1].before, run[-1].after)):
            one, n = run[0], len(run)
            rows.add_row(
                str(one.month), str(run[-1].month), str(n), money(one.before), money(one.after),
                money((one.after - one.before) * n) + star,
            )  # fmt: skip
            run = []
        if item is not None:
            run.append(item)
    out.print(rows)
    out.print(
        f"Takes effect {priced.effective}; the agreement then ends {priced.ends}. "
        f"{_spoken(priced.change)}{star} over its term."
    )
    out.print(f"The price holds through {priced.holds_through}.")
    if priced.clauses:
        out.print(f"Clauses: {', '.join(priced.clauses)}")
    for line in priced.survives:
        out.print(f"Still stands: {line}")
    if star:
        out.print(f"* rests on assumptions: {', '.join(priced.assumed)}")


def _spoken(change: Money) -> str:
    if not change:
        return "Nothing changes in what is paid"
    more = "more" if change.minor > 0 else "less"
    return f"{Money(abs(change.minor), change.currency)} {more} is paid"


def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="An agreement file, or an id with --book.")],
    after: Annotated[
        str | None, typer.Argument(metavar="AFTER", help="Another file; with --book, left out.")
    ] = None,
    book: BookPath = None,
    json_: Json = False,
) -> None:
    """What differs between two agreement files, or between the texts of one agreement in a book."""
    if (after is None) == (book is None):
        remedy = "name two files, or one id with --book"
        raise BadInput(
            [Problem(where=before, code="needs_two", message="a difference needs two", remedy=remedy)]
        )
    first = load(before, book)
    if after is None:
        texts = [text for text, _, _ in first.texts()]
        pairs = [
            (str(until), a, b)
            for (a, _, until), (b, _, _) in zip(first.texts(), first.texts()[1:], strict=False)
        ]
        if len(texts) == 1:
            pairs = []
    else:
        pairs = [(after, first, load(after, None))]
    found = [(name, differences_between(a, b), a, b) for name, a, b in pairs]
    emit(
        json_,
        {
            "versions": [
                {"to": name, "terms": [_difference_plain(d) for d in terms]} for name, terms, _, _ in found
            ]
        },
        lambda out: _draw_diff(out, first, found),
    )


def _difference_plain(one: Difference) -> dict[str, str | None]:
    return {"path": one.path, "before": one.before, "after": one.after}


def _draw_diff(
    out: Console, first: Agreement, found: list[tuple[str, tuple[Difference, ...], Agreement, Agreement]]
) -> None:
    if not found:
        out.print(f"{first.id} has one text; nothing was amended.")
    for name, terms, before, after in found:
        rows = table(f"→ {name}", "term", "before", "after")
        for one in terms:
            rows.add_row(one.path, one.before or "–", one.after or "–")
        out.print(rows if terms else f"→ {name}: no term differs.")
        if before.currency == after.currency:
            old, new = values(before), values(after)
            out.print(
                f"Headline {figure(old.headline)} → {figure(new.headline)}, "
                f"firm {figure(old.firm)} → {figure(new.firm)}"
            )


def explain(
    what: Annotated[
        str, typer.Argument(metavar="FIGURE", help="Such as firm, 2027-01 or 2027-01/monthly_fee.")
    ],
    agreement: Annotated[
        str | None, typer.Argument(metavar="FILE|ID", help="An agreement file, or an id with --book.")
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option("--facts", help="What happened, in TOML; everything as agreed when left out."),
    ] = None,
    book: BookPath = None,
    json_: Json = False,
) -> None:
    """Walk a figure back to its clauses, terms and facts."""
    if agreement is None and book is None:
        remedy = "name a file, or a book with --book"
        raise BadInput([Problem(where=what, code="whose", message="whose figure isn't said", remedy=remedy)])
    found = _explained(what, agreement, facts, book)
    emit(json_, as_plain(found), lambda out: out.print(_tree(found)))


def _explained(what: str, agreement: str | None, facts: Path | None, book: Path | None) -> Explained:
    month, _, clause = what.partition("/")
    if book is not None and (agreement is None or _is_month(month)):
        with opened(book) as target:
            if agreement is not None:
                check_agreement_known(target, agreement)
            return explain_billed(target, what, agreement)
    if not _is_month(month):
        return explain_value(load(agreement or "", book), what)
    path = Path(agreement or "")
    owing = charges_of(
        text_of(path), str(path), text_of(facts) if facts else "", str(facts or ""),
        months=(parse_month(month), parse_month(month)),
    )  # fmt: skip
    seen, rated = owing.months[0]
    return explain_month(owing.agreement, seen, rated.charges, clause or None)


def _is_month(text: str) -> bool:
    try:
        parse_month(text)
    except ValueError:
        return False
    return True


def _tree(part: Explained) -> Tree:
    root = Tree(f"{part.amount}  {part.what}")
    _grow(root, part)
    return root


def _grow(node: Tree, part: Explained) -> None:
    for term in part.terms:
        source = f"  [{'assumed: ' if term.assumed else ''}{term.source}]" if term.source else ""
        node.add(f"{term.path} = {term.value}{'*' if term.assumed else ''}{source}")
    for fact in part.facts:
        node.add(f"fact: {fact}")
    for child in part.parts:
        _grow(node.add(f"{child.amount}  {child.what}"), child)


def value(
    agreement: Annotated[
        list[str] | None, typer.Argument(metavar="FILE|ID...", help="Agreement files, or ids with --book.")
    ] = None,
    book: BookPath = None,
    after: Annotated[
        str | None, typer.Option("--after", help="What remains after this month; last month when left out.")
    ] = None,
    json_: Json = False,
) -> None:
    """What agreements are worth: three ways, by maturity, by offtaker; with --book, the whole book."""
    realised: dict[str, tuple[Money, Money]] = {}
    if book is None:
        found = [load(one, None) for one in agreement or ()]
    else:
        with opened(book) as target:
            ids = agreement or agreement_ids(target.state)
            for one in ids:
                check_agreement_known(target, one)
            found = [agreement_of(target.state, one) for one in ids]
            realised = realisation_of(target, ids)
    if not found:
        raise BadInput(
            [
                Problem(
                    where="value",
                    code="nothing",
                    message="no agreement is named",
                    remedy="name files, or --book",
                )
            ]
        )
    month = _month(after, found[0])
    worths = [worth_after(one, month) for one in found]
    emit(
        json_,
        _value_plain(worths, month, realised),
        lambda out: _draw_value(out, worths, month, realised),
    )


def _month(after: str | None, agreement: Agreement) -> Month:
    if after is None:
        return month_of_date(local_date(wall_clock(), agreement.time_zone)).plus(-1)
    return read_month("--after", after)


def _value_plain(
    worths: list[Worth], month: Month, realised: dict[str, tuple[Money, Money]]
) -> dict[str, Any]:
    at = worths[0].agreement.month(month).end
    return {
        "after": str(month),
        "agreements": [
            {
                "agreement": w.agreement.id,
                "offtaker": w.agreement.offtaker,
                "currency": w.agreement.currency,
                "headline": str(w.values.headline.value.major),
                "firm": str(w.values.firm.value.major),
                "cancellable": str(w.values.cancellable.value.major),
                "remaining": str(w.remaining.value.major),
                "remaining_firm": str(w.firm.value.major),
                "obligation": str(w.obligation.value.major),
                "judgement": w.judgement,
                "support": None if w.support is None else str(w.support.major),
                "uncovered": str(w.uncovered.value.major),
                "assumed": list(w.firm.assumed),
                "ladder": [
                    {"months": r.label, "firm": str(r.firm.major), "cancellable": str(r.cancellable.major)}
                    for r in w.ladder
                ],
            }
            for w in worths
        ],
        "offtakers": [
            {
                "offtaker": s.offtaker, "firm": str(s.firm.major), "currency": s.firm.currency,
                "share": str(_four(s.share)),
            }
            for s in shares_of(worths)
        ],
        "caps": [
            {
                "agreement": c.agreement, "clause": c.path, "offtaker": c.offtaker,
                "share": str(_four(c.share)), "cap": str(_four(c.cap)), "holds": c.holds,
            }
            for c in caps_of(worths, at)
        ],
        "realised": {
            id_: {"earned": str(earned.major), "scheduled": str(due.major)}
            for id_, (earned, due) in realised.items()
        },
    }  # fmt: skip


def _four(share: Any) -> Decimal:
    return round_rate(share, 4)


def _draw_value(
    out: Console, worths: list[Worth], month: Month, realised: dict[str, tuple[Money, Money]]
) -> None:
    rows = table(
        "Value", "agreement", "offtaker", ">headline", ">firm", ">cancellable", f">after {month}",
        ">of it firm", ">RPO", ">uncovered", ">realised",
    )  # fmt: skip
    for w in worths:
        earned, due = realised.get(w.agreement.id, (None, None))
        ratio = None if due is None or earned is None or not due.minor else Decimal(earned.minor) / due.minor
        rows.add_row(
            w.agreement.id, w.agreement.offtaker, figure(w.values.headline), figure(w.values.firm),
            figure(w.values.cancellable), figure(w.remaining), figure(w.firm), figure(w.obligation),
            figure(w.uncovered), percent(ratio),
        )  # fmt: skip
    out.print(rows)
    for w in worths:
        out.print(f"{w.agreement.id}: RPO is {w.judgement}")
    for currency in dict.fromkeys(w.agreement.currency for w in worths):
        own = [w for w in worths if w.agreement.currency == currency]
        ladder = table(f"Maturity after {month}, {currency}", "months", ">firm", ">cancellable", ">sum")
        for i, rung in enumerate(own[0].ladder):
            firm = sum((w.ladder[i].firm for w in own), Money.zero(currency))
            rest = sum((w.ladder[i].cancellable for w in own), Money.zero(currency))
            ladder.add_row(rung.label, money(firm), money(rest), money(firm + rest))
        out.print(ladder)
    shares = table("Firm value by offtaker", "offtaker", ">firm", ">share")
    for share in shares_of(worths):
        shares.add_row(share.offtaker, money(share.firm), percent(_four(share.share)))
    out.print(shares)
    for cap in caps_of(worths, worths[0].agreement.month(month).end):
        word = "holds" if cap.holds else "IS BROKEN"
        out.print(
            f"{cap.agreement}: {cap.path} {word}: {cap.offtaker} has {percent(_four(cap.share))}, "
            f"the cap is {percent(_four(cap.cap))}"
        )


def history_(agreement: Subject, book: BookPath = None, on: On = None, json_: Json = False) -> None:
    """Where an agreement stands, and everything that moved it or will: begun, amended, suspended, ended."""
    found = load(agreement, book)
    day = _today(on, found)
    turns = history(found)
    plain = {
        "agreement": found.id,
        "on": str(day),
        "stage": str(stage_on(found, day)),
        "history": [{"on": str(t.on), "step": str(t.step), "stage": str(t.stage)} for t in turns],
    }

    def draw(out: Console) -> None:
        out.print(f"{found.id} is {stage_on(found, day).value.replace('_', ' ')} on {day}.")
        rows = table("", "on", "what", "then")
        for turn in turns:
            rows.add_row(str(turn.on), turn.step.value, turn.stage.value.replace("_", " "))
        out.print(rows)

    emit(json_, plain, draw)
