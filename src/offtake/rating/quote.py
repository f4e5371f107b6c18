"""What a decision under an agreement costs or saves, month by month, and until when that holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from offtake.agreements.clauses.acceptance import unaccepted_unpaid, waiting
from offtake.agreements.clauses.credit_support import CreditSupport
from offtake.agreements.clauses.default import Default
from offtake.agreements.clauses.delivery import Delivery, Remedy
from offtake.agreements.clauses.expansion import Expansion
from offtake.agreements.clauses.force_majeure import ForceMajeure
from offtake.agreements.clauses.payment import Payment
from offtake.agreements.clauses.renewal import Renewal
from offtake.agreements.clauses.service_level import ServiceLevel
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.events.election import Election
from offtake.agreements.events.exercise import Exercise
from offtake.agreements.events.notice import Notice
from offtake.agreements.model import Agreement, Event, after_events
from offtake.agreements.schedule import first_month, last_month
from offtake.agreements.terms import Side
from offtake.base.money import Money
from offtake.base.months import Month, days_in_month, month_of_date, plus_days
from offtake.base.outcome import Refused
from offtake.rating.model import Charge
from offtake.rating.rate import rate_term
from offtake.rating.suppose import Supposed, supposed_months

LAST_LINES = ("termination", "prepayment", "default")
"""Clauses whose charges in the last month say what is left to settle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedMonth:
    """What the offtaker pays for a month without and with the decision."""

    month: Month
    before: Money
    after: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A decision and its price, everything delivered and taken in full.

    Attributes:
        event: the decision.
        effective: the day on which it takes effect.
        months: every month in which it changes what is paid.
        change: what the offtaker pays more (less when negative), over all months.
        ends: first day no longer covered after it.
        holds_through: the last day on which the decision has this price.
        clauses: paths of the clauses whose charges change.
        survives: what is still owed or still stands afterwards, in words.
        basis: paths of the terms used.
        assumed: those of them that are assumptions.
    """

    event: Event
    effective: date
    months: tuple[QuotedMonth, ...]
    change: Money
    ends: date
    holds_through: date
    clauses: tuple[str, ...]
    survives: tuple[str, ...]
    basis: tuple[str, ...]
    assumed: tuple[str, ...]


def quote(agreement: Agreement, event: Event, supposed: Supposed | None = None) -> Quote | Refused:
    """The price of a decision: all charges of the term without it and with it.

    Args:
        agreement: as it stands before it.
        event: the decision.
        supposed: what is supposed to happen otherwise; everything delivered and taken in full when left out.

    Refusals: those of the event's own `check`.
    """
    effective = event.check(agreement)
    if isinstance(effective, Refused):
        return effective
    decided = after_events(agreement, [event])
    known = supposed or Supposed()
    before, after = term_charges(agreement, known), term_charges(decided, known)
    differing = _differing(before, after)
    months = tuple(
        QuotedMonth(
            month=month,
            before=_sum(before, month, agreement.currency),
            after=_sum(after, month, agreement.currency),
        )
        for month in sorted({month for month, _ in differing})
    )
    changed = [c for c in (*before, *after) if (c.month, c.clause) in differing]
    basis = tuple(dict.fromkeys(path for c in changed for path in c.basis))
    return Quote(
        event=event,
        effective=effective,
        months=tuple(m for m in months if m.before != m.after),
        change=Money(sum(m.after.minor - m.before.minor for m in months), agreement.currency),
        ends=decided.ends,
        holds_through=_holds_through(agreement, event),
        clauses=tuple(dict.fromkeys(clause for _, clause in sorted(differing))),
        survives=tuple(_survives(decided, after)),
        basis=basis,
        assumed=agreement.sheet.assumed(basis),
    )


def paid_in_all(agreement: Agreement) -> Money:
    """What the offtaker pays over the term, everything delivered and taken in full."""
    return Money(sum(c.amount.minor for c in term_charges(agreement, Supposed())), agreement.currency)


def term_charges(agreement: Agreement, supposed: Supposed) -> tuple[Charge, ...]:
    """Every charge of the term as it is supposed to go; what nobody tendered counts as accepted."""
    billed = unaccepted_unpaid(agreement, but=waiting(agreement))
    facts = supposed_months(billed, supposed, first_month(billed), last_month(billed))
    return tuple(charge for _, rated in rate_term(billed, facts) for charge in rated.charges)


def _differing(before: Iterable[Charge], after: Iterable[Charge]) -> set[tuple[Month, str]]:
    """Months and clauses whose charges differ."""
    sums: dict[tuple[Month, str], int] = {}
    for charges, sign in ((before, -1), (after, 1)):
        for one in charges:
            key = (one.month, one.clause)
            sums[key] = sums.get(key, 0) + sign * one.amount.minor
    return {key for key, minor in sums.items() if minor}


def _sum(charges: Iterable[Charge], month: Month, currency: str) -> Money:
    return Money(sum(c.amount.minor for c in charges if c.month == month), currency)


def _holds_through(agreement: Agreement, event: Event) -> date:
    """The last day on which the same decision has the same price."""
    if isinstance(event, Exercise):
        clause = dict(agreement.clauses)[event.option]
        if isinstance(clause, Renewal):
            return clause.last_day(agreement)
        if isinstance(clause, Expansion):
            return clause.last_day
    if isinstance(event, Election) and event.choice in (Remedy.PRO_RATA_FEE, Remedy.DISCOUNTED_FEE):
        month = month_of_date(event.made)
        return date(month.year, month.month, days_in_month(month))
    return event.day


def _survives(decided: Agreement, after: Iterable[Charge]) -> Iterator[str]:
    """What is left once the agreement has ended as it then would."""
    last = last_month(decided)
    for one in after:
        if one.month == last and one.clause.partition("[")[0] in LAST_LINES:
            yield f"{one.text}: {one.amount}"
    payment = decided.first_of(Payment)
    days = payment[1].net_days if payment else Payment().net_days
    yield f"invoices issued by {decided.ends} are owed within {days} days"
    for _, support in decided.all_of(CreditSupport):
        if support.holds(decided.ends):
            yield f"{support.form.value.replace('_', ' ')} of {support.provider}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """A way out of an agreement before its term ends.

    Attributes:
        side: who may leave.
        clause: path of the clause that allows it.
        condition: what must have happened first, or empty.
        first_day: the first day on which it may leave, on or after the day asked about; None where a
            condition decides.
        ends: first day no longer covered if it leaves then.
        owed: what is paid from the month asked about on, if it leaves then.
        costs: what of it leaving itself costs.
        falls_away: what isn't owed any more.
    """

    side: Side
    clause: str
    condition: str
    first_day: date | None = None
    ends: date | None = None
    owed: Money | None = None
    costs: Money | None = None
    falls_away: Money | None = None


def exits(agreement: Agreement, on: date) -> tuple[Exit, ...]:
    """Every way out that the clauses give, as seen on a day.

    Source: the shape of a priced wind-down quote (charges until the end, what is left, until when it holds).
    """
    found = [*_for_convenience(agreement, on), *_for_cause(agreement)]
    return tuple(sorted(found, key=lambda e: (e.first_day is None, e.first_day or on, e.clause, e.side)))


def _for_convenience(agreement: Agreement, on: date) -> Iterator[Exit]:
    if agreement.ends_on is not None:
        return
    for path, clause in agreement.all_of(Termination):
        for side in clause.by:
            first = clause.first_notice(agreement, on)
            if clause.earliest_end(agreement, on) >= agreement.ends:
                continue
            priced = quote(agreement, Notice(id="quote", agreement=agreement.id, by=side, given=first))
            if not isinstance(priced, Refused):
                yield _exit(agreement, path, side, on, priced)


def _exit(agreement: Agreement, path: str, side: Side, on: date, priced: Quote) -> Exit:
    after = term_charges(after_events(agreement, [priced.event]), Supposed())
    month, money = month_of_date(on), agreement.currency
    owed = [c for c in after if c.month >= month]
    return Exit(
        side=side,
        clause=path,
        condition="",
        first_day=priced.event.day,
        ends=priced.ends,
        owed=Money(sum(c.amount.minor for c in owed), money),
        costs=Money(sum(c.amount.minor for c in owed if c.clause == path), money),
        falls_away=Money(-priced.change.minor, money),
    )


def _for_cause(agreement: Agreement) -> Iterator[Exit]:
    """Ways out that something must open first."""
    for path, clause in agreement.clauses:
        if isinstance(clause, Delivery) and Remedy.TERMINATE in clause.remedies:
            what = f"fewer than {clause.gpus:,} GPUs in service at the end of {clause.grace_ends}"
            yield Exit(
                side=Side.OFFTAKER, clause=path, condition=what, first_day=plus_days(clause.grace_ends, 1)
            )
        if isinstance(clause, ServiceLevel) and clause.chronic is not None:
            failing = clause.chronic
            what = (
                f"availability below {failing.below * 100:f} % in {failing.windows} of {failing.of} windows"
            )
            yield Exit(side=Side.OFFTAKER, clause=path, condition=what)
        if isinstance(clause, ForceMajeure) and clause.leave_after_days is not None:
            what = f"force majeure for more than {clause.leave_after_days} days"
            for side in Side:
                yield Exit(side=side, clause=path, condition=what)
        if isinstance(clause, Default):
            what = f"a default that isn't cured in {clause.cure_days} days"
            yield Exit(side=Side.OPERATOR, clause=path, condition=what)
