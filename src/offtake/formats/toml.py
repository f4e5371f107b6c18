"""TOML into frozen dataclasses, with every problem at once and the provenance of every term.

Any value may be written plainly (``fee_share = 0.5``) or with where it comes from
(``fee_share = { value = 0.5, assumed = true, source = "…" }``); a section may carry ``source`` and
``assumed`` for everything in it. Decimals are read as `Decimal`, never as floats.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from offtake.agreements.terms import Provenance
from offtake.base.errors import BadInput, Problem
from offtake.formats.plain import from_plain

T = TypeVar("T")

_MONTH = re.compile(r"\d{4}-\d{2}")
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_PROVENANCE_KEYS = {"value", "source", "assumed"}


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse TOML with decimals as `Decimal`.

    Raises:
        BadInput: naming the line, if the text isn't TOML.
    """
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise BadInput([Problem(where=where, code="not_toml", message=str(error))]) from error
    except RecursionError as error:
        problem = Problem(where=where, code="not_toml", message="it is nested too deeply")
        raise BadInput([problem]) from error


def unwrap(node: Any, path: str, found: dict[str, Provenance], problems: list[Problem]) -> Any:
    """Strip provenance from a parsed document and collect it by path."""
    if isinstance(node, dict):
        if "value" in node and set(node) <= _PROVENANCE_KEYS:
            found[path] = _provenance(node, path, problems)
            return unwrap(node["value"], path, found, problems)
        if path and ("source" in node or "assumed" in node):
            found[path] = _provenance(node, path, problems)
        return {
            key: unwrap(value, f"{path}.{key}" if path else key, found, problems)
            for key, value in node.items()
            if not (path and key in ("source", "assumed"))
        }
    if isinstance(node, list):
        return [unwrap(item, f"{path}[{i}]", found, problems) for i, item in enumerate(node)]
    return node


def _provenance(node: Mapping[str, Any], path: str, problems: list[Problem]) -> Provenance:
    source, assumed = node.get("source", ""), node.get("assumed", False)
    if not isinstance(source, str):
        problems.append(
            Problem(
                where=f"{path}.source",
                code="type",
                message=f"{source!r} is no text",
                remedy="quote the source",
            )
        )
    if not isinstance(assumed, bool):
        problems.append(
            Problem(where=f"{path}.assumed", code="type", message=f"{assumed!r} is neither true nor false")
        )
    return Provenance(source=str(source), assumed=bool(assumed))


def _months(node: Any) -> Any:
    """Texts like 2026-07 as the fields of a `Month`; nothing else in our files has that form."""
    if isinstance(node, dict):
        return {key: _months(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_months(item) for item in node]
    if isinstance(node, datetime):
        return node.isoformat()
    if isinstance(node, str) and _MONTH.fullmatch(node):
        return {"year": int(node[:4]), "month": int(node[5:])}
    return node


def read(kind: type[T], node: Any, path: str, problems: list[Problem]) -> T | None:
    """Validate a parsed node into a dataclass; on failure add every problem.

    Where keys that mean nothing are all that is wrong, the rest is returned, so that what it means can be
    checked in the same go; otherwise None. Either way the caller must look at `problems`.
    """
    try:
        return from_plain(kind, _months(node))
    except ValidationError as error:
        errors = error.errors(include_url=False)
    problems.extend(
        _problem(kind, path, dict(item))
        for item in errors
        # a list whose items are wrong is reported a second time as too short
        if not (item["type"] == "too_short" and item["input"])
    )
    if all(item["type"] in _UNKNOWN for item in errors):
        return from_plain(kind, _months(_without(node, [item["loc"] for item in errors])))
    return None


def _without(node: Any, places: list[tuple[int | str, ...]]) -> Any:
    """A copy of a parsed node without some keys."""
    here = {place[0] for place in places if len(place) == 1}
    if isinstance(node, dict):
        return {
            key: _without(value, [place[1:] for place in places if place[0] == key and len(place) > 1])
            for key, value in node.items()
            if key not in here
        }
    if isinstance(node, list):
        return [
            _without(item, [place[1:] for place in places if place[0] == i and len(place) > 1])
            for i, item in enumerate(node)
        ]
    return node


def _problem(kind: type[Any], path: str, item: dict[str, Any]) -> Problem:
    parts = [
        part for part in item["loc"] if part not in ("year", "month") or item["type"] == "extra_forbidden"
    ]
    where = path
    for part in parts:
        where += f"[{part}]" if isinstance(part, int) else (f".{part}" if where else str(part))
    if item["type"] in _UNKNOWN:
        return unknown_key(where, str(parts[-1]), known_keys(kind, parts[:-1]))
    if item["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return Problem(where=where, code="missing", message="this key is required and missing")
    return Problem(where=where, code=item["type"], message=f"{_shown(item['input'])}: {_expected(item)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"year", "month"}:
        return f"'{value['year']:04d}-{value['month']:02d}'"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _expected(item: dict[str, Any]) -> str:
    message = (
        str(item["msg"]).removeprefix("Input ").replace("a dictionary or an instance of Month", "a month")
    )
    if "Month" in message:
        return "should be a month, such as 2026-07"
    return message


def unknown_key(where: str, key: str, known: list[str]) -> Problem:
    """A key that means nothing here, with the nearest one that does."""
    near = get_close_matches(key, known, n=1)
    return Problem(
        where=where,
        code="unknown_key",
        message=f"there is no key {key!r} here",
        remedy=f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}",
    )


def known_keys(kind: Any, parts: list[Any]) -> list[str]:
    """The keys a dataclass knows, following a path into nested dataclasses."""
    for part in parts:
        if isinstance(part, int):
            continue
        annotation = (
            next((f.type for f in fields(kind) if f.name == part), None) if is_dataclass(kind) else None
        )
        kind = _inner(kind, str(annotation))
    return [f.name for f in fields(kind)] if is_dataclass(kind) else []


def _inner(owner: Any, annotation: str) -> Any:
    """The dataclass a textual annotation speaks of, looked up in its owner's module."""
    names = re.findall(r"[A-Z]\w+", annotation)
    module = sys.modules.get(getattr(owner, "__module__", ""), None)
    found = (getattr(module, name, None) for name in names)
    return next((kind for kind in found if is_dataclass(kind)), None)
