"""Readings become settled take: clipped, deduplicated, summed exactly."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.metering.readings import Readings, check_readings, settle_take

Row = tuple[str, str, int, int, int]
WINDOW = Interval(0, 1_000)


def readings(*rows: tuple[str, str, int, int, int]) -> Readings:
    """Rows of (id, claim, start, end, gpus), all in one pool."""
    claims = sorted({row[1] for row in rows})
    return Readings(
        claims=tuple(claims),
        pools=("p",),
        ids=tuple(row[0] for row in rows),
        claim=np.array([claims.index(row[1]) for row in rows], dtype=np.int64),
        pool=np.zeros(len(rows), dtype=np.int64),
        start=np.array([row[2] for row in rows], dtype=np.int64),
        end=np.array([row[3] for row in rows], dtype=np.int64),
        gpus=np.array([row[4] for row in rows], dtype=np.int64),
    )


def test_rows_are_clipped_to_the_period_and_summed_by_claim() -> None:
    batch = readings(
        ("1", "a", 0, 100, 8), ("2", "a", 90, 210, 4), ("3", "b", 150, 160, 1), ("4", "a", 300, 400, 9)
    )
    takes = settle_take([batch], Interval(50, 200))
    assert {claim: (take.gpu_seconds, take.rows) for claim, take in takes.items()} == {
        "a": (50 * 8 + 110 * 4, 2),
        "b": (10, 1),
    }
    assert takes["a"].curve == Curve.from_steps([(50, 8), (90, 12), (100, 4), (200, 0)])
    assert settle_take([batch], Interval(500, 600)) == {}
    assert settle_take([], Interval(0, 1)) == {}


def test_a_reading_sent_twice_counts_once_as_first_sent() -> None:
    first = readings(("1", "a", 0, 100, 8), ("2", "b", 0, 100, 1))
    again = readings(("1", "a", 0, 100, 999), ("3", "a", 0, 10, 2))
    takes = settle_take([first, again], WINDOW)
    assert takes["a"].gpu_seconds == 800 + 20
    assert takes["b"].gpu_seconds == 100


def test_a_batch_with_several_mistakes_lists_each_kind_with_its_first_row() -> None:
    batch = readings(
        ("1", "a", 0, 100, 8),
        ("2", "a", 100, 100, 8),
        ("1", "a", 100, 200, 0),
        ("4", "a", 900, 1_001, 8),
        ("5", "a", 950, 2_000, 8),
    )
    problems = check_readings(batch, WINDOW, "batch x")
    assert [(p.where, p.code) for p in problems] == [
        ("batch x: row 1", "end_before_start"),
        ("batch x: row 2", "gpus"),
        ("batch x: row 3", "outside_window"),
        ("batch x: row 2", "duplicate"),
    ]
    assert "'4'" in problems[2].message
    assert "2 such rows" in problems[2].message
    assert check_readings(batch.take(np.array([True, False, False, False, False])), WINDOW, "x") == []
    assert check_readings(readings(), WINDOW, "x") == []


@pytest.mark.parametrize("column", ["start", "end", "gpus", "claim", "pool"])
def test_the_digest_changes_with_every_column(column: str) -> None:
    batch = readings(("1", "a", 0, 100, 8), ("2", "b", 0, 100, 1))
    changed = replace(batch, **{column: getattr(batch, column) + 1})
    renamed = replace(batch, ids=("1", "3"))
    assert len({batch.digest(), changed.digest(), renamed.digest()}) == 3


spans = st.tuples(st.integers(0, 999), st.integers(1, 300), st.integers(1, 10**6), st.sampled_from("abc"))


@given(st.lists(spans, max_size=12), st.lists(st.integers(0, 1_400), max_size=4))
@settings(max_examples=80)
def test_take_over_a_partition_sums_to_the_whole(
    rows: list[tuple[int, int, int, str]], cuts: list[int]
) -> None:
    batch = readings(
        *((str(i), claim, s, s + length, gpus) for i, (s, length, gpus, claim) in enumerate(rows))
    )
    borders = sorted({0, 1_400, *cuts})
    total = dict.fromkeys("abc", 0)
    for start, end in pairwise(borders):
        for claim, take in settle_take([batch], Interval(start, end)).items():
            total[claim] += take.gpu_seconds
            assert take.curve.integrate(Interval(start, end)) == take.gpu_seconds
    expected = dict.fromkeys("abc", 0)
    for _, length, gpus, claim in rows:
        expected[claim] += length * gpus
    assert total == expected
    assert sum(total.values()) == batch.gpu_seconds


@given(st.lists(spans, min_size=1, max_size=12), st.data())
@settings(max_examples=50)
def test_how_rows_are_cut_into_batches_never_shows(
    rows: list[tuple[int, int, int, str]], data: st.DataObject
) -> None:
    all_rows: list[Row] = [(str(i), c, s, s + length, gpus) for i, (s, length, gpus, c) in enumerate(rows)]
    cut = data.draw(st.integers(0, len(rows)))
    overlap = data.draw(st.integers(0, cut))
    whole = settle_take([readings(*all_rows)], WINDOW)
    parts = settle_take([readings(*all_rows[:cut]), readings(*all_rows[overlap:])], WINDOW)
    assert {c: (t.gpu_seconds, t.rows, t.curve) for c, t in parts.items()} == {
        c: (t.gpu_seconds, t.rows, t.curve) for c, t in whole.items()
    }
