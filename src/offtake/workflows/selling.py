"""What can be sold, at which notice, beside leases and own demand; and a quote for one request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.room import Uncertain, room_for, rooms_for
from offtake.base.curve import Curve
from offtake.base.months import local_midnight
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, HOUR_S, Interval
from offtake.claims.demand import Inference, Training, inference_demand, training_demand
from offtake.claims.model import Claim
from offtake.claims.sellable import (
    Failures,
    Prices,
    Recalls,
    Sellable,
    Split,
    failing,
    recalls_of,
    sellable,
    split_of,
)
from offtake.formats.plain import from_plain
from offtake.workflows.allocate import supplies_of
from offtake.workflows.book import OpenBook
from offtake.workflows.capacity import MICROS, priced, transfer_price
from offtake.workflows.recall_plan import plans_of
from offtake.workflows.state import Body
from offtake.workflows.view import agreement_of, claims_in, fleet_of

MONTH_HOURS = 30 * 24
"""A month, where it is asked how often something happens in one."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtNotice:
    """What may be sold where a notice takes so long.

    Attributes:
        notice_s: seconds.
        amount: GPUs.
        recalls: how often and how much the recallable GPUs are taken back. At a notice of less than an hour
            all that can be taken back counts as recallable.
        rebate_month: expected rebate for all of them in a month, in major units.
        least_price: what the last recallable GPU-hour must pay to be worth selling, in major units; None
            without a rebate, where any price is.
        even_price: what they must pay to earn as much as if they were sold firm; None without the prices that
            this rests on.
    """

    notice_s: int
    amount: Sellable
    recalls: Recalls
    rebate_month: Fraction
    least_price: Fraction | None
    even_price: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selling:
    """What may be sold over a window.

    Attributes:
        window: half-open.
        pools: which.
        confidence: with which own demand fits all along.
        paths: how many ways own demand may turn out were looked at.
        own: GPUs of own demand: the least of any path at any hour, the median over all, the most.
        at: by notice, on any of the pools together.
        each: the same for each pool by itself, where that was asked.
        split: the split that earns most, where prices are given.
        notes: what the answer rests on.
    """

    window: Interval
    pools: tuple[str, ...]
    confidence: Fraction
    paths: int
    own: tuple[int, int, int]
    at: tuple[AtNotice, ...]
    each: Mapping[str, tuple[AtNotice, ...]]
    split: Split | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What a discount rests on, per GPU-hour in major units.

    Attributes:
        firm: what a firm lease pays.
        own: what an hour of own work is worth that goes short.
    """

    firm: Decimal
    own: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about selling.

    Attributes:
        window: whole hours, half-open.
        pools: which; all when empty.
        each: also each pool by itself.
        notices: seconds each.
        confidence: above 0, at most 1.
        draws: paths drawn of demand that is declared as a generator.
        paths: int64[S, T] of all own demand, hour by hour, in place of what the book declares.
        failures: what may be out of order, in hours, beyond derates and reported outages; nothing when left
            out.
        rebate: paid for a recalled GPU-hour on top of the price that falls away, in major units.
        worth: for discounts.
        prices: for the split that earns most.
    """

    window: Interval
    pools: tuple[str, ...] = ()
    each: bool = False
    notices: tuple[int, ...] = ()
    confidence: Fraction = Fraction(19, 20)
    draws: int = 200
    paths: Counts | None = None
    failures: Failures | None = None
    rebate: Decimal = Decimal(0)
    worth: Worth | None = None
    prices: Prices | None = None


def sellable_in(book: OpenBook, asked: Question) -> Selling | Refused:
    """How much may be sold firm, recallable and interruptible beside the leases that are there.

    Refusals: `paths_too_short` where the paths don't cover the window.
    """
    window = asked.window
    hours = _hours(window)
    refused = _too_short(asked)
    if refused is not None:
        return refused
    pools = _pools(book, asked)
    sets = (pools, *((pool,) for pool in pools)) if asked.each else (pools,)
    headrooms, demand, notes = _headrooms(book, asked, sets, hours)
    first, *others = (
        tuple(_at_notice(room, notice, asked) for notice in asked.notices) for room in headrooms
    )
    return Selling(
        window=window,
        pools=pools,
        confidence=asked.confidence,
        paths=len(demand),
        own=(int(demand.min()), int(np.median(demand)), int(demand.max())),
        at=first,
        each=dict(zip(pools, others, strict=False)),
        split=None if asked.prices is None else split_of(headrooms[0].ravel(), asked.prices),
        notes=notes,
    )


