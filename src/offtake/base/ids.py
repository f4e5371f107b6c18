"""Names of things: short, lower-case, safe in paths, keys and ledger accounts."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_name(name: str) -> str:
    """Return a valid name.

    Raises:
        ValueError: unless it is 1 to 63 of a-z, 0-9, dot, dash, underscore, beginning with a letter or digit.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no valid name; use a-z, 0-9, '.', '-', '_' and begin with a letter or digit"
        )
    return name
