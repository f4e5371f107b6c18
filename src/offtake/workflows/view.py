"""The book's state as domain objects: agreements as they stand, capacity, claims."""

from __future__ import annotations

from typing import Any

from offtake.agreements.events import Election, Notice, RecallNotice, as_it_stands, check_election, recalled
from offtake.agreements.model import Agreement
from offtake.base.curve import Curve
from offtake.base.money import Money
from offtake.billing.document import Document, Open
from offtake.claims.derive import claims_of
from offtake.claims.model import Claim, Firmness
from offtake.fleet.capacity import PoolCapacity, pool_capacities
from offtake.fleet.model import Delivery, Fleet, Outage
from offtake.formats.agreement import parse_agreement
from offtake.formats.folder import parse_fleet
from offtake.formats.plain import from_plain
from offtake.rating.rate import fee_at_stake
from offtake.store.lake import Lake
from offtake.workflows.state import Body, State, texts_of


def fleet_of(state: State) -> Fleet:
    """The fleet as last declared."""
    fleet: Fleet = state.parsed("fleet", "fleet", lambda body: parse_fleet(body["toml"], body["where"])[0])
    return fleet


def agreement_ids(state: State) -> list[str]:
    """Ids of every agreement, in order."""
    return sorted(state.of("agreement"))


def signed_agreement(state: State, id_: str) -> Agreement:
    """The agreement's text as last recorded, notices not looked at."""
    agreement: Agreement = state.parsed("agreement", id_, lambda b: parse_agreement(b["toml"], b["where"]))
    return agreement


def text_in_force(state: State, id_: str, until: int) -> Agreement:
    """The text that held just before an instant; the oldest known where none did yet."""
    texts = texts_of(state, id_)
    held = [text for text, since in texts if since < until] or [text for text, _ in texts[:1]]
    agreement: Agreement = state.parsed("text", held[-1], lambda b: parse_agreement(b["toml"], b["where"]))
    return agreement


def agreement_of(state: State, id_: str, *, until: int | None = None) -> Agreement:
    """The agreement as it stands: its text with every notice and termination that counts.

    Args:
        state: of the book.
        id_: the agreement.
        until: take the text that held just before this instant; the latest when left out.
    """
    return as_it_stands(
        signed_agreement(state, id_) if until is None else text_in_force(state, id_, until),
        _events(state, "notice", Notice, id_),
        _events(state, "election", Election, id_),
    )


def _events(state: State, kind: str, shape: type[Any], agreement: str) -> list[Any]:
    return [
        state.parsed(kind, id_, lambda body: from_plain(shape, body))
        for id_, item in sorted(state.of(kind).items(), key=lambda pair: pair[1].seq)
        if item.body["agreement"] == agreement
    ]


def election_of(state: State, agreement: Agreement) -> Election | None:
    """The offtaker's choice that counts, the latest if there are several."""
    made = _events(state, "election", Election, agreement.id)
    counting = [election for election in made if check_election(agreement, election) is None]
    return counting[-1] if counting else None


def recalled_of(state: State, agreement: Agreement) -> dict[str, Curve]:
    """GPUs recalled, by tranche."""
    return recalled(agreement, recalls_of(state, agreement.id))


def recalls_of(state: State, agreement: str) -> list[RecallNotice]:
    """Recall notices of an agreement, in the order they were recorded."""
    return _events(state, "recall", RecallNotice, agreement)


def outages_of(state: State) -> list[Outage]:
    """Outages that can still matter."""
    return [from_plain(Outage, item.body) for _, item in sorted(state.of("outage").items())]


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
        claims += claims_of(
            agreement, owed_per_gpu_month=fee_at_stake(agreement), recalled=recalled_of(state, agreement)
        )
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


def operator_zone(state: State) -> str:
    """The operator's time zone."""
    book = state.body("book", "book")
    return str(book["time_zone"]) if book else "UTC"
