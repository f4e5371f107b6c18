"""A tick on a book with a thousand facts and on one with a million, with the same state.

The long log is half a million payments and their entries, so balances differ and everything else is equal.
The same six months are then closed on both books, month by month. Target: at most 1.2 times.

Run: ``python -m benchmarks`` or ``python benchmarks/bench_tick.py``. ``OFFTAKE_BENCH_FACTS`` makes it
shorter.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from importlib.resources import as_file, files
from pathlib import Path

from offtake.base.money import Money
from offtake.base.months import month_of
from offtake.billing.document import Received
from offtake.billing.entries import entry_for_payment
from offtake.formats.folder import load_folder
from offtake.formats.plain import to_plain
from offtake.sim.run import Simulation
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.settle import posted

SHORT, LONG, TARGET = 1_000, 1_000_000, 1.2
_BATCH = 20_000


def filled(book: Book, facts: int) -> None:
    """Bring a book to so many facts with payments that no document asked for."""
    at = book.state.now
    while book.state.head[0] < facts:
        first = book.state.head[0]
        batch: list[Fact] = []
        for i in range(first, min(first + _BATCH, facts), 2):
            amount, id_ = Money(1, "USD"), f"filler-{i}"
            body = to_plain(Received(id=id_, agreement="acme", amount=amount, received_at=at))
            batch += [
                Fact(kind="payment.received", id=id_, effective_at=at, recorded_at=at, body=body),
                posted(entry_for_payment(id_, "acme", at, amount, amount), at, payment=id_, applied=[]),
            ]
        with book.writing():
            book.append(batch)
        print(f"\r  {book.state.head[0]:,} facts", end="", file=sys.stderr)
    print(file=sys.stderr)


def begun(folder: Path, directory: Path, facts: int) -> tuple[Book, Simulation]:
    """A book that has run two months, with its log brought to a length."""
    loaded = load_folder(folder)
    book = Book(directory, create=True)
    simulation = Simulation(book, loaded)
    simulation.run(loaded.settings.first.plus(1).interval(loaded.settings.time_zone).end)
    filled(book, facts)
    return book, simulation


def main() -> None:
    """Print the ratio."""
    wanted = int(os.environ.get("OFFTAKE_BENCH_FACTS", LONG))
    with as_file(files("offtake.cli") / "starter") as starter, tempfile.TemporaryDirectory() as scratch:
        pairs = [begun(starter, Path(scratch) / str(n), n) for n in (SHORT, wanted)]
        spent = [[], []]
        for _ in range(6):
            for i, (book, simulation) in enumerate(pairs):
                zone = "America/New_York"
                month = month_of(book.state.now, zone)
                start = time.process_time()
                simulation.run(month.interval(zone).end)
                spent[i].append(time.process_time() - start)
        opened = []
        for book, _ in pairs:
            start = time.process_time()
            again = Book(book.directory)
            opened.append(time.process_time() - start)
            again.close()
            book.close()
    short, long = (sum(times) / len(times) for times in spent)
    print(f"{'facts':>12}{'ms a month closed':>20}{'ms to open':>14}")
    for count, mean, open_s in zip((SHORT, wanted), (short, long), opened, strict=True):
        print(f"{count:12,}{mean * 1000:20.1f}{open_s * 1000:14.1f}")
    print(
        f"ratio {long / short:.2f} (target: at most {TARGET}), cpu time, months closed in turn on both books"
    )


if __name__ == "__main__":
    main()
