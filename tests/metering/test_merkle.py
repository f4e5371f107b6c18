"""Hash trees: paths lead to the root for every leaf, and to another one for anything else."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.metering.merkle import EMPTY, Sibling, climbed, leaf, node, path, root

leaves = st.lists(st.binary(max_size=4).map(leaf), min_size=1, max_size=40)


def test_the_published_vectors_of_rfc_6962() -> None:
    """Leaf inputs and roots of the reference implementation of certificate transparency."""
    inputs = [
        bytes.fromhex(x)
        for x in (
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        )
    ]
    roots = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for count, expected in roots.items():
        assert root([leaf(one) for one in inputs[:count]]).hex() == expected
    assert root([]) == EMPTY == hashlib.sha256().digest()


@given(leaves, st.data())
def test_every_path_leads_to_the_root_and_only_from_its_own_leaf(
    found: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(found) - 1))
    steps = path(found, index)
    assert climbed(found[index], steps) == root(found)
    assert climbed(leaf(b"another one"), steps) != root(found)
    assert len(steps) <= len(found).bit_length()


@given(leaves)
def test_order_and_number_of_leaves_are_part_of_the_root(found: list[bytes]) -> None:
    assert root([*found, leaf(b"one more")]) != root(found)
    if found != found[::-1]:
        assert root(found[::-1]) != root(found)


def test_a_node_can_t_pass_for_a_leaf() -> None:
    a, b = leaf(b"a"), leaf(b"b")
    assert leaf(a + b) != node(a, b)
    assert climbed(a, [Sibling(hash=b, left=False)]) == node(a, b)
    assert climbed(a, [Sibling(hash=b, left=True)]) == node(b, a)


def test_a_leaf_that_isn_t_there_has_no_path() -> None:
    with pytest.raises(IndexError):
        path([leaf(b"a")], 1)
