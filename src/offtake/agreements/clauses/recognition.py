"""Judgements on how the agreement's value is reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import ClassVar

from offtake.agreements.model import Clause


class Obligation(StrEnum):
    """Which value counts as the remaining performance obligation."""

    FIRM = "firm"
    HEADLINE = "headline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition(Clause):
    """What the operator's accountants decided, and why; reported beside the figures.

    Attributes:
        rpo: which value is reported as the remaining performance obligation: the "firm" one, or the
            "headline" where a right to leave isn't substantive.
        because: the reason for that judgement.
        judged_by: who decided.
        judged_on: when.

    Source: ASC 606-10-25-3 and 25-4 (the enforceable term), 606-10-50-13 (the disclosure).
    """

    NAME: ClassVar[str] = "recognition"
    rpo: Obligation = Obligation.FIRM
    because: str
    judged_by: str = ""
    judged_on: date | None = None
