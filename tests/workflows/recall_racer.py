"""One of several people who issue plans at the same moment: waits for a line, issues, says what came.

Where a notice is named last, the process kills itself as it is about to record that one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from offtake.base.outcome import Refused
from offtake.workflows import recall_life
from offtake.workflows.book import Book
from offtake.workflows.recall_plan import plan_from
from offtake.workflows.record import record_event


def main(directory: str, plan: str, now: str, who: str, dies_at: str = "") -> None:
    """Issue the plan in a file once standard input says so."""

    def recorded(book: Book, event: Any, at: int) -> Any:
        if event.id == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return record_event(book, event, at)

    found = plan_from(json.loads(Path(plan).read_text(encoding="utf-8")))
    book = Book(Path(directory))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    with patch.object(recall_life, "record_event", recorded):
        outcomes = recall_life.issue_recall(book, found, int(now), who)
    book.close()
    if isinstance(outcomes, Refused):
        said = [outcomes.code, outcomes.sentence]
    else:
        said = [type(outcome).__name__ for _, outcome in outcomes]
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
