"""A business "no" as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A decision not to do what was asked, with the reason and the facts it rests on.

    Attributes:
        code: stable word, documented by the function that returns it.
        sentence: the reason in plain English.
        facts: the figures and ids the reason rests on.
    """

    code: str
    sentence: str
    facts: Mapping[str, str] = field(default_factory=dict)
