"""What others changed is noticed, named and kept; what they can't be allowed is set back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offtake.adapters.rehearsal import NOTHING
from offtake.enforcement.converge import steps
from offtake.enforcement.drift import Ours, findings, lowered_by_hand, removed_by_hand, without
from offtake.enforcement.model import CLOSED, Account, Actual, Desired, Hold, Job, Kind, Node

A = Account(name="ot_a", claim="a", holder="a", gpus=16)
B = Account(name="ot_b", claim="b", holder="b", gpus=8)
HOLD_A = Hold(name="ot_a", accounts=("ot_a",), nodes=("n01", "n02"), end=9)
HOLD_B = Hold(name="ot_b", accounts=("ot_b",), nodes=("n03",), end=9)
CLOSING = Hold(name=CLOSED, accounts=(CLOSED,), nodes=("n04",), end=9)
WANTED = Desired(
    accounts=(A, B), holds=(HOLD_A, HOLD_B, CLOSING), nodes=dict.fromkeys(("n01", "n02", "n03", "n04"), 8)
)
OURS = Ours(
    limits={"ot_a": 16, "ot_b": 8}, nodes={"ot_a": ("n01", "n02"), "ot_b": ("n03",), CLOSED: ("n04",)}
)
AS_IT_SHOULD = Actual(
    limits={"ot_a": 16, "ot_b": 8}, users={}, holds={one.name: one for one in WANTED.holds}, foreign={},
    jobs=(), nodes={name: Node(gpus=8) for name in WANTED.nodes},
)  # fmt: skip


def kinds(desired: Desired, actual: Actual, kept: dict[str, int] | None = None) -> list[tuple[Kind, str]]:
    found = steps(desired, actual, since={}, now=0, grace_s=0, kept=kept or {})
    return [(step.kind, step.target) for step in found.all]


def codes(desired: Desired, actual: Actual) -> list[str]:
    lowered, removed = lowered_by_hand(desired, actual, OURS), removed_by_hand(desired, actual, OURS)
    return [one.code for one in findings(desired, actual, lowered, removed)]


def test_nothing_is_said_of_what_is_as_it_should_be() -> None:
    assert codes(WANTED, AS_IT_SHOULD) == []
    assert kinds(WANTED, AS_IT_SHOULD) == []


@pytest.mark.parametrize(
    ("limit", "last", "kept"),
    [(8, 16, {"ot_a": 8}), (8, 8, {}), (64, 16, {}), (8, None, {}), (12, 32, {"ot_a": 12}), (16, 32, {})],
)
def test_a_limit_that_somebody_lowered_is_kept_and_one_that_somebody_raised_is_not(
    limit: int, last: int | None, kept: dict[str, int]
) -> None:
    actual = replace(AS_IT_SHOULD, limits={"ot_a": limit, "ot_b": 8})
    ours = Ours(limits={} if last is None else {"ot_a": last})
    assert lowered_by_hand(WANTED, actual, ours) == kept
    changed = [] if kept or limit == 16 else [(Kind.LIMIT, "ot_a")]
    assert kinds(WANTED, actual, kept) == changed
    assert [one.code for one in findings(WANTED, actual, kept, {})] == ["lowered_by_hand"] * len(kept)


def test_nodes_that_somebody_took_out_stay_out_until_the_plan_changes() -> None:
    less = replace(AS_IT_SHOULD, holds={**AS_IT_SHOULD.holds, "ot_a": replace(HOLD_A, nodes=("n01",))})
    removed = removed_by_hand(WANTED, less, OURS)
    assert removed == {"ot_a": ("n02",)}
    assert kinds(without(WANTED, removed), less) == []
    (found,) = findings(WANTED, less, {}, removed)
    assert found.code == "removed_by_hand"
    assert "n02 out of reservation ot_a" in found.sentence
    assert kinds(WANTED, less) == [(Kind.CHANGE_HOLD, "ot_a")], "set back, once somebody says so"
    moved = replace(WANTED, holds=(replace(HOLD_A, nodes=("n01", "n05")), HOLD_B, CLOSING))
    assert removed_by_hand(moved, less, OURS) == {}, "the plan wants n02 no more, and never had n05"
    gone = {name: one for name, one in AS_IT_SHOULD.holds.items() if name != "ot_b"}
    assert removed_by_hand(WANTED, replace(AS_IT_SHOULD, holds=gone), OURS) == {"ot_b": ("n03",)}


def test_a_scheduler_that_lost_all_reservations_gets_them_back() -> None:
    lost = replace(AS_IT_SHOULD, holds={})
    assert removed_by_hand(WANTED, lost, OURS) == {}
    assert [kind for kind, _ in kinds(WANTED, lost)] == [Kind.MAKE_HOLD] * 3


def test_what_widens_a_hold_is_set_back_at_once() -> None:
    for wider in (replace(HOLD_A, nodes=("n01", "n02", "n05")), replace(HOLD_A, accounts=("ot_a", "ot_b"))):
        actual = replace(AS_IT_SHOULD, holds={**AS_IT_SHOULD.holds, "ot_a": wider})
        assert removed_by_hand(WANTED, actual, OURS) == {}
        (step,) = steps(WANTED, actual, since={}, now=0, grace_s=0).narrow
        assert (step.kind, step.hold) == (Kind.CHANGE_HOLD, HOLD_A)


def test_everything_that_stands_in_the_way_is_named() -> None:
    actual = replace(
        AS_IT_SHOULD,
        foreign={"weekend": ("n01", "n09"), "elsewhere": ("n08",)},
        jobs=(Job(id="1", account="physics", gpus=8, start=0, nodes=("n04",)),),
        users={"ot_a": frozenset({"alice"}), "ot_b": frozenset({"alice", "bob"})},
        nodes={"n01": Node(gpus=8, out="DRAIN: fan"), "n02": Node(gpus=4), "n04": Node(gpus=8, out="DOWN")},
    )
    assert codes(WANTED, actual) == [
        "foreign_reservation", "foreign_job", "node_out", "gpus_differ", "unknown_node",
        "user_of_two_holders",
    ]  # fmt: skip
    said = " ".join(one.sentence for one in findings(WANTED, actual, {}, {}))
    for words in ("weekend isn't offtake's and has n01", "physics", "DRAIN: fan", "4 GPUs", "n03", "alice"):
        assert words in said
    assert codes(WANTED, replace(actual, nodes={})) == [
        "foreign_reservation", "foreign_job", "user_of_two_holders",
    ], "a cluster that lists no nodes says nothing of them"  # fmt: skip
    assert NOTHING.nodes == {}
