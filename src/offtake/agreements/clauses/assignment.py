"""Who may hand its side of the agreement to somebody else, and who may step in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, MinLen

from offtake.agreements.model import Agreement, Clause
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.workdays import check_place


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment(Clause):
    """A side may assign the agreement; the offtaker may have another operator step in.

    Attributes:
        by: the sides that may assign.
        consent: whether the other side must agree.
        notice_days: calendar days from notice to effect.
        step_in_business_days: business days after its notice in which the offtaker may move the operator's
            role to an operator of its choice, after an event that allows it; it can't when left out.
        place: whose public holidays count.

    Source: step-in within two business days of notice (OpenAI and CoreWeave); lenders' direct agreements.
    """

    NAME: ClassVar[str] = "assignment"
    by: Annotated[tuple[Side, ...], MinLen(1)] = (Side.OPERATOR, Side.OFFTAKER)
    consent: bool = True
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 0
    step_in_business_days: Annotated[int, Ge(0), Le(3_650)] | None = None
    place: str = "US"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """The place must have a calendar."""
        try:
            check_place(self.place)
        except ValueError as error:
            yield Problem(where=f"{path}.place", code="unknown_place", message=str(error))
