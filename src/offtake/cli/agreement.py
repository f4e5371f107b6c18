"""Commands on agreements: check files, show what follows from them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.agreements.derive import deadlines, entitlement, implied_rate, values
from offtake.agreements.model import Agreement, Deadline
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Denominator, HoursConvention
from offtake.base.errors import BadInput, Problem
from offtake.base.money import total
from offtake.base.months import Month, plus_days
from offtake.base.outcome import Refused
from offtake.base.schedule import Dated, Schedule
from offtake.cli import decisions
from offtake.cli.agreements import day_of, load, text_of
from offtake.cli.options import Json, RefusedByRule, check_agreement_known, opened, read_month, wall_clock
from offtake.cli.show import emit, figure, money, table
from offtake.formats.icalendar import CalendarEntry, calendar_of
from offtake.formats.plain import to_plain
from offtake.workflows.as_of import agreement_as_of
from offtake.workflows.book import Book
from offtake.workflows.suppose import Owing, charges_of
from offtake.workflows.view import agreement_of

app = typer.Typer(help="Agreements: check files, show what follows from them.", no_args_is_help=True)
decisions.add_to(app)


@app.command()
def check(
    file: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Agreement files.")],
    json_: Json = False,
) -> None:
    """Check agreement files; every problem of every file is listed at once."""
    problems: list[Problem] = []
    found = []
    for path in file:
        try:
            found.append(load(str(path), None))
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)

    def draw(out: Console) -> None:
        for path, agreement in zip(file, found, strict=True):
            count = len(agreement.sheet.assumptions())
            out.print(
                f"{path}: {agreement.id} is sound, {len(agreement.clauses)} clauses, {count} assumptions"
            )

    emit(json_, {"agreements": [agreement.id for agreement in found], "problems": []}, draw)


@app.command()
def show(
    agreement: Annotated[
        str, typer.Argument(metavar="FILE|ID", help="An agreement file, or an id with --book.")
    ],
    book: Annotated[
        Path | None, typer.Option("--book", help="Read the agreement as a book knows it.")
    ] = None,
    effective: Annotated[
        str | None, typer.Option("--effective", help="With --book: as it stood at the end of this day.")
    ] = None,
    known: Annotated[
        str | None,
        typer.Option("--known", help="With --book: from what was recorded by the end of this day."),
    ] = None,
    json_: Json = False,
) -> None:
    """Show an agreement: tranches, fees, value three ways, deadlines, assumptions."""
    if book is None and (effective or known):
        raise BadInput([_needs_book("--effective" if effective else "--known")])
    if book is None:
        found = load(agreement, None)
    else:
        with opened(book) as target:
            check_agreement_known(target, agreement)
            found = agreement_of(target.state, agreement)
            if effective or known:
                found = _as_of(target, found, effective, known)
    emit(json_, _plain(found), lambda out: _draw(out, found))


@app.command("deadlines")
def deadlines_of(
    agreement: Annotated[
        list[str], typer.Argument(metavar="FILE|ID...", help="Agreement files, or ids with --book.")
    ],
    book: Annotated[
        Path | None, typer.Option("--book", help="Read the agreements as a book knows them.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="Nothing before this day.")] = None,
    ics: Annotated[Path | None, typer.Option("--ics", help="Write them as a calendar file.")] = None,
    json_: Json = False,
) -> None:
    """Every date on which a right opens or ends, in order; also as a file that calendar programs open."""
    if book is None:
        found = [load(one, None) for one in agreement]
    else:
        with opened(book) as target:
            for one in agreement:
                check_agreement_known(target, one)
            found = [agreement_of(target.state, one) for one in agreement]
    first = day_of("--from", since) if since else date.min
    rows = sorted(
        ((item, one) for one in found for item in deadlines(one) if item.on >= first),
        key=lambda pair: (pair[0].on, pair[1].id),
    )
    if ics is not None:
        ics.write_bytes(calendar_of("offtake deadlines", map(_entry, rows), stamp=wall_clock()))
    plain: list[dict[str, Any]] = [
        {
            "on": str(item.on),
            "agreement": one.id,
            "what": item.what,
            "side": item.side and str(item.side),
            "basis": list(item.basis),
            "assumed": list(one.sheet.assumed(item.basis)),
        }
        for item, one in rows
    ]

    def draw(out: Console) -> None:
        dates = table("", "on", "agreement", "what")
        for row in plain:
            dates.add_row(row["on"] + ("*" if row["assumed"] else ""), row["agreement"], row["what"])
        out.print(dates)

    emit(json_, {"deadlines": plain}, draw)


def _entry(row: tuple[Deadline, Agreement]) -> CalendarEntry:
    item, one = row
    return CalendarEntry(
        key=(one.id, *item.basis, item.what.partition(";")[0]),
        on=item.on,
        summary=f"{one.offtaker}: {item.what}",
        description="follows from " + ", ".join(item.basis),
    )


@app.command()
def charges(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An agreement file.")],
    facts: Annotated[
        Path | None,
        typer.Option("--facts", help="What happened, in TOML; everything as agreed when left out."),
    ] = None,
    amendment: Annotated[
        list[Path] | None, typer.Option("--amendment", help="An amendment's file; may be repeated.")
    ] = None,
    first: Annotated[str | None, typer.Option("--first", help="First month, such as 2027-01.")] = None,
    last: Annotated[str | None, typer.Option("--last", help="Last month.")] = None,
    json_: Json = False,
) -> None:
    """What an agreement owes month by month for facts that are supposed; checks what the facts expect."""
    months = _months(first, last)
    owing = charges_of(
        text_of(file),
        str(file),
        text_of(facts) if facts else "",
        str(facts or ""),
        months=months,
        amendments=[(text_of(one), str(one)) for one in amendment or ()],
    )
    emit(json_, _owing_plain(owing), lambda out: _draw_owing(out, owing))
    if owing.misses and not json_:
        raise RefusedByRule(_missed(owing))
    if owing.misses:
        raise typer.Exit(6)


def _months(first: str | None, last: str | None) -> tuple[Month, Month] | None:
    if first is None and last is None:
        return None
    return read_month("--first", first or last or ""), read_month("--last", last or first or "")


def _missed(owing: Owing) -> Refused:
    parts = [f"{m.what}: {m.expected} expected, {m.found} found" for m in owing.misses]
    return Refused(code="not_as_expected", sentence="; ".join(parts))


def _owing_plain(owing: Owing) -> dict[str, Any]:
    return {
        "agreement": owing.agreement.id,
        "currency": owing.agreement.currency,
        "months": [
            {
                "month": str(facts.month),
                "charges": [
                    {
                        "clause": c.clause,
                        "kind": str(c.kind),
                        "amount": str(c.amount.major),
                        "text": c.text,
                        "basis": list(c.basis),
                        "assumed": list(c.assumed),
                    }
                    for c in rated.charges
                ],
            }
            for facts, rated in owing.months
        ],
        "refused": [{"what": what, "code": r.code, "why": r.sentence} for what, r in owing.refused],
        "supposed_accepted_at_start": list(owing.in_time),
        "expected": owing.expected,
        "misses": [
            {
                "what": m.what,
                "expected": str(m.expected.major),
                "found": str(m.found.major),
            }
            for m in owing.misses
        ],
    }


def _draw_owing(out: Console, owing: Owing) -> None:
    rows = table("", "month", ">amount", "clause", "what for")
    for c in owing.charges:
        rows.add_row(str(c.month), f"{c.amount.major:,}" + ("*" if c.assumed else ""), c.clause, c.text)
    out.print(rows)
    whole = total((c.amount for c in owing.charges), owing.agreement.currency)
    out.print(
        f"{whole} in all" + (", * rests on an assumption" if any(c.assumed for c in owing.charges) else "")
    )
    for what, refused in owing.refused:
        out.print(f"{what} doesn't count: {refused.sentence}")
    for tranche in owing.in_time:
        out.print(f"Tranche {tranche} is supposed to be accepted as it starts; no fact says so.")
    if owing.expected and not owing.misses:
        out.print(f"All {owing.expected} expected figures came out.")


def _needs_book(option: str) -> Problem:
    return Problem(
        where=option, code="needs_book", message="a file has no history", remedy="name a book with --book"
    )


def _as_of(book: Book, latest: Agreement, effective: str | None, known: str | None) -> Agreement:
    """Ends of local days as instants; the present where one is left out."""
    at = {
        name: latest.midnight(plus_days(day_of(name, text), 1)) if text else 2**40
        for name, text in (("--effective", effective), ("--known", known))
    }
    found = agreement_as_of(book, latest.id, effective=at["--effective"], known=at["--known"] - 1)
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    return found


def _plain(agreement: Agreement) -> dict[str, Any]:
    worth = values(agreement)
    return {
        "id": agreement.id,
        "operator": agreement.operator,
        "offtaker": agreement.offtaker,
        "signed": str(agreement.signed),
        "ends": str(agreement.ends),
        "currency": agreement.currency,
        "fees": [
            {"month": str(item.month), "amount": str(item.amount.major), "basis": list(item.basis)}
            for item in fee_schedule(agreement)
        ],
        "values": {
            name: {"amount": str(part.value.major), "assumed": list(part.assumed)}
            for name, part in (
                ("headline", worth.headline),
                ("firm", worth.firm),
                ("cancellable", worth.cancellable),
            )
        },
        "firm_notice": None if worth.firm_notice is None else str(worth.firm_notice),
        "firm_end": str(worth.firm_end),
        "implied_per_gpu_h": {
            str(convention): str(rate.value)
            for convention in HoursConvention
            if (rate := implied_rate(agreement, convention)) is not None
        },
        "deadlines": [
            {
                "on": str(item.on),
                "what": item.what,
                "side": item.side and str(item.side),
                "basis": list(item.basis),
            }
            for item in deadlines(agreement)
        ],
        "assumptions": [
            {"term": path, "source": provenance.source} for path, provenance in agreement.sheet.assumptions()
        ],
        "tranches": to_plain(agreement.tranches),
    }


def _draw(out: Console, agreement: Agreement) -> None:
    out.print(
        f"{agreement.operator} → {agreement.offtaker}, signed {agreement.signed}, "
        f"until {agreement.ends}, {agreement.currency}, {agreement.time_zone}"
    )
    blocks = table("Tranches", "tranche", "firmness", "pools", ">quantity", "from", "through", "in force")
    for tranche in agreement.tranches:
        curve = entitlement(agreement, tranche)
        steps = ", ".join(f"{int(gpus):,}" for gpus in curve.value.values[:-1] if gpus)
        unit = {Denominator.GPUS: "GPUs", Denominator.NONE: "GPUs, not stated"}.get(tranche.denominator, "MW")
        blocks.add_row(
            tranche.id, str(tranche.firmness), ", ".join(tranche.pools), f"{tranche.quantity:,} {unit}",
            str(tranche.start), str(tranche.through), steps + ("*" if curve.assumed else ""),
        )  # fmt: skip
    out.print(blocks)
    out.print(_fees(agreement, fee_schedule(agreement)))
    worth = values(agreement)
    out.print(
        f"Headline {figure(worth.headline)}   firm {figure(worth.firm)}   "
        f"cancellable {figure(worth.cancellable)}"
        + (f"   (notice {worth.firm_notice}, end {worth.firm_end})" if worth.firm_notice else "")
    )
    for convention in HoursConvention:
        rate = implied_rate(agreement, convention)
        if rate is not None:
            out.print(f"Implied {rate.value} {agreement.currency} per GPU-hour, {convention} hours a month")
    dates = table("Deadlines", "on", "what")
    for item in deadlines(agreement):
        dates.add_row(str(item.on), item.what)
    out.print(dates)
    if not agreement.sheet.assumptions():
        return
    assumed = table("Assumptions (*)", "term", "why")
    for path, provenance in agreement.sheet.assumptions():
        assumed.add_row(path, provenance.source)
    out.print(assumed)


def _fees(agreement: Agreement, schedule: Schedule) -> Any:
    """Runs of equal months, so that three years fit a screen."""
    built = table("Fees", "from", "through", ">months", ">each", ">sum")
    run: list[Dated] = []
    for item in [*schedule, None]:
        if run and (item is None or item.amount != run[-1].amount):
            each = money(run[0].amount) + ("*" if agreement.sheet.assumed(run[0].basis) else "")
            whole = run[0].amount * len(run)
            built.add_row(str(run[0].month), str(run[-1].month), str(len(run)), each, money(whole))
            run = []
        if item is not None:
            run.append(item)
    return built
