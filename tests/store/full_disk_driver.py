"""Runs a folder into a directory under a limit of bytes per file; prints what came of it as JSON.

``python -m tests.store.full_disk_driver FOLDER OUT BYTES``: no limit when BYTES is 0.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from offtake.base.errors import BookError
from offtake.formats.folder import load_folder
from offtake.sim.run import Simulation
from offtake.workflows.book import Book


def main(folder: Path, out: Path, limit: int) -> None:
    """Run as far as the disk allows."""
    loaded = load_folder(folder)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        book = Book(out, create=True)
        Simulation(book, loaded).run()
    except BookError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}))
        sys.exit(error.exit_code)
    print(json.dumps({"head": list(book.state.head), "verified": book.database.verify()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
