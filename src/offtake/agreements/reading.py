"""An agreement as a list of terms: what each path of it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from offtake.agreements.model import Agreement

HEADER = ("title", "operator", "offtaker", "signed", "currency", "time_zone", "hours", "rounding", "covers")
"""Terms of the agreement itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A term as it is written.

    Attributes:
        path: where it stands, such as ``monthly_fee.amount``.
        value: what it says, for people.
        source: where it comes from.
        assumed: whether it is an assumption.
    """

    path: str
    value: str
    source: str = ""
    assumed: bool = False


def terms_of(agreement: Agreement) -> Mapping[str, Any]:
    """Every term that says something, by path, in the order of the file."""
    found = {f"agreement.{name}": getattr(agreement, name) for name in HEADER}
    for i, tranche in enumerate(agreement.tranches):
        found.update(_within(f"tranche[{i}]", tranche))
    for path, clause in agreement.clauses:
        found.update(_within(path, clause))
    return {path: value for path, value in found.items() if value not in (None, "", ())}


def _within(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The terms of a section, nested ones by their own paths."""
    if is_dataclass(value) and not _is_plain(value):
        for field in fields(value):
            yield from _within(f"{path}.{field.name}", getattr(value, field.name))
    elif isinstance(value, tuple) and value and is_dataclass(value[0]) and not _is_plain(value[0]):
        for i, item in enumerate(value):
            yield from _within(f"{path}[{i}]", item)
    else:
        yield path, value


def _is_plain(value: Any) -> bool:
    """Months print as they are written."""
    return type(value).__name__ == "Month"


def term_at(agreement: Agreement, path: str) -> Term:
    """A term by its path; a path that names a section says how many terms it has."""
    found = terms_of(agreement)
    said = agreement.sheet.of(path)
    if path in found:
        value = shown(found[path])
    else:
        inside = [p for p in found if p.startswith((f"{path}.", f"{path}["))]
        value = (
            "; ".join(f"{p.removeprefix(path).lstrip('.')} {shown(found[p])}" for p in inside) or "not stated"
        )
    return Term(path=path, value=value, source=said.source, assumed=said.assumed)


def shown(value: Any) -> str:
    """A value of a term for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, tuple):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
