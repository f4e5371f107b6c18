"""A short real book and its report, for the tests of what is shown of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from offtake.billing.document import Open
from offtake.fleet.model import Fleet
from offtake.formats.folder import load_folder
from offtake.formats.html_report import ReportView
from offtake.sim.run import Simulation
from offtake.workflows.book import Book
from offtake.workflows.report import Report, report_of
from offtake.workflows.report_view import report_view
from offtake.workflows.view import fleet_of, open_documents

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was read of the book, and what its page shows."""

    known: Report
    open_documents: tuple[Open, ...]
    fleet: Fleet
    view: ReportView


def short_colossus(directory: Path) -> Sample:
    """The Colossus example run to the end of March 2027: past the outage that earns a credit."""
    folder = directory / "colossus"
    shutil.copytree(ROOT / "examples" / "colossus", folder)
    settings = folder / "offtake.toml"
    text = settings.read_text(encoding="utf-8")
    shortened = text.replace('last = "2029-05"', 'last = "2027-03"')
    assert shortened != text, "the example's last month has moved; choose another end here"
    settings.write_text(shortened, encoding="utf-8")
    book = Book(directory / "book", create=True)
    try:
        simulation = Simulation(book, load_folder(folder))
        simulation.check()
        simulation.run()
        known, left, fleet = report_of(book), tuple(open_documents(book.state)), fleet_of(book.state)
    finally:
        book.close()
    view = report_view(known, open_documents=left, fleet=fleet)
    return Sample(known=known, open_documents=left, fleet=fleet, view=view)
