"""What a book can still sell: headroom, what is sellable against uncertain own demand, a plan of years."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from offtake.agreements.derive import implied_rate
from offtake.agreements.model import Agreement
from offtake.allocation.horizon import Horizon, Wanted, plan_horizon
from offtake.allocation.reallocation import Regime, value_of_reallocation
from offtake.allocation.room import room_for
from offtake.allocation.together import Deal, Decision, choose_deals
from offtake.base.curve import Curve
from offtake.base.months import month_of, months_through
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval
from offtake.claims.calendar import KIND_OF, Calendar, Kind
from offtake.claims.demand import Inference, Training, inference_demand, training_demand
from offtake.claims.derive import claims_of
from offtake.claims.model import Claim, Firmness
from offtake.claims.sellable import Failures, Prices, Sellable, Split, failing, sellable, split_of
from offtake.formats.plain import from_plain
from offtake.rating.quote import paid_in_all
from offtake.workflows.allocate import supplies_of
from offtake.workflows.book import OpenBook
from offtake.workflows.state import Body
from offtake.workflows.view import agreement_ids, agreement_of, claims_in, fleet_of, operator_zone

MICROS = 10**6
"""Parts of a major unit in which worth is counted."""

FIRM_PENALTY = 1_000
"""A firm GPU-hour that goes short weighs this many times the dearest claim: firm claims come first."""

FREELY = "freely"
"""Claims may be placed anew whenever anything changes."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """Claims with what they are worth, and what that rests on."""

    wanted: tuple[Wanted, ...]
    notes: tuple[str, ...]


def priced(book: OpenBook, window: Interval) -> Priced:
    """Every claim that asks for something in a window, at its fee or transfer price per GPU-hour."""
    claims = [claim for claim in claims_in(book.state, book.lake) if claim.gpus.max_over(window)]
    currency = str((book.state.body("book", "book") or {})["currency"])
    rates: dict[str, int | None] = {}
    notes = []
    for claim in claims:
        rates[claim.id] = _rate(book, claim, currency)
    known = [rate for claim in claims if claim.agreement and (rate := rates[claim.id])]
    average = sum(known) // len(known) if known else MICROS
    unknown = sorted({claim.id for claim in claims if not rates[claim.id]})
    if unknown:
        basis = "the average of the leases'" if known else "one"
        notes.append(
            f"no price per GPU-hour is known of {', '.join(unknown)}: each is taken at "
            f"{average / MICROS:.2f} {currency}, {basis}"
        )
    penalty = FIRM_PENALTY * max([average, *known])
    wanted = tuple(
        Wanted(
            claim=claim,
            value=rates[claim.id] or average,
            penalty=penalty if claim.firmness is Firmness.FIRM else 0,
        )
        for claim in claims
    )
    return Priced(wanted=wanted, notes=tuple(notes))


def _rate(book: OpenBook, claim: Claim, currency: str) -> int | None:
    """Millionths of the book's currency per GPU-hour; None where there is no such price."""
    if claim.agreement is None:
        price = (book.state.body("demand", claim.id) or {}).get("transfer_price")
        return None if price is None else int(Decimal(price) * MICROS)
    agreement = agreement_of(book.state, claim.agreement)
    figure = implied_rate(agreement, places=6) if agreement.currency == currency else None
    return int(figure.value * MICROS) if figure is not None else None


def horizon_of(book: OpenBook, window: Interval, *, move_cost: int) -> tuple[Horizon, tuple[str, ...]]:
    """The plan of a window by worth, and what its worths rest on.

    Args:
        book: read only.
        window: half-open, not empty.
        move_cost: of one GPU that changes pool, in millionths of the book's currency.
    """
    found = priced(book, window)
    return plan_horizon(found.wanted, supplies_of(book.state), window, move_cost=move_cost), found.notes


def reallocation_in(book: OpenBook, window: Interval) -> tuple[Regime, ...]:
    """What a plan of a window would lose if claims could change pools only at borders of local months."""
    found = priced(book, window)
    regimes = list(resets_in(book, window).items())
    return value_of_reallocation(found.wanted, supplies_of(book.state), window, regimes)