def _hours(window: Interval) -> Counts:
    return np.arange(window.start, window.end, HOUR_S, dtype=np.int64)


def _pools(book: OpenBook, asked: Question) -> tuple[str, ...]:
    return tuple(s.id for s in supplies_of(book.state) if not asked.pools or s.id in asked.pools)


def _too_short(asked: Question) -> Refused | None:
    hours = len(_hours(asked.window))
    if asked.paths is None or asked.paths.shape[1] >= hours:
        return None
    return Refused(
        code="paths_too_short",
        sentence=f"the paths cover {asked.paths.shape[1]} hours, and the window has {hours}",
    )


def _headrooms(
    book: OpenBook, asked: Question, sets: Sequence[tuple[str, ...]], hours: Counts
) -> tuple[list[Counts], Counts, tuple[str, ...]]:
    """Headroom of each set of pools by path and hour; own demand on any of them; what it rests on.

    Shapes: int64[S, T] each.
    """
    supplies, pools = supplies_of(book.state), sets[0]
    claims = [claim for claim in claims_in(book.state, book.lake) if claim.gpus.max_over(asked.window)]
    leases = [claim for claim in claims if claim.agreement is not None]
    notes = ["the leases that are there are moved wherever they may go"]
    own: list[Uncertain] = []
    if asked.paths is not None:
        own.append(Uncertain(pools=pools, gpus=asked.paths[:, : len(hours)]))
    else:
        for claim, paths, note in _own_paths(book, claims, hours, asked.draws):
            own.append(Uncertain(pools=claim.pools, gpus=paths))
            if set(claim.pools) & set(pools):
                notes.append(f"{claim.id}: {note}")
    held, plans = _held(book, pools, hours)
    if plans:
        used = _on(pools, own, (1, len(hours)))
        own.append(Uncertain(pools=pools, gpus=np.maximum(held - used, 0)))
        notes.append(f"what {', '.join(plans)} called isn't lent again before the day its plan says")
    draws = max([1 if asked.paths is not None else asked.draws, *(len(one.gpus) for one in own)])
    lost: dict[str, Counts] = {}
    if asked.failures is not None:
        lost = _failing(book, asked.failures, pools, (draws, len(hours)))
        notes.append("failures are drawn beside demand, and lower what can be sold like demand")
    demand = _on(pools, own, (draws, len(hours)))
    found = rooms_for(leases, own, lost, supplies, hours=hours, into=sets)
    if found is not None:
        return list(found), demand, tuple(notes)
    notes.append(
        "so many pools share claims that own demand which may use one of the pools counts there in full, "
        "though some of it could go elsewhere"
    )
    rooms = []
    for chosen in sets:
        room = room_for(leases, supplies, asked.window, chosen).at(hours) - _on(chosen, own, demand.shape)
        for pool in set(chosen) & set(lost):
            room -= lost[pool]
        rooms.append(room)
    return rooms, demand, tuple(notes)


def _on(pools: Sequence[str], own: Sequence[Uncertain], shape: tuple[int, ...]) -> Counts:
    """All work that may use one of some pools, by path and hour; no smaller than a shape."""
    found = np.zeros(shape, dtype=np.int64)
    for one in own:
        if set(one.pools) & set(pools):
            found = found + one.gpus
    return found


def _held(book: OpenBook, pools: Sequence[str], hours: Counts) -> tuple[Counts, list[str]]:
    """GPUs on some pools that plans of recalls called and don't lend yet, by hour; and these plans."""
    held, found = np.zeros(len(hours), dtype=np.int64), []
    for plan in plans_of(book.state):
        until = local_midnight(plan.need.hold_until, plan.need.zone)
        during = (hours >= plan.need.start) & (hours < until)
        gpus = sum(
            call.notice.gpus
            for call in plan.calls
            if set(agreement_of(book.state, call.notice.agreement).tranche_of(call.notice.tranche).pools)
            & set(pools)
        )
        if gpus and during.any():
            held += gpus * during
            found.append(plan.id)
    return held, found


