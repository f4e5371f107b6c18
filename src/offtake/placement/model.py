"""What is known of every node of a pool, what claims want of it, and who gets which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from offtake.fleet.nodes import Layout

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NONE = -1
"""In place of an index: no claim, no holder."""


class NodeState(IntEnum):
    """What a node is doing."""

    FREE = 0
    HELD = 1
    SPARE = 2
    CLEANING = 3
    FAILED = 4
    ABSENT = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nodes:
    """Every node of a pool.

    Shapes: n nodes by number. Units: instants in seconds UTC.

    Attributes:
        layout: how they stand together.
        claims: ids that `claim` points to.
        holders: names that `holder` points to.
        claim: int64[n], the claim that holds the node, or NONE.
        holder: int64[n], who is on the node, or was on it last and hasn't been cleaned away; NONE when clean.
        since: int64[n], from when the claim has held it, or when the last holder left; nought for others.
        spare: bool[n], held back.
        failed: bool[n].
        in_service: bool[n], installed and not retired.
    """

    layout: Layout
    claims: tuple[str, ...]
    holders: tuple[str, ...]
    claim: Ints
    holder: Ints
    since: Ints
    spare: Bools
    failed: Bools
    in_service: Bools

    @property
    def usable(self) -> Bools:
        """Nodes that work."""
        return self.in_service & ~self.failed

    @property
    def clean(self) -> Bools:
        """Nodes that anybody may be given."""
        clean: Bools = self.usable & (self.claim == NONE) & (self.holder == NONE)
        return clean

    @property
    def state(self) -> Ints:
        """NodeState of each; the first that applies of absent, failed, held, cleaning, spare, free."""
        conditions = (~self.in_service, self.failed, self.claim != NONE, self.holder != NONE, self.spare)
        states = (NodeState.ABSENT, NodeState.FAILED, NodeState.HELD, NodeState.CLEANING, NodeState.SPARE)
        return np.select(conditions, [np.int64(state) for state in states], np.int64(NodeState.FREE))


def new_nodes(layout: Layout, in_service: Bools | None = None) -> Nodes:
    """Nodes that nobody has held yet; all in service, unless said."""
    none = np.full(layout.nodes, NONE, dtype=np.int64)
    no = np.zeros(layout.nodes, dtype=np.bool_)
    return Nodes(
        layout=layout,
        claims=(),
        holders=(),
        claim=none,
        holder=none,
        since=np.zeros(layout.nodes, dtype=np.int64),
        spare=no,
        failed=no,
        in_service=~no if in_service is None else in_service,
    )


def failed(nodes: Nodes, which: Bools) -> Nodes:
    """The nodes once some have failed; the next assignment replaces those that are held."""
    return replace(nodes, failed=nodes.failed | which)


def restored(nodes: Nodes, which: Bools) -> Nodes:
    """The nodes once some work again."""
    return replace(nodes, failed=nodes.failed & ~which)


def sanitised(nodes: Nodes, which: Bools, at: int) -> Nodes:
    """The nodes once some were clean at an instant; of no effect on one that was held then or is held now."""
    clean = which & (nodes.claim == NONE) & (nodes.since <= at)
    return replace(nodes, holder=np.where(clean, NONE, nodes.holder), since=np.where(clean, 0, nodes.since))


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a plan gives a claim of a pool.

    Attributes:
        claim: its id.
        holder: who it is for; nodes pass between claims of one holder without cleaning.
        nodes: how many.
    """

    claim: str
    holder: str
    nodes: int

    def __post_init__(self) -> None:
        if self.nodes < 0:
            raise ValueError(f"claim {self.claim}: a claim can't have fewer than no nodes: {self.nodes}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """Who gets which nodes of a pool, and what that changed.

    Shapes: C claims in the order of `wants`. Units: nodes.

    Attributes:
        nodes: every node as it is now.
        wants: what was asked for, first served first.
        held: int64[C], what each has; less than it wants where not enough nodes may be given to it.
        given: int64[C], nodes that it hadn't before.
        taken: int64[C], nodes that it had before and has no more.
        moved: int64[C], how many of those given replace one that was taken: no assignment moves fewer.
        spares: how many nodes should be held back.
    """

    nodes: Nodes
    wants: tuple[Want, ...]
    held: Ints
    given: Ints
    taken: Ints
    moved: Ints
    spares: int


def index_of(names: Sequence[str], into: Sequence[str]) -> Ints:
    """For each name its place in another sequence, or NONE; at the end NONE once more, for NONE itself."""
    places = {name: i for i, name in enumerate(into)}
    return np.array([*(places.get(name, NONE) for name in names), NONE], dtype=np.int64)
