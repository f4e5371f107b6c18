"""Supposed facts of an agreement, in TOML: what happened, and what is expected to be owed for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le

from offtake.agreements.catalogue import EVENTS
from offtake.agreements.events.relief import Instant
from offtake.agreements.model import Agreement, Event
from offtake.agreements.series import Point, Series
from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.months import Month
from offtake.base.time import Interval, parse_instant
from offtake.formats.positions import locating
from offtake.formats.scenario import read_events
from offtake.formats.toml import parse_toml, read, unwrap
from offtake.rating.model import Paid
from offtake.rating.suppose import Supposed, SupposedHour, SupposedMonth, SupposedOutage


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsold(Declared):
    """GPU-hours of a pool that nobody had claimed.

    Attributes:
        pool: the pool.
        gpu_h: how many GPU-hours.
    """

    pool: str
    gpu_h: Annotated[Decimal, Ge(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsMonth(Declared):
    """A month that is rated.

    Attributes:
        month: which; months between the first and the last named are rated too.
        tranche: what is said holds for this tranche only.
        taken: share of what was delivered that was taken.
        taken_gpu_h: GPU-hours taken, instead of a share.
        over_gpu_h: GPU-hours taken beyond the entitlement.
        energy_kwh: energy metered.
        unsold: GPU-hours nobody had claimed, by pool.
    """

    month: Month
    tranche: str | None = None
    taken: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)
    taken_gpu_h: Annotated[Decimal, Ge(0), Le(10**12)] | None = None
    over_gpu_h: Annotated[Decimal, Ge(0), Le(10**12)] = Decimal(0)
    energy_kwh: Annotated[Decimal, Ge(0), Le(10**15)] = Decimal(0)
    unsold: tuple[Unsold, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsOutage(Declared):
    """GPUs lost for a while.

    Attributes:
        id: name of the outage.
        tranche: whose GPUs are lost; may be left out where there is one tranche.
        pool: where they stood.
        start: when it begins, such as `2027-02-09T08:00:00Z`.
        end: when it is over.
        gpus: how many.
    """

    id: str
    tranche: str | None = None
    pool: str = ""
    start: str
    end: str
    gpus: Annotated[int, Gt(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsHour(Declared):
    """GPUs taken for an hour; where any hour is given, only the hours given are taken.

    Attributes:
        tranche: whose take; may be left out where there is one tranche.
        at: when the hour begins, such as `2027-02-09T08:00:00Z`.
        gpus: how many.
    """

    tranche: str | None = None
    at: Instant
    gpus: Annotated[int, Ge(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsPoint(Declared):
    """One published value.

    Attributes:
        on: the day it is for.
        value: in the series' unit.
        published: the day it became known; the same day when left out.
    """

    on: date
    value: Decimal
    published: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsSeries(Declared):
    """A published series: an index, a tariff, a history of on-demand rates.

    Attributes:
        name: as the agreement names it.
        unit: for people.
        source: who publishes it.
        point: its values.
    """

    name: str
    unit: str = ""
    source: str = ""
    point: tuple[FactsPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsPaid(Declared):
    """A document that was paid, early, in time or late.

    Attributes:
        document: its number.
        amount: what was paid, in major units of the agreement's currency.
        due: the day it was due.
        paid: the day it was paid.
    """

    document: str
    amount: Annotated[Decimal, Gt(0)]
    due: date
    paid: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected(Declared):
    """A charge of a month, or a figure of the whole agreement, that must come out.

    Attributes:
        month: of the charge.
        clause: path of the clause, such as `take_or_pay` or `termination[1]`.
        figure: instead of both, a figure such as `headline`, `firm`, `rpo` or `uncovered`.
        amount: the sum of the clause's charges of that month, or the figure; in major units.
    """

    month: Month | None = None
    clause: str = ""
    figure: str | None = None
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts(Declared):
    month: tuple[FactsMonth, ...] = ()
    outage: tuple[FactsOutage, ...] = ()
    hour: tuple[FactsHour, ...] = ()
    series: tuple[FactsSeries, ...] = ()
    paid: tuple[FactsPaid, ...] = ()
    expect: tuple[Expected, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsFile:
    """What a file of facts says.

    Attributes:
        months: first and last month to rate, or None where the file names none.
        supposed: what happened.
        events: what parties did, in the order of the file.
        series: published series by name.
        expected: charges that must come out.
    """

    months: tuple[Month, Month] | None
    supposed: Supposed
    events: tuple[Event, ...]
    series: tuple[Series, ...]
    expected: tuple[Expected, ...]


def parse_facts(text: str, where: str, agreement: Agreement) -> FactsFile:
    """Read supposed facts of an agreement.

    Raises:
        BadInput: with every problem.
    """
    with locating(text, where):
        return _facts(text, where, agreement)


def _facts(text: str, where: str, agreement: Agreement) -> FactsFile:
    problems: list[Problem] = []
    node = unwrap(parse_toml(text, where), "", {}, problems)
    _name_agreement(node, agreement.id)
    events = [event for _, event in read_events(node, problems)]
    facts = read(_Facts, node, "", problems)
    if facts is None or problems:
        raise BadInput([problem.within(where) for problem in problems])
    outages = [_outage(agreement, i, outage, problems) for i, outage in enumerate(facts.outage)]
    problems += [*_check_tranches(agreement, facts), *_check_expected(facts)]
    if problems:
        raise BadInput([problem.within(where) for problem in problems])
    named = [*(m.month for m in facts.month), *(e.month for e in facts.expect if e.month is not None)]
    return FactsFile(
        months=(min(named), max(named)) if named else None,
        supposed=Supposed(
            months=tuple(_month(month) for month in facts.month),
            outages=tuple(outage for outage in outages if outage is not None),
            hours=tuple(
                SupposedHour(
                    tranche=h.tranche or agreement.tranches[0].id, at=parse_instant(h.at), gpus=h.gpus
                )
                for h in facts.hour
            ),
            paid=tuple(
                Paid(document=one.document, amount=agreement.money(one.amount), due=one.due, paid=one.paid)
                for one in facts.paid
            ),
        ),
        events=tuple(events),
        series=tuple(
            Series.of(
                one.name,
                (Point(on=p.on, value=p.value, published=p.published) for p in one.point),
                unit=one.unit,
                source=one.source,
            )
            for one in facts.series
        ),
        expected=facts.expect,
    )


def _name_agreement(node: dict[str, Any], agreement: str) -> None:
    """Events are of the agreement beside the file, so they needn't say so."""
    for section in EVENTS:
        items = node.get(section, [])
        for item in items if isinstance(items, list) else [items]:
            if isinstance(item, dict):
                item.setdefault("agreement", agreement)


