"""What a book can still sell: headroom, what is sellable against uncertain own demand, a plan of years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

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
from offtake.base.time import Interval
from offtake.claims.calendar import KIND_OF, Calendar, Kind
from offtake.claims.derive import claims_of
from offtake.claims.model import Claim, Firmness
from offtake.rating.quote import paid_in_all
from offtake.workflows.allocate import supplies_of
from offtake.workflows.book import OpenBook
from offtake.workflows.view import agreement_ids, agreement_of, book_currency, claims_in, operator_zone

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
    currency = book_currency(book.state)
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


def transfer_price(book: OpenBook, claim: Claim) -> Decimal | None:
    """What own work is shown as its cost, in major units per GPU-hour; None where nothing is said."""
    price = (book.state.body("demand", claim.id) or {}).get("transfer_price")
    return None if price is None else Decimal(price)


def _rate(book: OpenBook, claim: Claim, currency: str) -> int | None:
    """Millionths of the book's currency per GPU-hour; None where there is no such price."""
    if claim.agreement is None:
        price = transfer_price(book, claim)
        return None if price is None else int(price * MICROS)
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
    currency = book_currency(book.state)
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
