"""A side hands its role to somebody else; the offtaker has another operator step in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import ClassVar

from offtake.agreements.clauses.assignment import Assignment
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Side
from offtake.base.months import plus_days
from offtake.base.outcome import Refused
from offtake.base.workdays import plus_business_days


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentNotice(Served):
    """A side assigns the agreement to somebody else.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        by: the side that leaves its role.
        to: who takes it.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
        consent: whether the other side has agreed.
    """

    SECTION: ClassVar[str] = "assignment"
    KIND: ClassVar[str] = "agreement.assigned"
    by: Side
    to: str
    consent: bool = False

    @property
    def by_operator(self) -> bool:
        """Whether the operator leaves its role."""
        return self.by is Side.OPERATOR

    def check(self, agreement: Agreement) -> Refused | date:
        """The day it takes effect, or why it doesn't count.

        Refusals, in order: `no_right`, `no_consent`, `not_served`.
        """
        found = agreement.first_of(Assignment)
        if found is None or self.by not in found[1].by:
            return Refused(code="no_right", sentence=f"{agreement.id}: the {self.by} can't assign it")
        if found[1].consent and not self.consent:
            return Refused(
                code="no_consent", sentence=f"{agreement.id}: the other side must agree to an assignment"
            )
        received = self.received(agreement)
        return received if isinstance(received, Refused) else plus_days(received, found[1].notice_days)

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """With the new party."""
        if self.by is Side.OPERATOR:
            return replace(agreement, operator=self.to)
        return replace(agreement, offtaker=self.to)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepIn(Served):
    """The offtaker moves the operator's role to an operator of its choice.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        to: the operator that steps in.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
        because: the event that allows it, for people.
    """

    SECTION: ClassVar[str] = "step_in"
    KIND: ClassVar[str] = "operator.replaced"
    to: str
    because: str

    def check(self, agreement: Agreement) -> Refused | date:
        """The day it takes effect, or why it doesn't count.

        Refusals, in order: `no_right`, `not_served`.
        """
        found = agreement.first_of(Assignment)
        if found is None or found[1].step_in_business_days is None:
            return Refused(code="no_right", sentence=f"{agreement.id}: nobody may step in for the operator")
        received = self.received(agreement)
        if isinstance(received, Refused):
            return received
        return plus_business_days(received, found[1].step_in_business_days, found[1].place)

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """With the new operator."""
        return replace(agreement, operator=self.to)
