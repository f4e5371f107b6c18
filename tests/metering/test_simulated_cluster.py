"""The simulated cluster runs the work a holder has, up to what it holds, and says so."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.adapters.simulated import running_readings
from offtake.base.curve import Curve, minimum
from offtake.base.time import Interval
from offtake.metering.readings import check_readings, settle_take

WINDOW = Interval(10, 110)
curves = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 50)), max_size=5, unique_by=lambda s: s[0]
).map(lambda steps: Curve.from_steps(sorted(steps)))


def test_work_fills_the_first_pool_to_the_brim_then_the_next() -> None:
    held = {("a", "p"): Curve.constant(10), ("a", "q"): Curve.constant(10), ("b", "p"): Curve.constant(5)}
    wanted = {"a": Curve.from_steps([(10, 4), (50, 17), (100, 99)])}
    rows = running_readings(held, wanted, WINDOW, "x")
    found = [
        (rows.pools[p], int(s), int(e), int(g))
        for p, s, e, g in zip(rows.pool, rows.start, rows.end, rows.gpus, strict=True)
    ]
    assert found == [("p", 10, 50, 4), ("p", 50, 110, 10), ("q", 50, 100, 7), ("q", 100, 110, 10)]
    assert rows.ids[0] == "x/000000"


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.sampled_from("pq")), curves), curves, curves)
@settings(max_examples=60)
def test_what_runs_is_the_lesser_of_held_and_wanted(
    held: dict[tuple[str, str], Curve], a: Curve, b: Curve
) -> None:
    wanted = {"a": a, "b": b}
    rows = running_readings(held, wanted, WINDOW, "x")
    assert check_readings(rows, WINDOW, "x") == []
    takes = settle_take([rows], WINDOW)
    for claim in "ab":
        holding = Curve.zero()
        for (holder, _), curve in held.items():
            holding = holding + curve if holder == claim else holding
        expected = minimum(holding, wanted[claim]).integrate(WINDOW)
        assert (takes[claim].gpu_seconds if claim in takes else 0) == expected
