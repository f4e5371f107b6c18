"""A finished small book, to be copied and damaged."""

from __future__ import annotations

from pathlib import Path

from offtake.base.time import Interval
from offtake.formats.folder import Folder, load_folder
from offtake.sim.run import Simulation
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from tests.simulation.folders import write_folder


def finished_book(path: Path) -> tuple[Path, Folder]:
    """The small business, run to its end and closed; its directory and its folder."""
    folder = load_folder(write_folder(path / "folder"))
    book = Book(path / "book", create=True)
    Simulation(book, folder).run()
    book.close()
    return path / "book", folder


def log_of(book: Book) -> list[Recorded]:
    """Every fact in order."""
    return [recorded for batch in book.database.fact_batches(50) for recorded in batch]


def dump(book: Book) -> dict[str, list[tuple[object, ...]]]:
    """Every row of what is projected."""
    connection = book.database._connection
    return {
        table: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2")]
        for table in ("item", "posting")
    }


def whole(folder: Folder) -> Interval:
    """The run's window."""
    return folder.settings.window
