"""What differs between two texts of an agreement, or between two agreements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from offtake.agreements.model import Agreement
from offtake.agreements.reading import shown, terms_of

_TRANCHE = re.compile(r"tranche\[(\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A term that one text has otherwise than the other.

    Attributes:
        path: where it stands; a tranche by its id, such as ``tranche main: quantity``.
        before: what the first text says, or None where it says nothing.
        after: what the second says, or None.
    """

    path: str
    before: str | None
    after: str | None


def differences_between(before: Agreement, after: Agreement) -> tuple[Difference, ...]:
    """Every term that differs, in the order of the first text, then what only the second has."""
    old, new = _keyed(before), _keyed(after)
    paths = [*old, *(path for path in new if path not in old)]
    return tuple(
        Difference(path=path, before=_shown(old, path), after=_shown(new, path))
        for path in paths
        if old.get(path) != new.get(path)
    )


def _keyed(agreement: Agreement) -> dict[str, Any]:
    """Terms by path, tranches under their ids, so that one more at the front changes no other."""

    def named(match: re.Match[str]) -> str:
        return f"tranche {agreement.tranches[int(match[1])].id}:"

    return {
        _TRANCHE.sub(named, path).replace(":.", ": "): value for path, value in terms_of(agreement).items()
    }


def _shown(terms: Mapping[str, Any], path: str) -> str | None:
    return shown(terms[path]) if path in terms else None
