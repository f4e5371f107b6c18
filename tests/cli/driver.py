"""One command in a process that meets with a misfortune: ``python -m tests.cli.driver HOW COUNT WORDS...``.

HOW is ``limit`` (no file may grow beyond COUNT bytes), or the place where the process sends itself the signal
of Ctrl-C when it comes there for the COUNT-th time: ``append`` (inside a transaction), ``committed``
(after one), ``lake`` (before a table is written) or ``invoice`` (before a document is).
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from offtake.cli.main import main
from offtake.store.database import Database
from offtake.store.lake import Lake
from offtake.workflows import render
from offtake.workflows.book import Book


class Interruption:
    """Counts how often a place is reached, and interrupts at one of them."""

    def __init__(self, count: int) -> None:
        self.left = count

    def before(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, perhaps after a Ctrl-C."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)
            return work(*args, **kwargs)

        return counted


def prepare(how: str, count: int) -> None:
    """Arrange the misfortune."""
    before = Interruption(count).before
    if how == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.RLIM_INFINITY))
    elif how == "append":
        Database.append = before(Database.append)  # type: ignore[method-assign]
    elif how == "committed":
        Book.find = before(Book.find)  # type: ignore[method-assign]
    elif how == "lake":
        Lake._write = before(Lake._write)  # type: ignore[method-assign]
    else:
        assert how == "invoice", how
        render.write_whole = before(render.write_whole)  # type: ignore[attr-defined]


if __name__ == "__main__":
    # a shell that starts this in the background has it ignore Ctrl-C, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    prepare(sys.argv[1], int(sys.argv[2]))
    main(sys.argv[3:])
