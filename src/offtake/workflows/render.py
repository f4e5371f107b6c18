"""Views of a book as files: invoices and the report. They take no part in the chain and can be made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from offtake.billing.document import Document
from offtake.formats.files import disk_errors, write_whole
from offtake.formats.pdf import render_document
from offtake.formats.plain import to_plain
from offtake.workflows.book import Book
from offtake.workflows.state import is_simulated
from offtake.workflows.view import document_of


def invoice_json(document: Document, *, simulated: bool) -> dict[str, Any]:
    """A document for programs: exact minor units, and amounts in major units for people."""
    plain: dict[str, Any] = {**to_plain(document), "simulated": simulated}
    plain["month"] = str(document.month)
    plain["total"]["major"] = str(document.total.major)
    for line, charge in zip(plain["lines"], document.lines, strict=True):
        line["month"] = str(charge.month)
        line["amount"]["major"] = str(charge.amount.major)
    return plain


def write_invoices(
    book: Book, directory: Path, *, pdf: bool = True, on_each: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Every issued document as JSON and PDF; files that are already there are kept, documents never change.

    Returns:
        The files of this directory that belong to documents, in order of number.
    """
    with disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    simulated = is_simulated(book.state)
    documents = [document_of(body) for body in book.items("document").values()]
    written = []
    for i, document in enumerate(documents):
        name = f"{document.number}-{document.agreement}-{document.month}"
        path = directory / f"{name}.json"
        if not path.exists():
            write_whole(
                path,
                (
                    json.dumps(invoice_json(document, simulated=simulated), indent=2, ensure_ascii=False)
                    + "\n"
                ).encode(),
            )
        written.append(path)
        if pdf:
            path = directory / f"{name}.pdf"
            if not path.exists():
                write_whole(path, render_document(document, simulated=simulated))
            written.append(path)
        if on_each is not None:
            on_each(i + 1, len(documents))
    return written
