"""Commands on issued documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.months import local_midnight
from offtake.base.outcome import Refused
from offtake.billing.ageing import buckets
from offtake.billing.document import Document
from offtake.cli.agreements import day_of
from offtake.cli.options import (
    BookDirectory,
    Json,
    RefusedByRule,
    check_agreement_known,
    opened,
    read_month,
    wall_clock,
)  # fmt: skip
from offtake.cli.show import day, emit, money, table
from offtake.formats.bank import read_bank
from offtake.formats.files import disk_errors, write_whole
from offtake.formats.focus import FocusVersion
from offtake.formats.pdf import render_document
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.export import focus_of
from offtake.workflows.receivables import ageing, match
from offtake.workflows.record import Outcome, record_event
from offtake.workflows.render import invoice_json, send_documents
from offtake.workflows.settle import draft_of
from offtake.workflows.state import is_simulated
from offtake.workflows.view import document_of, operator_zone

app = typer.Typer(help="Invoices and credit notes.", no_args_is_help=True)


@app.command("list")
def list_(
    book: BookDirectory,
    agreement: Annotated[str | None, typer.Option("--agreement", help="Only of this agreement.")] = None,
    json_: Json = False,
) -> None:
    """List issued documents."""
    with opened(book) as target:
        check_agreement_known(target, agreement)
        documents = [document_of(body) for body in target.items("document").values()]
        left = {number: int(item.body["left"]) for number, item in target.state.of("open").items()}
        sent = {number: item.body for number, item in target.kept("sent").items()}
    documents = [document for document in documents if agreement in (None, document.agreement)]
    plain = [
        {
            "number": d.number,
            "kind": str(d.kind),
            "agreement": d.agreement,
            "month": str(d.month),
            "issued": day(d.issued_at, d.time_zone),
            "due": day(d.due_at, d.time_zone),
            "currency": d.currency,
            "total": str(d.total.major),
            "left_minor": left.get(d.number, 0),
            "sent": day(sent[d.number]["at"], d.time_zone) if d.number in sent else None,
        }
        for d in documents
    ]

    def draw(out: Console) -> None:
        built = table(
            "Documents",
            "number",
            "kind",
            "agreement",
            "month",
            "issued",
            "due",
            ">total",
            "currency",
            "state",
        )
        for row, document in zip(plain, documents, strict=True):
            state = "open" if document.number in left else "settled"
            state += ", sent" if row["sent"] else ""
            built.add_row(
                *(str(row[name]) for name in ("number", "kind", "agreement", "month", "issued", "due")),
                f"{document.total.major:,}", document.currency, state,
            )  # fmt: skip
        out.print(built)

    emit(json_, {"documents": plain}, draw)


@app.command()
def show(
    book: BookDirectory,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Such as INV-000001.")],
    pdf: Annotated[Path | None, typer.Option("--pdf", help="Write the document as PDF to this file.")] = None,
    json_: Json = False,
) -> None:
    """Show one document with the clause behind each line."""
    with opened(book) as target:
        document, simulated = _find(target, number), is_simulated(target.state)
    if pdf is not None:
        write_whole(pdf, render_document(document, simulated=simulated))

    def draw(out: Console) -> None:
        out.print(
            f"{str(document.kind).replace('_', ' ').capitalize()} {document.number}"
            f"{', simulated' if simulated else ''}, {document.operator} to {document.offtaker}, "
            f"for {document.month}, issued {day(document.issued_at, document.time_zone)}, "
            f"due {day(document.due_at, document.time_zone)}"
        )
        built = table("", "clause", "line", f">{document.currency}")
        for line in document.lines:
            built.add_row(line.clause, line.text + (" *" if line.assumed else ""), f"{line.amount.major:,}")
        built.add_section()
        built.add_row("", "Total", f"{document.total.major:,}")
        out.print(built)
        assumed = sorted({path for line in document.lines for path in line.assumed})
        if assumed:
            out.print(f"* rests on assumed terms: {', '.join(assumed)}")
        if pdf is not None:
            out.print(f"PDF: {pdf}")

    emit(json_, invoice_json(document, simulated=simulated), draw)


@app.command()
def send(
    book: BookDirectory,
    out: Annotated[
        Path, typer.Option("--out", help="Outbox: a directory that mail or a portal takes files from.")
    ],
    by: Annotated[str, typer.Option("--by", help="How they go, such as mail; kept in the book.")] = "mail",
    json_: Json = False,
) -> None:
    """Put every document that wasn't sent yet into an outbox, and record that it was sent."""
    with opened(book) as target:
        if is_simulated(target.state):
            sentence = f"the book in {book} was made by a simulation; nothing of it is sent"
            raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))
        sent = send_documents(target, out, wall_clock(), by=by)

    def draw(console: Console) -> None:
        for document in sent:
            console.print(f"{document.number} to {document.offtaker}, {document.total}")
        console.print(f"{out}: {len(sent)} sent" if sent else "Everything was sent before.")

    emit(json_, {"directory": str(out), "by": by, "sent": [d.number for d in sent]}, draw)


def _find(book: Book, number: str) -> Document:
    documents = book.items("document")
    if number not in documents:
        last = max(documents, default="none yet")
        raise BadInput(
            [
                Problem(
                    where=str(book.directory),
                    code="unknown_document",
                    message=f"there is no document {number!r}",
                    remedy=f"the last is {last}; `offtake invoice list` shows them",
                )
            ]
        )
    return document_of(documents[number])


