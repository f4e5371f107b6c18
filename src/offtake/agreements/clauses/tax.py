"""Tax on the month's charges."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.model import Clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax(Clause):
    """One rate of tax on what is earned and passed on; fees are stated without it.

    This is a hook, not a tax engine: which rate holds, and whether the offtaker accounts for the tax itself,
    is for the parties' advisers to say.

    Attributes:
        rate: the fraction.
        what: its name, to be printed on its line.
        reverse_charge: the offtaker accounts for it itself, so that nothing is added and the line says so.
        exempt: sections that aren't taxed.
    """

    NAME: ClassVar[str] = "tax"
    rate: Annotated[Decimal, Ge(0), Le(1)]
    what: str = "Tax"
    reverse_charge: bool = False
    exempt: tuple[str, ...] = ()
