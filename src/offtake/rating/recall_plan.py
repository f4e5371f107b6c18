"""Which tranches to call at least cost, so that enough GPUs are at hand by a day.

A notice is all or nothing: one for each tranche, a multiple of its clause's granules, served as late as it
may be. Every combination of counts within an agreement is checked by the notices' own `check` and priced by
the one rater, so costs needn't be linear nor tranches independent. Across agreements costs add up, and the
least sum that reaches the count is found exactly, by dynamic programming over GPUs.

Source: the covering form of the multiple-choice knapsack problem; Kellerer, Pferschy & Pisinger, *Knapsack
Problems* (2004), chapter 11.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import reduce
from itertools import product
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from offtake.agreements.clauses.notices import Notices
from offtake.agreements.clauses.recall import Recall, governing_recall
from offtake.agreements.derive import entitlement
from offtake.agreements.events.recall import GiveBack, RecallNotice, recalled
from offtake.agreements.model import Agreement, Event, Tranche, after_events
from offtake.base.curve import Curve
from offtake.base.errors import ensure
from offtake.base.money import Money
from offtake.base.months import local_date, local_midnight, plus_days
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.rating.model import Charge, Kind
from offtake.rating.quote import term_charges
from offtake.rating.suppose import Supposed, SupposedOutage

PRICES = 400
"""So many combinations of one agreement are priced at once: of more, first some, then those near the best."""

_NEVER = int(np.iinfo(np.int64).max // 2)
"""More than anything costs."""

Ints = NDArray[np.int64]

_EARLIER = ("blacked_out", "too_often")
"""Refusals that another day may not meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """GPUs that the operator wants back.

    Attributes:
        gpus: how many.
        by: the day from whose first moment on, in `zone`.
        until: the first day on which they aren't needed any more; not known when None.
        hold_until: what is called isn't lent again before this day.
        zone: the operator's time zone.
        pools: only tranches that these pools alone serve; any when empty.
    """

    gpus: int
    by: date
    until: date | None
    hold_until: date
    zone: str
    pools: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        """The first instant of it."""
        return local_midnight(self.by, self.zone)

    @property
    def end(self) -> int | None:
        """The instant from which what was called is given back, or None."""
        if self.until is None:
            return None
        return local_midnight(max(self.until, self.hold_until), self.zone)

    def concerns(self, tranche: Tranche) -> bool:
        """Whether capacity of a tranche would help."""
        return tranche.queue is None and (not self.pools or set(tranche.pools) <= set(self.pools))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One tranche that is called.

    Attributes:
        notice: the notice; its `given` is the last day on which it may be served.
        effective: the day it takes effect.
        serve_before: the instant at which that last day ends, where the agreement counts its days.
        back: the day they are given back in this price; None for not in its term.
        fee: by what the fee falls.
        compensation: what the operator pays for calling.
        other: what else changes: credits, deficiencies, tax and the like.

    Units: money in the agreement's currency; costs are positive. Where an agreement gives several tranches,
    a price is what this one adds to those before it.
    """

    notice: RecallNotice
    effective: date
    serve_before: int
    back: date | None
    fee: Money
    compensation: Money
    other: Money

    @property
    def cost(self) -> Money:
        """All that the call costs the operator."""
        return self.fee + self.compensation + self.other


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOver:
    """A recallable tranche that can't be called for this, and why."""

    agreement: str
    tranche: str
    code: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Some tranches of one agreement that may be called together.

    Attributes:
        calls: them; may be empty.
    """

    calls: tuple[Call, ...]

    @property
    def gpus(self) -> int:
        """GPUs that come free."""
        return sum(call.notice.gpus for call in self.calls)

    @property
    def minor(self) -> int:
        """Cost in minor units."""
        return sum(call.cost.minor for call in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The cheapest calls.

    Attributes:
        calls: them, by agreement and tranche.
        cost: of all of them.
        least: no choice of calls costs less; equal to `cost` where every count was priced.
        reach: GPUs of all recallable tranches together, as far as they are wanted.
    """

    calls: tuple[Call, ...]
    cost: Money
    least: Money
    reach: int


