"""Hash trees over readings: one root commits to all of them, and a short path proves that one belongs.

Source: RFC 6962, section 2.1: leaves and nodes are hashed under different prefixes, so that neither can pass
for the other; an odd last node is carried up as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

EMPTY = hashlib.sha256(b"").digest()
"""The root of no leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sibling:
    """One step of a path: the other child's hash, and whether it is on the left."""

    hash: bytes
    left: bool


def leaf(content: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


def node(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaves that are hashed already, in their order."""
    level = list(leaves)
    if not level:
        return EMPTY
    while len(level) > 1:
        level = _above(level)
    return level[0]


def path(leaves: Sequence[bytes], index: int) -> tuple[Sibling, ...]:
    """What proves that a leaf belongs to the root, from the bottom up.

    Raises:
        IndexError: if there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"there are {len(leaves)} leaves, none at {index}")
    level, steps = list(leaves), []
    while len(level) > 1:
        other = index ^ 1
        if other < len(level):
            steps.append(Sibling(hash=level[other], left=other < index))
        level, index = _above(level), index // 2
    return tuple(steps)


def climbed(found: bytes, steps: Iterable[Sibling]) -> bytes:
    """The root that a leaf and its path lead to."""
    for step in steps:
        found = node(step.hash, found) if step.left else node(found, step.hash)
    return found


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = [node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*pairs, level[-1]] if len(level) % 2 else pairs
