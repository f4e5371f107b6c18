"""What is owed month by month under an agreement's own text: escalated, prorated and rounded in one place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import TypeVar

from offtake.agreements.model import Agreement, Clause, Due, DueKind, Factor
from offtake.agreements.terms import Figure
from offtake.base.money import Money, round_fraction
from offtake.base.months import Month, days_in_month, month_of_date, months_through, plus_days
from offtake.base.schedule import Dated, Schedule

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A scheduled amount as it is owed: escalated, cut to what is covered, rounded once.

    Attributes:
        month: the service month.
        amount: in the agreement's currency.
        basis: paths of the terms used.
        tranche: the tranche it is for, or None.
        kind: fee or prepayment.
        covered: the share of the month that is covered.
        notes: what escalators and indices say of it.
    """

    month: Month
    amount: Money
    basis: tuple[str, ...]
    tranche: str | None
    kind: DueKind
    covered: Fraction
    notes: tuple[str, ...] = ()


def figure_of(agreement: Agreement, value: T, basis: Iterable[str]) -> Figure[T]:
    """A value with the terms it rests on, each once, and those of them that are assumed."""
    paths = tuple(dict.fromkeys(basis))
    return Figure(value=value, basis=paths, assumed=agreement.sheet.assumed(paths))


def owed_in(agreement: Agreement, path: str, clause: Clause, month: Month) -> Iterator[Owed]:
    """What one clause schedules for a month, as it is owed: the one place where a fee is escalated,
    prorated and rounded.
    """
    span = clause.span(agreement)
    if span is None or not span[0] <= month <= span[1]:
        return
    for due in clause.owes(agreement, month):
        covered = Fraction(1) if due.measured else covered_share(agreement, month, due.tranche)
        if covered:
            factors = () if due.kind is not DueKind.FEE else factors_on(agreement, path, month)
            yield _owed(agreement, due, covered, factors)


def _owed(agreement: Agreement, due: Due, covered: Fraction, factors: tuple[Factor, ...]) -> Owed:
    exact = due.exact * covered
    for factor in factors:
        exact *= factor.value
    return Owed(
        month=due.month,
        amount=Money(round_fraction(exact, agreement.rounding), agreement.currency),
        basis=(*due.basis, *(term for factor in factors for term in factor.basis)),
        tranche=due.tranche,
        kind=due.kind,
        covered=covered,
        notes=tuple(factor.note for factor in factors if factor.note),
    )


def factors_on(agreement: Agreement, path: str, month: Month) -> tuple[Factor, ...]:
    """What multiplies the fee of the clause at `path` in a month: escalators, indices."""
    found = (
        clause.factor(agreement, path, month)
        for _, clause in agreement.clauses
        if type(clause).factor is not Clause.factor
    )
    return tuple(factor for factor in found if factor is not None)


def owed_by(
    agreement: Agreement,
    path: str,
    clause: Clause,
    *,
    first: Month | None = None,
    last: Month | None = None,
) -> Iterator[Owed]:
    """Everything one clause schedules, month by month, as far as the agreement covers it.

    Args:
        agreement: the text that holds.
        path: of the clause.
        clause: one of its clauses.
        first: nothing before this month.
        last: nothing after this month.
    """
    span = clause.span(agreement)
    if span is not None:
        for month in _within(agreement, span, first, last):
            yield from owed_in(agreement, path, clause, month)


def fee_schedule(agreement: Agreement) -> Schedule:
    """Every fixed fee by service month, up to the end of the agreement.

    A month cut by an early end owes the share of its days that are covered, rounded once. Prepayments aren't
    fees: they are drawn down against them.
    """
    return _schedule(agreement, (i for i in _all_owed(agreement) if i.kind is DueKind.FEE))


def value_schedule(agreement: Agreement) -> Schedule:
    """Fixed fees and minimums: what is owed by month if nothing but the minimum is taken."""
    return _schedule(agreement, (item for _, item in valued(agreement)))


def valued(agreement: Agreement) -> Iterator[tuple[str, Owed]]:
    """Every fixed fee and minimum, with the path of its clause."""
    for text, first, last in texts_by_month(agreement):
        for path, clause in text.clauses:
            for item in owed_by(text, path, clause, first=first, last=last):
                if item.kind is DueKind.FEE:
                    yield path, item
            span = clause.span(text)
            if type(clause).least is not Clause.least and span is not None:
                for month in _within(text, span, first, last):
                    factors = factors_on(text, path, month)
                    for due in clause.least(text, month):
                        yield path, _owed(text, due, Fraction(1), factors)


def prepayment_schedule(agreement: Agreement) -> Schedule:
    """Every prepayment by the month in which it is due."""
    return _schedule(agreement, (i for i in _all_owed(agreement) if i.kind is DueKind.PREPAYMENT))


def _all_owed(agreement: Agreement) -> Iterator[Owed]:
    for text, first, last in texts_by_month(agreement):
        for path, clause in text.clauses:
            yield from owed_by(text, path, clause, first=first, last=last)


def texts_by_month(agreement: Agreement) -> Iterator[tuple[Agreement, Month | None, Month | None]]:
    """Each text with the first and last month rated on it: the one that holds on a month's last day."""
    for text, since, until in agreement.texts():
        first = None if since is None else month_of_date(since)
        last = None if until is None else month_of_date(until).plus(-1)
        yield text, first, last


def _within(
    agreement: Agreement, span: tuple[Month, Month], first: Month | None, last: Month | None
) -> Iterator[Month]:
    begin = span[0] if first is None else max(span[0], first)
    end = min(span[1], last_month(agreement))
    return months_through(begin, end if last is None else min(end, last))


def _schedule(agreement: Agreement, items: Iterable[Owed]) -> Schedule:
    amounts: dict[Month, Money] = {}
    basis: dict[Month, list[str]] = defaultdict(list)
    for item in items:
        amounts[item.month] = amounts.get(item.month, Money.zero(agreement.currency)) + item.amount
        basis[item.month] += item.basis
    dated = (
        Dated(month=month, amount=amounts[month], basis=tuple(dict.fromkeys(basis[month])))
        for month in sorted(amounts)
    )
    return Schedule(agreement.currency, tuple(dated))


def covered_share(agreement: Agreement, month: Month, tranche: str | None = None) -> Fraction:
    """The share of a month's days that is covered.

    For the whole agreement, days before its end: a late first day isn't prorated. For a tranche, days from
    its start (or from acceptance, where a clause says so) to its end.
    """
    first, days = date(month.year, month.month, 1), days_in_month(month)
    begin, end = first, agreement.ends
    if tranche is not None:
        own = agreement.tranche_of(tranche)
        begin = agreement.accepted.get(tranche, own.start)
        end = min(end, plus_days(own.through, 1))
    covered = (min(end, plus_days(first, days)) - max(begin, first)).days
    return Fraction(max(covered, 0), days)


def first_month(agreement: Agreement) -> Month:
    """The first month to settle: of the first tranche, or of the first fee if that is earlier."""
    spans = (clause.span(agreement) for _, clause in agreement.clauses)
    return min([month_of_date(agreement.starts), *(span[0] for span in spans if span is not None)])


def last_month(agreement: Agreement) -> Month:
    """The last month of which at least a day is covered."""
    return month_of_date(plus_days(agreement.ends, -1))


def fee_basis(agreement: Agreement) -> tuple[str, ...]:
    """Terms that the fee schedule rests on."""
    return tuple(dict.fromkeys(path for item in fee_schedule(agreement) for path in item.basis))
