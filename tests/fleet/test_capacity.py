"""What is installed, what works, and where the rest went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.base.curve import Curve, combine
from offtake.base.errors import Problem
from offtake.base.months import local_midnight
from offtake.base.time import DAY_S, HOUR_S, Interval, parse_instant
from offtake.fleet.capacity import PoolCapacity, check_fleet, pool_capacities
from offtake.fleet.model import BuildOut, Cause, Delivery, Derate, Fleet, Outage, Pool, Site

ZONE = "America/Chicago"
BEGIN = date(2026, 1, 1)
NOON = parse_instant("2026-06-01T12:00:00Z")


def site(megawatts: str = "100", id_: str = "s", zone: str = ZONE) -> Site:
    return Site(
        id=id_, name=id_, critical_it_mw=Decimal(megawatts), pue=Decimal("1.2"), region="US", time_zone=zone
    )


def block(nodes: int, id_: str = "b", day: date = BEGIN, retired: date | None = None) -> BuildOut:
    return BuildOut(id=id_, in_service=day, nodes=nodes, retired=retired)


def pool(*blocks: BuildOut, id_: str = "p", node: int = 8, kw: str = "1", at: str = "s") -> Pool:
    return Pool(id=id_, site=at, gpu_model="G", gpus_per_node=node, kw_per_gpu=Decimal(kw), build_out=blocks)


def outage(id_: str, gpus: int, start: int = NOON, end: int | None = None, at: str = "p") -> Outage:
    return Outage(id=id_, pool=at, start=start, end=end, gpus=gpus)


def fleet_of(*pools: Pool, megawatts: str = "100", derates: tuple[Derate, ...] = ()) -> Fleet:
    return Fleet(site=(site(megawatts),), pool=pools, derate=derates)


def only(capacities: Sequence[PoolCapacity]) -> PoolCapacity:
    (capacity,) = capacities
    return capacity


def cut_by(capacity: PoolCapacity, cause: Cause) -> Curve:
    return combine([cut.gpus for cut in capacity.cuts if cut.cause is cause] or [Curve.zero()])


def test_blocks_go_into_service_at_local_midnight_and_retire_after_their_last_day() -> None:
    fleet = fleet_of(pool(block(10), block(5, "c", date(2026, 3, 8), date(2026, 3, 31))))
    capacity = only(pool_capacities(fleet))
    at = [
        local_midnight(day, ZONE) + off
        for day, off in (
            (BEGIN, -1),
            (BEGIN, 0),
            (date(2026, 3, 8), -1),
            (date(2026, 3, 8), 0),
            (date(2026, 4, 1), -1),
            (date(2026, 4, 1), 0),
        )
    ]
    assert capacity.nameplate.at(at).tolist() == [0, 80, 80, 120, 120, 80]
    assert capacity.available == capacity.nameplate
    assert capacity.cuts == ()


def test_a_power_cap_feeds_whole_nodes_and_the_last_pool_bears_it_first() -> None:
    first = pool(block(10), id_="first", kw="1")  # 80 kW
    last = pool(block(4), id_="last", node=72, kw="1")  # 288 kW
    fleet = fleet_of(first, last, megawatts="0.25")  # 170 kW are left for the last: 2 nodes of 72 kW
    a, b = pool_capacities(fleet)
    assert a.available == a.nameplate
    assert b.available.value_at(NOON) == 144
    assert cut_by(b, Cause.POWER_CAP).value_at(NOON) == 144
    swapped = pool_capacities(fleet_of(last, first, megawatts="0.25"))
    # three nodes of 72 kW leave 34 kW: four nodes of 8 kW
    assert [c.available.value_at(NOON) for c in swapped] == [216, 32]


def test_a_cap_is_counted_in_watts_to_the_last_one() -> None:
    exact = fleet_of(pool(block(1_000), node=1, kw="1.001"), megawatts="1.001")
    assert only(pool_capacities(exact)).available.value_at(NOON) == 1_000
    a_watt_less = fleet_of(pool(block(1_000), node=1, kw="1.001"), megawatts="1.000999")
    assert only(pool_capacities(a_watt_less)).available.value_at(NOON) == 999


def test_power_of_one_site_doesn_t_cap_another() -> None:
    fleet = Fleet(
        site=(site("0.01"), site("1", "t")), pool=(pool(block(100)), pool(block(100), id_="q", at="t"))
    )
    assert [c.available.value_at(NOON) for c in pool_capacities(fleet)] == [8, 800]


def test_no_gpu_is_cut_twice() -> None:
    derate = Derate(id="d", pool="p", start=BEGIN, through=date(2026, 12, 31), gpus=50)
    fleet = fleet_of(pool(block(10)), megawatts="0.064", derates=(derate,))  # fed: 64 of 80
    capacity = only(pool_capacities(fleet, outages=[outage("first", 10), outage("second", 1_000, NOON + 5)]))
    at = [NOON - 1, NOON, NOON + 5]
    assert cut_by(capacity, Cause.POWER_CAP).at(at).tolist() == [16, 16, 16]
    assert cut_by(capacity, Cause.DERATE).at(at).tolist() == [50, 50, 50]
    assert cut_by(capacity, Cause.OUTAGE).at(at).tolist() == [0, 10, 14]
    assert capacity.available.at(at).tolist() == [14, 4, 0]


def test_an_outage_lasts_to_its_end_or_for_ever() -> None:
    fleet = fleet_of(pool(block(10)))
    ended = only(pool_capacities(fleet, outages=[outage("o", 8, NOON, NOON + HOUR_S)]))
    assert ended.available.at([NOON - 1, NOON, NOON + HOUR_S]).tolist() == [80, 72, 80]
    open_ = only(pool_capacities(fleet, outages=[outage("o", 8)]))
    assert open_.available.value_at(NOON + 10_000 * DAY_S) == 72


def test_a_derate_covers_whole_local_days_and_its_last_one() -> None:
    derate = Derate(
        id="d", pool="p", start=date(2026, 3, 7), through=date(2026, 3, 8), gpus=8, reason="spares"
    )
    capacity = only(pool_capacities(fleet_of(pool(block(10)), derates=(derate,))))
    (cut,) = capacity.cuts
    assert cut.reason == "spares"
    # 8 March 2026 has 23 hours in Chicago
    assert cut.gpus.integrate(Interval(0, NOON)) == 8 * 47 * HOUR_S


def test_a_late_delivery_replaces_the_plan_of_its_block_and_isn_t_a_cut_of_nameplate() -> None:
    planned = local_midnight(date(2026, 5, 1), ZONE)
    fleet = fleet_of(pool(block(10), block(5, "late", date(2026, 5, 1))))
    late = Delivery(id="d", pool="p", build_out="late", steps=((NOON, 3), (NOON + DAY_S, 2)))
    capacity = only(pool_capacities(fleet, deliveries=[late]))
    at = [planned - 1, planned, NOON, NOON + DAY_S]
    assert capacity.nameplate.at(at).tolist() == [80, 80, 104, 120]
    assert capacity.available == capacity.nameplate
    assert cut_by(capacity, Cause.NOT_IN_SERVICE).at(at).tolist() == [0, 40, 16, 0]


def test_a_block_that_arrives_early_is_there_early_and_never_negative_late() -> None:
    fleet = fleet_of(pool(block(10), block(5, "soon", date(2026, 7, 1))))
    early = Delivery(id="d", pool="p", build_out="soon", steps=((NOON, 5),))
    capacity = only(pool_capacities(fleet, deliveries=[early]))
    assert capacity.nameplate.value_at(NOON) == 120
    assert capacity.cuts == ()


def test_a_delivery_of_another_pool_s_block_of_the_same_name_changes_nothing() -> None:
    fleet = fleet_of(pool(block(10)), pool(block(10), id_="q"))
    late = Delivery(id="d", pool="q", build_out="b", steps=((NOON, 1),))
    p, q = pool_capacities(fleet, deliveries=[late])
    assert p.nameplate.value_at(NOON) == 80
    assert q.nameplate.value_at(NOON) == 8


days_from = st.integers(0, 300).map(lambda n: date.fromordinal(BEGIN.toordinal() + n))
instants = st.integers(NOON - 200 * DAY_S, NOON + 200 * DAY_S)


@st.composite
def fleets(draw: st.DrawFn) -> tuple[Fleet, list[Outage], list[Delivery]]:
    pools = []
    for name in draw(st.sampled_from([("p",), ("p", "q"), ("p", "q", "r")])):
        blocks = [
            block(draw(st.integers(1, 50)), f"b{i}", first, draw(st.none() | st.just(date(2026, 11, 30))))
            for i, first in enumerate(draw(st.lists(days_from, min_size=1, max_size=3)))
        ]
        node, kw = draw(st.sampled_from([8, 72])), draw(st.decimals("0.1", "2", places=3))
        pools.append(pool(*blocks, id_=name, node=node, kw=str(kw)))
    names = st.sampled_from([p.id for p in pools])
    gpus = st.integers(1, 3_000)
    derates = tuple(
        Derate(id=f"d{i}", pool=draw(names), start=draw(days_from), gpus=draw(gpus))
        for i in range(draw(st.integers(0, 2)))
    )
    outages = [
        outage(f"o{i}", draw(gpus), start, draw(st.none() | st.just(start + 5 * DAY_S)), draw(names))
        for i, start in enumerate(draw(st.lists(instants, max_size=3)))
    ]
    late = [
        Delivery(id="d", pool=p.id, build_out="b0", steps=((draw(instants), draw(st.integers(1, 50))),))
        for p in pools
        if draw(st.booleans())
    ]
    return (
        fleet_of(*pools, megawatts=str(draw(st.decimals("0.05", "3", places=3))), derates=derates),
        outages,
        late,
    )


@given(fleets())
@settings(max_examples=60)
def test_available_is_nameplate_less_its_cuts(world: tuple[Fleet, list[Outage], list[Delivery]]) -> None:
    fleet, outages, late = world
    for capacity in pool_capacities(fleet, outages=outages, deliveries=late):
        cuts = [cut.gpus for cut in capacity.cuts if cut.cause is not Cause.NOT_IN_SERVICE]
        assert capacity.available == capacity.nameplate - combine(cuts or [Curve.zero()])
        for curve in (capacity.available, *(cut.gpus for cut in capacity.cuts)):
            assert not len(curve.values) or curve.values.min() >= 0


@given(fleets())
@settings(max_examples=60)
def test_no_site_feeds_more_than_its_power_nor_wastes_a_node_of_it(
    world: tuple[Fleet, list[Outage], list[Delivery]],
) -> None:
    fleet, _, late = world
    capacities = pool_capacities(fleet, deliveries=late)
    budget = fleet.site[0].critical_it_mw * 1_000
    times = sorted({int(t) for c in capacities for t in c.nameplate.times})
    for t in times:
        left = budget
        for capacity in capacities:
            fed = (capacity.nameplate - cut_by(capacity, Cause.POWER_CAP)).value_at(t)
            left -= fed * capacity.pool.kw_per_gpu
            assert left >= 0
            node = capacity.pool.gpus_per_node
            assert fed % node == 0
            hungry = capacity.nameplate.value_at(t) - fed
            assert hungry == 0 or left < node * capacity.pool.kw_per_gpu


def where(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.where.partition(": ")[2], problem.code) for problem in problems}


def test_every_problem_of_a_fleet_is_said_at_once() -> None:
    fleet = Fleet(
        site=(site(), site(), site(id_="Bad Name", zone="Memphis")),
        pool=(
            pool(block(1), block(1)),
            pool(block(1, retired=date(2025, 1, 1)), at="nowhere"),
        ),
        derate=(
            Derate(id="d", pool="q", start=BEGIN, gpus=1),
            Derate(id="e", pool="p", start=BEGIN, through=date(2025, 12, 31), gpus=1),
        ),
    )
    problems = check_fleet(fleet)
    assert where(problems) == {
        ("site[1].id", "duplicate"),
        ("site[2].id", "bad_name"),
        ("site[2].time_zone", "unknown_time_zone"),
        ("pool[0].build_out[1].id", "duplicate"),
        ("pool[1].id", "duplicate"),
        ("pool[1].site", "unknown_site"),
        ("pool[1].build_out[0].retired", "end_before_start"),
        ("derate[0].pool", "unknown_pool"),
        ("derate[1].through", "end_before_start"),
    }
    assert all(problem.where.startswith("fleet.toml: ") for problem in problems)


def test_a_pool_that_isn_t_there_can_t_be_looked_up() -> None:
    with pytest.raises(KeyError, match="nope"):
        fleet_of(pool(block(1))).pool_of("nope")
