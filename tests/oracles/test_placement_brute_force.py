"""The assignment of nodes against every other one on tiny pools: moves, then shortfalls by rank."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.fleet.nodes import Layout
from offtake.placement.assign import assign
from offtake.placement.model import NONE, Nodes, Want, new_nodes

HOLDERS = ("a", "a", "b")


@st.composite
def pools(draw: st.DrawFn) -> tuple[Nodes, list[Want], int]:
    """Up to six nodes, some broken, some held by one of three claims, some not cleaned; wants; spares."""
    count = draw(st.integers(1, 6))
    claim = draw(st.lists(st.integers(-1, 2), min_size=count, max_size=count))
    last = draw(st.lists(st.integers(-1, 1), min_size=count, max_size=count))
    broken = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    holder = ["ab".index(HOLDERS[c]) if c >= 0 else h for c, h in zip(claim, last, strict=True)]
    nodes = replace(
        new_nodes(Layout(nodes=count, per_domain=draw(st.integers(1, 3)))),
        claims=("0", "1", "2"),
        holders=("a", "b"),
        claim=np.array(claim, dtype=np.int64),
        holder=np.array(holder, dtype=np.int64),
        failed=np.array(broken, dtype=np.bool_),
    )
    sizes = [draw(st.integers(0, count)) for _ in HOLDERS]
    wants = [Want(claim=str(i), holder=HOLDERS[i], nodes=n) for i, n in enumerate(sizes)]
    return nodes, wants, draw(st.integers(0, 3))


def assignments(nodes: Nodes, wants: list[Want], spares: int) -> Iterator[tuple[int, ...]]:
    """Every way to hand the nodes out that breaks no promise; a spare is a clean node that nobody gets."""
    clean = [h == NONE for h in nodes.holder.tolist()]
    hold_back = max(0, spares - int(nodes.failed.sum()))
    usable_clean = sum(c and not f for c, f in zip(clean, nodes.failed.tolist(), strict=True))
    for owners in product(range(-1, len(wants)), repeat=nodes.layout.nodes):
        given_out = [(n, c) for n, c in enumerate(owners) if c >= 0]
        allowed = all(
            not nodes.failed[n] and (clean[n] or "ab"[nodes.holder[n]] == HOLDERS[c]) for n, c in given_out
        )
        counts = [owners.count(c) for c in range(len(wants))]
        left = usable_clean - sum(clean[n] for n, _ in given_out)
        fits = all(count <= want.nodes for count, want in zip(counts, wants, strict=True))
        if allowed and fits and left >= min(hold_back, usable_clean):
            yield owners


def cost(nodes: Nodes, wants: list[Want], owners: tuple[int, ...]) -> tuple[int, list[int]]:
    """Nodes that leave a claim, then what each claim is short of, first served first."""
    left = sum(c >= 0 and c != owners[n] for n, c in enumerate(nodes.claim.tolist()))
    return left, [want.nodes - owners.count(c) for c, want in enumerate(wants)]


@settings(max_examples=150)
@given(pools())
def test_no_other_assignment_moves_fewer_nodes_or_serves_the_first_better(
    pool: tuple[Nodes, list[Want], int],
) -> None:
    nodes, wants, spares = pool
    done = assign(nodes, wants, spares=spares, now=1)
    best = min(cost(nodes, wants, owners) for owners in assignments(nodes, wants, spares))
    assert cost(nodes, wants, tuple(done.nodes.claim.tolist())) == best
    assert int(done.moved.sum()) <= int(done.taken.sum())
