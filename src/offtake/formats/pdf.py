"""Invoices, credit notes and statements of take as PDF, typeset with Typst.

A PDF is a view of an issued document and takes no part in the chain. The same document gives the same
bytes: no clock, only the fonts that come with Typst, and no packages from outside.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from offtake.base.money import Money, round_rate
from offtake.base.months import Month, local_date, parse_month
from offtake.base.time import HOUR_S
from offtake.billing.document import Document, DocumentKind

if TYPE_CHECKING:
    from typst import Compiler

# Not from `calendar` or strftime: those follow the process's locale, and bytes shall not.
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
_TITLES = {DocumentKind.INVOICE: "Invoice", DocumentKind.CREDIT_NOTE: "Credit note"}
_MINUS = "\N{MINUS SIGN}"


def render_document(document: Document, *, simulated: bool = False) -> bytes:
    """A document as a PDF file.

    Args:
        document: what was issued.
        simulated: it was issued in a simulation, and says so on every page: nothing is owed.

    Raises:
        typst.TypstError: if the template doesn't compile, which no document can cause: its strings are
            handed over as JSON and set as text.
    """
    return _rendered("invoice.typ", _plain(document, simulated=simulated))


def render_take(statement: Mapping[str, Any], *, operator: str, simulated: bool = False) -> bytes:
    """A statement of take as a PDF file.

    Args:
        statement: month, whether it is complete, what was available, and the holders with their claims, in
            GPU-seconds.
        operator: who states it.
        simulated: it was made by a simulation, and says so on every page.
    """
    rows = []
    for one in statement["holders"]:
        for i, claim in enumerate(one["claims"]):
            figures = (
                claim["entitled"], claim["held"], claim["used"], claim["recalled"],
                sum(claim["lost"].values()),
            )  # fmt: skip
            cost = _costs(one) if i == len(one["claims"]) - 1 else ("", "")
            rows.append([claim["claim"], "own" if one["own"] else "leased", *map(hours_text, figures), *cost])
    plain = {
        "operator": operator,
        "month": month_text(parse_month(statement["month"])),
        "complete": statement["complete"],
        "simulated": simulated,
        "held": hours_text(statement["held"]),
        "available": None if statement["available"] is None else hours_text(statement["available"]),
        "rows": rows,
    }
    return _rendered("take.typ", plain)


def _costs(holder: Mapping[str, Any]) -> tuple[str, str]:
    if holder["cost"] is None:
        return "–", "–"
    rate = holder["per_gpu_hour"]
    cost = f"{Decimal(holder['cost']):,} {holder['currency']}".replace("-", _MINUS)
    return cost, "–" if rate is None else f"{round(Decimal(rate), 4)}".replace("-", _MINUS)


def hours_text(gpu_seconds: int) -> str:
    """GPU-seconds as GPU-hours with two decimals: 1,250.00."""
    return f"{round_rate(Fraction(gpu_seconds, HOUR_S), 2):,}"


def _rendered(template: str, plain: Mapping[str, Any]) -> bytes:
    inputs = {"document": json.dumps(plain, ensure_ascii=False)}
    rendered = _compiler().compile(_template(template), format="pdf", sys_inputs=inputs, timestamp=0)
    if not isinstance(rendered, bytes):  # a list is for formats with a file for each page
        raise TypeError(f"Typst gave {type(rendered).__name__}, not one file")
    return rendered


@lru_cache(maxsize=1)
def _compiler() -> Compiler:
    """One compiler for all documents: it keeps the fonts, which cost more than a page."""
    import typst

    return typst.Compiler(ignore_system_fonts=True)


@lru_cache(maxsize=2)
def _template(name: str) -> bytes:
    return files("offtake.formats").joinpath("templates", name).read_bytes()


def _plain(document: Document, *, simulated: bool) -> Mapping[str, Any]:
    """What the template sets, every figure already in words."""
    title = _TITLES[document.kind]
    return {
        "title": title,
        "number": document.number,
        "operator": document.operator,
        "offtaker": document.offtaker,
        "agreement": document.agreement,
        "facts": _facts(document, title),
        "simulated": simulated,
        "ask": _ask(document) if not simulated else "Made by a simulation: nothing is owed",
        "amounts": f"Amount, {document.currency}",
        "total": f"{document.currency} {amount_text(document.total)}",
        "sum": amount_text(document.total),
        "lines": [
            {
                "clause": line.clause,
                "text": line.text,
                "amount": amount_text(line.amount),
                "assumed": list(line.assumed),
            }
            for line in document.lines
        ],
        "check": _check(document),
    }


def _facts(document: Document, title: str) -> list[tuple[str, str]]:
    due = date_text(local_date(document.due_at, document.time_zone))
    return [
        (f"{title} number", document.number),
        ("Service month", month_text(document.month)),
        ("Issued", date_text(local_date(document.issued_at, document.time_zone))),
        ("Due", due if document.kind is DocumentKind.INVOICE else "nothing to pay"),
        ("Dates in", document.time_zone),
    ]


def _ask(document: Document) -> str:
    if document.kind is DocumentKind.CREDIT_NOTE:
        return "Credited to you; it is deducted from what you owe next"
    due = date_text(local_date(document.due_at, document.time_zone))
    advance = ", in advance of the service month" if document.fixed_in_advance else ""
    return f"Payable by {due}{advance}"


def _check(document: Document) -> str:
    return (
        f"Each line is one charge under one clause of agreement {document.agreement}, calculated exactly "
        "from the agreement's text and the month's facts and rounded once; the lines sum to the total "
        f"without a further rounding. This PDF is a view of the fact “document.issued {document.number}” in "
        f"{document.operator}'s book, whose facts are chained by SHA-256, so that a later change of any of "
        f"them shows. “offtake invoice show BOOK {document.number}” prints these lines again."
    )


def amount_text(amount: Money) -> str:
    """All digits of an amount with separators and a real minus, without its currency: −1,250.00."""
    return f"{amount.major:,}".replace("-", _MINUS)


def date_text(day: date) -> str:
    """A date for people, the same in every locale: 1 July 2026."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def month_text(month: Month) -> str:
    """A month for people, the same in every locale: July 2026."""
    return f"{_MONTHS[month.month - 1]} {month.year}"
