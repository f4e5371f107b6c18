"""One value, one sequence of bytes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.canonical import canonical_bytes, digest, rows_digest

keys = st.text(st.characters(max_codepoint=127), max_size=6)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def test_keys_are_sorted_and_nothing_is_escaped_or_spaced() -> None:
    value = {"b": [1, None, True], "a": {"ß": "€"}.get("ß"), "A": -(10**20)}
    assert canonical_bytes(value) == '{"A":-100000000000000000000,"a":"€","b":[1,null,true]}'.encode()
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (1.0, "$"),
        ({"a": [0, {"b": 0.5}]}, r"\$\.a\[1\]\.b"),
        ({"a": Decimal("0.5")}, r"\$\.a"),
        ({1: 2}, "key 1"),
        ({"ä": 1}, "ASCII"),
        ([float("nan")], r"\$\[0\]"),
        ({"a": {1, 2}}, r"\$\.a"),
        ([b"bytes"], r"\$\[0\]"),
        ([np.int64(3)], r"\$\[0\]"),
    ],
)
def test_what_has_no_single_spelling_is_refused_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(TypeError, match=path):
        canonical_bytes(value)


@given(plain)
def test_the_order_of_keys_never_shows(value: Any) -> None:
    def reversed_keys(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: reversed_keys(node[key]) for key in reversed(list(node))}
        return [reversed_keys(item) for item in node] if isinstance(node, list) else node

    assert canonical_bytes(reversed_keys(value)) == canonical_bytes(value)


@given(plain)
def test_canonical_bytes_read_back_as_the_value(value: Any) -> None:
    assert json.loads(canonical_bytes(value)) == value


@given(plain, plain)
def test_different_values_have_different_bytes(a: Any, b: Any) -> None:
    # repr tells True from 1, which == doesn't
    same = repr(json.loads(canonical_bytes(a))) == repr(json.loads(canonical_bytes(b)))
    assert (canonical_bytes(a) == canonical_bytes(b)) == same


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30), st.data())
def test_the_digest_of_rows_doesn_t_depend_on_how_they_lie_in_memory(
    values: list[int], data: st.DataObject
) -> None:
    whole = np.array(values, dtype=np.int64)
    cut = data.draw(st.integers(0, len(values)))
    spread = np.zeros(2 * len(values), dtype=np.int64)
    spread[::2] = values
    big_endian = whole.astype(">i8")
    expected = rows_digest([("gpus", whole)])
    for same in (
        np.concatenate([whole[:cut], whole[cut:]]),
        spread[::2],
        big_endian,
        np.asfortranarray(whole),
    ):
        assert rows_digest([("gpus", same)]) == expected


def test_the_digest_of_rows_is_pinned() -> None:
    # a change here would orphan every file of every lake
    columns = [("claim", ["a/b", "ç"]), ("gpus", np.array([8, -1], dtype=np.int64))]
    assert (
        rows_digest(columns)  # type: ignore[arg-type]
        == digest(
            b'["claim",2]\x03\x00\x00\x00\x02\x00\x00\x00a/b\xc3\xa7["gpus",2]'
            b"\x08\x00\x00\x00\x00\x00\x00\x00" + b"\xff" * 8
        )
    )


texts = st.lists(st.text(max_size=4), max_size=5)


@given(texts, texts, st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]))
def test_tables_that_differ_have_different_digests(
    one: list[str], other: list[str], name: str, second: str
) -> None:
    assert (rows_digest([(name, one)]) == rows_digest([(second, other)])) == ((name, one) == (second, other))


def test_a_digest_sees_rows_columns_their_names_and_their_order() -> None:
    a, b = np.array([1, 2], dtype=np.int64), np.array([2, 1], dtype=np.int64)
    tables = [
        [("x", a), ("y", b)],
        [("x", b), ("y", a)],
        [("y", b), ("x", a)],
        [("x", a)],
        [("x", a), ("y", b), ("z", a[:0])],
    ]
    assert len({rows_digest(table) for table in tables}) == len(tables)