@app.command()
def focus(
    book: BookDirectory,
    out: Annotated[Path, typer.Option("--out", help="Directory to write the datasets into.")],
    version: Annotated[
        FocusVersion,
        typer.Option("--version", help="1.4, four datasets, when left out; 1.2 is cost and usage."),
    ] = FocusVersion.V1_4,
    agreement: Annotated[
        list[str] | None, typer.Option("--agreement", help="Only this one; may be repeated.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write everything billed as FOCUS for FinOps tools: the bundle of 1.4, or the file of 1.2."""
    with opened(book) as target:
        for one in agreement or ():
            check_agreement_known(target, one)
        files = focus_of(target, agreement or ()).files(version)
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    rows = {name: text.count("\n") - 1 for name, text in files.items()}

    def draw(console: Console) -> None:
        for name, count in rows.items():
            console.print(f"{out / name}: {count} rows")

    emit(json_, {"directory": str(out), "rows": rows}, draw)


@app.command("ageing")
def ageing_(
    book: BookDirectory,
    on: Annotated[str | None, typer.Option("--on", help="As of this day; now when left out.")] = None,
    json_: Json = False,
) -> None:
    """What is overdue and for how long, what is disputed, and which reminder is due."""
    with opened(book) as target:
        zone = operator_zone(target.state)
        at = local_midnight(day_of("--on", on), zone) if on else max(target.state.now, wall_clock())
        if is_simulated(target.state) and not on:
            at = target.state.now
        found = ageing(target, at)
    currencies = sorted({one.left.currency for one in found})
    plain = {
        "documents": [
            {
                "number": one.document, "agreement": one.agreement, "left": str(one.left.major),
                "disputed": str(one.disputed.major), "currency": one.left.currency, "days": one.days,
                "step": one.step,
            }
            for one in found
        ],
        "buckets": {
            currency: {name: str(amount.major) for name, amount in buckets(found, currency).items()}
            for currency in currencies
        },
    }  # fmt: skip

    def draw(console: Console) -> None:
        if not found:
            console.print("Nothing is open.")
        rows = table("", "document", "agreement", ">open", ">disputed", ">days overdue", "step")
        for one in found:
            rows.add_row(
                one.document, one.agreement, str(one.left), str(one.disputed.major), str(one.days), one.step
            )
        if found:
            console.print(rows)
        for currency in currencies:
            said = ", ".join(
                f"{name} {money(amount)}" for name, amount in buckets(found, currency).items() if amount
            )
            console.print(f"{currency}: {said or 'nothing is asked for'}")

    emit(json_, plain, draw)


@app.command("match")
def match_(
    book: BookDirectory,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV: date, amount, currency, text.")],
    apply: Annotated[bool, typer.Option("--apply", help="Record what is plain as payments.")] = False,
    json_: Json = False,
) -> None:
    """Say whose payment each line of a bank statement is; with --apply, record those that are plain."""
    lines = read_bank(file)
    outcomes: dict[str, str] = {}
    with opened(book) as target:
        if is_simulated(target.state):
            sentence = f"the book in {book} was made by a simulation; nothing real belongs in it"
            raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))
        found = match(target, lines)
        for one in found if apply else ():
            if one.payment is not None:
                outcomes[one.line.id] = _said(record_event(target, one.payment, wall_clock()))
    rows = [
        {
            "id": one.line.id, "on": str(one.line.on), "amount": str(one.line.amount.major),
            "currency": one.line.amount.currency, "text": one.line.text,
            "agreement": None if one.payment is None else one.payment.agreement, "why": one.because,
            "outcome": outcomes.get(one.line.id),
        }
        for one in found
    ]  # fmt: skip

    def draw(console: Console) -> None:
        built = table("", "on", ">amount", "text", "agreement", "why", "outcome")
        for row in rows:
            built.add_row(
                str(row["on"]), f"{row['amount']} {row['currency']}", str(row["text"]),
                row["agreement"] or "–", str(row["why"]), row["outcome"] or "",
            )  # fmt: skip
        console.print(built)

    emit(json_, {"lines": rows}, draw)


def _said(outcome: Outcome) -> str:
    if isinstance(outcome, Refused):
        return f"refused: {outcome.sentence}"
    return "recorded" if isinstance(outcome, Recorded) else "known"


@app.command()
def draft(
    book: BookDirectory,
    agreement: Annotated[str, typer.Argument(metavar="ID", help="The agreement.")],
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2027-01.")],
    json_: Json = False,
) -> None:
    """What a month that isn't settled would be billed as it is known now; nothing is recorded."""
    wanted = read_month("MONTH", month)
    with opened(book) as target:
        check_agreement_known(target, agreement)
        now = target.state.now if is_simulated(target.state) else max(target.state.now, wall_clock())
        found = draft_of(target, agreement, wanted, now)
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    plain = {
        "agreement": agreement,
        "month": month,
        "total": str(found.total.major),
        "currency": found.currency,
        "lines": [
            {"clause": line.clause, "text": line.text, "amount": str(line.amount.major)}
            for line in found.lines
        ],
    }

    def draw(console: Console) -> None:
        rows = table(f"Draft for {found.month}, {found.offtaker}", ">amount", "what for")
        for line in found.lines:
            rows.add_row(f"{line.amount.major:,}", line.text)
        console.print(rows)
        console.print(f"{found.total} as it is known now; nothing was recorded.")

    emit(json_, plain, draw)
