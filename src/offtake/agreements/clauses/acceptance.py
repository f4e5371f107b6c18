"""Acceptance: capacity is tendered, tested, and paid for from the day it is accepted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem

NEVER = date(8999, 12, 31)
"""The day of acceptance of what isn't accepted yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance(Clause):
    """The fees of a tranche are owed from its acceptance, not from its delivery.

    The operator tenders a tranche, the offtaker has some days to test it. Once it is accepted, or once the
    days have passed without an answer where acceptance is deemed, the tranche's own fees begin; not before
    the tranche's start. What is rejected must be tendered again.

    Attributes:
        tranches: ids of the tranches it is about; all of them when left out.
        days: calendar days from the tender in which the offtaker may test and answer.
        deemed: whether silence through those days is acceptance, from the day after them.

    Source: delivery and acceptance of each tranche (IREN and Microsoft); testing periods as vendors use them.
    """

    NAME: ClassVar[str] = "acceptance"
    tranches: tuple[str, ...] = ()
    days: Annotated[int, Ge(0), Le(3_650)]
    deemed: bool = True

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Tranches must exist, and a fee must hang on them."""
        yield from check_tranches(agreement, path, *self.tranches)
        named = {getattr(clause, "tranche", None) for _, clause in agreement.clauses}
        every = any(clause.NAME == "capacity_fee" for _, clause in agreement.clauses) and None in named
        for tranche in self.governed(agreement):
            if not every and tranche not in named:
                yield Problem(
                    where=path,
                    code="no_fee",
                    message=f"tranche {tranche!r} has no fee of its own that its acceptance could begin",
                    remedy=f'add tranche = "{tranche}" to its fee, or price it by [capacity_fee]',
                )

    def governed(self, agreement: Agreement) -> tuple[str, ...]:
        """Ids of the tranches it is about."""
        return self.tranches or tuple(tranche.id for tranche in agreement.tranches)


def governing_acceptance(agreement: Agreement, tranche: str) -> tuple[str, Acceptance] | None:
    """The clause under which a tranche is accepted, with its path, or None."""
    found = (pair for pair in agreement.all_of(Acceptance) if tranche in pair[1].governed(agreement))
    return next(found, None)


def waiting(agreement: Agreement) -> tuple[str, ...]:
    """Ids of tranches that are to be accepted and aren't yet."""
    return tuple(
        tranche
        for _, clause in agreement.all_of(Acceptance)
        for tranche in clause.governed(agreement)
        if tranche not in agreement.accepted
    )


def unaccepted_unpaid(agreement: Agreement, but: Collection[str] = ()) -> Agreement:
    """The agreement as it is billed: a tranche that waits for its acceptance owes nothing yet.

    Args:
        agreement: as it stands.
        but: tranches that are supposed to be accepted as they start.
    """
    waits = {tranche: NEVER for tranche in waiting(agreement) if tranche not in but}
    return replace(agreement, accepted={**agreement.accepted, **waits}) if waits else agreement
