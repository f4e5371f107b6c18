"""Where claims are put: examples that the laws leave open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offtake.fleet.nodes import Layout
from offtake.placement.assign import assign
from offtake.placement.figures import Why, figures
from offtake.placement.model import (
    NONE,
    Assignment,
    Bools,
    Nodes,
    NodeState,
    Want,
    failed,
    new_nodes,
    restored,
)
from offtake.placement.ranges import format_nodes, parse_nodes

RACKS = Layout(nodes=48, per_domain=4, per_unit=12, per_failure_domain=24)


def placed(nodes: Nodes, now: int = 1, *, spares: int = 0, **sizes: int) -> Assignment:
    wants = [Want(claim=claim, holder=claim[0], nodes=n) for claim, n in sizes.items()]
    return assign(nodes, wants, spares=spares, now=now)


def numbers(done: Assignment, claim: str) -> str:
    return format_nodes(np.flatnonzero(done.nodes.claim == done.nodes.claims.index(claim)))


def only(nodes: Nodes, text: str) -> Bools:
    chosen = np.zeros(nodes.layout.nodes, dtype=np.bool_)
    chosen[parse_nodes(text, nodes.layout.nodes)] = True
    return chosen


def spares_of(done: Assignment) -> str:
    return format_nodes(np.flatnonzero(done.nodes.spare))


def test_the_largest_claim_gets_whole_units_and_a_remainder_fills_a_domain_begun() -> None:
    done = placed(new_nodes(RACKS), a=3, b=24, c=1)
    assert (numbers(done, "b"), numbers(done, "a"), numbers(done, "c")) == ("0-23", "24-26", "27")


def test_the_unit_that_fits_best_is_taken_not_the_first() -> None:
    done = placed(new_nodes(RACKS), a=8, b=24)
    assert numbers(done, "a") == "24-31"
    done = placed(done.nodes, 2, a=8, b=24, c=4)
    assert numbers(done, "c") == "32-35", "what is left of the unit begun, no new one"


def test_a_claim_grows_beside_itself_before_it_goes_elsewhere() -> None:
    first = placed(new_nodes(RACKS), a=5, b=12)
    assert numbers(first, "a") == "12-16"
    more = placed(first.nodes, 2, a=14, b=12)
    assert numbers(more, "a") == "12-25"
    assert not more.moved.any()


def test_the_remainder_stays_in_a_unit_of_its_claim() -> None:
    lone = placed(new_nodes(RACKS), a=2, b=24, c=14)
    assert numbers(lone, "a") == "38-39", "one domain with c's remainder, where it fits exactly"
    assert figures(lone).domains_split == 1


def test_a_smaller_claim_gives_up_its_smallest_fragments() -> None:
    first = placed(new_nodes(RACKS), a=12, b=22)
    grown = placed(first.nodes, 2, a=15, b=22)
    assert numbers(grown, "a") == "24-38"
    assert numbers(placed(grown.nodes, 3, a=12, b=22), "a") == "24-35"
    assert numbers(placed(grown.nodes, 3, a=10, b=22), "a") == "24-33", "then the end of one domain"


def test_fragments_are_used_where_nothing_whole_is_left() -> None:
    layout = Layout(nodes=12, per_domain=4)
    full = placed(new_nodes(layout), a=3, b=3, c=3)
    done = placed(full.nodes, 2, a=3, b=3, c=3, d=3)
    assert done.held.tolist() == [3, 3, 3, 3]
    one = figures(done).claims[3]
    assert (one.domains, one.domains_min) == (3, 1)
    assert one.reasons == ((Why.FRAGMENTS, "2 domains beyond the fewest: no whole domain is free"),)


def laid(text: str, *, per_unit: int | None = None) -> Nodes:
    """A pool drawn node by node, domains apart: a letter is a claim and its holder; . is free."""
    size = text.index(" ")
    drawn = text.replace(" ", "")
    names = tuple(sorted(set(drawn) - {"."}))
    claim = np.array([names.index(c) if c in names else NONE for c in drawn], dtype=np.int64)
    layout = Layout(nodes=len(drawn), per_domain=size, per_unit=per_unit)
    return replace(new_nodes(layout), claims=names, holders=names, claim=claim, holder=claim)


@pytest.mark.parametrize(
    ("before", "per_unit", "sizes", "claim", "gets", "why"),
    [
        ("a... aaa. ....", None, {"a": 5}, "a", "0,4-7", "the domain where it has most is filled first"),
        ("aa.. bbb. ....", None, {"a": 2, "b": 3, "c": 1}, "c", "7", "the tightest domain that suffices"),
        ("bb.. bbbb aaaa aa..", 8, {"a": 8, "b": 6}, "a", "8-15", "beside itself"),
        (
            "bb.. bbbb aaaa bb..",
            8,
            {"a": 6, "b": 8},
            "a",
            "8-11,14-15",
            "the unit that it is in, if as tight",
        ),
        ("bb.. bbbb aaaa b...", 8, {"a": 6, "b": 7}, "a", "8-11,13-14", "its unit goes before a tighter fit"),
        ("aaaa b... bb..", None, {"a": 7, "b": 3}, "a", "0-3,5-7", "one domain for the remainder, not two"),
        ("a... b... .... ....", 8, {"a": 1, "b": 1, "c": 8}, "c", "8-15", "a unit as a whole"),
        ("abbb .... .... ....", None, {"a": 10, "b": 3}, "a", "0,4-12", "whole domains, then the rest"),
    ],
)
def test_a_claim_goes(
    before: str, per_unit: int | None, sizes: dict[str, int], claim: str, gets: str, why: str
) -> None:
    assert numbers(placed(laid(before, per_unit=per_unit), **sizes), claim) == gets, why


def test_a_claim_that_stays_apart_says_that_moving_would_help() -> None:
    found = figures(placed(laid("aaa. bbba ...."), a=4, b=3))
    assert found.claims[0].reasons == (
        (Why.STAYS, "1 domain beyond the fewest: it keeps the nodes it had, though others are free"),
    )
    assert (found.domains_split, found.units_shared) == (1, 1)


def test_spares_stand_in_every_failure_domain_and_leave_domains_whole() -> None:
    done = placed(new_nodes(RACKS), spares=3, a=20, b=20)
    assert spares_of(done) == "22-23,47"
    assert figures(done).domains_split == 0
    broken = placed(failed(done.nodes, only(done.nodes, "47")), 2, spares=3, a=20, b=20)
    assert spares_of(broken) == "22-23", "a failed spare isn't replaced: it was there for that"


def test_a_node_that_failed_counts_as_the_spare_of_its_failure_domain() -> None:
    hurt = failed(new_nodes(RACKS), only(new_nodes(RACKS), "3"))
    assert spares_of(placed(hurt, spares=2, a=20)) == "47"
    worse = failed(hurt, only(hurt, "4-9"))
    assert spares_of(placed(worse, spares=4, a=20)) == "", "more failed there than there are spares"
    assert spares_of(placed(worse, spares=9, a=20)) == "46-47"


def test_a_node_that_fails_is_replaced_by_the_spare_of_its_failure_domain() -> None:
    done = placed(new_nodes(RACKS), spares=2, a=23, b=23)
    assert spares_of(done) == "23,47"
    hurt = failed(done.nodes, only(done.nodes, "25"))
    after = placed(hurt, 2, spares=2, a=23, b=23)
    assert (numbers(after, "b"), spares_of(after)) == ("24,26-47", "23")
    assert (after.moved.tolist(), after.taken.tolist()) == ([0, 1], [0, 1])
    back = placed(restored(after.nodes, only(hurt, "25")), 3, spares=2, a=23, b=23)
    assert back.nodes.state[25] == NodeState.CLEANING
    assert numbers(back, "b") == "24,26-47", "it doesn't move back"


def test_what_is_short_says_why() -> None:
    layout = Layout(nodes=8, per_domain=4)
    full = placed(new_nodes(layout), a=4, b=4)
    handed = placed(full.nodes, 2, a=2, b=6)
    assert figures(handed).claims[1].reasons[0] == (
        Why.CLEANING,
        "2 short: 2 of the pool wait until they are known to be clean",
    )
    broken = placed(failed(full.nodes, only(full.nodes, "0-1")), 2, a=4, b=4)
    assert figures(broken).claims[0].reasons == (
        (Why.FAILED, "2 short: 2 of the pool have failed, more than spares stood by"),
    )
    held_back = placed(new_nodes(layout), spares=1, a=8)
    assert figures(held_back).claims[0].reasons[0][0] is Why.NOT_THERE


def test_a_holder_s_own_nodes_come_back_without_cleaning_even_to_another_of_its_claims() -> None:
    layout = Layout(nodes=4)
    full = placed(new_nodes(layout), a1=4)
    fewer = placed(full.nodes, 2, a1=2)
    again = placed(fewer.nodes, 3, a1=2, b=1, a2=2)
    assert again.held.tolist() == [2, 0, 2]


def test_a_claim_named_twice_is_refused() -> None:
    want = Want(claim="a", holder="h", nodes=1)
    with pytest.raises(ValueError, match="named once each, not a, a"):
        assign(new_nodes(RACKS), [want, want], now=1)
    with pytest.raises(ValueError, match="fewer than no nodes: -1"):
        Want(claim="a", holder="h", nodes=-1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no number or range"),
        ("1,,2", "'' is no number or range"),
        ("a-b", "'a-b' is no number or range"),
        ("-3", "'-3' is no number or range"),
        ("1.5", "'1.5' is no number or range"),
        ("7-3", "7-3 ends before it begins"),
        ("0-48", "no node 48: they are numbered 0 to 47"),
        ("9" * 30, "is no number or range"),
    ],
)
def test_numbers_that_name_no_nodes_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_nodes(text, 48)
