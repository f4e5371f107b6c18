"""Runs a folder in children that kill themselves at chosen points, and lets them go on: one JSON line each.

Started as a program of its own (``python -m tests.simulation.kill_driver FOLDER WORK CHOICE``, a choice in
JSON): it imports everything once and forks, so that a run costs no import. A point is any moment at which the
book or its lake touches the disk, before and after.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from offtake.formats.folder import load_folder
from offtake.sim.run import Simulation
from offtake.store.database import Database
from offtake.store.lake import Lake
from offtake.workflows.book import Book

# heavy imports that runs make lazily: here, so that children don't pay for them
import pyarrow.parquet  # isort: skip # noqa: F401


class Points:
    """Counts points and kills this very process at one of them, as a power cut would."""

    def __init__(self, kill_at: int | None) -> None:
        self.kill_at = kill_at
        self.seen: list[str] = []

    def reach(self, name: str) -> None:
        """One more point; the end of the process if it is the chosen one."""
        self.seen.append(name)
        if self.kill_at == len(self.seen) - 1:
            os.kill(os.getpid(), signal.SIGKILL)


def install(points: Points) -> None:
    """Report every touch of the disk to `points`."""
    transaction, append = Database._transaction, Database.append
    write, replace = Lake._write, Path.replace

    @contextmanager
    def counted_transaction(self: Database) -> Iterator[None]:
        with transaction(self):
            points.reach("begun")
            yield
            points.reach("before commit")
        points.reach("after commit")

    def counted_append(self: Database, *args: Any) -> Any:
        result = append(self, *args)
        points.reach("appended")
        return result

    def counted_write(self: Lake, *args: Any) -> None:
        points.reach("before lake")
        write(self, *args)
        points.reach("after lake")

    def counted_replace(self: Path, target: Any) -> Path:
        points.reach("before rename")
        return replace(self, target)

    Database._transaction = counted_transaction  # type: ignore[method-assign]
    Database.append = counted_append  # type: ignore[method-assign,assignment]
    Lake._write = counted_write  # type: ignore[method-assign,assignment]
    Path.replace = counted_replace  # type: ignore[method-assign,assignment]


def contents(book: Book) -> dict[str, Any]:
    """What must not depend on how often the process died: the head and every projected row."""
    connection = book.database._connection
    dumps = {}
    for table in ("item", "posting"):
        rows = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2").all()
        dumps[table] = hashlib.sha256(repr([tuple(row) for row in rows]).encode()).hexdigest()
    return {"head": list(book.state.head), "verified": book.database.verify(), **dumps}


def run(folder: Path, out: Path) -> dict[str, Any]:
    """Begin or go on, to the end."""
    book = Book(out, create=True)
    try:
        simulation = Simulation(book, load_folder(folder))
        refused = simulation.check()
        assert refused is None, refused
        result = simulation.run()
        return {**contents(book), "refused": result.refused}
    finally:
        book.close()


def forked(work: Callable[[], dict[str, Any]], answer: Path) -> int:
    """Do work in a child that writes its answer; the child's wait status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            answer.write_text(json.dumps(work()), encoding="utf-8")
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


def chosen(points: list[str], choice: dict[str, Any]) -> list[int]:
    """Points to die at: one at random in each of so many stretches, among the first so many of a kind."""
    dice = random.Random(choice["seed"])
    candidates = [i for i, name in enumerate(points) if choice["at"] in (None, name)][: choice["first"]]
    kills, count = choice["kills"], len(candidates)
    return [candidates[dice.randrange(count * k // kills, count * (k + 1) // kills)] for k in range(kills)]


def main(folder: Path, work: Path, choice: dict[str, Any]) -> None:
    """A whole run, then runs that die and go on."""
    answer = work / "answer.json"

    def whole() -> dict[str, Any]:
        points = Points(None)
        install(points)
        return {**run(folder, work / "whole"), "points": points.seen}

    assert forked(whole, answer) == 0, "the uninterrupted run failed"
    expected = json.loads(answer.read_text(encoding="utf-8"))
    points = expected.pop("points")
    print(json.dumps({"whole": expected, "points": points}))
    for point in chosen(points, choice):
        out = work / f"killed-{point}"

        def dying(point: int = point, out: Path = out) -> dict[str, Any]:
            install(Points(point))
            return run(folder, out)

        answer.unlink(missing_ok=True)
        status = forked(dying, answer)
        died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and not answer.exists()
        status = forked(lambda out=out: run(folder, out), answer)  # type: ignore[misc]
        resumed = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else {"status": status}
        print(json.dumps({"point": point, "name": points[point], "died": died, "resumed": resumed}))
        shutil.rmtree(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