def _month(month: FactsMonth) -> SupposedMonth:
    return SupposedMonth(
        month=month.month,
        tranche=month.tranche,
        taken=Fraction(month.taken),
        taken_gpu_h=None if month.taken_gpu_h is None else Fraction(month.taken_gpu_h),
        over_gpu_h=Fraction(month.over_gpu_h),
        energy_wh=int(month.energy_kwh * 1000),
        unsold={one.pool: Fraction(one.gpu_h) for one in month.unsold},
    )


def _outage(
    agreement: Agreement, i: int, outage: FactsOutage, problems: list[Problem]
) -> SupposedOutage | None:
    try:
        interval = Interval(parse_instant(outage.start), parse_instant(outage.end))
    except ValueError as error:
        problems.append(Problem(where=f"outage[{i}]", code="bad_instant", message=str(error)))
        return None
    tranche = outage.tranche or agreement.tranches[0].id
    return SupposedOutage(tranche=tranche, interval=interval, gpus=outage.gpus, pool=outage.pool)


def _check_tranches(agreement: Agreement, facts: _Facts) -> list[Problem]:
    known = [tranche.id for tranche in agreement.tranches]
    named = [(f"month[{i}].tranche", month.tranche) for i, month in enumerate(facts.month)]
    named += [(f"hour[{i}].tranche", hour.tranche) for i, hour in enumerate(facts.hour)]
    named += [(f"outage[{i}].tranche", outage.tranche) for i, outage in enumerate(facts.outage)]
    return [
        Problem(
            where=where,
            code="unknown_tranche",
            message=f"there is no tranche {tranche!r}",
            remedy=f"tranches are {', '.join(known)}",
        )
        for where, tranche in named
        if tranche is not None and tranche not in known
    ]


def _check_expected(facts: _Facts) -> list[Problem]:
    return [
        Problem(
            where=f"expect[{i}]",
            code="contradiction",
            message="what is expected is a month's clause, or a figure",
            remedy='write month and clause, or figure = "firm"',
        )
        for i, one in enumerate(facts.expect)
        if (one.figure is None) != (one.month is not None and bool(one.clause))
    ]


def with_series(agreement: Agreement, series: tuple[Series, ...]) -> Agreement:
    """The agreement with published series at hand."""
    return replace(agreement, series={**agreement.series, **{one.name: one for one in series}})
