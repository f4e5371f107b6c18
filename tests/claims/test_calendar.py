"""The calendar against a plain list of commitments, hour by hour."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.claims.calendar import Calendar, Kind

HOURS = 48
POOLS = {"a": Curve.from_steps([(0, 40), (20, 60)]), "b": Curve.from_steps([(5, 16), (30, 8)])}
STEPS = st.lists(
    st.tuples(st.integers(0, HOURS), st.integers(0, 20)),
    min_size=1,
    max_size=4,
    unique_by=lambda step: step[0],
)


class Calendars(RuleBasedStateMachine):
    """Commitments come and go; the answers are those of adding everything up."""

    def __init__(self) -> None:
        super().__init__()
        self.calendar = Calendar.of(POOLS)
        self.plain: dict[str, tuple[str, Kind, Curve]] = {}

    @rule(pool=st.sampled_from(sorted(POOLS)), kind=st.sampled_from(Kind), steps=STEPS)
    def add(self, pool: str, kind: Kind, steps: list[tuple[int, int]]) -> None:
        name = f"c{len(self.plain)}-{len(steps)}"
        if name in self.plain:
            with pytest.raises(ValueError, match="already"):
                self.calendar.add(name, pool, kind, Curve.zero())
            return
        curve = Curve.from_steps(sorted(steps))
        self.calendar.add(name, pool, kind, curve)
        self.plain[name] = pool, kind, curve

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.plain:
            name = data.draw(st.sampled_from(sorted(self.plain)))
            self.calendar.remove(name)
            del self.plain[name]

    @rule(start=st.integers(0, HOURS - 1), length=st.integers(1, HOURS), kinds=st.sets(st.sampled_from(Kind)))
    def ask(self, start: int, length: int, kinds: set[Kind]) -> None:
        hours = np.arange(start, start + length)
        least = {}
        for pool, available in POOLS.items():
            left = available.at(hours)
            for own, kind, curve in self.plain.values():
                if own == pool and kind in kinds:
                    left = left - curve.at(hours)
            least[pool] = int(left.min())
            assert self.calendar.free(pool, Interval(start, start + length), kinds) == least[pool]
            assert (self.calendar.curve(pool, kinds).at(hours) == left).all()
        wanted = max(least.values())
        found = self.calendar.pools_free(wanted, Interval(start, start + length), kinds)
        assert found == tuple(pool for pool in POOLS if least[pool] >= wanted)

    @invariant()
    def commitments_are_kept(self) -> None:
        assert self.calendar.commitments == self.plain


TestCalendars = Calendars.TestCase
TestCalendars.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_what_can_t_be_asked_or_committed_is_refused() -> None:
    calendar = Calendar.of(POOLS)
    with pytest.raises(ValueError, match="no pool 'c'; it has a, b"):
        calendar.free("c", Interval(0, 1))
    with pytest.raises(ValueError, match="fewer than no GPUs"):
        calendar.add("x", "a", Kind.FIRM, Curve.from_steps([(0, -1)]))
    with pytest.raises(KeyError):
        calendar.remove("x")
