"""What the right to move is worth: by hand, in order, and against published figures."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from offtake.allocation.horizon import Wanted, plan_horizon
from offtake.allocation.model import Supply
from offtake.allocation.reallocation import value_of_reallocation
from offtake.base.time import HOUR_S
from tests.allocation.test_horizon import HOURS, WINDOW, businesses, curve, supply, wanted

EVERY = [("never", HOURS), ("half", HOURS // 2), ("sixth", HOURS // 6), ("hourly", 1)]


def regimes(hours: int) -> list[tuple[str, np.ndarray]]:
    return [(name, np.arange(0, hours, step) * HOUR_S) for name, step in EVERY]


@settings(max_examples=15, deadline=None)
@given(businesses())
def test_more_freedom_earns_no_less(made: tuple[list[Wanted], list[Supply]]) -> None:
    claims, pools = made
    found = value_of_reallocation(claims, pools, WINDOW, regimes(HOURS))
    worths = [one.worth for one in found]
    assert worths == pytest.approx(sorted(worths), rel=1e-7, abs=1e-4)
    # reset at every breakpoint there is, and divisible: no more than free moves are bound by
    assert found[-2].worth <= found[-1].worth + 1e-4
    assert found[-1].worth == pytest.approx(plan_horizon(claims, pools, WINDOW).bound / HOUR_S / 1e6)


def test_a_claim_that_has_to_stay_loses_what_another_could_have_had() -> None:
    pools = [supply("a", curve([(0, 8)])), supply("b", curve([(12, 8)]))]
    flexible = wanted("f", ("a", "b"), curve([(0, 8)], last=HOURS), 10**6)
    fixed = wanted("x", ("a",), curve([(12, 8)], last=HOURS), 2 * 10**6)
    found = {one.name: one for one in value_of_reallocation([flexible, fixed], pools, WINDOW, regimes(HOURS))}
    assert found["free"].worth == pytest.approx(8 * (24 + 2 * 12))
    # one of the two has all of a: the one for a day, or the other for half a day at twice the worth
    assert found["never"].worth == pytest.approx(8 * 24)
    assert found["half"].loss == pytest.approx(0)


@pytest.mark.parametrize(
    ("align", "losses"),
    [("day", [0.129, 0.104, 0.058, 0.031]), ("hour", [0.156, 0.126, 0.069, 0.041])],
)
def test_the_published_figures_of_the_study(shared_data: Path, align: str, losses: list[float]) -> None:
    """Never, yearly, quarterly and monthly, of the generator's instance; `facts/capacity.md` §4.4."""
    claims, pools, window = import_module("benchmarks.bench_capacity").instance(align=align)
    borders = [(name, np.arange(0, 26_280, step) * HOUR_S) for name, step in
               (("never", 26_280), ("yearly", 8_760), ("quarterly", 2_190), ("monthly", 730))]  # fmt: skip
    found = value_of_reallocation(claims, pools, window, borders)
    assert [one.loss for one in found[:-1]] == pytest.approx(losses, abs=0.001)
    assert shared_data.exists()