def _failing(
    book: OpenBook, failures: Failures, pools: Sequence[str], shape: tuple[int, int]
) -> dict[str, Counts]:
    """GPUs out of order by pool; a large event takes them from the pools in their order."""
    rng = np.random.default_rng([7, shape[0]])
    fleet = [pool for pool in fleet_of(book.state).pool if pool.id in pools]
    event = replace(failures, share=0.0)
    size = [pool.gpus_per_node * sum(block.nodes for block in pool.build_out) for pool in fleet]
    left = failing(event, sum(size), 1, shape, rng)
    found = {}
    for pool, most in zip(fleet, size, strict=True):
        here = np.minimum(left, most)
        left = left - here
        nodes = most // pool.gpus_per_node
        single = failing(replace(failures, loss_gpus=0), nodes, pool.gpus_per_node, shape, rng)
        found[pool.id] = np.minimum(single + here, most)
    return found


def _at_notice(headroom: Counts, notice_s: int, asked: Question) -> AtNotice:
    amount = sellable(headroom, notice_steps=-(-notice_s // HOUR_S), confidence=asked.confidence)
    recallable = _recallable(amount, notice_s)
    recalls = recalls_of(headroom, firm=amount.firm, recallable=recallable, month_steps=MONTH_HOURS)
    worth = asked.worth
    return AtNotice(
        notice_s=notice_s,
        amount=amount,
        recalls=recalls,
        rebate_month=Fraction(asked.rebate) * recalls.share * recallable * recalls.month_steps,
        least_price=recalls.least_price(asked.rebate) if asked.rebate else None,
        even_price=None if worth is None else recalls.even_price(worth.firm, asked.rebate, worth.own),
    )


def _recallable(amount: Sellable, notice_s: int) -> int:
    """GPUs that a notice can call: at less than an hour, what can be taken back at once is among them."""
    return amount.recallable + (amount.interruptible if notice_s < HOUR_S else 0)


def _own_paths(
    book: OpenBook, claims: Sequence[Claim], hours: Counts, draws: int
) -> Iterator[tuple[Claim, Counts, str]]:
    """Own demand: drawn anew from its generator, or the same in each path."""
    for claim in claims:
        if claim.agreement is not None:
            continue
        model = (book.state.body("demand", claim.id) or {}).get("model")
        if model is None:
            yield claim, claim.gpus.at(hours)[np.newaxis], "taken as declared, without uncertainty"
        else:
            paths = np.stack([_drawn(model, draw).at(hours) for draw in range(draws)])
            yield claim, paths, f"{draws} draws of its declared generator, its growth taken as certain"


def _drawn(model: Body, draw: int) -> Curve:
    """Another outcome of a declared generator; each draw has a seed of its own."""
    window = Interval(int(model["start"]), int(model["end"]))
    if "training" in model:
        training = from_plain(Training, json.loads(model["training"]))
        return training_demand(training, window, np.random.default_rng([training.seed, draw + 1]))
    inference = from_plain(Inference, json.loads(model["inference"]))
    return inference_demand(inference, window, np.random.default_rng([inference.seed, draw + 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a buyer asks for.

    Attributes:
        question: the window, the pools, the confidence and what else the answer rests on; its notices hold
            the one notice of a recallable lease, or none for a firm one.
        gpus: how many.
        now: when it is asked.
        days: how long the quote stands.
    """

    question: Question
    gpus: int
    now: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityQuote:
    """A price for capacity, with what it rests on and until when it stands.

    Units: prices in major units per GPU-hour of the book's currency.

    Attributes:
        request: what was asked.
        price: what to ask for.
        floor: below this the operator is better off without the lease.
        firm_price: what a firm lease pays, that the price starts from.
        own: what an hour of own work is worth that goes short.
        recalls: how often and how much would be called; nothing of a firm lease.
        short_share: share of the hours of so many GPUs in which own work would go short for them.
        value: what is paid over the window at the price, less what recalls take away.
        left: GPUs that can be sold beyond these on the same terms.
        expires: instant.
        head: the last fact that the book held.
        notes: what it rests on.
    """

    request: Request
    price: Decimal
    floor: Decimal
    firm_price: Decimal
    own: Decimal
    recalls: Recalls
    short_share: Fraction
    value: Decimal
    left: int
    expires: int
    head: int
    notes: tuple[str, ...]


def quote_capacity(book: OpenBook, asked: Request) -> CapacityQuote | Refused:
    """A price for so many GPUs, if they can be sold with the confidence that is asked.

    Firm: own work goes short in some hours, and the floor is what that costs. Recallable: the floor is the
    rebate for the hours recalled, and the price earns what selling firm at its price would earn.

    Refusals: `not_enough`, with what can be sold; those of `sellable_in`; `no_price` where nothing says what
    a firm lease pays or what own work is worth.
    """
    worth = asked.question.worth or _worth_in(book, asked.question.window)
    if isinstance(worth, Refused):
        return worth
    pools = _pools(book, asked.question)
    question = replace(asked.question, worth=worth, pools=pools)
    refused = _too_short(question)
    if refused is not None:
        return refused
    hours = _hours(question.window)
    (room,), _, notes = _headrooms(book, question, [pools], hours)
    notice = question.notices[0] if question.notices else None
    steps = len(hours) if notice is None else -(-notice // HOUR_S)
    amount = sellable(room, notice_steps=steps, confidence=question.confidence)
    most = amount.firm + (0 if notice is None else _recallable(amount, notice))
    if asked.gpus > most:
        return _not_enough(asked, amount, most)
    recalls = recalls_of(room, firm=0, recallable=asked.gpus, month_steps=MONTH_HOURS)
    short = recalls.share
    if notice is None:
        floor = Fraction(worth.own) * short
        price = max(Fraction(worth.firm), floor)
        recalls = replace(recalls, share=Fraction(0), needed=Fraction(0), months=Fraction(0))
    else:
        least = recalls.even_price(Decimal(0), question.rebate, worth.own)
        even = recalls.even_price(worth.firm, question.rebate, worth.own)
        if even is None or least is None:
            return _not_enough(asked, amount, 0)
        # where own work is worth less than firm pays, taking GPUs back would earn nothing: never above firm
        floor, price, short = least, max(min(even, Fraction(worth.firm)), least), Fraction(0)
    rate = _up(price)
    hours_paid = asked.gpus * len(hours) * (1 - recalls.share)
    value = Fraction(rate) * hours_paid - Fraction(question.rebate) * asked.gpus * len(hours) * recalls.share
    return CapacityQuote(
        request=replace(asked, question=question),
        price=rate,
        floor=_up(floor),
        firm_price=worth.firm,
        own=worth.own,
        recalls=recalls,
        short_share=short,
        value=round(Decimal(value.numerator) / Decimal(value.denominator), 2),
        left=most - asked.gpus,
        expires=min(asked.now + asked.days * DAY_S, question.window.start),
        head=book.state.head[0],
        notes=notes,
    )


def _not_enough(asked: Request, amount: Sellable, most: int) -> Refused:
    question = asked.question
    how = "firm" if not question.notices else "at this notice"
    sure = Decimal(question.confidence.numerator) / question.confidence.denominator
    return Refused(
        code="not_enough",
        sentence=f"{most:,} GPUs can be sold {how} with {sure * 100:.4g} % confidence, not {asked.gpus:,}; "
        f"{amount.firm:,} firm, {amount.firm + amount.recallable + amount.interruptible:,} interruptible",
        facts={"gpus": str(most)},
    )


def _worth_in(book: OpenBook, window: Interval) -> Worth | Refused:
    """The mean of what firm leases pay, and the dearest own work, of claims in a window."""
    found = priced(book, window)
    leases = [w for w in found.wanted if w.claim.agreement is not None and w.penalty]
    own = (transfer_price(book, w.claim) for w in found.wanted if w.claim.agreement is None)
    prices = [price for price in own if price is not None]
    weights = [w.claim.gpus.integrate(window) for w in leases]
    if not leases or not prices:
        return Refused(
            code="no_price",
            sentence="no firm lease or no own work with a transfer price says what GPU-hours are worth; "
            "give --firm-price and --own-value",
        )
    mean = Fraction(sum(w.value * x for w, x in zip(leases, weights, strict=True)), sum(weights) * MICROS)
    return Worth(firm=_up(mean), own=max(prices))


def _up(value: Fraction) -> Decimal:
    """To a hundredth of a cent, never below."""
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(
        Decimal("0.0001"), rounding=ROUND_CEILING
    )
