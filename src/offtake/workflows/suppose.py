"""What an agreement owes for facts that someone supposes: a file of each, no book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtake.agreements.clauses.acceptance import unaccepted_unpaid, waiting
from offtake.agreements.events.acceptance import Tender
from offtake.agreements.model import Agreement, Event, after_events
from offtake.agreements.schedule import first_month, last_month
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.formats.agreement import parse_versions, spliced
from offtake.formats.amendment import parse_amendment
from offtake.formats.facts_file import Expected, parse_facts, with_series
from offtake.rating.explain import explain_value
from offtake.rating.model import Charge, MonthFacts
from offtake.rating.rate import Rated, rate_term
from offtake.rating.suppose import supposed_months


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """A charge or a figure that was expected and came out otherwise; `what` names it."""

    what: str
    expected: Money
    found: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """What an agreement owes month by month.

    Attributes:
        agreement: as it stands after the supposed events.
        months: each month's facts and charges.
        refused: supposed events that don't count, and why.
        in_time: tranches that the facts don't tender, supposed to be accepted as they start.
        misses: expectations that weren't met.
        expected: how many there were.
    """

    agreement: Agreement
    months: tuple[tuple[MonthFacts, Rated], ...]
    refused: tuple[tuple[str, Refused], ...] = ()
    in_time: tuple[str, ...] = ()
    misses: tuple[Miss, ...] = ()
    expected: int = 0

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every line of every month."""
        return tuple(charge for _, rated in self.months for charge in rated.charges)


def charges_of(
    text: str,
    where: str,
    facts: str = "",
    facts_where: str = "",
    *,
    months: tuple[Month, Month] | None = None,
    amendments: Sequence[tuple[str, str]] = (),
) -> Owing:
    """Rate an agreement's file on a file of supposed facts.

    Args:
        text: the agreement.
        where: its name.
        facts: what happened; everything delivered and taken in full when empty.
        facts_where: its name.
        months: first and last month; those that the facts name, or the whole term, when left out.
        amendments: (text, name) of amendments.

    Raises:
        BadInput: with every problem of a file.
    """
    parsed = parse_versions(text, where, [parse_amendment(*one) for one in amendments])
    agreement = spliced(parsed)
    supposed = parse_facts(facts, facts_where, agreement)
    agreement = with_series(agreement, supposed.series)
    refused = _refused(agreement, supposed.events)
    agreement = after_events(agreement, supposed.events)
    tendered = {event.tranche for event, _ in agreement.events_of(Tender)}
    in_time = tuple(tranche for tranche in waiting(agreement) if tranche not in tendered)
    agreement = unaccepted_unpaid(agreement, but=in_time)
    first, last = months or supposed.months or (first_month(agreement), last_month(agreement))
    # what is carried into the first month comes from those before it
    facts_of = supposed_months(agreement, supposed.supposed, min(first, first_month(agreement)), last)
    rated = tuple(pair for pair in rate_term(agreement, facts_of))
    return Owing(
        agreement=agreement,
        months=tuple(pair for pair in rated if pair[0].month >= first),
        refused=refused,
        in_time=in_time,
        misses=_misses(agreement, rated, supposed.expected),
        expected=len(supposed.expected),
    )


def _refused(agreement: Agreement, events: Sequence[Event]) -> tuple[tuple[str, Refused], ...]:
    found = []
    for i, event in enumerate(events):
        outcome = event.check(after_events(agreement, events[:i]))
        if isinstance(outcome, Refused):
            found.append((f"{event.SECTION} {event.id}", outcome))
    return tuple(found)


def _misses(
    agreement: Agreement, rated: Sequence[tuple[MonthFacts, Rated]], expected: Sequence[Expected]
) -> tuple[Miss, ...]:
    sums: dict[tuple[Month, str], Money] = {}
    for _, month in rated:
        for charge in month.charges:
            key = (charge.month, charge.clause)
            sums[key] = sums.get(key, Money.zero(agreement.currency)) + charge.amount
    found = []
    for one in expected:
        wanted = agreement.money(one.amount)
        if one.figure is not None or one.month is None:
            what = one.figure or ""
            came = explain_value(agreement, what).amount
        else:
            what = f"{one.month} {one.clause}"
            came = sums.get((one.month, one.clause), Money.zero(agreement.currency))
        if came != wanted:
            found.append(Miss(what=what, expected=wanted, found=came))
    return tuple(found)
