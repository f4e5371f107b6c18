"""Views of a book as files: invoices and the report. They take no part in the chain and can be made again."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from offtake.base.money import round_rate
from offtake.billing.document import Document
from offtake.formats.files import disk_errors, write_whole
from offtake.formats.pdf import render_document
from offtake.formats.plain import to_plain
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.state import is_simulated
from offtake.workflows.take import TakeStatement
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


def _files_of(document: Document, *, simulated: bool) -> dict[str, Callable[[], bytes]]:
    """What is written of a document, by file name."""
    name = f"{document.number}-{document.agreement}-{document.month}"
    return {
        f"{name}.json": partial(_as_json, document, simulated=simulated),
        f"{name}.pdf": partial(render_document, document, simulated=simulated),
    }


def _as_json(document: Document, *, simulated: bool) -> bytes:
    text = json.dumps(invoice_json(document, simulated=simulated), indent=2, ensure_ascii=False)
    return f"{text}\n".encode()


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
        for name, made in _files_of(document, simulated=simulated).items():
            if name.endswith(".pdf") and not pdf:
                continue
            path = directory / name
            if not path.exists():
                write_whole(path, made())
            written.append(path)
        if on_each is not None:
            on_each(i + 1, len(documents))
    return written


def send_documents(book: Book, directory: Path, now: int, *, by: str) -> list[Document]:
    """Put every document that wasn't sent yet into a directory, as PDF and JSON, and record that it was sent.

    The files are there before the book says so: a crash in between writes the same files again.

    Args:
        book: the book.
        directory: the outbox that a mail program or a portal takes them from.
        now: when.
        by: how they go, such as ``mail`` or ``portal``; kept with the fact.
    """
    sent = book.kept("sent")
    simulated = is_simulated(book.state)
    waiting = [document_of(body) for number, body in book.items("document").items() if number not in sent]
    with disk_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    for document in waiting:
        for name, made in _files_of(document, simulated=simulated).items():
            write_whole(directory / name, made())
    with book.writing():
        known = book.kept("sent")
        facts = [
            Fact(
                kind="document.sent",
                id=document.number,
                effective_at=now,
                recorded_at=now,
                body={"agreement": document.agreement, "number": document.number, "by": by, "at": now},
            )
            for document in waiting
            if document.number not in known
        ]
        book.append(facts)
    return waiting


def take_plain(statement: TakeStatement) -> dict[str, Any]:
    """A statement of take for programs: GPU-seconds, money in major units."""
    return {
        "month": str(statement.month),
        "complete": statement.complete,
        "available": statement.available,
        "held": statement.held,
        "holders": [
            {
                "id": one.id,
                "own": one.own,
                "cost": None if one.cost is None else str(one.cost.major),
                "currency": None if one.cost is None else one.cost.currency,
                "per_gpu_hour": None if one.per_gpu_hour is None else str(round_rate(one.per_gpu_hour, 6)),
                "claims": [
                    {
                        "claim": line.claim,
                        "entitled": line.entitled,
                        "held": line.delivered,
                        "used": line.taken,
                        "recalled": line.recalled,
                        "lost": dict(line.lost),
                    }
                    for line in one.lines
                ],
            }
            for one in statement.holders
        ],
    }
