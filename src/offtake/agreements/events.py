"""What parties do under an agreement: notices, elections, recalls. Each is a fact of the book."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from offtake.agreements.clauses.delivery import Delivery, Remedy
from offtake.agreements.clauses.recall import Recall
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Side
from offtake.base.curve import Curve
from offtake.base.months import plus_days
from offtake.base.outcome import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A side's notice that it leaves for convenience; `given` is the day it counts as received."""

    id: str
    agreement: str
    by: Side
    given: date
    hypothetical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """The offtaker's choice after a missed delivery.

    Attributes:
        made: the day of the choice, after grace has ended.
        gpus: the count delivered and accepted, for a pro-rata fee.
    """

    id: str
    agreement: str
    choice: Remedy
    made: date
    gpus: int = 0
    hypothetical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallNotice:
    """The operator's notice that it takes GPUs of a tranche back."""

    id: str
    agreement: str
    tranche: str
    gpus: int
    given: date
    hypothetical: bool = False


def check_notice(agreement: Agreement, notice: Notice) -> Refused | date:
    """The first day no longer covered, or why the notice doesn't count.

    Refusals, in order: `no_right` (that side can't leave for convenience), `locked_in` (too early).
    """
    exits = [clause for _, clause in agreement.all_of(Termination) if notice.by in clause.by]
    if not exits:
        return Refused(
            code="no_right", sentence=f"{agreement.id}: the {notice.by} can't leave for convenience"
        )
    open_ = [clause for clause in exits if clause.first_notice(agreement) <= notice.given]
    if not open_:
        first = min(clause.first_notice(agreement) for clause in exits)
        return Refused(
            code="locked_in",
            sentence=f"{agreement.id}: notice on {notice.given} is too early; the first day is {first}",
            facts={"first_notice": str(first)},
        )
    return min(plus_days(notice.given, clause.notice_days) for clause in open_)


def check_election(agreement: Agreement, election: Election) -> Refused | None:
    """Why an election doesn't count, or None.

    Refusals, in order: `no_clause`, `not_offered`, `in_grace`, `more_than_committed`.
    """
    found = agreement.first_of(Delivery)
    if found is None:
        return Refused(
            code="no_clause", sentence=f"{agreement.id}: there is no delivery clause to elect under"
        )
    clause = found[1]
    if election.choice not in clause.remedies:
        return Refused(
            code="not_offered", sentence=f"{agreement.id}: {election.choice} isn't among the remedies"
        )
    if election.made <= clause.grace_ends:
        return Refused(code="in_grace", sentence=f"{agreement.id}: grace runs until {clause.grace_ends}")
    if election.gpus > clause.gpus:
        return Refused(
            code="more_than_committed",
            sentence=f"{agreement.id}: {election.gpus:,} accepted is more than {clause.gpus:,} committed",
        )
    return None


def check_recall(
    agreement: Agreement, notice: RecallNotice, earlier: Sequence[RecallNotice]
) -> Refused | date:
    """The day the recall takes effect, or why it doesn't count.

    Refusals, in order: `no_right`, `too_early`, `granularity`, `more_than_held`, `retained`.
    """
    rights = [c for _, c in agreement.all_of(Recall) if notice.tranche in c.tranches]
    if not rights:
        return Refused(
            code="no_right", sentence=f"{agreement.id}: tranche {notice.tranche!r} can't be recalled"
        )
    clause = rights[0]
    first = max(clause.not_before or agreement.starts, agreement.starts)
    if notice.given < first:
        return Refused(
            code="too_early",
            sentence=f"{agreement.id}: no recall before {first}",
        )
    if notice.gpus <= 0 or notice.gpus % clause.granularity_gpus:
        return Refused(
            code="granularity",
            sentence=f"{agreement.id}: recalls are multiples of {clause.granularity_gpus:,} GPUs, "
            f"not {notice.gpus:,}",
        )
    own = next(tranche for tranche in agreement.tranches if tranche.id == notice.tranche)
    taken = notice.gpus + sum(other.gpus for other in earlier if other.tranche == notice.tranche)
    if taken > own.gpus(own.quantity):
        return Refused(
            code="more_than_held",
            sentence=f"{agreement.id}: {taken:,} GPUs of {notice.tranche!r} would be recalled, "
            f"it has {own.gpus(own.quantity):,}",
        )
    held = sum(t.gpus(t.quantity) for t in agreement.tranches if t.id in clause.tranches)
    left = held - notice.gpus - sum(n.gpus for n in earlier if n.tranche in clause.tranches)
    if left < clause.retained_gpus:
        return Refused(
            code="retained",
            sentence=f"{agreement.id}: {left:,} GPUs would be left, "
            f"{clause.retained_gpus:,} must be retained",
        )
    return plus_days(notice.given, clause.notice_days)


def check_amendment(old: Agreement, new: Agreement) -> Refused | None:
    """Why a new text can't amend an agreement, or None.

    Refusals, in order: `currency_changed`, `time_zone_changed`, `tranche_dropped`. Money that was billed and
    months that were counted can't be restated by an amendment; a tranche ends by its date.
    """
    if new.currency != old.currency:
        return Refused(
            code="currency_changed",
            sentence=f"{old.id} is in {old.currency}; write a new agreement for {new.currency}",
        )
    if new.time_zone != old.time_zone:
        return Refused(
            code="time_zone_changed",
            sentence=f"{old.id} counts its months in {old.time_zone}; an amendment can't change that",
        )
    dropped = sorted({tranche.id for tranche in old.tranches} - {tranche.id for tranche in new.tranches})
    if dropped:
        return Refused(
            code="tranche_dropped",
            sentence=f"{old.id}: tranche {', '.join(dropped)} is gone; end it with `through`, keep its id",
        )
    return None


def as_it_stands(agreement: Agreement, notices: Iterable[Notice], elections: Iterable[Election]) -> Agreement:
    """The agreement with every notice and termination that counts."""
    for notice in notices:
        end = check_notice(agreement, notice)
        if isinstance(end, date):
            agreement = agreement.ending(end)
    for election in elections:
        if election.choice is Remedy.TERMINATE and check_election(agreement, election) is None:
            agreement = agreement.ending(plus_days(election.made, 1))
    return agreement


def recalled(agreement: Agreement, notices: Sequence[RecallNotice]) -> dict[str, Curve]:
    """GPUs taken back by recalls that count, by tranche, over time."""
    curves: dict[str, Curve] = {}
    for i, notice in enumerate(notices):
        effective = check_recall(agreement, notice, notices[:i])
        if isinstance(effective, date):
            step = Curve.from_steps([(agreement.midnight(effective), notice.gpus)])
            curves[notice.tranche] = curves.get(notice.tranche, Curve.zero()) + step
    return curves
