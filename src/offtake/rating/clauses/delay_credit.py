"""The credit for a tranche that came late."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from fractions import Fraction

from offtake.agreements.clauses.acceptance import NEVER
from offtake.agreements.clauses.delay_credit import DelayCredit
from offtake.agreements.events.relief import excused_days
from offtake.agreements.model import Agreement, DueKind
from offtake.agreements.schedule import owed_by
from offtake.base.money import Money, share_of
from offtake.base.months import month_of_date, plus_days
from offtake.rating.model import Charge, Kind, MonthFacts, charge, percent


def rate_delay_credit(
    agreement: Agreement, path: str, clause: DelayCredit, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """The credit, in the month of acceptance, on the tranche's fee for its first whole month."""
    accepted = agreement.accepted.get(clause.tranche, NEVER)
    late = days_late(agreement, clause, accepted)
    if facts.month != month_of_date(accepted) or not late:
        return
    fee = first_whole_fee(agreement, clause.tranche, accepted)
    share = min(Fraction(clause.share_per_day) * late, Fraction(clause.cap))
    capped = "" if share < Fraction(clause.cap) else f", capped at {percent(clause.cap)}"
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.CREDIT,
        text=f"Delay credit: tranche {clause.tranche} accepted {accepted}, {late} days late, "
        f"{percent(clause.share_per_day)} of a month's fee {fee} a day{capped}",
        amount=-share_of(fee, share, agreement.rounding),
        basis=(f"{path}.due", f"{path}.grace_days", f"{path}.share_per_day", f"{path}.cap"),
        tranche=clause.tranche,
    )


def days_late(agreement: Agreement, clause: DelayCredit, accepted: date) -> int:
    """Days that count, of a tranche that is accepted; 0 for one that isn't yet."""
    first = plus_days(clause.due, clause.grace_days + 1)
    if accepted == NEVER or accepted <= first:
        return 0
    return (accepted - first).days - excused_days(agreement, clause.tranche, first, accepted)


def first_whole_fee(agreement: Agreement, tranche: str, accepted: date) -> Money:
    """The tranche's fee for the first calendar month after its acceptance."""
    month = month_of_date(accepted).plus(1)
    owed = [
        item.amount.minor
        for other, clause in agreement.clauses
        for item in owed_by(agreement, other, clause, first=month, last=month)
        if item.tranche == tranche and item.kind is DueKind.FEE
    ]
    return Money(sum(owed), agreement.currency)
