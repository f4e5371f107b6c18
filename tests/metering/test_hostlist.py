"""Slurm's shorthand for nodes."""

from __future__ import annotations

import pytest

from offtake.metering.hostlist import expand_nodes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("n[01-03,08]", ["n01", "n02", "n03", "n08"]),
        ("n1,login,m[9-11]-ib", ["n1", "login", "m9-ib", "m10-ib", "m11-ib"]),
        ("", []),
        ("(null)", []),
    ],
)
def test_a_list_names_every_node_in_order(text: str, names: list[str]) -> None:
    assert expand_nodes(text) == names


@pytest.mark.parametrize("text", ["n[3-1]", "n[a-b]", "n[1-2]m[3-4]", "n[1-9999999]"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no (range|list)"):
        expand_nodes(text)
