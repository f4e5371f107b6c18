"""Deals on the table: which to accept together, and what the right to place claims anew is worth.

A GPU-hour is worth what its agreement's fee implies, or a team's transfer price; where neither says, the desk
does. These rates only choose quantities: nothing here is owed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from offtake.agreements.derive import implied_rate
from offtake.agreements.model import Agreement
from offtake.allocation.horizon import Wanted
from offtake.allocation.reallocation import CADENCES, Cadence, resets_of, value_of_reallocation
from offtake.allocation.together import Candidate, Choice, choose_deals
from offtake.base.errors import BadInput, Problem
from offtake.base.time import Interval
from offtake.claims.derive import claims_of
from offtake.claims.model import Claim
from offtake.workflows.allocate import supplies_of
from offtake.workflows.book import OpenBook
from offtake.workflows.state import State
from offtake.workflows.view import agreement_ids, agreement_of, claims_in, fleet_of, operator_zone

RATE_PLACES = 6


def choose(
    book: OpenBook,
    offers: Sequence[Agreement],
    rates: Mapping[str, Decimal],
    *,
    whole: Sequence[str] = (),
    cadence: str = "never",
    seconds: float = 60.0,
) -> Choice:
    """Which offers to accept together beside what a book holds, over the offers' terms.

    Args:
        book: what stands.
        offers: agreements that aren't signed.
        rates: what a GPU-hour is worth, by id of agreement or demand, where it isn't what a fee implies.
        whole: ids of offers each of whose tranches must run in one pool.
        cadence: how often everything may be placed anew, one of `CADENCES`.
        seconds: solving stops after this.

    Raises:
        BadInput: for an offer that the book has, on pools it doesn't have, without an end, or for nothing;
            for a currency other than the book's; where nothing says what a GPU-hour is worth.
    """
    problems = _offer_problems(book.state, offers, whole)
    if problems:
        raise BadInput(problems)
    own = {offer.id: claims_of(offer) for offer in offers}
    spans = [claim.gpus.times for claims in own.values() for claim in claims if len(claim.gpus.times)]
    window = Interval(min(int(times[0]) for times in spans), max(int(times[-1]) for times in spans))
    standing = [claim for claim in claims_in(book.state, book.lake) if claim.gpus.max_over(window)]
    worth = _Worth(book.state, offers, rates)
    wanted = worth.of(standing)
    candidates = [
        Candidate(id=name, wanted=tuple(worth.of(claims)), whole=name in whole)
        for name, claims in own.items()
    ]
    worth.check()
    resets = resets_of(window, CADENCES[cadence], operator_zone(book.state))
    try:
        return choose_deals(
            wanted, candidates, supplies_of(book.state), window, resets=resets, seconds=seconds
        )
    except (ValueError, TimeoutError) as error:
        raise BadInput([Problem(where="deals", code="not_plannable", message=str(error))]) from error


def reallocation(book: OpenBook, start: int, rates: Mapping[str, Decimal]) -> tuple[Cadence, ...]:
    """What a book's claims earn by how often they may be placed anew, from an instant to the last end.

    Raises:
        BadInput: where no agreement goes on, or nothing says what a GPU-hour is worth.
    """
    claims = claims_in(book.state, book.lake)
    ends = [int(c.gpus.times[-1]) for c in claims if c.agreement is not None and len(c.gpus.times)]
    if not ends or max(ends) <= start:
        problem = Problem(
            where="--on",
            code="nothing",
            message="no agreement goes on then",
            remedy="name an earlier day, or a book with agreements",
        )
        raise BadInput([problem])
    window = Interval(start, max(ends))
    worth = _Worth(book.state, (), rates)
    wanted = worth.of([claim for claim in claims if claim.gpus.max_over(window)])
    worth.check()
    try:
        return value_of_reallocation(wanted, supplies_of(book.state), window, operator_zone(book.state))
    except ValueError as error:
        raise BadInput([Problem(where="claims", code="not_plannable", message=str(error))]) from error


def currency_of(book: OpenBook) -> str:
    """The book's currency."""
    return str((book.state.body("book", "book") or {})["currency"])


class _Worth:
    """Claims as what they are worth; what isn't known is collected."""

    def __init__(self, state: State, offers: Sequence[Agreement], rates: Mapping[str, Decimal]) -> None:
        self.state, self.rates = state, rates
        self.agreements = {name: agreement_of(state, name) for name in agreement_ids(state)}
        self.agreements |= {offer.id: offer for offer in offers}
        self.currency = str((state.body("book", "book") or {})["currency"])
        self.missing: dict[str, Problem] = {}

    def of(self, claims: Sequence[Claim]) -> list[Wanted]:
        """Those whose rate is known."""
        found = []
        for claim in claims:
            name = claim.agreement or claim.id
            rate = self._rate(name)
            value = round(rate * 10**RATE_PLACES) if rate is not None else 0
            if value > 0:
                found.append(Wanted(claim=claim, value=value))
            elif name not in self.missing:
                self.missing[name] = Problem(
                    where=name,
                    code="no_rate",
                    message="nothing says what a GPU-hour of it is worth",
                    remedy=f"say so with --rate {name}=2.50",
                )
        return found

    def _rate(self, name: str) -> Decimal | None:
        if name in self.rates:
            return self.rates[name]
        agreement = self.agreements.get(name)
        if agreement is None:
            price = (self.state.body("demand", name) or {}).get("transfer_price")
            return None if price is None else Decimal(price)
        if agreement.currency != self.currency:
            self.missing[name] = Problem(
                where=name,
                code="other_currency",
                message=f"it is in {agreement.currency}, the book in {self.currency}",
                remedy=f"say what it is worth with --rate {name}=2.50",
            )
            return None
        implied = implied_rate(agreement, places=RATE_PLACES)
        return None if implied is None else implied.value

    def check(self) -> None:
        """Refuse what isn't known."""
        if self.missing:
            raise BadInput(list(self.missing.values()))


def _offer_problems(state: State, offers: Sequence[Agreement], whole: Sequence[str]) -> list[Problem]:
    pools = [pool.id for pool in fleet_of(state).pool]
    held, names = set(agreement_ids(state)), [offer.id for offer in offers]
    found = [
        Problem(where=f"--whole {name}", code="unknown_offer", message="there is no such offer")
        for name in whole
        if name not in names
    ]
    for offer in offers:
        claims = claims_of(offer)
        if offer.id in held or names.count(offer.id) > 1:
            message = "the book has it already" if offer.id in held else "it is offered twice"
            found.append(Problem(where=offer.id, code="twice", message=message, remedy="leave it out"))
        unknown = sorted({pool for claim in claims for pool in claim.pools if pool not in pools})
        if unknown:
            found.append(
                Problem(
                    where=offer.id,
                    code="unknown_pool",
                    message=f"the fleet has no pool {', '.join(unknown)}",
                    remedy=f"pools are {', '.join(pools)}",
                )
            )
        levels = [claim.gpus.values for claim in claims if len(claim.gpus.values)]
        if not levels or any(int(values[-1]) for values in levels):
            message = "it has no end" if levels else "it asks for no GPUs"
            found.append(Problem(where=offer.id, code="no_term", message=message))
    return found
