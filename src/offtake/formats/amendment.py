"""An amendment's TOML file: only what changes, from a date on.

A section or tranche given here changes the keys it names and leaves the others; a list of tables replaces the
list; `remove` takes out sections and keys. A changed term without a source of its own names the amendment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from annotated_types import Gt, Le

from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.formats.toml import parse_toml, read, unwrap

_PROVENANCE = ("source", "assumed")


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendmentHeader(Declared):
    """What an amendment says of itself.

    Attributes:
        of: id of the agreement it amends.
        number: 1, 2, 3, …; amendments of one day apply in this order.
        signed: date of signature.
        effective: first day it holds; it may lie in the past, and months already billed are then trued up. A
            month is rated on the text that holds on its last day.
        title: what its paper calls itself.
        remove: sections or keys it takes out, such as "availability_credit" or "recall.not_before".
    """

    of: str
    number: Annotated[int, Gt(0), Le(10_000)]
    signed: date
    effective: date
    title: str = ""
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """An amendment as it was read: its header, and what it changes as parsed TOML."""

    header: AmendmentHeader
    node: Mapping[str, Any]
    text: str
    where: str


def is_amendment(text: str) -> bool:
    """Whether a file of ``agreements/`` is an amendment; a file that isn't TOML is none."""
    try:
        return "amendment" in parse_toml(text, "")
    except BadInput:
        return False


def parse_amendment(text: str, where: str) -> Amendment:
    """Read an amendment's header; what it changes is checked with the agreement it amends.

    Raises:
        BadInput: with every problem of the header.
    """
    problems: list[Problem] = []
    node = parse_toml(text, where)
    head = unwrap(node.pop("amendment", {}), "amendment", {}, problems)
    header = read(AmendmentHeader, head, "amendment", problems)
    if "agreement" in node and "id" in node["agreement"]:
        message = "an amendment can't change the agreement's id"
        problems.append(Problem(where="agreement.id", code="contradiction", message=message))
    if header is None or problems:
        raise BadInput([problem.within(where) for problem in problems])
    return Amendment(header=header, node=node, text=text, where=where)


def amended(node: Mapping[str, Any], amendment: Amendment) -> dict[str, Any]:
    """An agreement's parsed TOML after an amendment.

    Raises:
        BadInput: for a section or key to remove that isn't there.
    """
    source = f"amendment {amendment.header.number}, effective {amendment.header.effective}"
    result = _without(dict(node), amendment)
    for section, new in amendment.node.items():
        if section == "tranche":
            result["tranche"] = _tranches(result.get("tranche", []), new, source)
        elif isinstance(new, dict) and isinstance(result.get(section), dict):
            result[section] = _changed(result[section], new, source)
        else:
            result[section] = new
    return result


def _tranches(old: Any, new: Any, source: str) -> list[Any]:
    result = list(old) if isinstance(old, list) else [old]
    places = {_plain(tranche.get("id")): i for i, tranche in enumerate(result)}
    for tranche in new if isinstance(new, list) else [new]:
        place = places.get(_plain(tranche.get("id")))
        if place is None:
            result.append(tranche)
        else:
            result[place] = _changed(result[place], tranche, source)
    return result


def _changed(old: Mapping[str, Any], new: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A section with some keys changed; what a changed term rests on is the amendment."""
    own = {name: new[name] for name in _PROVENANCE if name in new}
    result = dict(old)
    for key, value in new.items():
        if key in _PROVENANCE:
            continue
        wrapped = isinstance(value, dict) and "value" in value
        result[key] = value if wrapped else {"value": value, "source": source, **own}
    return result


def _plain(value: Any) -> Any:
    return value["value"] if isinstance(value, dict) and "value" in value else value


def _without(node: dict[str, Any], amendment: Amendment) -> dict[str, Any]:
    problems = []
    for i, name in enumerate(amendment.header.remove):
        section, _, key = name.partition(".")
        inside = node.get(section)
        if not key and section in node:
            del node[section]
        elif key and isinstance(inside, dict) and key in inside:
            node[section] = {k: v for k, v in inside.items() if k != key}
        else:
            problems.append(
                Problem(
                    where=f"{amendment.where}: amendment.remove[{i}]",
                    code="unknown_key",
                    message=f"the agreement has no {name!r} to remove",
                    remedy=f"sections are {', '.join(node)}",
                )
            )
    if problems:
        raise BadInput(problems)
    return node
