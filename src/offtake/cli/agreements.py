"""How commands name agreements, days and files."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from offtake.agreements.model import Agreement
from offtake.base.errors import BadInput, Problem
from offtake.cli.options import check_agreement_known, opened
from offtake.formats.agreement import parse_agreement
from offtake.formats.files import read_text
from offtake.workflows.view import agreement_of

Subject = Annotated[str, typer.Argument(metavar="FILE|ID", help="An agreement file, or an id with --book.")]
BookPath = Annotated[Path | None, typer.Option("--book", help="Read agreements as a book knows them.")]


def load(subject: str, book: Path | None) -> Agreement:
    """The agreement of a file, or of a book by its id.

    Raises:
        BadInput: for a file that can't be read or isn't sound, or an id that the book doesn't have.
    """
    if book is None:
        return parse_agreement(text_of(Path(subject)), subject)
    with opened(book) as target:
        check_agreement_known(target, subject)
        return agreement_of(target.state, subject)


def text_of(path: Path) -> str:
    """A file's text.

    Raises:
        BadInput: if it can't be read.
    """
    return read_text(path, remedy="name a file, or an id together with --book")


def day_of(option: str, text: str) -> date:
    """A date that an option gives.

    Raises:
        BadInput: naming the option.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        problem = Problem(where=option, code="bad_date", message=str(error), remedy="write 2027-03-01")
        raise BadInput([problem]) from error
