"""Files written whole or not at all, and texts read with a problem for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from offtake.base.errors import BadInput, BookFull, Problem


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name and rename it; through a link to where it points.

    What isn't a regular file (a device, a pipe) is written to, never replaced.

    Raises:
        BadInput: if the path is a directory.
        BookFull: if the disk refuses; nothing half-written stays.
    """
    target = path.resolve()
    if target.is_dir():
        problem = Problem(
            where=str(path), code="is_directory", message="it is a directory", remedy="name a file"
        )
        raise BadInput([problem])
    with disk_errors(path):
        if target.exists() and not target.is_file():
            target.write_bytes(data)
            return
        part = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def read_text(path: Path, *, remedy: str = "") -> str:
    """A file's text, in UTF-8.

    Raises:
        BadInput: `unreadable`, if it can't be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = Problem(where=str(path), code="unreadable", message=str(error), remedy=remedy)
        raise BadInput([problem]) from error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say which file the disk refused, and what to do.

    Raises:
        BookFull: in place of any error of the operating system.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise BookFull(
            f"{path}: {why}; make room or check permissions, and run the same command again"
        ) from error
