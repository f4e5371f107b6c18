"""Every exception offtake raises, and the shape of a problem found in someone's input.

    OfftakeError
    ├── BadInput            a file or a request; carries every Problem found
    ├── BookError           the book on disk
    │   ├── BookCorrupt     the chain of facts or a database page doesn't verify
    │   ├── BookMissing     there is no book where one was expected
    │   ├── BookBusy        another process writes to it
    │   └── BookFull        the disk under it is full or refuses writes
    ├── ClockBackwards      a fact or a tick earlier than what the book already knows
    └── Broken              an invariant of money, ledger or capacity doesn't hold

A business "no" is not an exception: see `offtake.base.outcome.Refused`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with an input, with what to do about it.

    Attributes:
        where: file and path inside it, such as ``agreements/google.toml: tranche[0].start``.
        code: stable machine-readable word, such as ``unknown_pool``.
        message: what is wrong, with the offending value.
        remedy: what would be right.
        line: of the file, from 1, where it is known.
    """

    where: str
    code: str
    message: str
    remedy: str = ""
    line: int | None = None

    def within(self, outer: str) -> Problem:
        """The same problem, its place named within a file or a section."""
        return replace(self, where=f"{outer}: {self.where}" if self.where else outer)

    def __str__(self) -> str:
        """One line for people."""
        file, colon, path = self.where.partition(": ")
        where = self.where if self.line is None else f"{file}:{self.line}{colon}{path}"
        return f"{where}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


class OfftakeError(Exception):
    """Root of the tree; `exit_code` is what the command line returns for it."""

    exit_code = 1


class BadInput(OfftakeError):
    """Input that can't be accepted; nothing was recorded."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


class BookError(OfftakeError):
    """Something about the book on disk."""

    exit_code = 4


class BookCorrupt(BookError):
    """The log's hash chain or the database itself doesn't verify."""


class BookMissing(BookError):
    """No book where one was expected."""


class BookBusy(BookError):
    """Another process holds the book's write lock."""


class BookFull(BookError):
    """The disk refused a write; the last committed state is intact."""


class ClockBackwards(OfftakeError):
    """An instant earlier than what the book already knows."""

    exit_code = 5


class Broken(OfftakeError):
    """An invariant failed: a bug, never the user's fault."""

    exit_code = 70


def ensure(condition: bool, message: str) -> None:
    """Guard money, ledger and capacity in production.

    Raises:
        Broken: when the condition doesn't hold.
    """
    if not condition:
        raise Broken(message)
