"""A tick, a commitment and a sending that die at the n-th statement to the database.

    python -m tests.workflows.tick_killer BOOK OUTBOX N

Prints how many statements there were if it lived. N of 0 lives.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import sqlalchemy as sa

from offtake.store.keys import load_key
from offtake.workflows.book import Book
from offtake.workflows.render import send_documents
from offtake.workflows.statement import commit
from offtake.workflows.tick import tick
from tests.workflows.worlds import at

NOW = at(3, 1)


def main(directory: str, outbox: str, die_at: int) -> None:
    seen = 0

    @sa.event.listens_for(sa.engine.Engine, "before_cursor_execute")
    def count(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    book = Book(Path(directory))
    key = load_key(book.directory)
    if key is None:
        sys.exit("the book has no key")
    tick(book, NOW)
    commit(book, key, NOW)
    send_documents(book, Path(outbox), NOW, by="mail")
    print(seen)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
