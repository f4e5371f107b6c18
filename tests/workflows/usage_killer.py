"""Takes batches in one after the other until it is killed: ``python -m tests.workflows.usage_killer BOOK``.

Prints the name of each batch once it is taken in.
"""

from __future__ import annotations

import sys
from pathlib import Path

from offtake.workflows.book import Book
from offtake.workflows.usage import Ingested, ingest
from tests.workflows.test_usage import reading, table
from tests.workflows.worlds import at

BATCHES, ROWS = 40, 400


def main(directory: str) -> None:
    book = Book(Path(directory))
    for k in range(BATCHES):
        rows = [reading(f"r{k}-{i}", at(2, 3) + i * 60, seconds=60, gpus=1) for i in range(ROWS)]
        outcome = ingest(book, table(*rows), batch=f"b{k}", now=at(3, 1))
        if not isinstance(outcome, Ingested):
            sys.exit(outcome.sentence)
        print(f"b{k}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
