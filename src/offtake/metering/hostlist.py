"""Slurm's shorthand for names of nodes, such as ``n[01-03,08],login``."""

from __future__ import annotations

import re

MOST = 100_000
"""More names than any cluster has."""

_PART = re.compile(r"([^\[\],]*)(?:\[([^\[\]]*)\])?([^\[\],]*)")


def expand_nodes(text: str) -> list[str]:
    """Every name, in the order of the text.

    Raises:
        ValueError: for text that isn't such a list.
    """
    found: list[str] = []
    for part in re.split(r",(?![^\[]*\])", text):
        if not part or part in ("(null)", "None", "None assigned"):
            continue
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no list of nodes, such as n[01-03,08]")
        before, ranges, after = match.groups()
        if ranges is None:
            found.append(part)
            continue
        for one in ranges.split(","):
            first, _, last = one.partition("-")
            last = last or first
            if not (first.isdecimal() and last.isdecimal()) or not 0 <= int(last) - int(first) < MOST:
                raise ValueError(f"{one!r} in {part!r} is no range of numbers")
            found += [f"{before}{i:0{len(first)}d}{after}" for i in range(int(first), int(last) + 1)]
    return found
