"""The book's state as domain objects: agreements as they stand, capacity, claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from offtake.agreements.catalogue import BY_KIND
from offtake.agreements.model import Agreement, Event, after_events
from offtake.agreements.series import Point, Published, Series
from offtake.base.curve import Curve, combine
from offtake.base.money import Money
from offtake.base.time import Interval
from offtake.billing.document import Document, Open
from offtake.claims.derive import claims_of
from offtake.claims.model import Claim, Firmness
from offtake.fleet.capacity import PoolCapacity, pool_capacities
from offtake.fleet.model import Cause, Delivery, Fleet, Outage
from offtake.formats.agreement import Versions, spliced
from offtake.formats.folder import parse_fleet
from offtake.formats.plain import from_plain
from offtake.rating.rate import fee_at_stake
from offtake.store.lake import Lake
from offtake.workflows.state import Body, State
from offtake.workflows.texts import compose


def fleet_of(state: State) -> Fleet:
    """The fleet as last declared."""
    fleet: Fleet = state.parsed("fleet", "fleet", lambda body: parse_fleet(body["toml"], body["where"])[0])
    return fleet


def agreement_ids(state: State) -> list[str]:
    """Ids of every agreement, in order."""
    return sorted(state.of("agreement"))


def signed_agreement(state: State, id_: str) -> Agreement:
    """The agreement's latest text, those before it beside it; notices and other events not looked at."""
    return spliced(_versions(state, id_))


def _versions(state: State, id_: str) -> Versions:
    found: Versions = state.parsed("texts", id_, lambda body: compose(body["texts"]))
    return found


def agreement_of(state: State, id_: str, *, until: int | None = None, but: str = "") -> Agreement:
    """The agreement as it stands: its text with every event that counts.

    Args:
        state: of the book.
        id_: the agreement.
        until: take the text that held just before this instant, the oldest where none did yet; the latest
            when left out.
        but: leave out the event of this id, which is being recorded again.
    """
    if until is None and not but:
        return _standing(state, id_)
    versions = _versions(state, id_)
    if until is not None:
        versions = tuple(v for v in versions if v[0] is None or v[1].midnight(v[0]) < until) or versions[:1]
    return _after(state, spliced(versions), [event for event in events_of(state, id_) if event.id != but])


def _standing(state: State, id_: str) -> Agreement:
    """The agreement with everything that counts, worked out once for what is known of it."""
    touched = state.body("touched", id_) or {"seq": 0}
    version = (int(touched["seq"]) << 32) + len(state.of("published"))
    cached = state.cache.get(("standing", id_))
    if cached is None or cached[0] != version:
        cached = (version, _after(state, spliced(_versions(state, id_)), events_of(state, id_)))
        state.cache["standing", id_] = cached
    agreement: Agreement = cached[1]
    return agreement


def _after(state: State, text: Agreement, events: list[Event]) -> Agreement:
    if state.of("published"):
        text = replace(text, series=series_of(state))
    return after_events(text, events)


def series_of(state: State) -> Mapping[str, Series]:
    """Every published series, as far as the book knows it."""
    known = state.of("published")
    cached = state.cache.get(("published", "all"))
    if cached is None or cached[0] != len(known):
        points: dict[str, list[Point]] = {}
        for item in known.values():
            one = from_plain(Published, item.body)
            points.setdefault(one.series, []).append(one.point)
        cached = (len(known), {name: Series.of(name, found) for name, found in points.items()})
        state.cache["published", "all"] = cached
    series: Mapping[str, Series] = cached[1]
    return series


def events_of(state: State, agreement: str) -> list[Event]:
    """What happened under an agreement, in the order in which it was recorded."""
    found = [
        (item.seq, state.parsed(kind, id_, partial(from_plain, shape)))
        for kind, shape in BY_KIND.items()
        for id_, item in state.of(kind).items()
        if item.body["agreement"] == agreement
    ]
    return [event for _, event in sorted(found, key=lambda pair: pair[0])]


def outages_of(state: State) -> list[Outage]:
    """Outages that can still matter."""
    return [from_plain(Outage, item.body) for _, item in sorted(state.of("outage").items())]


def outage_curves(state: State, period: Interval) -> dict[str, Curve]:
    """GPUs that outages took within a period, by pool."""
    return {
        capacity.pool.id: combine(found).restrict(period)
        for capacity in capacities_of(state)
        if (found := [cut.gpus for cut in capacity.cuts if cut.cause is Cause.OUTAGE])
    }


def deliveries_of(state: State) -> list[Delivery]:
    """What is known of build-out blocks that arrived otherwise than planned."""
    return [from_plain(Delivery, item.body) for _, item in sorted(state.of("delivery").items())]


def capacities_of(state: State) -> tuple[PoolCapacity, ...]:
    """Every pool's curves."""
    return pool_capacities(fleet_of(state), outages=outages_of(state), deliveries=deliveries_of(state))


def claims_in(state: State, lake: Lake) -> tuple[Claim, ...]:
    """Every claim of the book: agreements by tranche, then internal demand."""
    claims: list[Claim] = []
    for id_ in agreement_ids(state):
        agreement = agreement_of(state, id_)
        claims += claims_of(agreement, owed_per_gpu_month=fee_at_stake(agreement))
    for id_ in sorted(state.of("demand")):
        claims.append(state.parsed("demand", id_, lambda body: _internal(body, lake)))
    return tuple(claims)


def _internal(body: Body, lake: Lake) -> Claim:
    columns = lake.load(body["curve"])
    return Claim(
        id=str(body["id"]),
        holder=str(body["holder"]),
        firmness=Firmness(body["firmness"]),
        pools=tuple(body["pools"]),
        gpus=Curve.from_arrays(columns["start"], columns["gpus"]),
    )


def open_documents(state: State, agreement: str | None = None) -> list[Open]:
    """Documents with something left to settle, in order of number."""
    return [
        Open(
            number=number,
            agreement=str(item.body["agreement"]),
            issued_at=int(item.body["issued_at"]),
            due_at=int(item.body["due_at"]),
            left=Money(int(item.body["left"]), str(item.body["currency"])),
        )
        for number, item in sorted(state.of("open").items())
        if agreement in (None, item.body["agreement"])
    ]


def document_of(body: Body) -> Document:
    """A document from its fact."""
    return from_plain(
        Document, {key: value for key, value in body.items() if key not in ("sequence", "earned")}
    )


def operator_name(state: State) -> str:
    """Who operates the fleet."""
    return str((state.body("book", "book") or {})["operator"])


def book_currency(state: State) -> str:
    """The currency that the operator counts in."""
    return str((state.body("book", "book") or {})["currency"])


def opened_at(state: State) -> int:
    """When the book was opened, an instant."""
    return int((state.body("book", "book") or {})["opened_at"])


def operator_zone(state: State) -> str:
    """The operator's time zone."""
    book = state.body("book", "book")
    return str(book["time_zone"]) if book else "UTC"
