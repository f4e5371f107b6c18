"""What holds of every assignment of nodes, whatever came before it: a machine beside a naive model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from offtake.fleet.nodes import Layout
from offtake.placement.assign import assign
from offtake.placement.figures import figures
from offtake.placement.model import (
    NONE,
    Assignment,
    Bools,
    NodeState,
    Want,
    failed,
    new_nodes,
    restored,
    sanitised,
)
from offtake.placement.ranges import format_nodes, parse_nodes

HOLDERS = {"a1": "a", "a2": "a", "b": "b", "c": "c", "d": "d"}
layouts = st.builds(
    lambda domains, size, unit, failure: Layout(
        nodes=domains * size,
        per_domain=size,
        per_unit=unit and unit * size,
        per_failure_domain=unit and failure and failure * unit * size,
    ),
    st.integers(1, 12),
    st.integers(1, 4),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 3),
)


def wants_of(sizes: dict[str, int]) -> list[Want]:
    return [Want(claim=claim, holder=HOLDERS[claim], nodes=nodes) for claim, nodes in sizes.items()]


class Placing(RuleBasedStateMachine):
    """Claims come, grow, shrink and go; nodes fail, come back, are cleaned and are added to the pool.

    The model is three plain dicts: who holds each node, who is on it, and since when that is so.
    """

    @initialize(layout=layouts, spares=st.integers(0, 5), later=st.integers(0, 8))
    def begin(self, layout: Layout, spares: int, later: int) -> None:
        there = np.arange(layout.nodes) < max(1, layout.nodes - later)
        self.nodes = new_nodes(layout, there)
        self.spares = spares
        self.now = 0
        self.done: Assignment | None = None
        self.held: dict[int, str] = {}
        self.on: dict[int, str] = {}
        self.since: dict[int, int] = {}

    def some(self, picked: set[int]) -> Bools:
        chosen = np.zeros(self.nodes.layout.nodes, dtype=np.bool_)
        chosen[[n % len(chosen) for n in picked]] = True
        return chosen

    def working(self) -> set[int]:
        return {int(n) for n in np.flatnonzero(self.nodes.in_service & ~self.nodes.failed)}

    @rule(sizes=st.dictionaries(st.sampled_from(sorted(HOLDERS)), st.integers(0, 20)))
    def place(self, sizes: dict[str, int]) -> None:
        self.now += 1
        before, wants = dict(self.held), wants_of(sizes)
        done = assign(self.nodes, wants, spares=self.spares, now=self.now)
        names = [*sizes, None]
        after = {n: claim for n, c in enumerate(done.nodes.claim.tolist()) if (claim := names[c])}
        self.check_stays(before, after, sizes)
        self.check_counts(before, after, sizes, done)
        for node, claim in after.items():
            assert self.on.get(node, HOLDERS[claim]) == HOLDERS[claim], "not cleaned"
            self.on[node] = HOLDERS[claim]
        assert done.held.tolist() == [list(after.values()).count(claim) for claim in sizes]
        changed = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)}
        self.since.update(dict.fromkeys(changed, self.now))
        self.held, self.nodes, self.done = after, done.nodes, done

    def check_stays(self, before: dict[int, str], after: dict[int, str], sizes: dict[str, int]) -> None:
        """Nothing leaves a claim that isn't broken or beyond what it wants."""
        for claim, want in sizes.items():
            had = {n for n, c in before.items() if c == claim} & self.working()
            has = {n for n, c in after.items() if c == claim}
            assert len(had & has) == min(len(had), want)

    def check_counts(
        self, before: dict[int, str], after: dict[int, str], sizes: dict[str, int], done: Assignment
    ) -> None:
        """Who gets how many, and how many spares there are, counted one by one in the order of the claims."""
        stay = {n for n, c in before.items() if after.get(n) == c and n in self.working()}
        rest = [n for n in self.working() if n not in stay]
        clean = sum(n not in self.on for n in rest)
        out_of_order = int((self.nodes.failed & self.nodes.in_service).sum())
        spare = min(clean, max(0, self.spares - out_of_order))
        assert int(done.nodes.spare.sum()) == spare
        assert not set(np.flatnonzero(done.nodes.spare).tolist()) & after.keys()
        clean -= spare
        left = {holder: sum(self.on.get(n) == holder for n in rest) for holder in HOLDERS.values()}
        for i, (claim, want) in enumerate(sizes.items()):
            need = want - sum(before[n] == claim for n in stay)
            own = min(need, left[HOLDERS[claim]])
            new = min(need - own, clean)
            left[HOLDERS[claim]] -= own
            clean -= new
            assert int(done.held[i]) == want - need + own + new

    @rule(picked=st.sets(st.integers(0, 50), max_size=4))
    def fail(self, picked: set[int]) -> None:
        self.nodes = failed(self.nodes, self.some(picked))

    @rule(picked=st.sets(st.integers(0, 50), max_size=8))
    def restore(self, picked: set[int]) -> None:
        self.nodes = restored(self.nodes, self.some(picked))

    @rule(picked=st.sets(st.integers(0, 50), max_size=12), late=st.integers(0, 2))
    def sanitise(self, picked: set[int], late: int) -> None:
        """Evidence on nodes that are held, or from before the last holder left, says nothing."""
        chosen, at = self.some(picked), self.now - late
        for node in np.flatnonzero(chosen).tolist():
            if node not in self.held and self.since.get(node, 0) <= at:
                self.on.pop(node, None)
                self.since.pop(node, None)
        self.nodes = sanitised(self.nodes, chosen, at)

    @rule()
    def install(self) -> None:
        self.nodes = replace(self.nodes, in_service=np.ones_like(self.nodes.in_service))

    @precondition(lambda self: self.done is not None)
    @rule()
    def place_again(self) -> None:
        """A second time changes nothing, if nothing happened."""
        assert self.done is not None
        again = assign(self.done.nodes, self.done.wants, spares=self.spares, now=self.now + 1)
        for name in ("claim", "holder", "since", "spare"):
            assert np.array_equal(getattr(again.nodes, name), getattr(self.done.nodes, name)), name
        assert not again.given.any()
        assert not again.taken.any()

    @invariant()
    def who_is_on_a_node_is_known(self) -> None:
        names = [*self.nodes.holders, None]
        assert {n: h for n, h in enumerate(names[i] for i in self.nodes.holder.tolist()) if h} == self.on
        assert self.nodes.since.tolist() == [self.since.get(n, 0) for n in range(self.nodes.layout.nodes)]

    @invariant()
    def figures_add_up(self) -> None:
        if self.done is None:
            return
        found = figures(self.done)
        assert sum(found.states.values()) == self.nodes.layout.nodes
        assert found.states[NodeState.HELD] == int(self.done.held.sum())
        for claim, one in zip(self.done.wants, found.claims, strict=True):
            numbers = [n for n, c in enumerate(self.done.nodes.claim.tolist()) if c >= 0]
            mine = [n for n in numbers if self.done.nodes.claims[self.done.nodes.claim[n]] == claim.claim]
            size, unit, _ = self.nodes.layout.sizes()
            assert one.domains == len({n // size for n in mine}) >= one.domains_min
            assert one.units == len({n // unit for n in mine}) >= one.units_min
            short = one.held < one.wanted
            spread = one.domains > one.domains_min or one.units > one.units_min
            assert len(one.reasons) == short + spread


TestPlacing = Placing.TestCase
TestPlacing.settings = settings(max_examples=120, stateful_step_count=25)


@given(layouts, st.data())
def test_whole_domains_stay_whole_on_a_pool_that_nobody_holds(layout: Layout, data: st.DataObject) -> None:
    """Claims of whole domains share none; a claim alone is in the fewest domains and units there are."""
    free = layout.nodes // layout.per_domain
    sizes = {}
    for claim in HOLDERS:
        sizes[claim] = data.draw(st.integers(0, free)) * layout.per_domain
        free -= sizes[claim] // layout.per_domain
    found = figures(assign(new_nodes(layout), wants_of(sizes), now=1))
    assert found.domains_split == 0
    assert all(one.domains == one.domains_min and one.held == one.wanted for one in found.claims)
    alone = data.draw(st.integers(0, layout.nodes))
    one = figures(assign(new_nodes(layout), wants_of({"b": alone}), now=1)).claims[0]
    assert (one.domains, one.units, one.reasons) == (one.domains_min, one.units_min, ())


@given(st.sets(st.integers(0, 60)))
def test_ranges_are_read_as_they_are_written(numbers: set[int]) -> None:
    text = format_nodes(np.array(sorted(numbers), dtype=np.int64))
    assert (set(parse_nodes(text, 61).tolist()) if text else set()) == numbers


def test_nobody_is_none() -> None:
    assert new_nodes(Layout(nodes=3)).claim.tolist() == [NONE] * 3
