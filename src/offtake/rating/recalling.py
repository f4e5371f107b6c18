"""Which recallable tranches to call, and when each notice must be served, at least cost.

What calling costs is what the offtaker then pays less, and what the operator pays on top, by the rater.
Notices obey their clauses: notice, granularity, frequency, what must be retained, blackouts. Each tranche is
called once or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import gcd

import numpy as np
from numpy.typing import NDArray

from offtake.agreements.clauses.recall import WINDOW_DAYS, Recall, governing_recall
from offtake.agreements.events.recall import GiveBack, RecallNotice, still_back
from offtake.agreements.model import Agreement, Event, after_events
from offtake.agreements.units import gpus_of
from offtake.base.errors import ensure
from offtake.base.money import Money
from offtake.base.months import plus_days
from offtake.base.outcome import Refused
from offtake.rating.quote import paid_in_all

TABLE = 64
"""Up to so many granules each amount is priced by itself; beyond, in proportion where the middle agrees."""

STATES = 20_000
"""Amounts that are told apart; beyond, tranches are called in larger steps, and the answer says so."""

_SCALE = 1_000
_NEVER = 2**62
Costs = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callable:
    """A tranche that can be called in time.

    Attributes:
        agreement: as it stands.
        tranche: its id.
        path: of the clause that governs it; tranches of one clause share what is retained and how often.
        clause: the clause.
        serve: the last day on which the notice can be served.
        effective: the day it then takes effect.
        most: GPUs that can be called by this notice alone.
    """

    agreement: Agreement
    tranche: str
    path: str
    clause: Recall
    serve: date
    effective: date
    most: int

    @property
    def name(self) -> str:
        """Of the claim."""
        return f"{self.agreement.id}/{self.tranche}"

    def notice(self, gpus: int, plan: str = "plan") -> RecallNotice:
        """The notice that calls so many."""
        return RecallNotice(
            id=f"{plan}-{self.agreement.id}-{self.tranche}",
            agreement=self.agreement.id,
            tranche=self.tranche,
            gpus=gpus,
            given=self.serve,
        )

    def events(self, gpus: int, until: date | None) -> list[Event]:
        """The notice, and giving back on a day: not before a recall's shortest time, nor after the end."""
        notice = self.notice(gpus)
        if until is None:
            return [notice]
        day = max(until, plus_days(self.effective, self.clause.minimum_days))
        if day >= self.agreement.ends:
            return [notice]
        back = GiveBack(
            id=f"{notice.id}-back", agreement=self.agreement.id, tranche=self.tranche, gpus=gpus, given=day
        )
        return [notice, back]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tranche that is called, and what that alone costs the operator."""

    of: Callable
    gpus: int
    cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The cheapest calls.

    Attributes:
        calls: by name.
        gpus: what they bring; less than was wanted where there isn't more.
        costs: by currency, calls under one agreement priced together.
        step: GPUs in whose multiples it was chosen; 1 where every amount was looked at.
    """

    calls: tuple[Call, ...]
    gpus: int
    costs: Mapping[str, Money]
    step: int


def callable_tranches(
    agreements: Iterable[Agreement], *, today: date, by: date
) -> tuple[tuple[Callable, ...], dict[str, str]]:
    """Tranches that can be called by a day, and why others that may be recalled can't.

    A notice is served as late as it may be: every day earlier costs.
    """
    found, left = [], {}
    for agreement in agreements:
        for tranche in agreement.tranches:
            governing = governing_recall(agreement, tranche.id)
            if governing is not None:
                one = _latest(agreement, tranche.id, governing, today=today, by=by)
                if isinstance(one, Callable):
                    found.append(one)
                else:
                    left[f"{agreement.id}/{tranche.id}"] = one
    return tuple(found), left


def _latest(
    agreement: Agreement, tranche: str, governing: tuple[str, Recall], *, today: date, by: date
) -> Callable | str:
    path, clause = governing
    day = plus_days(by, -clause.notice_days)
    why = f"{agreement.id}: {clause.notice_days} days' notice can't run by {by}"
    while day >= today:
        one = Callable(
            agreement=agreement, tranche=tranche, path=path, clause=clause, serve=day,
            effective=plus_days(day, clause.notice_days), most=clause.granularity_gpus,
        )  # fmt: skip
        checked = one.notice(clause.granularity_gpus).check(agreement)
        if not isinstance(checked, Refused):
            own = gpus_of(agreement, agreement.tranche_of(tranche))
            own -= still_back(agreement, (tranche,), one.effective)
            most = min(own, _together(one)) // clause.granularity_gpus * clause.granularity_gpus
            return replace(one, most=most)
        why = checked.sentence
        if checked.code != "blacked_out":
            return why
        day = plus_days(day, -1)
    return why


