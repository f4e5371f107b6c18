"""Expressions over readings against sums done one second, or one reading, at a time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import ibis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.metering.expressions import SLOT_S, Calendar, energy, gpu_seconds, levels, peaks

ENGINE = ibis.duckdb.connect()
SCHEMA = {"subject": "string", "pool": "string", "start": "int64", "end": "int64", "value": "int64"}

Row = tuple[str, str, int, int, int]

rows = st.lists(
    st.builds(
        lambda s, p, a, n, v: (s, p, a, a + n, v),
        st.sampled_from(["a/x", "a/y", "b/x", "z/z"]),
        st.sampled_from(["p", "q"]),
        st.integers(-2_000, 12_000),
        st.integers(1, 9_000),
        st.integers(1, 100),
    ),
    min_size=1,
    max_size=25,
)
borders = st.lists(st.integers(0, 12), min_size=2, max_size=8, unique=True).map(
    lambda slots: tuple(sorted(slot * SLOT_S for slot in slots))
)


def table(found: list[Row]) -> ibis.Table:
    columns = dict(zip(SCHEMA, map(list, zip(*found, strict=True)), strict=True))
    return ibis.memtable(columns, schema=SCHEMA)


@settings(max_examples=60, deadline=None)
@given(rows, borders)
def test_quantities_are_those_of_a_plain_sum(found: list[Row], cuts: tuple[int, ...]) -> None:
    subjects = ("a/x", "a/y", "b/x")
    expected: Counter[tuple[str, str, int]] = Counter()
    touched: Counter[tuple[str, str, int]] = Counter()
    for subject, pool, start, end, value in found:
        for segment, (begin, until) in enumerate(pairwise(cuts)):
            seconds = min(end, until) - max(start, begin)
            if subject in subjects and seconds > 0:
                expected[subject, pool, segment] += value * seconds
                touched[subject, pool, segment] += 1
    answer = ENGINE.to_pyarrow(
        gpu_seconds(table(found), Calendar(subjects=subjects, borders=cuts))
    ).to_pylist()
    keys = [(r["subject"], r["pool"], r["segment"]) for r in answer]
    assert dict(zip(keys, (r["quantity"] for r in answer), strict=True)) == dict(expected)
    assert dict(zip(keys, (r["readings"] for r in answer), strict=True)) == dict(touched)
    assert len(set(keys)) == len(keys)


@settings(max_examples=40, deadline=None)
@given(rows, borders, st.integers(1, 8_999))
def test_splitting_a_reading_or_changing_the_order_changes_no_quantity(
    found: list[Row], cuts: tuple[int, ...], at: int
) -> None:
    calendar = Calendar(subjects=("a/x", "a/y", "b/x", "z/z"), borders=cuts)
    subject, pool, start, end, value = found[0]
    middle = start + at % (end - start)
    split = [(subject, pool, start, middle, value)] if middle > start else []
    split += [(subject, pool, middle, end, value), *found[1:]]

    def quantities(readings: list[Row]) -> set[tuple[str, str, int, int]]:
        answer = ENGINE.to_pyarrow(gpu_seconds(table(readings), calendar)).to_pylist()
        return {(r["subject"], r["pool"], r["segment"], r["quantity"]) for r in answer}

    assert quantities(split[::-1]) == quantities(found)


@settings(max_examples=60, deadline=None)
@given(rows, borders)
def test_levels_and_peaks_are_those_of_every_second_that_matters(
    found: list[Row], cuts: tuple[int, ...]
) -> None:
    begin, until = cuts[0], cuts[-1]
    answer = ENGINE.to_pyarrow(levels(table(found), ["a/x"], begin, until)).to_pylist()
    steps = sorted((r["at"], r["level"]) for r in answer)

    def held(second: int) -> int:
        return sum(v for s, _, a, b, v in found if s == "a/x" and a <= second < b)

    instants = sorted(
        {t for s, _, a, b, _ in found if s == "a/x" for t in (a, b) if begin <= t < until} | {begin}
    )
    for instant in instants:
        level = next((lv for at, lv in reversed(steps) if at <= instant), 0)
        assert level == held(instant)
    (peak,) = ENGINE.to_pyarrow(peaks(table(found), ["a/x"], begin, until))["peak"].to_pylist() or (0,)
    assert peak == max(held(instant) for instant in instants)


def test_energy_counts_where_it_begins() -> None:
    found = [("a", "", 0, 100, 5), ("a", "", 99, 200, 7), ("a", "", 100, 300, 11), ("b", "", 50, 60, 13)]
    answer = ENGINE.to_pyarrow(energy(table(found), 0, 100)).to_pylist()
    assert {r["subject"]: r["quantity"] for r in answer} == {"a": 12, "b": 13}


@pytest.mark.parametrize(
    ("cuts", "word"), [((0,), "rise"), ((0, 0), "rise"), ((900, 0), "rise"), ((0, 901), "quarter")]
)
def test_a_calendar_that_can_t_be_is_refused(cuts: tuple[int, ...], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Calendar(subjects=("a",), borders=cuts)
