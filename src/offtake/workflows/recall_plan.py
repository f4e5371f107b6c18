"""Plans of recalls over a book: the cheapest calls, and what else would serve, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.model import Agreement, Event, after_events
from offtake.base.canonical import canonical_bytes, digest
from offtake.base.curve import Curve, combine, maximum
from offtake.base.money import Money, Rate, Rounding, total
from offtake.base.months import local_date
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval
from offtake.claims.model import Claim, Firmness
from offtake.formats.plain import from_plain, to_plain
from offtake.rating.recall_plan import Call, Need, PassedOver, cheapest, price_of_breach
from offtake.workflows.approve import proposals
from offtake.workflows.book import Book
from offtake.workflows.state import State
from offtake.workflows.view import agreement_ids, agreement_of, capacities_of, claims_in

NO_END = "say until when they are needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallPlan:
    """The cheapest calls for a need, as the book stood.

    Attributes:
        id: the name it was given; without one it follows from the need and the notices.
        need: what was wanted.
        gpus: how far it gets, at most what was wanted.
        calls: which tranches, by agreement.
        cost: of all calls.
        least: no plan costs less, provided that calling more of a tranche never costs less; equal to `cost`
            where every count of GPUs was priced.
        passed: recallable tranches that can't be called, and why.
        planned_at: the instant it was made.
    """

    id: str
    need: Need
    gpus: int
    calls: tuple[Call, ...]
    cost: Money
    least: Money
    passed: tuple[PassedOver, ...]
    planned_at: int

    @property
    def short(self) -> int:
        """GPUs that recalls can't give."""
        return self.need.gpus - self.gpus


def plan_recall(book: Book, need: Need, now: int, name: str = "") -> RecallPlan | Refused:
    """Which tranches to call so that enough GPUs are at hand; nothing is recorded.

    What others have proposed or planned to call is spoken for. Costs are compared in the book's currency.

    Refusals: `in_the_past`.
    """
    if need.start < now:
        return Refused(
            code="in_the_past", sentence=f"{need.by} began already; it is {local_date(now, need.zone)}"
        )
    agreements = [standing(book, id_, now) for id_ in agreement_ids(book.state)]
    chosen, passed = cheapest(agreements, need, now, _currency(book))
    plain = [to_plain(need), [to_plain(call.notice) for call in chosen.calls]]
    id_ = name or f"recall-{digest(canonical_bytes(plain))[:10]}"
    return RecallPlan(
        id=id_,
        need=need,
        gpus=chosen.reach,
        calls=tuple(
            replace(call, notice=replace(call.notice, id=f"{id_}-{i}"))
            for i, call in enumerate(chosen.calls, start=1)
        ),
        cost=chosen.cost,
        least=chosen.least,
        passed=passed,
        planned_at=now,
    )


def standing(book: Book, agreement: str, now: int) -> Agreement:
    """An agreement as it stands once everything that is proposed or planned to be called is.

    Args:
        book: the book.
        agreement: its id.
        now: the present instant; a planned notice that wasn't served in time isn't looked at.
    """
    found = agreement_of(book.state, agreement)
    known = {event.id for event, _ in found.happened}
    waiting: dict[str, Event] = {
        one.event.id: one.event for one in proposals(book.state) if isinstance(one.event, RecallNotice)
    }
    for plan in plans_of(book.state):
        for call in plan.calls:
            if now < call.serve_before and not was_rejected(book, call.notice):
                waiting[call.notice.id] = call.notice
    return after_events(
        found, [e for id_, e in sorted(waiting.items()) if e.agreement == agreement and id_ not in known]
    )


def plans_of(state: State) -> list[RecallPlan]:
    """Every plan that was issued, oldest first."""
    found = sorted(state.of("recall_plan").items(), key=lambda pair: pair[1].seq)
    return [state.parsed("recall_plan", id_, plan_from) for id_, _ in found]


def plan_from(body: Any) -> RecallPlan:
    """A plan from its plain form.

    Raises:
        pydantic.ValidationError: if it isn't one.
    """
    return from_plain(RecallPlan, {key: value for key, value in body.items() if key != "issued_by"})


