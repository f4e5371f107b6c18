"""What was billed, walked back to clauses, terms and facts of the book."""

from __future__ import annotations

from dataclasses import replace

from offtake.agreements.model import Agreement
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money
from offtake.base.months import Month, parse_month
from offtake.rating.explain import Explained, explain_charge, what_happened
from offtake.rating.model import Charge, gpu_hours
from offtake.workflows.book import Book
from offtake.workflows.view import agreement_of, document_of


def explain_billed(book: Book, figure: str, agreement: str | None) -> Explained:
    """A document, a line of it, or everything billed for a month of an agreement.

    Args:
        book: the book.
        figure: ``INV-000001``, ``INV-000001/2``, ``2027-01`` or ``2027-01/monthly_fee``.
        agreement: whose month; not looked at for a document.

    Raises:
        BadInput: for a document, a line or a month that the book doesn't have.
    """
    name, _, part = figure.partition("/")
    if agreement is None:
        return _document(book, name, part)
    return _month(book, agreement, parse_month(name), part)


def _document(book: Book, number: str, line: str) -> Explained:
    kept = book.kept("document")
    if number not in kept:
        raise _unknown(number, f"documents are {', '.join(sorted(kept)[-5:]) or 'none yet'}")
    doc = document_of(kept[number].body)
    if line and not (line.isdigit() and 1 <= int(line) <= len(doc.lines)):
        raise _unknown(f"{number}/{line}", f"its lines are 1 to {len(doc.lines)}")
    text = _text_for(book, doc.agreement, doc.month)
    if line:
        return replace(
            explain_charge(text, doc.lines[int(line) - 1]), facts=_settled(book, doc.agreement, doc.month)
        )
    return Explained(
        what=f"{doc.number}, {doc.agreement} for {doc.month}",
        amount=doc.total,
        facts=(*_settled(book, doc.agreement, doc.month), *what_happened(text, doc.month)),
        parts=tuple(explain_charge(_text_for(book, doc.agreement, one.month), one) for one in doc.lines),
    )


def _month(book: Book, id_: str, month: Month, clause: str) -> Explained:
    lines: list[tuple[str, Charge]] = [
        (number, line)
        for number, item in sorted(book.kept("document").items())
        if item.body["agreement"] == id_
        for line in document_of(item.body).lines
        if line.month == month and clause in ("", line.clause)
    ]
    if not lines:
        raise _unknown(f"{month}" + (f"/{clause}" if clause else ""), f"nothing was billed to {id_} for it")
    text = _text_for(book, id_, month)
    parts = []
    for number, line in lines:
        said = explain_charge(text, line)
        parts.append(replace(said, what=f"{number}, {said.what}"))
    return Explained(
        what=f"billed to {id_} for {month}" + (f", {clause}" if clause else ""),
        amount=Money(sum(line.amount.minor for _, line in lines), text.currency),
        facts=(*_settled(book, id_, month), *what_happened(text, month)),
        parts=tuple(parts),
    )


def _text_for(book: Book, id_: str, month: Month) -> Agreement:
    zone = agreement_of(book.state, id_).time_zone
    return agreement_of(book.state, id_, until=month.interval(zone).end)


def _settled(book: Book, id_: str, month: Month) -> tuple[str, ...]:
    """What the settled month came to, as the book recorded it."""
    item = book.kept("settled").get(f"{id_}/{month}")
    if item is None:
        return ("the month isn't settled yet",)
    body = item.body
    said = [(name, int(body[name])) for name in ("entitled", "delivered", "taken", "recalled")]
    said += [(f"lost to {cause}", int(lost)) for cause, lost in sorted(body["lost"].items())]
    return tuple(f"{name} {gpu_hours(quantity)}" for name, quantity in said if quantity)


def _unknown(figure: str, remedy: str) -> BadInput:
    return BadInput(
        [Problem(where=figure, code="unknown_figure", message="the book has no such figure", remedy=remedy)]
    )