@dataclass(frozen=True, slots=True)
class _Callable:
    """A tranche that may be called: the notice of one granule, and the most granules."""

    notice: RecallNotice
    effective: date
    back: date | None
    granule: int
    most: int

    def events(self, count: int) -> tuple[Event, ...]:
        """The notice of so many granules, and giving them back."""
        notice = replace(self.notice, gpus=count * self.granule)
        return (notice,) if self.back is None else (notice, give_back(notice, self.back))


def give_back(notice: RecallNotice, day: date, gpus: int | None = None) -> GiveBack:
    """Giving back what a notice called, or so many of them."""
    return GiveBack(
        id=f"{notice.id}-back",
        agreement=notice.agreement,
        tranche=notice.tranche,
        gpus=notice.gpus if gpus is None else gpus,
        given=day,
    )


@dataclass(frozen=True, slots=True)
class Point:
    """GPUs, what they cost in minor units, and by how many notices."""

    gpus: int
    minor: int
    notices: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an agreement has to give.

    Attributes:
        options: combinations of its tranches that may be called, with their prices, the empty one first.
        passed: recallable tranches that can't be called.
        step: counts were tried in multiples of so many granules.
        bounds: where that isn't one: for each combination between two steps, the GPUs of the upper and the
            cost of the lower; provided that calling more never costs less, what lies between them gives no
            more and costs no less.
    """

    options: tuple[Option, ...]
    passed: tuple[PassedOver, ...]
    step: int
    bounds: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """Where to look: GPUs of each tranche, and so many granules to either side."""

    gpus: Mapping[str, int]
    granules: int


def options_of(agreement: Agreement, need: Need, now: int, near: Near | None = None) -> Offer:
    """What an agreement has to give for a need.

    Args:
        agreement: as it stands, with whatever else is about to be called.
        need: what is wanted.
        now: the present instant; no notice is served before its day.
        near: only counts around these, and none; any when left out.
    """
    found: list[_Callable] = []
    passed: list[PassedOver] = []
    for tranche in agreement.tranches:
        governing = governing_recall(agreement, tranche.id)
        if governing is None or not need.concerns(tranche):
            continue
        one = _callable(agreement, tranche, governing[1], need, now)
        if isinstance(one, Refused):
            passed.append(
                PassedOver(agreement=agreement.id, tranche=tranche.id, code=one.code, why=one.sentence)
            )
        else:
            found.append(one)
    step, ladders = _ladders(found, near)
    prices = _Prices(agreement, tuple(found), term_charges(agreement, Supposed()) if found else ())
    options = {
        steps: Option(calls=calls)
        for steps in product(*(range(len(ladder)) for ladder in ladders))
        if (calls := prices.calls(tuple(own[i] for own, i in zip(ladders, steps, strict=True)))) is not None
    }
    return Offer(
        options=tuple(options.values()),
        passed=tuple(passed),
        step=step,
        bounds=tuple(_bounds(found, ladders, options)) if step > 1 else (),
    )


def _callable(
    agreement: Agreement, tranche: Tranche, clause: Recall, need: Need, now: int
) -> _Callable | Refused:
    """The latest notice of a tranche that counts, and how many granules it may call."""
    free = _free(agreement, tranche, need)
    granule = clause.granularity_gpus
    if free < granule:
        return Refused(
            code="nothing_to_call",
            sentence=f"{agreement.id}: {max(free, 0):,} GPUs of {tranche.id!r} could come free "
            f"from {need.by} on, and recalls are multiples of {granule:,}",
        )
    notice = _latest(agreement, tranche, clause, need, now)
    if isinstance(notice, Refused):
        return notice
    effective = notice.check(agreement)
    assert isinstance(effective, date)
    most = callable_gpus(agreement, notice, min(free, need.gpus + granule - 1)) // granule
    return _Callable(notice, effective, _back(agreement, tranche, clause, need, effective), granule, most)


def _free(agreement: Agreement, tranche: Tranche, need: Need) -> int:
    """GPUs of a tranche that a recall would free all the time they are needed."""
    ends = agreement.midnight(min(plus_days(tranche.through, 1), agreement.ends))
    end = ends if need.end is None else min(need.end, ends)
    if end <= need.start:
        return 0
    back = recalled(agreement).get(tranche.id, Curve.zero())
    return (entitlement(agreement, tranche).value - back).min_over(Interval(need.start, end))


def _latest(
    agreement: Agreement, tranche: Tranche, clause: Recall, need: Need, now: int
) -> RecallNotice | Refused:
    """The notice of one granule that takes effect as late as it may, served as late as it may."""
    today = local_date(now, agreement.time_zone)
    last = local_date(need.start, agreement.time_zone)
    refused: Refused | None = None
    for days in range((last - today).days + 1):
        received = plus_days(last, -days - clause.notice_days)
        served = _served(agreement, received, today)
        if served is None:
            continue
        notice = RecallNotice(
            id="plan",
            agreement=agreement.id,
            tranche=tranche.id,
            gpus=clause.granularity_gpus,
            given=served[0],
            how=served[1],
        )
        outcome = notice.check(agreement)
        if not isinstance(outcome, Refused):
            return notice
        refused = refused or outcome
        if outcome.code not in _EARLIER:
            return refused
    soonest = plus_days(today, clause.notice_days)
    return refused or Refused(
        code="too_late",
        sentence=f"{agreement.id}: a notice served on {today} takes effect on {soonest} at the earliest",
    )


def _served(agreement: Agreement, received: date, today: date) -> tuple[date, str | None] | None:
    """The last day, and how, to serve a notice so that it is received on a day; None if it is past."""
    notices = agreement.first_of(Notices)
    if notices is None:
        return (received, None) if received >= today else None
    days = [plus_days(received, -back) for back in range((received - today).days + 1)]
    ways = [
        (day, way.how)
        for way in notices[1].way
        if (day := next((one for one in days if notices[1].received(way, one) == received), None))
    ]
    return max(ways, key=lambda pair: pair[0], default=None)


def callable_gpus(agreement: Agreement, notice: RecallNotice, most: int) -> int:
    """The most GPUs, up to so many, that the terms let a notice call; none if it doesn't count at all."""
    governing = governing_recall(agreement, notice.tranche)
    granule = governing[1].granularity_gpus if governing else 1
    low, high = 0, most // granule
    while low < high:
        middle = (low + high + 1) // 2
        if isinstance(replace(notice, gpus=middle * granule).check(agreement), Refused):
            high = middle - 1
        else:
            low = middle
    return low * granule


