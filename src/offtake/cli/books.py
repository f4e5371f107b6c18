"""Commands on a folder and its book: init, plan, apply, status, verify, rebuild, report."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.agreements.derive import Values
from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.cli.options import (
    BookDirectory,
    FolderPath,
    Json,
    RefusedByRule,
    check_agreement_known,
    opened,
    wall_clock,
)
from offtake.cli.show import day, emit, figure, filled, hours, money, percent, starred, table
from offtake.cli.statement import verify_bundle
from offtake.formats.files import disk_errors
from offtake.formats.folder import load_folder
from offtake.formats.plain import to_plain
from offtake.workflows.apply import Changes, apply_folder, plan_folder, plan_from_nothing
from offtake.workflows.book import Book
from offtake.workflows.report import AgreementLine, Report, report_of
from offtake.workflows.shortfall import shortfalls_of
from offtake.workflows.state import is_simulated
from offtake.workflows.status import Status, status_of
from offtake.workflows.tick import tick
from offtake.workflows.write_report import write_report

BookOption = Annotated[
    Path | None,
    typer.Option("--book", help="Directory of the book; FOLDER/book when left out.", show_default=False),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the root."""
    for command in (init, plan, apply, status, shortfall, report, verify, rebuild):
        app.command()(command)


def init(folder: FolderPath, json_: Json = False) -> None:
    """Write a small folder to begin with: one site, one pool, one agreement, a year."""
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(
            [
                Problem(
                    where=str(folder),
                    code="not_empty",
                    message="the folder isn't empty",
                    remedy="choose a new one; nothing was written",
                )
            ]
        )
    new = not folder.exists()
    with as_file(files("offtake.cli") / "starter") as starter, disk_errors(folder):
        try:
            shutil.copytree(starter, folder, dirs_exist_ok=True)
        except OSError:
            for path in [] if new else list(folder.iterdir()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if new:
                shutil.rmtree(folder, ignore_errors=True)
            raise
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.toml"))

    def draw(out: Console) -> None:
        out.print(f"Wrote {folder}: {', '.join(names)}")
        out.print(f"Next: offtake plan {folder}   then   offtake run {folder}")

    emit(json_, {"folder": str(folder), "files": names}, draw)


def plan(folder: FolderPath, book: BookOption = None, json_: Json = False) -> None:
    """Show what applying FOLDER would change: capacity, money, promises broken. Nothing is recorded."""
    loaded = load_folder(folder)
    directory = book or folder / "book"
    if directory.exists():
        with opened(directory) as existing:
            # a simulated book has a clock of its own
            now = 0 if is_simulated(existing.state) else wall_clock()
            changes = plan_folder(existing, loaded, max(now, existing.state.now))
    else:
        changes = plan_from_nothing(loaded)
    emit(json_, _plain_changes(changes), lambda out: _draw_changes(out, changes, directory))


def _plain_changes(changes: Changes) -> dict[str, Any]:
    return {
        "facts": [{"kind": fact.kind, "id": fact.id} for fact in changes.facts],
        "notes": _notes(changes),
        "refused": [{"code": item.code, "message": item.sentence} for item in changes.refused],
        "values": {
            id_: {"before": None if before is None else _plain_values(before), "after": _plain_values(after)}
            for id_, (before, after) in changes.values.items()
        },
        "headroom": [
            {
                "pool": room.pool,
                "least": room.least,
                "from": format_instant(room.since),
                "at_the_end": room.at_the_end,
            }
            for room in changes.headroom
        ],
        "oversold": [
            {
                "pools": list(pools),
                "gpus_max": int(curve.values.max()),
                "from": format_instant(int(curve.times[0])),
            }
            for pools, curve in changes.oversold.items()
        ],
    }


def _notes(changes: Changes) -> list[str]:
    """Simplifications that change an answer, where they apply."""
    if any(fact.kind == "agreement.amended" for fact in changes.facts):
        return ["An amended agreement holds from the month in which it is applied, for all of that month."]
    return []


def _plain_values(value: Values) -> dict[str, Any]:
    return {
        "headline": to_plain(value.headline.value),
        "firm": to_plain(value.firm.value),
        "cancellable": to_plain(value.cancellable.value),
        "assumed": sorted({*value.headline.assumed, *value.firm.assumed}),
    }


def _draw_changes(out: Console, changes: Changes, directory: Path) -> None:
    for refused in changes.refused:
        out.print(f"can't be applied ({refused.code}): {refused.sentence}", style="bold red")
    if not changes.facts and not changes.refused:
        out.print(f"{directory} is in line with the folder; nothing would change.")
        return
    out.print(f"{len(changes.facts)} facts would be recorded in {directory}:")
    for fact in changes.facts:
        out.print(f"  {fact.kind} {fact.id}")
    for note in _notes(changes):
        out.print(note)
    worth = table("Value", "agreement", ">headline before", ">headline after", ">firm before", ">firm after")
    for id_, (before, after) in changes.values.items():
        worth.add_row(
            id_,
            figure(before.headline) if before else "–",
            figure(after.headline),
            figure(before.firm) if before else "–",
            figure(after.firm),
        )
    out.print(worth)
    left = table("Headroom: GPUs that firm claims leave", "pool", ">least", "from", ">at the end")
    for room in changes.headroom:
        left.add_row(room.pool, f"{room.least:,}", format_instant(room.since), f"{room.at_the_end:,}")
    out.print(left)
    for pools, curve in changes.oversold.items():
        out.print(
            f"oversold: firm claims on {', '.join(pools)} exceed what is there by up to "
            f"{int(curve.values.max()):,} GPUs from {format_instant(int(curve.times[0]))}"
        )
    out.print("* rests on an assumption")


def apply(
    folder: FolderPath,
    book: BookOption = None,
    json_: Json = False,
    allow_oversold: Annotated[
        bool, typer.Option("--allow-oversold", help="Record firm claims beyond what the pools have.")
    ] = False,
) -> None:
    """Record FOLDER in its book, and decide what follows from it now. Applying twice changes nothing."""
    loaded = load_folder(folder)
    directory = book or folder / "book"
    if not directory.exists() and not allow_oversold:
        _refuse_oversold(plan_from_nothing(loaded))
    target = Book(directory, create=True)
    try:
        if is_simulated(target.state):
            raise RefusedByRule(
                Refused(
                    code="simulated_book",
                    sentence=f"the book in {directory} was made by a simulation; choose another --book",
                )
            )
        now = wall_clock()
        changes = plan_folder(target, loaded, max(now, target.state.now))
        if changes.refused:
            raise RefusedByRule(changes.refused[0])
        if not allow_oversold:
            _refuse_oversold(changes)
        with target.writing():
            recorded = apply_folder(target, loaded, now) + tick(target, now)
    finally:
        target.close()
    kinds = [f"{item.fact.kind} {item.fact.id}" for item in recorded]

    def draw(out: Console) -> None:
        for kind in kinds:
            out.print(f"  {kind}")
        out.print(
            f"{len(kinds)} facts recorded in {directory}." if kinds else f"{directory} was already in line."
        )

    emit(json_, {"book": str(directory), "recorded": kinds}, draw)


def _refuse_oversold(changes: Changes) -> None:
    if changes.oversold:
        raise RefusedByRule(oversold_refusal(changes))


def oversold_refusal(changes: Changes) -> Refused:
    """Why a folder that sells more than it has isn't recorded."""
    parts = [
        f"firm claims on {', '.join(pools)} exceed available capacity by up to "
        f"{int(curve.values.max()):,} GPUs from {format_instant(int(curve.times[0]))}"
        for pools, curve in changes.oversold.items()
    ]
    return Refused(
        code="oversold",
        sentence="; ".join(parts)
        + ". Bring capacity in service earlier, sell less, or pass --allow-oversold",
    )


def status(book: BookDirectory, json_: Json = False) -> None:
    """Where a book stands: clock, capacity now, what is open, what comes next."""
    with opened(book) as target:
        known = status_of(target)
    emit(json_, to_plain(known), lambda out: _draw_status(out, known))


def _draw_status(out: Console, known: Status) -> None:
    out.print(
        f"{known.operator}{', simulated' if known.simulated else ''}, {known.facts:,} facts, "
        f"head {known.head[:12]}, as of {known.now}"
    )
    pools = table("Capacity now, GPUs", "pool", ">nameplate", ">available", ">firm", ">held", ">free")
    for pool in known.pools:
        pools.add_row(
            pool.pool,
            f"{pool.nameplate:,}",
            f"{pool.available:,}",
            f"{pool.firm:,}",
            f"{pool.held:,}",
            f"{pool.available - pool.held:,}",
        )
    out.print(pools)
    open_ = table("Open documents", "number", "agreement", "due", ">left")
    for document in known.open_documents:
        open_.add_row(document.number, document.agreement, document.due, money(document.left))
    out.print(open_ if known.open_documents else "No open documents.")
    dates = table("Next dates", "on", "agreement", "what")
    for item in known.next_deadlines:
        dates.add_row(item.on, item.agreement, item.what)
    out.print(dates if known.next_deadlines else "No deadlines ahead.")
    for fact in known.late:
        out.print(f"too late to be billed (its month was already settled): {fact}")
    for source, through in known.meters.items():
        out.print(f"Metered by {source} through {through}.")


def shortfall(
    book: BookDirectory,
    agreement: Annotated[str | None, typer.Option("--agreement", help="Only claims of this one.")] = None,
    json_: Json = False,
) -> None:
    """Which claims went short of GPUs, why, and how much."""
    with opened(book) as target:
        check_agreement_known(target, agreement)
        found = shortfalls_of(target, agreement)

    def draw(out: Console) -> None:
        rows = table("Shortfalls", "claim", "cause", ">GPU-hours", ">most GPUs", "first", "last")
        for item in found:
            rows.add_row(
                item.claim, item.cause, hours(item.gpu_seconds), f"{item.gpus_max:,}", item.first, item.last
            )
        out.print(rows if found else "Nothing was short.")
        for item in found:
            out.print(f"  {item.example}")

    emit(json_, {"shortfalls": [to_plain(item) for item in found]}, draw)


def report(
    book: BookDirectory,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; BOOK/report.html when left out.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write one self-contained HTML file about a book."""
    with opened(book) as target:
        path = out or target.directory / "report.html"
        known = report_of(target)
        write_report(target, known, path)
    emit(json_, {"report": str(path), **plain_totals(known)}, lambda screen: screen.print(f"Report: {path}"))


def verify(
    book: Annotated[
        Path, typer.Argument(metavar="BOOK|BUNDLE", help="A book, or a statement that an operator gave you.")
    ],
    key: Annotated[
        str | None, typer.Option("--key", help="Of a statement: the operator's public key as you know it.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", help="Of a statement: runs as they were published.")
    ] = None,
    own: Annotated[
        list[Path] | None, typer.Option("--own", help="Of a statement: your own readings.")
    ] = None,
    json_: Json = False,
) -> None:
    """Check a book: every fact's hash, the database's pages, every file a fact names. Or check a statement:
    its signature, chain, proofs and terms, and every line rated anew, with neither the operator's book nor
    trust in it.
    """
    if book.is_file():
        verify_bundle(book, known_key=key, published=runs, own=own or [], as_json=json_)
        return
    with opened(book, projected=False) as target:
        (facts, tables), head = target.verify(), target.database.head()[1]
    emit(
        json_,
        {"facts": facts, "tables": tables, "head": head},
        lambda out: out.print(f"{facts:,} facts and {tables:,} tables verify; head {head}"),
    )


def rebuild(book: BookDirectory, json_: Json = False) -> None:
    """Drop everything that is derived and fold the log again."""
    with opened(book, projected=False) as target:
        count, head = target.rebuild(), target.state.head[1]
    emit(
        json_,
        {"facts": count, "head": head},
        lambda out: out.print(f"Rebuilt from {count:,} facts; head {head}"),
    )


def plain_totals(known: Report) -> dict[str, Any]:
    """The totals table for programs."""
    return {
        "head": known.head[1],
        "through": format_instant(known.window.end),
        "agreements": [
            {
                "agreement": line.agreement.id,
                "full_fee": None if line.full_fee is None else str(line.full_fee.major),
                "full_months": line.full_months,
                "full_total": str(line.full_total.major),
                "full_invoiced": str(line.full_invoiced.major),
                "ramp_total": str(line.ramp_total.major),
                "ramp_invoiced": str(line.ramp_invoiced.major),
                "adjustments": str(line.adjustments.major),
                "usage": str(line.usage.major),
                "credits": str(line.credits.major),
                "other": str(line.other.major),
                "invoiced": str(line.invoiced.major),
                "remaining": str(line.remaining.major),
                "outstanding": str(line.outstanding.major),
                "headline": str(line.values.headline.value.major),
                "firm": str(line.values.firm.value.major),
                "firm_notice": None if line.values.firm_notice is None else str(line.values.firm_notice),
                "firm_end": str(line.values.firm_end),
                "implied_per_gpu_h": {str(k): str(v.value) for k, v in line.implied.items()},
                "gpu_seconds": {
                    "entitled": sum(month.entitled for month in line.months),
                    "delivered": sum(month.delivered for month in line.months),
                    "taken": sum(month.taken for month in line.months),
                },
                "assumed": sorted({*line.values.headline.assumed, *line.values.firm.assumed}),
                "currency": line.agreement.currency,
            }
            for line in known.agreements
        ],
    }


def draw_totals(out: Console, known: Report) -> None:
    """The totals, for people: what was billed, and what the agreements are worth."""
    out.print(
        filled(
            f"{known.operator}, billed through {day(known.window.end - 1, known.time_zone)}",
            (
                "agreement", ">ramp", ">fee", ">adjusted", ">usage, deficiency", ">credits", ">other",
                ">invoiced",
                ">still to invoice", ">GPU-hours taken", ">of entitled",
            ),
            [_billed(line) for line in known.agreements],
            _sums(known),
        )
    )  # fmt: skip
    worth = [line for line in known.agreements if line.values.headline.value]
    if worth:
        out.print(
            filled(
                "What the agreements are worth",
                (
                    "agreement", ">full fee × months", ">= over the term", ">headline", ">firm",
                    "first notice", "would end", ">$/GPU-h",
                ),
                [_worth(line) for line in worth],
                _worths(known),
            )
        )  # fmt: skip
    out.print(
        "* rests on an assumption written in the agreement; ≈ rounded; $/GPU-h by the agreement's hours"
    )


def _billed(line: AgreementLine) -> tuple[str, ...]:
    return (
        line.agreement.id,
        starred(line.ramp_invoiced, "ramp" in line.assumed),
        starred(line.full_invoiced, "full" in line.assumed),
        starred(line.adjustments, "adjustments" in line.assumed),
        starred(line.usage, "usage" in line.assumed),
        starred(line.credits, "credits" in line.assumed),
        starred(line.other, "other" in line.assumed),
        starred(line.invoiced, bool(line.assumed)),
        money(line.remaining),
        hours(sum(month.taken for month in line.months)),
        percent(line.taken_share),
    )


def _sums(known: Report) -> list[tuple[str, ...]]:
    """A row for each currency that several agreements share; a sum of a starred figure is starred."""
    rows: list[tuple[str, ...]] = []
    for currency, sums in known.totals.items():
        lines = [line for line in known.agreements if line.agreement.currency == currency]
        parts = frozenset(part for line in lines for part in line.assumed)
        if len(lines) > 1:
            rows.append(
                (
                    f"all in {currency}",
                    starred(sums.ramp_invoiced, "ramp" in parts),
                    starred(sums.full_invoiced, "full" in parts),
                    starred(sums.adjustments, "adjustments" in parts),
                    starred(sums.usage, "usage" in parts),
                    starred(sums.credits, "credits" in parts),
                    starred(sums.other, "other" in parts),
                    starred(sums.invoiced, bool(parts)),
                    money(sums.remaining),
                    hours(sums.taken),
                    percent(sums.taken_share),
                )
            )
    return rows


def _worth(line: AgreementLine) -> tuple[str, ...]:
    implied = line.implied.get(line.agreement.hours)
    return (
        line.agreement.id,
        "–" if line.full_fee is None else f"{money(line.full_fee)} × {line.full_months}",
        money(line.full_total),
        figure(line.values.headline),
        figure(line.values.firm),
        str(line.values.firm_notice or "–"),
        str(line.values.firm_end if line.values.firm_notice else "–"),
        "not stated" if implied is None else f"{implied.value}",
    )


def _worths(known: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for currency, sums in known.totals.items():
        values = [line.values for line in known.agreements if line.agreement.currency == currency]
        if len(values) > 1:
            headline = starred(sums.headline, any(value.headline.assumed for value in values))
            firm = starred(sums.firm, any(value.firm.assumed for value in values))
            rows.append((f"all in {currency}", "–", money(sums.full_total), headline, firm, "–", "–", "–"))
    return rows
