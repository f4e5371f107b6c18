"""The right to place claims anew: known worths, the free plan as its limit, more resets never earn less."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.allocation.horizon import Wanted, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.reallocation import resets_of, value_of_reallocation, worth_between
from offtake.base.curve import Curve
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim, Firmness

NODE = 8
DAY_S = 24 * HOUR_S
MONTHS = [int(datetime(2027 + m // 12, m % 12 + 1, 1, tzinfo=UTC).timestamp()) for m in range(37)]
YEARS = Interval(MONTHS[0], MONTHS[-1])


def wanted(
    name: str, pools: tuple[str, ...], steps: list[tuple[int, int]], value: int, penalty: int = 0
) -> Wanted:
    claim = Claim(id=name, holder=name, firmness=Firmness.FIRM, pools=pools, gpus=Curve.from_steps(steps))
    return Wanted(claim=claim, value=value, penalty=penalty)


def supply(name: str, steps: list[tuple[int, int]]) -> Supply:
    return Supply(id=name, gpus_per_node=NODE, available=Curve.from_steps(steps))


@st.composite
def businesses(draw: st.DrawFn) -> tuple[list[Wanted], list[Supply]]:
    def steps(most: int) -> list[tuple[int, int]]:
        days = draw(st.lists(st.integers(0, 1_090), min_size=1, max_size=4, unique=True))
        return [(YEARS.start + day * DAY_S, NODE * draw(st.integers(0, most))) for day in sorted(days)]

    names = ("a", "b", "c")
    claims = []
    for i in range(draw(st.integers(1, 6))):
        own = tuple(draw(st.lists(st.sampled_from(names), min_size=1, unique=True)))
        value, penalty = draw(st.integers(1, 9)) * 10**6, draw(st.integers(0, 3)) * 10**6
        claims.append(wanted(f"c{i}", own, steps(6), value, penalty))
    return claims, [supply(name, steps(9)) for name in names]


def near(worth: int) -> int:
    """What a linear program may be wrong by."""
    return abs(worth) // 10**6 + 1


@settings(max_examples=60, deadline=None)
@given(businesses())
def test_more_resets_never_earn_less(made: tuple[list[Wanted], list[Supply]]) -> None:
    found = value_of_reallocation(*made, YEARS)
    assert [one.name for one in found] == ["never", "yearly", "quarterly", "monthly", "freely"]
    assert [one.resets for one in found[:4]] == [0, 2, 11, 35]
    for fewer, more in pairwise(found):
        assert fewer.worth <= more.worth + near(more.worth)
        assert fewer.loss >= more.loss - Fraction(1, 10**5)
    assert found[-1].worth == plan_horizon(*made, YEARS).bound


@settings(max_examples=60, deadline=None)
@given(businesses())
def test_resets_at_every_breakpoint_are_the_free_plan(made: tuple[list[Wanted], list[Supply]]) -> None:
    free = plan_horizon(*made, YEARS)
    worth, _ = worth_between(*made, YEARS, free.times.tolist())
    assert free.objective == free.bound
    assert abs(worth - free.bound) <= near(free.bound)


def test_a_claim_that_must_change_pools_loses_until_it_may() -> None:
    """Pool a is there until April 2027, b from then on: a claim of 24 months keeps 3 or 21 of them."""
    pools = [supply("a", [(MONTHS[0], 8), (MONTHS[3], 0)]), supply("b", [(MONTHS[3], 8)])]
    claim = wanted("c", ("a", "b"), [(MONTHS[0], 8), (MONTHS[24], 0)], 10**6)
    never, yearly, quarterly, monthly, freely = value_of_reallocation([claim], pools, YEARS)
    earned = {one.name: one.worth for one in (never, yearly, quarterly, monthly, freely)}
    full = 8 * 10**6 * (MONTHS[24] - MONTHS[0])
    second = 8 * 10**6 * (MONTHS[24] - MONTHS[12])
    assert earned["freely"] == full
    for name, worth in (("never", 0), ("yearly", second), ("quarterly", full), ("monthly", full)):
        assert earned[name] == pytest.approx(worth, rel=1e-6, abs=1), name
    assert yearly.loss == pytest.approx(float(1 - Fraction(second, full)), rel=1e-6)
    assert never.loss == 1


def test_months_are_those_of_the_zone() -> None:
    (first,) = resets_of(Interval(MONTHS[0] + DAY_S, MONTHS[1] + DAY_S), 1, "America/Chicago")
    assert first == MONTHS[1] + 6 * HOUR_S
    assert resets_of(YEARS, 0, "UTC") == []
    assert resets_of(YEARS, 12, "UTC") == [MONTHS[12], MONTHS[24]]


def test_what_can_t_be_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown pools"):
        worth_between([wanted("x", ("z",), [(0, 8)], 1)], [supply("a", [(0, 8)])], YEARS, [])
