"""Statements of take: who was entitled to what in a month, held it and used it, leased and own beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from offtake.agreements.schedule import first_month, last_month
from offtake.base.curve import Curve, combine
from offtake.base.money import Money, Rate, Rounding, total
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval
from offtake.rating.measure import Measured, month_facts
from offtake.workflows.book import OpenBook
from offtake.workflows.settle import measure
from offtake.workflows.state import State
from offtake.workflows.view import (
    agreement_ids,
    agreement_of,
    capacities_of,
    document_of,
    opened_at,
    operator_zone,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeLine:
    """One claim in one month.

    Units: GPU-seconds.

    Attributes:
        claim: id, such as ``acme/main`` or ``research``.
        holder: an agreement, or a team of the operator.
        own: it is the operator's.
        entitled: what it was entitled to; of an own claim, what it asked for.
        delivered: what was held for it.
        taken: what was metered.
        recalled: what recalls took back.
        lost: what it didn't get, by cause.
    """

    claim: str
    holder: str
    own: bool
    entitled: int
    delivered: int
    taken: int
    recalled: int
    lost: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """What a holder had, and what it paid or is shown as its cost.

    Attributes:
        id: an agreement, or a team of the operator.
        own: it is the operator's.
        lines: its claims.
        cost: documents of the month's service under the agreement; of a team, what was held for it at its
            transfer price. None where nothing is billed yet, or the team has no price.
    """

    id: str
    own: bool
    lines: tuple[TakeLine, ...]
    cost: Money | None

    @property
    def delivered(self) -> int:
        """GPU-seconds held."""
        return sum(line.delivered for line in self.lines)

    @property
    def per_gpu_hour(self) -> Fraction | None:
        """Cost over GPU-hours held, in major units; None without either."""
        if self.cost is None or not self.delivered:
            return None
        return Fraction(self.cost.major) * HOUR_S / self.delivered


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeStatement:
    """A month of the fleet by holder.

    Units: GPU-seconds.

    Attributes:
        month: of the operator's time zone; an agreement's own month is one of its own zone.
        available: what the pools had; None on a statement of one holder.
        complete: the month has ended.
        holders: leases first.
    """

    month: Month
    available: int | None
    complete: bool
    holders: tuple[Holder, ...]

    @property
    def held(self) -> int:
        """GPU-seconds held by all of them."""
        return sum(one.delivered for one in self.holders)


def take_statement(book: OpenBook, month: Month, now: int) -> TakeStatement | Refused:
    """Who held and used the fleet in a month.

    Refusals: `not_begun`, and `before_book` for a month before the book was opened.
    """
    zone = operator_zone(book.state)
    period = month.interval(zone)
    opened = opened_at(book.state)
    if period.start > now:
        return Refused(code="not_begun", sentence=f"{month} hasn't begun")
    if period.end <= opened:
        return Refused(code="before_book", sentence=f"{month} ended before the book was opened")
    measured = {period: measure(book, period, forgotten=True)}
    holders = [*_leases(book, month, measured), *_teams(book, period, measured[period])]
    there = combine([capacity.available for capacity in capacities_of(book.state)] or [Curve.zero()])
    return TakeStatement(
        month=month, available=there.integrate(period), complete=period.end <= now, holders=tuple(holders)
    )


def _leases(book: OpenBook, month: Month, measured: dict[Interval, Measured]) -> Iterator[Holder]:
    for id_ in agreement_ids(book.state):
        agreement = agreement_of(book.state, id_, until=agreement_of(book.state, id_).month(month).end)
        if not first_month(agreement) <= month <= last_month(agreement):
            continue
        period = agreement.month(month)
        if period not in measured:
            measured[period] = measure(book, period, forgotten=True)
        facts = month_facts(agreement, month, measured[period])
        documents = [
            document
            for item in book.kept("document").values()
            if item.body["agreement"] == id_ and (document := document_of(item.body)).month == month
        ]
        yield Holder(
            id=id_,
            own=False,
            lines=tuple(
                TakeLine(
                    claim=f"{id_}/{tranche}", holder=id_, own=False, entitled=own.entitled,
                    delivered=own.delivered, taken=own.taken, recalled=own.recalled, lost=dict(own.lost),
                )
                for tranche, own in facts.tranches.items()
            ),
            cost=total((d.total for d in documents), agreement.currency) if documents else None,
        )  # fmt: skip


def _teams(book: OpenBook, period: Interval, measured: Measured) -> Iterator[Holder]:
    by_team: dict[str, list[str]] = {}
    for claim, item in sorted(book.state.of("demand").items()):
        by_team.setdefault(str(item.body["holder"]), []).append(claim)
    for team, claims in sorted(by_team.items()):
        lines = tuple(_own(claim, team, period, measured) for claim in claims)
        yield Holder(id=team, own=True, lines=lines, cost=_shown(book.state, lines))


def _own(claim: str, team: str, period: Interval, measured: Measured) -> TakeLine:
    held = measured.held.get(claim, Curve.zero()).integrate(period)
    lost = {cause: curve.integrate(period) for cause, curve in measured.short.get(claim, {}).items()}
    taken = measured.taken.get(claim, Curve.zero()).integrate(period) + measured.totals.get(claim, 0)
    return TakeLine(
        claim=claim, holder=team, own=True, entitled=held + sum(lost.values()), delivered=held, taken=taken,
        recalled=0, lost=lost,
    )  # fmt: skip


def _shown(state: State, lines: tuple[TakeLine, ...]) -> Money | None:
    """What a team is shown as its cost; None where one of its claims has no transfer price."""
    currency = str((state.body("book", "book") or {})["currency"])
    parts = []
    for line in lines:
        price = (state.body("demand", line.claim) or {}).get("transfer_price")
        if price is None:
            return None
        rate = Rate(value=Decimal(price), currency=currency, unit="GPU-hour")
        parts.append(rate.amount(Fraction(line.delivered, HOUR_S), Rounding.HALF_EVEN))
    return total(parts, currency)
