"""Options that commands share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from offtake.base.errors import BadInput, Problem
from offtake.base.months import Month, parse_month
from offtake.base.outcome import Refused
from offtake.workflows.book import DATABASE, Book
from offtake.workflows.view import agreement_ids

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
BookDirectory = Annotated[
    Path,
    typer.Argument(metavar="BOOK", help="Directory of a book, such as out/colossus.", show_default=False),
]
FolderPath = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="Folder with offtake.toml, fleet.toml and agreements/.")
]


class RefusedByRule(Exception):
    """A business "no" on its way to the exit code."""

    def __init__(self, refused: Refused) -> None:
        self.refused = refused
        super().__init__(refused.sentence)


@contextmanager
def opened(directory: Path, *, projected: bool = True) -> Iterator[Book]:
    """The book in a directory, or in its ``book`` or ``out`` sub-directory; closed afterwards.

    Raises:
        BadInput: if both sub-directories hold one.
    """
    inside = [directory / name for name in ("book", "out") if (directory / name / DATABASE).exists()]
    if (directory / DATABASE).exists() or not inside:
        inside = [directory]
    if len(inside) > 1:
        problem = Problem(
            where=str(directory),
            code="two_books",
            message="there is a live book in book/ and a simulated one in out/",
            remedy=f"name one: {inside[0]} or {inside[1]}",
        )
        raise BadInput([problem])
    book = Book(inside[0], projected=projected)
    try:
        yield book
    finally:
        book.close()


def check_agreement_known(book: Book, agreement: str | None) -> None:
    """Refuse a filter by an agreement that the book doesn't have.

    Raises:
        BadInput: naming those it has.
    """
    known = agreement_ids(book.state)
    if agreement is not None and agreement not in known:
        problem = Problem(
            where=str(book.directory),
            code="unknown_agreement",
            message=f"there is no agreement {agreement!r}",
            remedy=f"agreements are {', '.join(known) or 'none yet'}",
        )
        raise BadInput([problem])


def read_month(where: str, text: str) -> Month:
    """A month that an option or argument gives.

    Raises:
        BadInput: naming where it stands.
    """
    try:
        return parse_month(text)
    except ValueError as error:
        problem = Problem(where=where, code="bad_month", message=str(error), remedy="write 2027-01")
        raise BadInput([problem]) from error


def wall_clock() -> int:
    """The present instant; the only clock of live commands."""
    return int(time.time())
