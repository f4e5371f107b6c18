"""The report as a file."""

from __future__ import annotations

from pathlib import Path

from offtake.formats.files import write_whole
from offtake.formats.html_report import render_report
from offtake.workflows.book import Book
from offtake.workflows.report import Report
from offtake.workflows.report_view import report_view
from offtake.workflows.view import fleet_of, open_documents


def write_report(book: Book, known: Report, path: Path) -> None:
    """Write one self-contained HTML file about a book, whole or not at all.

    Args:
        book: for what is open, and the fleet's own terms.
        known: what `report_of` read from the same book.
        path: the file.
    """
    view = report_view(known, open_documents=open_documents(book.state), fleet=fleet_of(book.state))
    write_whole(path, render_report(view).encode())