def _together(one: Callable) -> int:
    """GPUs that the clause still lets go of in all its tranches together."""
    clause, agreement = one.clause, one.agreement
    held = sum(gpus_of(agreement, t) for t in agreement.tranches if t.id in clause.tranches)
    return held - clause.retained_gpus - still_back(agreement, clause.tranches, one.effective)


def cost_of(agreement: Agreement, events: Sequence[Event]) -> Money:
    """What the operator loses by some events: what it is paid without them, less that with them."""
    return paid_in_all(agreement) - paid_in_all(after_events(agreement, list(events)))


def choose(tranches: Sequence[Callable], gpus: int, until: date | None) -> Chosen:
    """The calls that bring so many GPUs at least cost; all there are where there aren't as many.

    Costs of different currencies are compared as numbers: call for each currency by itself.

    Args:
        tranches: that can be called.
        gpus: wanted, more than none.
        until: the day they are given back; for good when None.
    """
    groups = [_Group.of(own, until) for own in _groups(tranches)]
    wanted = min(gpus, sum(group.most for group in groups))
    if wanted <= 0:
        return Chosen(calls=(), gpus=0, costs={}, step=1)
    unit = gcd(*(one.clause.granularity_gpus for one in tranches))
    step = unit * -(-wanted // unit // STATES) if wanted // unit > STATES else unit
    coarse = max(one.clause.granularity_gpus for one in tranches)
    grid = _Grid(step=step, size=-(-wanted // step) + -(-coarse // step) + 1)
    stages, tables = [grid.nothing()], []
    for group in groups:
        tables.append(group.table(grid))
        stages.append(_merged(stages[-1], tables[-1]))
    enough = -(-wanted // step)
    at = enough + int(np.argmin(stages[-1][enough:]))
    picked: list[tuple[Callable, int]] = []
    for group, table, before in zip(reversed(groups), reversed(tables), reversed(stages[:-1]), strict=True):
        amount = _taken(before, table, at)
        picked += group.picked(grid, amount)
        at -= amount
    calls = tuple(
        Call(of=one, gpus=count, cost=cost_of(one.agreement, one.events(count, until)))
        for one, count in sorted(picked, key=lambda pair: pair[0].name)
    )
    return Chosen(
        calls=calls, gpus=sum(call.gpus for call in calls), costs=_costs(calls, until),
        step=1 if step == unit else step,
    )  # fmt: skip


def _costs(calls: Sequence[Call], until: date | None) -> dict[str, Money]:
    by_agreement: dict[str, list[Call]] = {}
    for call in calls:
        by_agreement.setdefault(call.of.agreement.id, []).append(call)
    found: dict[str, Money] = {}
    for own in by_agreement.values():
        events = [event for call in own for event in call.of.events(call.gpus, until)]
        for notice, _ in own[0].of.agreement.events_of(RecallNotice):
            ensure(all(event.id != notice.id for event in events), f"{notice.id} was recorded already")
        cost = cost_of(own[0].of.agreement, events)
        found[cost.currency] = found.get(cost.currency, Money.zero(cost.currency)) + cost
    return found


def _groups(tranches: Sequence[Callable]) -> list[tuple[Callable, ...]]:
    """Tranches of one clause of one agreement, in order of name."""
    found: dict[tuple[str, str], list[Callable]] = {}
    for one in sorted(tranches, key=lambda one: (one.agreement.id, one.path, one.tranche)):
        found.setdefault((one.agreement.id, one.path), []).append(one)
    return [tuple(own) for own in found.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """Amounts that are told apart: multiples of a step, so many of them."""

    step: int
    size: int

    def nothing(self) -> Costs:
        """Calling nobody costs nothing and brings nothing."""
        found = np.full(self.size, _NEVER)
        found[0] = 0
        return found


@dataclass(slots=True, kw_only=True)
class _Group:
    """Tranches of one clause: so many notices, and so many GPUs together."""

    own: tuple[Callable, ...]
    until: date | None
    notices: int
    together: int
    stages: list[list[Costs]]
    tables: list[Costs]

    @classmethod
    def of(cls, own: tuple[Callable, ...], until: date | None) -> _Group:
        clause, agreement = own[0].clause, own[0].agreement
        given = [
            event.counted(agreement)
            for event, _ in agreement.events_of(RecallNotice)
            if (governing_recall(agreement, event.tranche) or ("",))[0] == own[0].path
        ]
        near = max(sum(abs((one.serve - day).days) < WINDOW_DAYS for day in given) for one in own)
        allowed = len(own) if clause.times_per_year is None else clause.times_per_year - near
        return cls(
            own=own, until=until, notices=max(0, min(allowed, len(own))), together=_together(own[0]),
            stages=[], tables=[],
        )  # fmt: skip

    @property
    def most(self) -> int:
        """GPUs that it can bring."""
        each = sorted((one.most for one in self.own), reverse=True)[: self.notices]
        unit = self.own[0].clause.granularity_gpus
        return min(sum(each), max(0, self.together) // unit * unit)

    def table(self, grid: _Grid) -> Costs:
        """What each amount costs at least."""
        never = np.full(grid.size, _NEVER)
        self.stages = [[grid.nothing(), *(never for _ in range(self.notices))]]
        self.tables = [_priced(one, grid, self.until) for one in self.own]
        for table in self.tables:
            last = self.stages[-1]
            self.stages.append(
                [last[0], *(np.minimum(last[j], _merged(last[j - 1], table)) for j in range(1, len(last)))]
            )
        found: Costs = np.min(self.stages[-1], axis=0)
        found[max(0, self.together) // grid.step + 1 :] = _NEVER
        return found

    def picked(self, grid: _Grid, amount: int) -> list[tuple[Callable, int]]:
        """The tranches behind an amount."""
        used = int(np.argmin([costs[amount] for costs in self.stages[-1]]))
        found = []
        for i in range(len(self.own) - 1, -1, -1):
            now, before = self.stages[i + 1], self.stages[i]
            if now[used][amount] == before[used][amount]:
                continue
            part = _taken(before[used - 1], self.tables[i], amount)
            found.append((self.own[i], part * grid.step))
            amount, used = amount - part, used - 1
        return found


def _priced(one: Callable, grid: _Grid, until: date | None) -> Costs:
    """What calling each amount of a tranche costs, calling none left out."""
    each = max(one.clause.granularity_gpus, grid.step)
    amounts = np.arange(each, min(one.most, (grid.size - 1) * grid.step) + 1, each)
    found = np.full(grid.size, _NEVER)
    if not len(amounts):
        return found

    def exact(gpus: int) -> int:
        return cost_of(one.agreement, one.events(gpus, until)).minor * _SCALE

    last, middle = int(amounts[-1]), int(amounts[len(amounts) // 2])
    whole = exact(last)
    # a month's charge is rounded to the minor unit; what is off by no more is in proportion
    slack = 2 * _SCALE * 1_200
    if len(amounts) > TABLE and abs(exact(middle) * last - whole * middle) <= slack * last:
        found[amounts // grid.step] = [whole * gpus // last for gpus in amounts.tolist()]
    else:
        found[amounts // grid.step] = [exact(gpus) for gpus in amounts.tolist()]
    return found


def _merged(before: Costs, table: Costs) -> Costs:
    """The least of all sums of one amount of each."""
    found = np.full(len(before), _NEVER)
    for amount in np.flatnonzero(table < _NEVER).tolist():
        part = before[: len(before) - amount]
        sums = np.where(part < _NEVER, part + table[amount], _NEVER)
        found[amount:] = np.minimum(found[amount:], sums)
    return found


def _taken(before: Costs, table: Costs, at: int) -> int:
    """The smallest amount of the table that is in the least sum at an amount."""
    amounts = np.flatnonzero(table[: at + 1] < _NEVER)
    rest = before[at - amounts]
    sums = np.where(rest < _NEVER, rest + table[amounts], _NEVER)
    return int(amounts[int(np.argmin(sums))])
