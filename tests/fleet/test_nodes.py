"""Nodes by number: how they stand together, which are in service, and what of a topology is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from offtake.base.errors import BadInput
from offtake.base.months import local_midnight
from offtake.fleet.capacity import pool_capacities
from offtake.fleet.model import Cause, Delivery, Fleet, Outage, Topology
from offtake.fleet.nodes import blocks_of, in_service, layout_of
from offtake.formats.folder import parse_fleet

TEXT = """
[[site]]
id = "s"
name = "S"
critical_it_mw = 10
pue = 1.2
region = "US"
time_zone = "America/Chicago"

[[pool]]
id = "p"
site = "s"
gpu_model = "G"
gpus_per_node = 4
kw_per_gpu = 1

[pool.topology]
nodes_per_domain = 18
domains_per_unit = 8
units_per_failure_domain = 2
spares = 3

[[pool.build_out]]
id = "first"
in_service = 2026-01-01
nodes = 36
retired = 2026-06-30

[[pool.build_out]]
id = "second"
in_service = 2026-03-01
nodes = 18
"""


def fleet(*changes: tuple[str, str]) -> Fleet:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return parse_fleet(text, "fleet.toml")[0]


def counted(f: Fleet, month: int, day: int, *deliveries: Delivery) -> tuple[int, int]:
    """Nodes in service of the first and the second block."""
    at = local_midnight(date(2026, month, day), "America/Chicago")
    there = in_service(f, f.pool[0], deliveries, blocks_of(f.pool[0], deliveries), at)
    return int(there[:36].sum()), int(there[36:].sum())


def test_blocks_take_their_numbers_in_the_order_of_the_file() -> None:
    f = fleet()
    assert blocks_of(f.pool[0]) == (("first", 36), ("second", 18))
    assert layout_of(f.pool[0], blocks_of(f.pool[0])).sizes() == (18, 144, 288)
    assert [counted(f, *day) for day in ((2, 28), (3, 1), (6, 30), (7, 1))] == [
        (36, 0),
        (36, 18),
        (36, 18),
        (0, 18),
    ]
    before = local_midnight(date(2026, 1, 1), "America/Chicago") - 1
    assert not in_service(f, f.pool[0], (), blocks_of(f.pool[0]), before).any()


def test_a_delivery_replaces_its_block_s_plan_and_more_nodes_get_numbers_of_their_own() -> None:
    f = fleet()
    first, then = (local_midnight(date(2026, month, 1), "America/Chicago") for month in (3, 4))
    late = Delivery(id="d", pool="p", build_out="second", steps=((first, 10), (then, 10)))
    assert [counted(f, month, 1, late) for month in (2, 3, 4)] == [(36, 0), (36, 10), (36, 20)]
    assert blocks_of(f.pool[0], [late]) == (("first", 36), ("second", 36)), "whole domains"
    assert blocks_of(f.pool[0], [], {"second": 40, "first": 9}) == (("first", 36), ("second", 40))
    assert blocks_of(f.pool[0], [replace(late, pool="other")]) == blocks_of(f.pool[0])


def test_without_a_topology_every_node_is_a_domain_and_the_pool_one_unit() -> None:
    pool = replace(fleet().pool[0], topology=Topology())
    assert layout_of(pool, blocks_of(pool)).sizes() == (1, 54, 54)
    odd = replace(pool, topology=Topology(nodes_per_domain=18, domains_per_unit=2))
    assert layout_of(odd, blocks_of(odd)).sizes() == (18, 36, 72), "a failure domain is whole units"


@pytest.mark.parametrize(
    ("gpus", "held_back", "out", "available"),
    [(4, 8, 4, 51 * 4), (6, 8, 6, 51 * 4 - 2), (20, 0, 20, 49 * 4), (10**6, 0, 54 * 4, 0)],
)
def test_spares_are_in_no_plan_and_stand_in_for_whole_nodes_that_are_out(
    gpus: int, held_back: int, out: int, available: int
) -> None:
    outage = Outage(id="o", pool="p", start=0, end=None, gpus=gpus)
    (capacity,) = pool_capacities(fleet(), outages=[outage])
    at = local_midnight(date(2026, 4, 1), "America/Chicago")
    assert capacity.nameplate.value_at(at) == 54 * 4
    cuts = {(cut.cause, cut.reason): cut.gpus.value_at(at) for cut in capacity.cuts}
    assert cuts == {(Cause.DERATE, "spares"): held_back, (Cause.OUTAGE, "o"): out}
    assert capacity.available.value_at(at) == available
    (capacity,) = pool_capacities(fleet())
    assert capacity.available.value_at(at) == 51 * 4
    assert capacity.available.value_at(0) == 0


@pytest.mark.parametrize(
    ("change", "where", "code", "said"),
    [
        (("nodes = 18\n", "nodes = 20\n"), "pool[0].build_out[1].nodes", "partial_domain", "write 18 or 36"),
        (("nodes = 18\n", "nodes = 5\n"), "pool[0].build_out[1].nodes", "partial_domain", "write 18, or"),
        (("domains_per_unit = 8\n", ""), "topology.units_per_failure_domain", "no_units", "domains_per_unit"),
        (("spares = 3", "spares = 54"), "pool[0].topology.spares", "all_spare", "54 spares of 54 nodes"),
        (("spares = 3", "spares = -1"), "pool[0].topology.spares", "greater_than_equal", "-1"),
        (("spares = 3", "spares = 1.5"), "pool[0].topology.spares", "int_from_float", "1.5"),
        (("domain = 18", "domain = 0"), "pool[0].topology.nodes_per_domain", "greater_than", "0"),
        (("spares = 3", "spare = 3"), "pool[0].topology.spare", "unknown_key", "did you mean 'spares'?"),
        (("spares = 3", "cleaning_hours = 0"), "topology.cleaning_hours", "greater_than", "0"),
    ],
)
def test_a_topology_that_can_t_be_is_refused_with_its_place(
    change: tuple[str, str], where: str, code: str, said: str
) -> None:
    with pytest.raises(BadInput) as refused:
        fleet(change)
    (problem,) = refused.value.problems
    assert problem.where.startswith("fleet.toml: pool[0]")
    assert problem.where.endswith(where)
    assert problem.code == code
    assert said in problem.message + problem.remedy
