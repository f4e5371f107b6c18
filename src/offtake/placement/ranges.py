"""Numbers of nodes as people write them: ``0-17,36-53``."""

from __future__ import annotations

import re

import numpy as np

from offtake.placement.model import Ints

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def format_nodes(nodes: Ints) -> str:
    """Numbers in rising order as ranges, both ends included."""
    if not len(nodes):
        return ""
    last = np.flatnonzero(np.diff(nodes, append=-1) != 1)
    first = np.append(0, last[:-1] + 1)
    return ",".join(
        f"{a}" if a == b else f"{a}-{b}"
        for a, b in zip(nodes[first].tolist(), nodes[last].tolist(), strict=True)
    )


def parse_nodes(text: str, count: int) -> Ints:
    """The numbers that ranges name, in rising order, once each.

    Args:
        text: such as ``0-17,36``; spaces are ignored.
        count: nodes are numbered from 0, and there are so many.

    Raises:
        ValueError: saying what is wrong with which range.
    """
    chosen = np.zeros(count, dtype=np.bool_)
    for part in text.replace(" ", "").split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no number or range of nodes, such as 7 or 0-17")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"the range {part} ends before it begins")
        if last >= count:
            raise ValueError(f"there is no node {last}: they are numbered 0 to {count - 1}")
        chosen[first : last + 1] = True
    return np.flatnonzero(chosen)