def was_rejected(book: Book, notice: RecallNotice) -> bool:
    """Whether a second person said no to a notice."""
    decided = book.find("proposal.decided", f"{notice.KIND}/{notice.id}")
    return decided is not None and not decided.body["approved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Another way to have GPUs.

    Attributes:
        kind: `market`, `break_firm_claim` or `delay_internal_work`.
        what: what would be done.
        gpus: how many it gives, at most what is wanted.
        cost: what it costs; None where no price is known.
        why: what the cost counts, or why there is none.
    """

    kind: str
    what: str
    gpus: int
    cost: Money | None
    why: str


def alternatives(
    book: Book, need: Need, gpus: int, market_price: Decimal | None, beside: Sequence[Call] = ()
) -> tuple[Alternative, ...]:
    """What else would give so many GPUs for the time they are needed.

    Args:
        book: the book.
        need: when, and of which pools.
        gpus: how many.
        market_price: per GPU-hour, in the book's currency; nobody knows one when left out.
        beside: what is called anyway.
    """
    period = None if need.end is None else Interval(need.start, need.end)
    claims = [claim for claim in claims_in(book.state, book.lake) if _of_pools(claim, need)]
    return (
        _market(book, period, gpus, market_price),
        _broken(book, [c for c in claims if c.firmness is Firmness.FIRM], period, gpus, beside),
        _delayed(book, [c for c in claims if c.agreement is None], period, gpus),
    )


def _of_pools(claim: Claim, need: Need) -> bool:
    return not need.pools or set(claim.pools) <= set(need.pools)


def _currency(book: Book) -> str:
    return str((book.state.body("book", "book") or {})["currency"])


def _market(book: Book, period: Interval | None, gpus: int, price: Decimal | None) -> Alternative:
    what, cost, why = "buy on the market", None, "no price is known; say one with --market-price"
    if price is not None:
        rate = Rate(value=price, currency=_currency(book), unit="GPU-hour")
        why = NO_END
        if period is not None:
            cost = rate.amount(Fraction(gpus * period.seconds, HOUR_S), Rounding.HALF_EVEN)
            why = f"at {rate}"
    return Alternative(kind="market", what=what, gpus=gpus, cost=cost, why=why)


def _broken(
    book: Book, firm: Sequence[Claim], period: Interval | None, gpus: int, beside: Sequence[Call]
) -> Alternative:
    """The firm claim that owes least if so many of its GPUs aren't delivered."""

    def row(what: str, cost: Money | None, why: str, given: int = gpus) -> Alternative:
        return Alternative(kind="break_firm_claim", what=what, gpus=given, cost=cost, why=why)

    if period is None:
        return row("break a firm claim", None, NO_END)
    currency = _currency(book)
    called = {f"{c.notice.agreement}/{c.notice.tranche}": c.notice.gpus for c in beside}
    size = {
        claim.id: min(gpus, claim.gpus.min_over(period) - called.get(claim.id, 0))
        for claim in firm
        if claim.agreement is not None
    }
    most = max(size.values(), default=0)
    if not most:
        return row("break a firm claim", None, "no firm claim holds GPUs all that time", 0)
    prices = []
    for id_ in (id_ for id_, gpus in size.items() if gpus == most):
        name, _, tranche = id_.partition("/")
        notices = [c.notice for c in beside if c.notice.agreement == name]
        agreement = after_events(agreement_of(book.state, name), notices)
        if agreement.currency == currency:
            price = price_of_breach(agreement, tranche, most, period)
            prices.append((price.minor, id_))
    if not prices:
        return row("break a firm claim", None, f"those that hold so many aren't in {currency}", 0)
    minor, claim_id = min(prices)
    why = "what its clauses make the operator owe or not bill; damages at law and trust aren't in it"
    return row(f"break {claim_id}", Money(minor, currency), why, most)


def _delayed(book: Book, own: Sequence[Claim], period: Interval | None, gpus: int) -> Alternative:
    """The operator's own work, cheapest first."""

    def row(what: str, cost: Money | None, why: str, given: int = gpus) -> Alternative:
        return Alternative(kind="delay_internal_work", what=what, gpus=given, cost=cost, why=why)

    if period is None:
        return row("delay internal work", None, NO_END)
    ranked = []
    for claim in own:
        price = (book.state.body("demand", claim.id) or {}).get("transfer_price")
        size = claim.gpus.min_over(period)
        if size:
            ranked.append((price is None, Decimal(price or 0), claim.id, size))
    parts, left, unpriced = [], gpus, []
    for unknown, price, id_, size in sorted(ranked):
        part = min(left, size)
        if part:
            left -= part
            parts.append((id_, part, price))
            unpriced += [id_] if unknown else []
    if not parts:
        return row("delay internal work", None, "none holds GPUs all that time", 0)
    what = "delay " + ", ".join(f"{id_} ({part:,})" for id_, part, _ in parts)
    if unpriced:
        return row(what, None, f"{', '.join(unpriced)} has no transfer price", gpus - left)
    currency = _currency(book)
    costs = (
        Rate(value=price, currency=currency, unit="GPU-hour").amount(
            Fraction(part * period.seconds, HOUR_S), Rounding.HALF_EVEN
        )
        for _, part, price in parts
    )
    return row(what, total(costs, currency), "GPU-hours delayed at the teams' transfer prices", gpus - left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """How often the operator's own demand needs what would be called.

    Attributes:
        paths: how many were looked at.
        any: in how many a GPU is short without a recall.
        all: in how many at least as many as are wanted.
    """

    paths: int
    any: int
    all: int


def likelihood(book: Book, need: Need, paths: NDArray[np.int64]) -> Likelihood:
    """In how many paths of the operator's own demand a recall is needed at some time of the need.

    A path is set against what the pools have, less every agreement's claim on any of them.

    Args:
        book: the book.
        need: with its end.
        paths: GPUs hour by hour over the need, int64[S, T].
    """
    pools = need.pools or tuple(capacity.pool.id for capacity in capacities_of(book.state))
    there = combine([c.available for c in capacities_of(book.state) if c.pool.id in pools] or [Curve.zero()])
    taken = [
        claim.gpus
        for claim in claims_in(book.state, book.lake)
        if claim.agreement is not None and set(claim.pools) & set(pools)
    ]
    head = maximum(there - combine(taken or [Curve.zero()]), Curve.zero())
    end = need.start + paths.shape[1] * HOUR_S
    least = head.at(np.arange(need.start, end, HOUR_S))
    for at in head.breakpoints(Interval(need.start, end)):
        hour = int(at - need.start) // HOUR_S
        least[hour] = min(least[hour], head.value_at(int(at)))
    worst = (paths - least).max(axis=1)
    return Likelihood(paths=len(worst), any=int((worst > 0).sum()), all=int((worst >= need.gpus).sum()))
