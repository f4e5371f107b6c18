"""What can be sold: quantiles by counting, and the two-fractile rule against a linear program."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.claims.sellable import (
    Failures,
    Prices,
    Sellable,
    at_confidence,
    failing,
    recalls_of,
    sellable,
    split_at,
    split_of,
)

SAMPLES = st.lists(st.integers(-50, 300), min_size=1, max_size=40)
CENTS = st.integers(1, 400)


@st.composite
def prices(draw: st.DrawFn) -> Prices:
    recallable, rebate = Decimal(draw(CENTS)) / 100, Decimal(draw(st.integers(0, 200))) / 100
    firm = recallable + Decimal(draw(st.integers(0, 200))) / 100
    own = firm + rebate + Decimal(draw(CENTS)) / 100
    return Prices(firm=firm, recallable=recallable, rebate=rebate, own=own)


@given(SAMPLES, st.fractions(Fraction(1, 100), 1))
def test_a_confidence_is_a_count_of_samples(samples: list[int], confidence: Fraction) -> None:
    found = at_confidence(np.array(samples), confidence)
    assert sum(s >= found for s in samples) >= confidence * len(samples)
    assert sum(s >= found + 1 for s in samples) < confidence * len(samples)


@settings(max_examples=150, deadline=None)
@given(SAMPLES, prices())
def test_no_other_split_earns_more(samples: list[int], asked: Prices) -> None:
    headroom = np.array(samples)
    best = split_of(headroom, asked)
    tried = sorted({0, best.firm, best.firm + best.recallable, *(s for s in samples if s > 0)})
    for firm in tried:
        for both in tried:
            if both >= firm:
                assert split_at(headroom, asked, firm=firm, recallable=both - firm).profit <= best.profit


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), prices())
def test_it_earns_what_a_sample_average_linear_program_earns(seed: int, asked: Prices) -> None:
    headroom = np.random.default_rng(seed).normal(3_000, 400, 200).astype(np.int64)
    found = split_of(headroom, asked)
    assert float(found.profit) == pytest.approx(by_lp(headroom, asked), rel=1e-7)


def by_lp(headroom: np.ndarray, asked: Prices) -> float:
    pf, pr, b, v = (float(x) for x in (asked.firm, asked.recallable, asked.rebate, asked.own))
    n, top = len(headroom), highspy.kHighsInf
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    highs.setOptionValue("output_flag", False)
    highs.addCol(-pf, 0.0, top, 0, [], [])
    highs.addCol(-pr, 0.0, top, 0, [], [])
    for h in headroom.tolist():
        column = highs.getNumCol()
        highs.addCol((pr + b) / n, 0.0, top, 0, [], [])
        highs.addCol((v - pr - b) / n, 0.0, top, 0, [], [])
        highs.addRow(-top, float(h), 3, [0, 1, column], [1.0, 1.0, -1.0])
        highs.addRow(-top, float(h), 2, [0, column + 1], [1.0, -1.0])
    highs.run()
    return -float(highs.getInfo().objective_function_value)


def test_shorter_notice_sells_more() -> None:
    free = np.full(10, 100)
    demand = np.stack([np.arange(10) * 5, np.arange(10) * 5 + 10, np.arange(10) * 4])
    found = {n: sellable(free - demand, notice_steps=n, confidence=Fraction(1)) for n in (1, 3, 10, 99)}
    assert found[10] == found[99] == Sellable(firm=45, recallable=0, interruptible=45)
    assert found[3] == Sellable(firm=45, recallable=35, interruptible=10)
    assert found[1] == Sellable(firm=45, recallable=45, interruptible=0)
    some = sellable(free - demand, notice_steps=10, confidence=Fraction(2, 3))
    assert some.firm == 55


def test_failures_have_the_means_that_are_declared() -> None:
    some = Failures(share=0.1, repair_steps=7, loss_gpus=5, losses_per_step=0.01, loss_steps=20)
    rng = np.random.default_rng(1)
    out = failing(some, 100, 8, (400, 1_000), rng)
    assert out.shape == (400, 1_000)
    assert out.mean() == pytest.approx(100 * 0.1 * 8 + 0.01 * 20 * 5, rel=0.02)
    alone = failing(Failures(loss_gpus=5, losses_per_step=0.001, loss_steps=20), 100, 8, (50, 500), rng)
    lengths = [np.diff(np.flatnonzero(np.diff(row, prepend=0, append=0))) for row in alone]
    inside = np.concatenate([row[:1] for row, path in zip(lengths, alone, strict=True) if not path[0]])
    assert (inside[inside < 20].size, inside.size > 5) == (0, True)
    again = failing(some, 100, 8, (400, 1_000), np.random.default_rng(1))
    assert (out == again).all()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="no paths"):
        at_confidence(np.zeros(0, dtype=np.int64), Fraction(1, 2))
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        at_confidence(np.array([1]), Fraction(0))
    with pytest.raises(ValueError, match="paths and steps"):
        sellable(np.zeros(3, dtype=np.int64), notice_steps=1, confidence=Fraction(1))
    with pytest.raises(ValueError, match="more than the firm price"):
        Prices(firm=Decimal(2), recallable=Decimal(1), rebate=Decimal(1), own=Decimal(3))
    with pytest.raises(ValueError, match="from 0 to below 1"):
        Failures(share=1.0)
    with pytest.raises(ValueError, match="a step at least"):
        Failures(repair_steps=0)
    with pytest.raises(ValueError, match="must hold"):
        Prices(firm=Decimal(1), recallable=Decimal(2), rebate=Decimal(0), own=Decimal(5))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 60), prices())
def test_the_even_price_earns_what_firm_earns(seed: int, firm: int, more: int, asked: Prices) -> None:
    headroom = np.random.default_rng(seed).integers(0, 100, (5, 7))
    found = recalls_of(headroom, firm=firm, recallable=more, month_steps=3)
    called = [[min(max(firm + more - h, 0), more) for h in row] for row in headroom.tolist()]
    assert found.share == Fraction(sum(map(sum, called)), 35 * more)
    assert found.months == Fraction(sum(any(row[i : i + 3]) for row in called for i in (0, 3)), 10)
    even = found.even_price(asked.firm, asked.rebate, asked.own)
    if even is None:
        assert found.share == 1
        return
    recallable = even * (1 - found.share) - Fraction(asked.rebate) * found.share
    assert recallable == max(Fraction(asked.firm) - Fraction(asked.own) * found.share, 0)


def test_a_month_longer_than_the_window_is_the_window() -> None:
    found = recalls_of(np.array([[10, 4, 10]]), firm=2, recallable=4, month_steps=720)
    assert (found.share, found.needed, found.months) == (Fraction(1, 6), Fraction(1, 3), Fraction(1))
    assert found.month_steps == 3
    assert found.least_price(Decimal(1)) == Fraction(1, 2)
    assert recalls_of(np.array([[0]]), firm=0, recallable=1, month_steps=1).least_price(Decimal(1)) is None
