"""One of several people who issue plans at the same moment: waits for a line, issues, says what came."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from offtake.base.outcome import Refused
from offtake.workflows.book import Book
from offtake.workflows.recall_life import issue_recall
from offtake.workflows.recall_plan import plan_from


def main(directory: str, plan: str, now: str, who: str) -> None:
    """Issue the plan in a file once standard input says so."""
    found = plan_from(json.loads(Path(plan).read_text(encoding="utf-8")))
    book = Book(Path(directory))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    outcomes = issue_recall(book, found, int(now), who)
    book.close()
    if isinstance(outcomes, Refused):
        said = [outcomes.code, outcomes.sentence]
    else:
        said = [type(outcome).__name__ for _, outcome in outcomes]
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
