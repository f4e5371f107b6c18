"""Agreements and internal work as claims on the calendar; seeded demand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest

from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.model import after_events
from offtake.base.curve import Curve
from offtake.base.months import local_midnight
from offtake.base.time import DAY_S, HOUR_S, Interval, parse_instant
from offtake.claims.demand import (
    Inference,
    ShareOfEntitlement,
    Training,
    inference_demand,
    share_demand,
    training_demand,
)
from offtake.claims.derive import claims_of, oversold
from offtake.claims.model import Claim, Firmness
from tests.agreements.texts import FEE, TRANCHE, agreement

WINDOW = Interval(parse_instant("2026-01-05T00:00:00Z"), parse_instant("2026-03-02T00:00:00Z"))


def claim(id_: str, gpus: int, *pools: str, firmness: Firmness = Firmness.FIRM) -> Claim:
    return Claim(id=id_, holder=id_, firmness=firmness, pools=pools, gpus=Curve.constant(gpus, WINDOW))


@pytest.mark.parametrize("pools", [(), ("p", "p")])
def test_a_claim_names_its_pools_once_each(pools: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="once each, and at least one"):
        claim("c", 1, *pools)


def test_a_claim_is_never_negative() -> None:
    with pytest.raises(ValueError, match="fewer than no GPUs"):
        claim("c", -1, "p")


def test_each_tranche_claims_its_entitlement_less_what_was_recalled() -> None:
    recall = '[recall]\ntranches = ["more"]\nnotice_days = 0\n'
    deal = agreement(TRANCHE.replace('"main"', '"more"').replace('["p"]', '["q"]'), FEE, recall)
    at = local_midnight(date(2026, 6, 1), "America/Chicago")
    notices = [
        RecallNotice(id=str(gpus), agreement="deal", tranche="more", gpus=gpus, given=date(2026, 6, day))
        for gpus, day in ((400, 1), (600, 2))
    ]
    main, more = claims_of(after_events(deal, notices), owed_per_gpu_month=310)
    assert (main.id, main.agreement, main.tranche, main.pools) == ("deal/main", "deal", "main", ("p",))
    assert main.owed_per_gpu_month == 310
    assert more.gpus.at([at - 1, at, at + DAY_S]).tolist() == [1_000, 600, 0]


def test_oversold_pools_are_found_by_the_claims_that_fit_nowhere_else() -> None:
    capacity = {"p": Curve.constant(100), "q": Curve.constant(100)}
    fits = [claim("a", 100, "p"), claim("b", 100, "p", "q")]
    assert oversold(fits, capacity) == {}
    over = [*fits, claim("c", 1, "p")]
    assert {pools: curve.max_over(WINDOW) for pools, curve in oversold(over, capacity).items()} == {
        ("p",): 1,
        ("p", "q"): 1,
    }
    soft = [*fits, claim("c", 50, "p", firmness=Firmness.INTERNAL)]
    assert oversold(soft, capacity) == {}


TRAINING = Training(seed=1, gpus=(100, 500), days=(2, 9), gap_days=(1, 3), step_gpus=8)
INFERENCE = Inference(
    seed=1,
    start_gpus=1_000,
    growth_per_year=2.0,
    daily_swing=0.2,
    weekend_drop=0.5,
    step_gpus=8,
    ceiling_gpus=1_100,
)


@pytest.mark.parametrize(
    "draw",
    [
        lambda seed: training_demand(TRAINING, WINDOW, np.random.default_rng(seed)),
        lambda seed: inference_demand(
            Inference(seed=0, start_gpus=500, noise=0.1), WINDOW, np.random.default_rng(seed)
        ),
        lambda seed: share_demand(
            ShareOfEntitlement(seed=0, first=0.5, last=0.9, noise=0.1),
            Curve.constant(1_000, WINDOW),
            WINDOW,
            np.random.default_rng(seed),
        ),
    ],
)
def test_the_same_seed_draws_the_same_demand_and_another_another(draw: Callable[[int], Curve]) -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    outside = Interval(WINDOW.end, WINDOW.end + DAY_S)
    assert draw(7).integrate(outside) == 0
    assert draw(7).integrate(Interval(WINDOW.start - DAY_S, WINDOW.start)) == 0


def test_training_comes_in_gangs_of_whole_steps_on_whole_days() -> None:
    starts, ends, gpus = training_demand(TRAINING, WINDOW, np.random.default_rng(3)).to_records(WINDOW)
    assert len(gpus) > 3
    assert (gpus % 8 == 0).all()
    assert (gpus >= 96).all()
    assert (gpus <= 500).all()
    assert ((starts - WINDOW.start) % DAY_S == 0).all()
    lengths = (ends - starts) // DAY_S
    assert lengths.max() <= 9
    assert (starts[1:] - ends[:-1] >= DAY_S).all()


def test_inference_peaks_by_day_drops_on_weekends_and_stops_at_its_ceiling() -> None:
    curve = inference_demand(INFERENCE, WINDOW, np.random.default_rng(0))
    monday, saturday = WINDOW.start, WINDOW.start + 5 * DAY_S
    assert curve.value_at(monday + 20 * HOUR_S) == 1_096  # 1,200 at the peak, cut at 1,100, in steps of 8
    assert curve.value_at(monday + 8 * HOUR_S) == 800
    assert curve.value_at(saturday + 8 * HOUR_S) < 440
    assert curve.max_over(WINDOW) <= 1_100
    assert set((curve.values % 8).tolist()) == {0}


def test_what_is_wanted_of_an_entitlement_never_exceeds_it() -> None:
    entitled = Curve.from_steps([(WINDOW.start, 700), (WINDOW.start + 9 * DAY_S, 123), (WINDOW.end, 0)])
    greedy = ShareOfEntitlement(seed=5, first=0.9, last=1.0, daily_swing=0.5, noise=0.5)
    wanted = share_demand(greedy, entitled, WINDOW, np.random.default_rng(5))
    over = wanted - entitled
    assert over.max_over(WINDOW) == 0  # it does reach all of it
    assert wanted.min_over(WINDOW) >= 0