def resets_in(book: OpenBook, window: Interval) -> dict[str, Counts]:
    """Borders of local months at which claims may be placed anew, by how often they may."""
    zone = operator_zone(book.state)
    months = list(months_through(month_of(window.start, zone), month_of(window.end - 1, zone)))
    starts = np.array([month.interval(zone).start for month in months], dtype=np.int64)
    return {"never": starts[:0], "yearly": starts[::12], "quarterly": starts[::3], "monthly": starts}


def choose_in(
    book: OpenBook,
    offered: Sequence[Agreement],
    now: int,
    *,
    whole: Sequence[str] = (),
    resets: str = "never",
    seconds: float = 60.0,
) -> tuple[Decision, tuple[str, ...]] | Refused:
    """Which of some agreements to sign beside what the book holds, each wholly or not at all.

    An agreement is worth what the offtaker would pay over the term, everything delivered and taken in full;
    claims of the book what they pay per GPU-hour. Firm ones come first.

    Args:
        book: read only.
        offered: agreements that the book doesn't have.
        now: from when capacity is given away.
        whole: ids of those of which each tranche must run in one pool.
        resets: how often claims may be placed anew: a name of `resets_in`, or ``freely``.
        seconds: solving stops after this.

    Returns:
        The decision, and what the worths rest on.

    Refusals: `unknown_pool`, `other_currency`, `known_agreement` for an id that the book has, `over` for one
    whose term has ended, `unknown_offer`, and `not_solved` where firm claims weren't placed in time.
    """
    pools = supplies_of(book.state)
    currency = str((book.state.body("book", "book") or {})["currency"])
    known, names = agreement_ids(book.state), [pool.id for pool in pools]
    for name in whole:
        if name not in [one.id for one in offered]:
            return Refused(code="unknown_offer", sentence=f"no agreement {name} is offered")
    deals = []
    for one in offered:
        missing = sorted({pool for tranche in one.tranches for pool in tranche.pools if pool not in names})
        wrong = {
            "unknown_pool": f"the fleet has no pool {', '.join(missing)}" if missing else "",
            "other_currency": f"it is in {one.currency}, the book in {currency}" * (one.currency != currency),
            "known_agreement": "the book has an agreement of that name" * (one.id in known),
            "over": f"its term ended on {one.ends}" * (one.midnight(one.ends) <= now),
        }
        for code, why in wrong.items():
            if why:
                return Refused(code=code, sentence=f"{one.id}: {why}")
        worth = int(paid_in_all(one).major * MICROS)
        deals.append(Deal(id=one.id, claims=claims_of(one), worth=worth, whole=one.id in whole))
    window = Interval(now, max([one.midnight(one.ends) for one in offered], default=now + 1))
    found = priced(book, window)
    standing = [replace(one, penalty=0) for one in found.wanted]
    borders = None if resets == FREELY else resets_in(book, window)[resets].tolist()
    try:
        decision = choose_deals(standing, deals, pools, window, resets=borders, seconds=seconds)
    except TimeoutError as error:
        return Refused(code="not_solved", sentence=str(error))
    return decision, found.notes


def calendar_of(plan: Horizon) -> Calendar:
    """The holdings of a plan as a calendar that can be asked and changed."""
    calendar = Calendar.of({pool.id: pool.available for pool in plan.pools})
    for one in plan.wanted:
        for pool in one.claim.pools:
            held = plan.held(one.claim.id, pool)
            if len(held.times):
                calendar.add(f"{one.claim.id} on {pool}", pool, KIND_OF[one.claim.firmness], held)
    return calendar


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRoom:
    """What a pool has left through a window, in GPUs; negative where it lacks some.

    Attributes:
        pool: its id, or None for all pools asked about together, claims moved wherever they may go.
        available: the least it has.
        beside_firm: the least that firm claims leave.
        beside_leases: the least that leases of any firmness leave.
        beside_all: the least that leases and own use leave.
    """

    pool: str | None
    available: int
    beside_firm: int
    beside_leases: int
    beside_all: int


