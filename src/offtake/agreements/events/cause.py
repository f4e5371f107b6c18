"""Notices that end an agreement for cause: default, chronic failure, force majeure that lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.default import Default
from offtake.agreements.clauses.force_majeure import ForceMajeure
from offtake.agreements.clauses.service_level import ServiceLevel
from offtake.agreements.events.relief import longest_relief
from offtake.agreements.events.served import Served
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Side
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultNotice(Served):
    """The operator's notice that the offtaker is in default; without a cure it ends the agreement.

    A cure is recorded by recording the notice again with `cured`.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
        what: what the default is, for people.
        cured: the day on which the offtaker put it right; while it hasn't, left out.
        proceeds: what selling the capacity elsewhere brings, to be deducted from damages.

    Units: `proceeds` in major units of the agreement's currency.
    """

    SECTION: ClassVar[str] = "default"
    KIND: ClassVar[str] = "default.noticed"
    what: str = ""
    cured: date | None = None
    proceeds: Annotated[Decimal, Ge(0), Le(10**15)] = Decimal(0)

    @property
    def by_operator(self) -> bool:
        """It is always the operator's."""
        return True

    def check(self, agreement: Agreement) -> Refused | date:
        """The first day no longer covered without a cure, or why the notice doesn't count.

        Refusals, in order: `no_clause`, `not_served`.
        """
        found = agreement.first_of(Default)
        if found is None:
            return Refused(code="no_clause", sentence=f"{agreement.id}: nothing provides for a default")
        received = self.received(agreement)
        return received if isinstance(received, Refused) else plus_days(received, found[1].cure_days + 1)

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Ended after the days for a cure, unless it was cured by then."""
        found = agreement.first_of(Default)
        if found is None or (self.cured is not None and self.cured < effective):
            return agreement
        return agreement.ending(effective, by=found[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseNotice(Served):
    """A side leaves for cause: the service level failed again and again, or force majeure lasts.

    Attributes:
        id: name of the notice.
        agreement: the agreement's id.
        hypothetical: it was made up.
        by: the side that leaves.
        clause: path of the clause that allows it, such as `service_level` or `force_majeure`.
        given: the day it counts as received, or was sent where `how` is given.
        how: how it was served, one of the agreement's ways.
    """

    SECTION: ClassVar[str] = "cause"
    KIND: ClassVar[str] = "cause.noticed"
    by: Side = Side.OFFTAKER
    clause: str

    @property
    def by_operator(self) -> bool:
        """Whether the operator leaves."""
        return self.by is Side.OPERATOR

    def check(self, agreement: Agreement) -> Refused | date:
        """The first day no longer covered, or why the notice doesn't count.

        Whether a service level has failed often enough is for the book to say, which knows what was measured.
        Refusals, in order: `no_right`, `not_served`, `not_yet`.
        """
        clause = dict(agreement.clauses).get(self.clause)
        allowed = (isinstance(clause, ForceMajeure) and clause.leave_after_days is not None) or (
            isinstance(clause, ServiceLevel) and clause.chronic is not None and self.by is Side.OFFTAKER
        )
        if not allowed:
            return Refused(
                code="no_right", sentence=f"{agreement.id}: {self.clause!r} doesn't let the {self.by} leave"
            )
        received = self.received(agreement)
        if isinstance(received, Refused):
            return received
        if isinstance(clause, ForceMajeure):
            lasted = longest_relief(agreement, received)
            if lasted <= (clause.leave_after_days or 0):
                return Refused(
                    code="not_yet",
                    sentence=f"{agreement.id}: force majeure has lasted {lasted} days by {received}, and "
                    f"either side may leave after {clause.leave_after_days}",
                )
            return plus_days(received, 1)
        notice = clause.chronic.notice_days if isinstance(clause, ServiceLevel) and clause.chronic else 0
        return plus_days(received, notice)

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """Ended by that clause."""
        return agreement.ending(effective, by=self.clause)