def _back(agreement: Agreement, tranche: Tranche, clause: Recall, need: Need, effective: date) -> date | None:
    """The first day on which the agreement may get them back; None if its term is over by then."""
    if need.end is None:
        return None
    day = local_date(need.end, agreement.time_zone)
    if agreement.midnight(day) < need.end:
        day = plus_days(day, 1)
    day = max(day, plus_days(effective, clause.minimum_days))
    return day if day <= min(tranche.through, plus_days(agreement.ends, -1)) else None


def _ladders(found: Sequence[_Callable], near: Near | None) -> tuple[int, list[list[int]]]:
    """Counts of granules to try for each tranche, and in which steps; the last of them is always tried."""
    spans = [(0, 0, one.most) for one in found]
    if near is not None:
        centres = [min(near.gpus.get(one.notice.tranche, 0) // one.granule, one.most) for one in found]
        spans = [
            (max(0, at - near.granules), at, min(one.most, at + near.granules))
            for one, at in zip(found, centres, strict=True)
        ]
    step = 1
    while prod(-(-(high - low) // step) + 1 for low, _, high in spans) > PRICES:
        step += 1
    return step, [sorted({0, *range(low, high, step), at, high}) for low, at, high in spans]


def _bounds(
    found: Sequence[_Callable], ladders: Sequence[Sequence[int]], options: Mapping[tuple[int, ...], Option]
) -> Iterator[Point]:
    """The terms allow what lies between two steps only if they allow the lower one."""
    for steps in product(*(range(len(ladder)) for ladder in ladders)):
        below = options.get(tuple(max(i - 1, 0) for i in steps))
        if below is not None:
            counts = (ladder[i] for ladder, i in zip(ladders, steps, strict=True))
            gpus = sum(count * one.granule for count, one in zip(counts, found, strict=True))
            yield Point(gpus, below.minor)


@dataclass(frozen=True, slots=True)
class _Prices:
    """What combinations of an agreement's tranches cost; those that are known are kept."""

    agreement: Agreement
    found: tuple[_Callable, ...]
    before: tuple[Charge, ...]
    known: dict[tuple[int, ...], tuple[Call, ...] | None] = field(default_factory=lambda: {(): ()})

    def calls(self, counts: tuple[int, ...]) -> tuple[Call, ...] | None:
        """The calls of so many granules of each of the first tranches, or None where the terms forbid it."""
        if counts not in self.known:
            calls = self.calls(counts[:-1])
            self.known[counts] = calls if calls is None or not counts[-1] else self._with(calls, counts)
        return self.known[counts]

    def _with(self, calls: tuple[Call, ...], counts: tuple[int, ...]) -> tuple[Call, ...] | None:
        """What is called already, and the last of the counts with it."""
        after = self.agreement
        for one, count in zip(self.found, counts, strict=False):
            for event in one.events(count) if count else ():
                if isinstance(event.check(after), Refused):
                    return None
                after = after_events(after, [event])
        fee, compensation, other = _change(self.agreement, self.before, term_charges(after, Supposed()))
        for call in calls:
            fee, compensation, other = fee - call.fee, compensation - call.compensation, other - call.other
        one = self.found[len(counts) - 1]
        notice = replace(one.notice, gpus=counts[-1] * one.granule)
        call = Call(
            notice=notice,
            effective=one.effective,
            serve_before=self.agreement.midnight(plus_days(notice.given, 1)),
            back=one.back,
            fee=fee,
            compensation=compensation,
            other=other,
        )
        return (*calls, call)


def _change(
    agreement: Agreement, before: Sequence[Charge], after: Sequence[Charge]
) -> tuple[Money, Money, Money]:
    """What the operator gets less: fees that fall, compensation, and the rest."""
    recalls = {path for path, _ in agreement.all_of(Recall)}
    sums = [0, 0, 0]
    for charges, sign in ((before, 1), (after, -1)):
        for one in charges:
            own = one.clause in recalls
            part = 0 if own and one.kind is Kind.FEE else 1 if own and one.kind is Kind.DAMAGES else 2
            sums[part] += sign * one.amount.minor
    fee, compensation, other = (Money(minor, agreement.currency) for minor in sums)
    return fee, compensation, other


def cheapest(
    agreements: Sequence[Agreement], need: Need, now: int, currency: str
) -> tuple[Chosen, tuple[PassedOver, ...]]:
    """The cheapest calls under some agreements, and recallable tranches that can't be called.

    Agreements in another currency are passed over: their costs can't be compared. Where there are too many
    counts to price them all, some are, then more around the best of these, down to single granules and until
    it gets no cheaper; what no choice undercuts is known from the first.
    """
    offers = {one.id: options_of(one, need, now) for one in agreements}
    passed = [over for offer in offers.values() for over in offer.passed]
    for one in agreements:
        if one.currency != currency:
            why = f"{one.id}: is in {one.currency}, and costs are compared in {currency}"
            tranches = {call.notice.tranche for option in offers.pop(one.id).options for call in option.calls}
            passed += [
                PassedOver(agreement=one.id, tranche=tranche, code="other_currency", why=why)
                for tranche in sorted(tranches)
            ]
    chosen = _chosen(offers, need, currency)
    least = Money(_least(offers, chosen.reach), currency)
    coarse = {one.id: one for one in agreements if one.id in offers and offers[one.id].step > 1}
    granules = {id_: offers[id_].step for id_ in coarse}
    while coarse:
        for id_, one in coarse.items():
            own = {c.notice.tranche: c.notice.gpus for c in chosen.calls if c.notice.agreement == id_}
            offers[id_] = options_of(one, need, now, Near(gpus=own, granules=granules[id_]))
        better = _chosen(offers, need, currency)
        finer = {id_: offers[id_].step for id_ in coarse if 1 < offers[id_].step < granules[id_]}
        if (better.reach, better.cost) == (chosen.reach, chosen.cost) and not finer:
            break
        chosen, granules = better, granules | finer
    return replace(chosen, least=min(least, chosen.cost)), tuple(passed)


def _chosen(offers: Mapping[str, Offer], need: Need, currency: str) -> Chosen:
    return choose({id_: offer.options for id_, offer in offers.items()}, need.gpus, currency)


def choose(groups: Mapping[str, Sequence[Option]], gpus: int, currency: str) -> Chosen:
    """One option of each agreement, so that the sum reaches `gpus`, or as far as it gets, at the least cost.

    Ties go to the fewest GPUs beyond, then the fewest notices, then the first by agreement and option.

    Args:
        groups: options by agreement, each with the empty one.
        gpus: how many are wanted.
        currency: of every price.
    """
    ordered = [groups[name] for name in sorted(groups)]
    points = [[Point(o.gpus, o.minor, len(o.calls)) for o in group] for group in ordered]
    options = [group[i] for group, i in zip(ordered, _cheapest(points, gpus), strict=True)]
    cost = Money(sum(option.minor for option in options), currency)
    return Chosen(
        calls=tuple(call for option in options for call in option.calls),
        cost=cost,
        least=cost,
        reach=min(gpus, sum(option.gpus for option in options)),
    )


def _least(offers: Mapping[str, Offer], gpus: int) -> int:
    """What no choice that reaches so many GPUs undercuts, in minor units."""
    points = [
        offer.bounds or [Point(option.gpus, option.minor) for option in offer.options]
        for offer in offers.values()
    ]
    picked = _cheapest(points, gpus)
    return sum(group[i].minor for group, i in zip(points, picked, strict=True))


def _cheapest(groups: Sequence[Sequence[Point]], gpus: int) -> list[int]:
    """Which point of each group gives the furthest reach at the least cost.

    The table holds, for each reach in units of the common granule, the least cost and, for ties, the least
    weight.
    """
    unit = reduce(gcd, (point.gpus for group in groups for point in group), 0) or 1
    wanted = -(-gpus // unit)
    most = sum(max((abs(point.minor) for point in group), default=0) for group in groups)
    ensure(most < _NEVER // 4, "costs of recalls exceed 64 bits")
    cost, weight = np.full(wanted + 1, _NEVER, dtype=np.int64), np.zeros(wanted + 1, dtype=np.int64)
    cost[0] = 0
    choices: list[tuple[Ints, Ints]] = []
    for group in groups:
        best, second = np.full_like(cost, _NEVER), np.zeros_like(weight)
        option_of, source_of = np.zeros_like(cost), np.zeros_like(cost)
        for i, point in enumerate(group):
            source = _sources(cost, weight, min(point.gpus // unit, wanted))
            there = source >= 0
            price = np.where(there, cost[source] + point.minor, _NEVER)
            ties = weight[source] + (point.gpus << 20) + point.notices
            better = (price < best) | ((price == best) & (ties < second))
            best[better], second[better] = price[better], ties[better]
            option_of[better], source_of[better] = i, source[better]
        cost, weight = best, second
        choices.append((option_of, source_of))
    at = int(np.flatnonzero(cost < _NEVER // 2)[-1])
    picked = []
    for option_of, source_of in reversed(choices):
        picked.append(int(option_of[at]))
        at = int(source_of[at])
    return picked[::-1]


def _sources(cost: Ints, weight: Ints, step: int) -> Ints:
    """From which reach each is got by so many units more, -1 for none; the last stands for all beyond."""
    source = np.arange(-step, len(cost) - step, dtype=np.int64)
    source[source < 0] = -1
    last = len(cost) - 1 - step
    source[-1] = last + np.lexsort((weight[last:], cost[last:]))[0]
    return source


def cost_of(agreement: Agreement, calls: Sequence[Call]) -> Money:
    """What some calls under an agreement cost together as it stands."""
    after = agreement
    for call in calls:
        after = after_events(after, [call.notice])
        if call.back is not None:
            after = after_events(after, [give_back(call.notice, call.back)])
    fee, compensation, other = _change(
        agreement, term_charges(agreement, Supposed()), term_charges(after, Supposed())
    )
    return fee + compensation + other


def price_of_breach(agreement: Agreement, tranche: str, gpus: int, period: Interval) -> Money:
    """What the clauses would make the operator owe, or not bill, if GPUs of a tranche weren't delivered.

    What a court would add, and what trust is worth, no clause says.

    Args:
        agreement: as it stands.
        tranche: one of its tranches, which has so many all the time.
        gpus: how many are taken from it.
        period: while they are away.
    """
    pool = next(iter(agreement.tranche_of(tranche).pools), "")
    out = SupposedOutage(tranche=tranche, interval=period, gpus=gpus, pool=pool)
    before, after = (term_charges(agreement, one) for one in (Supposed(), Supposed(outages=(out,))))
    return Money(sum(c.amount.minor for c in before) - sum(c.amount.minor for c in after), agreement.currency)
