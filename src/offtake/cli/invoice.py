"""Commands on issued documents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.billing.document import Document
from offtake.cli.options import BookDirectory, Json, check_agreement_known, opened
from offtake.cli.show import day, emit, table
from offtake.formats.files import disk_errors, write_whole
from offtake.formats.pdf import render_document
from offtake.workflows.book import Book
from offtake.workflows.export import focus_of
from offtake.workflows.render import invoice_json
from offtake.workflows.state import is_simulated
from offtake.workflows.view import document_of

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
    out: Annotated[Path, typer.Option("--out", help="Directory to write the four datasets into.")],
    agreement: Annotated[
        list[str] | None, typer.Option("--agreement", help="Only this one; may be repeated.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write everything billed as a FOCUS 1.4 bundle for FinOps tools."""
    with opened(book) as target:
        for one in agreement or ():
            check_agreement_known(target, one)
        files = focus_of(target, agreement or ()).files()
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding="utf-8")
    rows = {name: text.count("\n") - 1 for name, text in files.items()}

    def draw(console: Console) -> None:
        for name, count in rows.items():
            console.print(f"{out / name}: {count} rows")

    emit(json_, {"directory": str(out), "rows": rows}, draw)
