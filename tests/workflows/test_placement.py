"""Claims on nodes in the book: decided from the plan, recorded once, no holder after another unproved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offtake.base.errors import BadInput, ClockBackwards
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S
from offtake.fleet.model import Delivery
from offtake.formats.folder import load_folder
from offtake.placement.model import NodeState
from offtake.store.fact import Recorded
from offtake.workflows.apply import apply_folder
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import FAILED, RESTORED, SANITISED, Placed, place
from offtake.workflows.record import Known, Outcome, record_delivery
from offtake.workflows.tick import tick
from tests.agreements.texts import FEE, TRANCHE
from tests.workflows.worlds import FLEET, World, at, reopened, text_of, world, write_world

NOW = at(2, 10)
DEMAND = """
[[demand]]
id = "train"
holder = "research"
firmness = "internal"
pools = ["p"]
constant_gpus = 160

[[demand]]
id = "serve"
holder = "product"
firmness = "internal"
pools = ["p"]
constant_gpus = 80
"""
TOPOLOGY = """
[pool.topology]
nodes_per_domain = 5
domains_per_unit = 5
spares = 2

[[pool.build_out]]"""
PLACED = FLEET.replace("\n[[pool.build_out]]", TOPOLOGY)
SMALL = TRANCHE.replace("1_000", "400")


def applied(w: World, path: Path, now: int, *changes: tuple[str, str], fleet: str = PLACED) -> None:
    """The folder with some changed demand, applied and planned."""
    demand = DEMAND
    for old, new in changes:
        assert old in demand
        demand = demand.replace(old, new)
    files = {"fleet__toml": fleet, "demand__own__toml": demand}
    folder = write_world(path / f"folder-{now}", {"deal": text_of(FEE, tranche=SMALL)}, **files)
    apply_folder(w.book, load_folder(folder), now)
    tick(w.book, now)


@pytest.fixture
def w(tmp_path: Path) -> World:
    made = world(tmp_path, FEE)
    applied(made, tmp_path, NOW)
    return made


def done(w: World, now: int) -> Placed:
    placed = place(w.book, now)
    assert isinstance(placed, Placed), placed
    return placed


def held(placed: Placed) -> dict[str, int]:
    return {one.claim: one.held for one in placed.figures["p"].claims}


def said(w: World, what: str, nodes: str, now: int, at: int | None = None, **more: Any) -> Outcome:
    return record_nodes(w.book, what, "p", nodes, at=now if at is None else at, now=now, said=more)


def code(outcome: Any) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.code


def numbers(placed: Placed, claim: str) -> list[int]:
    nodes = placed.assignments["p"].nodes
    return np.flatnonzero(nodes.claim == nodes.claims.index(claim)).tolist()


def test_a_placement_is_recorded_once_and_says_the_same_after_reopening(w: World, tmp_path: Path) -> None:
    first = done(w, NOW)
    assert held(first) == {"deal/main": 50, "serve": 10, "train": 20}
    assert len(w.log("nodes.assigned")) == 1
    assert done(w, NOW + 60).fact is None
    w.book.close()
    again = reopened(tmp_path)
    assert done(again, NOW + HOUR_S).fact is None
    assert again.book.verify()[0] == again.book.state.head[0]
    assert len(again.log("nodes.assigned")) == 1


def test_nodes_of_another_holder_wait_for_evidence_that_is_newer_than_its_end(
    w: World, tmp_path: Path
) -> None:
    before = done(w, NOW)
    later = NOW + HOUR_S
    applied(w, tmp_path, later, ("160", "80"), ("= 80\n\n", "= 88\n\n"), ("= 80\n", "= 440\n"))
    handed = done(w, later)
    assert held(handed) == {"deal/main": 50, "serve": 53, "train": 11}, "43 were free"
    gone = sorted(set(numbers(before, "train")) - set(numbers(handed, "train")))
    text = ",".join(map(str, gone))
    assert code(said(w, SANITISED, text, later, later - 1, evidence="wiped", sha256=None)) == "too_early"
    assert code(said(w, SANITISED, str(numbers(handed, "serve")[0]), later, evidence="e")) == "held"
    recorded = said(w, SANITISED, text, later + 60, evidence="wiped", sha256=None)
    assert isinstance(recorded, Recorded)
    assert said(w, SANITISED, text, later + 90, evidence="wiped", sha256=None) == Known(recorded.fact)
    after = done(w, later + 120)
    assert held(after)["serve"] == 55
    assert set(numbers(after, "serve")) - set(numbers(handed, "serve")) <= set(gone)


def test_the_same_evidence_doesn_t_serve_for_a_later_cleaning(w: World, tmp_path: Path) -> None:
    done(w, NOW)
    outcomes = []
    for now in (NOW + HOUR_S, NOW + 3 * HOUR_S):
        applied(w, tmp_path, now, ("160", "80"))
        nodes = done(w, now).assignments["p"].nodes
        gone = ",".join(map(str, np.flatnonzero(nodes.state == NodeState.CLEANING).tolist()))
        outcomes.append(said(w, SANITISED, gone, now + 60, evidence="wiped by hand", sha256=None))
        applied(w, tmp_path, now + HOUR_S)
        done(w, now + HOUR_S)
    assert isinstance(outcomes[0], Recorded)
    assert code(outcomes[1]) == "used_evidence"


def test_a_failed_node_is_replaced_and_comes_back_through_cleaning(w: World) -> None:
    before = done(w, NOW)
    lost = numbers(before, "serve")[0]
    assert isinstance(said(w, FAILED, str(lost), NOW + 1, because="ecc"), Recorded)
    assert code(said(w, FAILED, f"{lost}", NOW + 2)) == "failed_already"
    after = done(w, NOW + 10)
    one = next(one for one in after.figures["p"].claims if one.claim == "serve")
    assert (one.held, one.moved) == (10, 1)
    assert after.figures["p"].spares_wanted == 1
    assert code(said(w, RESTORED, f"0-{lost}", NOW + 20)) == "not_failed"
    assert isinstance(said(w, RESTORED, str(lost), NOW + 20), Recorded)
    back = done(w, NOW + 30)
    assert back.figures["p"].states[NodeState.CLEANING] == 1
    assert numbers(back, "serve") == numbers(after, "serve")


def test_what_failed_and_works_again_between_two_placements_stays_with_its_claim(w: World) -> None:
    before = done(w, NOW)
    lost = str(numbers(before, "serve")[0])
    said(w, FAILED, lost, NOW + 1)
    said(w, RESTORED, lost, NOW + 2)
    assert done(w, NOW + 3).fact is None


def test_nothing_is_placed_on_a_plan_that_is_missing_or_out_of_date(tmp_path: Path, w: World) -> None:
    fresh = world(tmp_path / "fresh", FEE)
    assert code(place(fresh.book, NOW)) == "no_plan"
    apply_folder(fresh.book, fresh.folder, NOW)
    assert code(place(fresh.book, NOW)) == "no_plan"
    assert code(place(w.book, at(3, 1))) == "no_plan", "the plan ends with the month"
    moved = Delivery(id="d", pool="p", build_out="built", steps=((NOW, 100),))
    record_delivery(w.book, moved, NOW + 5)
    outdated = place(w.book, NOW + 10)
    assert code(outdated) == "no_plan"
    assert "has changed since" in outdated.sentence  # type: ignore[union-attr]
    tick(w.book, NOW + 10)
    assert done(w, NOW + 10).figures["p"].states[NodeState.ABSENT] == 25
    with pytest.raises(ClockBackwards):
        place(w.book, NOW)


def test_nodes_never_get_other_numbers_under_their_holders(tmp_path: Path, w: World) -> None:
    done(w, NOW)
    block = '[[pool.build_out]]\nid = "{}"\nin_service = 2026-01-01\nnodes = {}\n\n'
    inserted = PLACED.replace("[[pool.build_out]]", block.format("new", 25) + "[[pool.build_out]]")
    applied(w, tmp_path, NOW + 1, fleet=inserted)
    outcome = place(w.book, NOW + 1)
    assert code(outcome) == "renumbered"
    assert "built (125), and now are through new (25), built (125)" in outcome.sentence  # type: ignore[union-attr]
    applied(w, tmp_path, NOW + 2, fleet=PLACED.replace("125", "100"))
    assert code(place(w.book, NOW + 2)) == "renumbered", "a block got smaller"
    applied(w, tmp_path, NOW + 3, fleet=PLACED + "\n" + block.format("new", 25))
    added = done(w, NOW + 3)
    assert (added.assignments["p"].nodes.layout.nodes, held(added)["train"]) == (150, 20)
    assert not any(one.given or one.taken for one in added.figures["p"].claims)


@pytest.mark.parametrize(
    ("pool", "nodes", "where", "said_"),
    [
        ("q", "0", "POOL", "the fleet has no pool 'q' (pools are p)"),
        ("p", "125", "NODES", "there is no node 125: they are numbered 0 to 124"),
        ("p", "x", "NODES", "'x' is no number or range"),
    ],
)
def test_nodes_that_aren_t_there_are_bad_input(
    w: World, pool: str, nodes: str, where: str, said_: str
) -> None:
    head = w.book.state.head
    with pytest.raises(BadInput) as refused:
        record_nodes(w.book, FAILED, pool, nodes, at=NOW, now=NOW, said={})
    assert said_ in str(refused.value)
    assert refused.value.problems[0].where == where
    assert w.book.state.head == head


def test_the_future_and_nodes_that_need_no_cleaning_are_refused(w: World) -> None:
    done(w, NOW)
    assert code(said(w, FAILED, "0", NOW + 1, NOW + 2)) == "in_the_future"
    assert code(said(w, SANITISED, "124", NOW + 1, evidence="e")) == "clean_already"


def test_a_new_pool_starts_clean(w: World, tmp_path: Path) -> None:
    done(w, NOW)
    both = PLACED + PLACED[PLACED.index("[[pool]]") :].replace('id = "p"', 'id = "q"')
    applied(w, tmp_path, NOW + 1, fleet=both)
    placed = done(w, NOW + 1)
    assert placed.figures["q"].states[NodeState.FREE] == 123
    assert placed.figures["q"].states[NodeState.SPARE] == 2