def headroom_in(book: OpenBook, window: Interval, pools: Sequence[str] = ()) -> tuple[PoolRoom, ...]:
    """What pools have left, each by itself where the plan puts claims, then all of them together."""
    supplies = supplies_of(book.state)
    plan, _ = horizon_of(book, window, move_cost=0)
    calendar = calendar_of(plan)
    asked = [supply.id for supply in supplies if not pools or supply.id in pools]
    rows = [
        PoolRoom(
            pool=pool,
            available=calendar.free(pool, window, ()),
            beside_firm=calendar.free(pool, window, (Kind.FIRM,)),
            beside_leases=calendar.free(pool, window, (Kind.FIRM, Kind.REVOCABLE)),
            beside_all=calendar.free(pool, window),
        )
        for pool in asked
    ]
    claims = [one.claim for one in plan.wanted]
    kinds: tuple[tuple[Kind, ...], ...] = ((), (Kind.FIRM,), (Kind.FIRM, Kind.REVOCABLE), tuple(Kind))
    together = [
        room_for([c for c in claims if KIND_OF[c.firmness] in kind], supplies, window, asked).min_over(window)
        for kind in kinds
    ]
    available, firm, leases, everything = together
    return (
        *rows,
        PoolRoom(
            pool=None, available=available, beside_firm=firm, beside_leases=leases, beside_all=everything
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AtNotice:
    """What may be sold where a notice takes so long.

    Attributes:
        notice_s: seconds.
        amount: GPUs.
        recalled_share: the share of the recallable GPUs' hours in which they are taken back.
        least_price: what the last recallable GPU-hour must pay to be worth selling, in major units; None
            without a rebate, where any price is.
    """

    notice_s: int
    amount: Sellable
    recalled_share: Fraction
    least_price: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selling:
    """What may be sold over a window.

    Attributes:
        window: half-open.
        pools: which.
        confidence: with which own demand fits all along.
        paths: how many ways own demand may turn out were looked at.
        own: GPUs of own demand: the least of any path at any hour, the median over all, the most.
        at: by notice.
        split: the split that earns most, where prices are given.
        notes: what the answer rests on.
    """

    window: Interval
    pools: tuple[str, ...]
    confidence: Fraction
    paths: int
    own: tuple[int, int, int]
    at: tuple[AtNotice, ...]
    split: Split | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about selling.

    Attributes:
        window: whole hours, half-open.
        pools: which; all when empty.
        notices: seconds each.
        confidence: above 0, at most 1.
        draws: paths drawn of demand that is declared as a generator.
        paths: int64[S, T] of all own demand, hour by hour, in place of what the book declares.
        failures: what may be out of order, in hours, beyond derates and reported outages; nothing when left
            out.
        rebate: paid for a recalled GPU-hour on top of the price that falls away, in major units.
        prices: for the split that earns most.
    """

    window: Interval
    pools: tuple[str, ...] = ()
    notices: tuple[int, ...] = ()
    confidence: Fraction = Fraction(19, 20)
    draws: int = 200
    paths: Counts | None = None
    failures: Failures | None = None
    rebate: Decimal = Decimal(0)
    prices: Prices | None = None


def sellable_in(book: OpenBook, asked: Question) -> Selling | Refused:
    """How much may be sold firm, recallable and interruptible beside the leases that are there.

    Refusals: `paths_too_short` where the paths don't cover the window.
    """
    window = asked.window
    hours = np.arange(window.start, window.end, HOUR_S, dtype=np.int64)
    supplies = supplies_of(book.state)
    pools = tuple(s.id for s in supplies if not asked.pools or s.id in asked.pools)
    claims = [claim for claim in claims_in(book.state, book.lake) if claim.gpus.max_over(window)]
    leases = [claim for claim in claims if claim.agreement is not None]
    free = room_for(leases, supplies, window, pools).at(hours)
    notes = ["the leases that are there are moved wherever they may go"]
    if asked.paths is None:
        demand = np.zeros((asked.draws, len(hours)), dtype=np.int64)
        for claim, paths, note in _own_paths(book, claims, pools, hours, asked.draws):
            demand += paths
            notes.append(f"{claim}: {note}")
    elif asked.paths.shape[1] < len(hours):
        return Refused(
            code="paths_too_short",
            sentence=f"the paths cover {asked.paths.shape[1]} hours, and the window has {len(hours)}",
        )
    else:
        demand = asked.paths[:, : len(hours)]
    if asked.failures is not None:
        demand = demand + _failing(book, asked.failures, pools, demand.shape)
        notes.append("failures are drawn beside demand, and lower what can be sold like demand")
    found = [_at_notice(free, demand, notice, asked) for notice in asked.notices]
    return Selling(
        window=window,
        pools=pools,
        confidence=asked.confidence,
        paths=len(demand),
        own=(int(demand.min()), int(np.median(demand)), int(demand.max())),
        at=tuple(found),
        split=None if asked.prices is None else split_of((free - demand).ravel(), asked.prices),
        notes=tuple(notes),
    )


def _failing(book: OpenBook, failures: Failures, pools: Sequence[str], shape: tuple[int, ...]) -> Counts:
    """GPUs out of order in some pools; a large event takes them from all of these together."""
    rng = np.random.default_rng([7, shape[0]])
    fleet = [pool for pool in fleet_of(book.state).pool if pool.id in pools]
    found = np.zeros(shape, dtype=np.int64)
    for i, pool in enumerate(fleet):
        nodes = sum(block.nodes for block in pool.build_out)
        part = failures if i == 0 else replace(failures, loss_gpus=0)
        found += failing(part, nodes, pool.gpus_per_node, (shape[0], shape[1]), rng)
    return found


def _at_notice(free: Counts, demand: Counts, notice_s: int, asked: Question) -> AtNotice:
    amount = sellable(free, demand, notice_steps=-(-notice_s // HOUR_S), confidence=asked.confidence)
    recallable = amount.recallable + (amount.interruptible if notice_s < HOUR_S else 0)
    beyond = np.maximum(amount.firm + recallable - (free - demand), 0)
    recalled = int(np.minimum(beyond, recallable).sum())
    needed = Fraction(int((beyond > 0).sum()), beyond.size)
    least = None
    if asked.rebate and needed < 1:
        least = Fraction(asked.rebate) * needed / (1 - needed)
    return AtNotice(
        notice_s=notice_s,
        amount=amount,
        recalled_share=Fraction(recalled, recallable * beyond.size) if recallable else Fraction(0),
        least_price=least,
    )


def _own_paths(
    book: OpenBook, claims: Sequence[Claim], pools: Sequence[str], hours: Counts, draws: int
) -> Iterator[tuple[str, Counts, str]]:
    """Own demand that may use one of the pools: drawn anew from its generator, or the same in each path."""
    for claim in claims:
        if claim.agreement is not None or not set(claim.pools) & set(pools):
            continue
        model = (book.state.body("demand", claim.id) or {}).get("model")
        if model is None:
            yield claim.id, claim.gpus.at(hours)[np.newaxis], "taken as declared, without uncertainty"
        else:
            paths = np.stack([_drawn(model, draw).at(hours) for draw in range(draws)])
            yield claim.id, paths, f"{draws} draws of its declared generator, its growth taken as certain"


def _drawn(model: Body, draw: int) -> Curve:
    """Another outcome of a declared generator; each draw has a seed of its own."""
    window = Interval(int(model["start"]), int(model["end"]))
    if "training" in model:
        training = from_plain(Training, json.loads(model["training"]))
        return training_demand(training, window, np.random.default_rng([training.seed, draw + 1]))
    inference = from_plain(Inference, json.loads(model["inference"]))
    return inference_demand(inference, window, np.random.default_rng([inference.seed, draw + 1]))


def prices_by_month(plan: Horizon, borders: Sequence[int]) -> Mapping[str, tuple[Decimal, ...]]:
    """Mean price of each pool between borders, in major units per GPU-hour."""
    found = {}
    for p, pool in enumerate(plan.pools):
        curve = Curve.from_arrays(plan.times, np.append(plan.prices[:, p], 0))
        sums = curve.integrals(np.array(borders, dtype=np.int64)).tolist()
        found[pool.id] = tuple(
            Decimal(total) / (MICROS * (end - start))
            for total, start, end in zip(sums, borders[:-1], borders[1:], strict=True)
        )
    return found
