"""What the book knows now, folded from its facts.

State is a set of items, each a plain value by kind and id, with the position of the fact that wrote it.
`project` says what one fact changes; applying it to a copy in memory (a what-if) or to the database
gives the same state. Things that can no longer matter (settled batches, past plans, ended outages) leave
the state, so that a tick costs the same however long the log is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from offtake.agreements.catalogue import BY_KIND
from offtake.base.errors import ensure
from offtake.base.months import Month
from offtake.formats.plain import from_plain
from offtake.ledger.model import Entry, post_to
from offtake.rating.model import Carried, Lot
from offtake.store.fact import GENESIS, Fact, Recorded

Body = Mapping[str, Any]
Key = tuple[str, str]

ON_DEMAND = (
    "document",
    "settled",
    "old_plan",
    "old_batch",
    "old_paid",
    "old_usage_part",
    "sent",
    "commanded",
)
"""Kinds that are kept for reading, and needed by a tick only when a settled month is settled again."""

MANIFESTS: Mapping[str, tuple[str, ...]] = {
    "allocation.planned": ("held", "short"),
    "demand.declared": ("curve",),
    "nodes.assigned": ("nodes",),
    "readings.received": ("rows",),
}
"""Kinds of facts that name tables of the lake, and under which keys."""

TEXTS = ("agreement.signed", "agreement.amended")
"""Facts that carry an agreement's text, under the agreement's id."""

KEPT_S = 70 * 86_400
"""Parts of the usage lake are kept in sight so long, twice the late window, to find what comes again."""

CAPACITY_KINDS = {
    "book.opened", "fleet.declared", "agreement.signed", "agreement.amended", "demand.declared",
    "demand.withdrawn", "outage.reported", "delivery.reported", *BY_KIND,
}  # fmt: skip
"""Facts that change what is available or claimed, and so may change the plan."""


@dataclass(frozen=True, slots=True)
class Item:
    """A projected thing."""

    seq: int
    body: Body


@dataclass(slots=True)
class State:
    """Items by kind and id, the end of the chain, and the latest instant recorded."""

    head: tuple[int, str] = (0, GENESIS)
    now: int = 0
    items: dict[str, dict[str, Item]] = field(default_factory=dict)
    cache: dict[Key, tuple[int, Any]] = field(default_factory=dict)

    def of(self, kind: str) -> Mapping[str, Item]:
        """Every item of a kind, by id."""
        return self.items.get(kind, {})

    def body(self, kind: str, id_: str) -> Body | None:
        """One item's body, or None."""
        item = self.of(kind).get(id_)
        return item.body if item else None

    def parsed(self, kind: str, id_: str, parse: Callable[[Body], Any]) -> Any:
        """An item parsed once for each version of it."""
        item = self.items[kind][id_]
        cached = self.cache.get((kind, id_))
        if cached is None or cached[0] != item.seq:
            cached = (item.seq, parse(item.body))
            self.cache[kind, id_] = cached
        return cached[1]

    def put(self, key: Key, seq: int, body: Body | None) -> None:
        """Set or remove one item."""
        kind, id_ = key
        if body is None:
            self.items.get(kind, {}).pop(id_, None)
            self.cache.pop(key, None)
        else:
            self.items.setdefault(kind, {})[id_] = Item(seq, body)

    def copy(self) -> State:
        """An independent copy; bodies are shared, they are never changed."""
        return State(
            head=self.head,
            now=self.now,
            items={kind: dict(items) for kind, items in self.items.items()},
            cache=dict(self.cache),
        )


@dataclass(slots=True)
class Change:
    """What one fact does to the state and the ledger's legs."""

    items: dict[Key, Body | None] = field(default_factory=dict)
    postings: list[dict[str, Any]] = field(default_factory=list)


def project(state: State, fact: Fact, seq: int) -> Change:
    """What a fact changes.

    Raises:
        Broken: for a kind of fact that nothing projects.
    """
    projector = _PROJECTORS.get(fact.kind)
    ensure(projector is not None, f"no projection for facts of kind {fact.kind!r}")
    change = Change()
    assert projector is not None
    projector(state, fact, seq, change)
    change.items["clock", "now"] = {"now": max(state.now, fact.recorded_at)}
    if fact.kind in CAPACITY_KINDS:
        _note_capacity_change(state, fact, change)
    if fact.kind in TEXTS or fact.kind in BY_KIND:
        agreement = fact.id if fact.kind in TEXTS else str(fact.body["agreement"])
        change.items["touched", agreement] = {"seq": seq}
    _note_late(state, fact, change)
    return change


def _note_capacity_change(state: State, fact: Fact, change: Change) -> None:
    known = state.body("replan", "from")
    at = fact.effective_at if known is None else min(int(known["at"]), fact.effective_at)
    change.items["replan", "from"] = {"at": at}


def _note_late(state: State, fact: Fact, change: Change) -> None:
    """What reaches back into a settled month is kept in sight, by agreement where it is of one.

    What an agreement says or its parties do is trued up by the next tick; what the fleet did isn't.
    """
    if fact.kind not in CAPACITY_KINDS and fact.kind != "readings.received":
        return
    since = int(fact.body["start"]) if fact.kind == "readings.received" else fact.effective_at
    settled = state.of("settled_through")
    agreement = fact.id if fact.kind in TEXTS else str(fact.body.get("agreement", ""))
    own = settled.get(agreement)
    ends = [own] if own is not None else [] if agreement else list(settled.values())
    if any(since < int(item.body["end"]) for item in ends):
        change.items["late", f"{fact.kind} {fact.id}"] = {"since": since, "agreement": agreement}


def _proposed(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["proposal", fact.id] = fact.body


def _decided(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["proposal", fact.id] = None


def _forgone(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["forgone", str(fact.body["forgone"])] = {"seq": seq}


def _ingested(state: State, fact: Fact, seq: int, change: Change) -> None:
    """Parts of the usage lake, how far its sources are, and what they reach back to."""
    for part in fact.body["parts"]:
        change.items["usage_part", str(part["path"])] = {**part, "seq": seq}
    for source, through in fact.body["through"].items():
        change.items["meter", source] = {"through": int(through)}
    for agreement, since in fact.body["since"].items():
        change.items["late", f"usage.ingested {fact.id} {agreement}"] = {
            "since": int(since),
            "agreement": agreement,
        }


def _run(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["run", fact.id] = fact.body
    for agreement, month, settled in fact.body["months"]:
        change.items["committed", f"{agreement}/{month}"] = {"seq": int(settled)}


def _closed(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["closed", "until"] = {"at": int(fact.body["until"]), "month": fact.id}


def _trued_up(state: State, fact: Fact, seq: int, change: Change) -> None:
    for id_, item in state.of("late").items():
        if item.body.get("agreement") == fact.body["agreement"]:
            change.items["late", id_] = None


def _resettled(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["settled", fact.id] = fact.body
    done = state.body("settled_through", str(fact.body["agreement"]))
    if done is not None and done["month"] == fact.body["month"]:
        change.items["settled_through", str(fact.body["agreement"])] = _through(fact.body)


def _through(body: Body) -> dict[str, Any]:
    return {"end": int(body["end"]), "month": body["month"], "carried": body.get("carried", {})}


def _item(kind: str) -> Callable[[State, Fact, int, Change], None]:
    """A projector that keeps the fact's body as an item of that kind."""

    def projector(state: State, fact: Fact, seq: int, change: Change) -> None:
        change.items[kind, fact.id] = fact.body

    return projector


def _agreement(state: State, fact: Fact, seq: int, change: Change) -> None:
    """Every text of an agreement: a month is rated on the one that held at its end, as it is known now."""
    known = state.body("texts", fact.id)
    entry = {**fact.body, "from": fact.effective_at, "seq": seq}
    change.items["texts", fact.id] = {"texts": [*(known["texts"] if known else ()), entry]}
    if "amendment" in fact.body:
        change.items["amendment", f"{fact.id}/{fact.body['number']}"] = fact.body
    else:
        change.items["agreement", fact.id] = fact.body


def _withdrawn(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["demand", fact.id] = None


def _readings(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["batch", fact.id] = fact.body
    source, through = str(fact.body["source"]), int(fact.body["end"])
    meter = state.body("meter", source)
    change.items["meter", source] = {"through": max(through, int(meter["through"]) if meter else 0)}


def _planned(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["plan", f"{seq:012d}"] = fact.body
    change.items["replan", "from"] = {"at": int(fact.body["end"])}


def _node_event(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["node_event", f"{fact.kind} {fact.id}"] = {**fact.body, "what": fact.kind}


def _assigned(state: State, fact: Fact, seq: int, change: Change) -> None:
    """Who has which nodes; what happened to them before is part of it."""
    change.items["assigned", "nodes"] = fact.body
    for id_ in state.of("node_event"):
        change.items["node_event", id_] = None


def _commanded(state: State, fact: Fact, seq: int, change: Change) -> None:
    """What was done to a cluster, and what offtake set last: limits of accounts, nodes of holds."""
    change.items["commanded", fact.id] = fact.body
    if fact.body["outcome"] != "done":
        return
    if fact.body["limit_gpus"] is not None:
        change.items["limit_set", str(fact.body["target"])] = {"gpus": int(fact.body["limit_gpus"])}
    if fact.body["nodes"] is not None:
        nodes = list(fact.body["nodes"])
        change.items["hold_set", str(fact.body["target"])] = {"nodes": nodes} if nodes else None


def _reconciled(state: State, fact: Fact, seq: int, change: Change) -> None:
    """Up to when a source has been held against its own sums."""
    change.items["reconciled", str(fact.body["source"])] = {"through": int(fact.body["end"])}


def _power(state: State, fact: Fact, seq: int, change: Change) -> None:
    """Up to when a source's power and health were read, and what the next window goes on from."""
    change.items["power", str(fact.body["source"])] = {
        name: fact.body[name] for name in ("through", "left_mj", "silent", "faults", "instances")
    }


def _settled(state: State, fact: Fact, seq: int, change: Change) -> None:
    change.items["settled", fact.id] = fact.body
    agreement = str(fact.body["agreement"])
    change.items["settled_through", agreement] = _through(fact.body)
    for id_, item in state.of("paid").items():
        if item.body["agreement"] == agreement and int(item.body["at"]) < int(fact.body["end"]):
            change.items["paid", id_] = None
            change.items["old_paid", id_] = item.body
    for number, item in state.of("advance").items():
        doc = item.body
        if doc["earned"] and (doc["agreement"], doc["month"]) == (agreement, fact.body["month"]):
            change.items["advance", number] = None
    before = max(int(fact.body["all_before"]), all_settled_before(state))
    change.items["all_settled", "before"] = {"at": before}
    _forget(state, before, change)
    for path, item in state.of("usage_part").items():
        if int(item.body["end"]) <= min(before, fact.recorded_at - KEPT_S):
            change.items["usage_part", path] = None
            change.items["old_usage_part", path] = item.body


def all_settled_before(state: State) -> int:
    """Before this instant every agreement is settled: nothing there is planned or rated again."""
    body = state.body("all_settled", "before")
    return int(body["at"]) if body else 0


def _forget(state: State, before: int, change: Change) -> None:
    """What ended before everything was settled no longer matters to a decision.

    A plan that ends just then stays, and so does the last: placements carry over from them.
    """
    for kind in ("batch", "outage"):
        for id_, item in state.of(kind).items():
            if item.body["end"] is not None and int(item.body["end"]) <= before:
                change.items[kind, id_] = None
                if kind == "batch":
                    change.items["old_batch", id_] = item.body
    plans = state.of("plan")
    for id_ in sorted(plans)[:-1]:
        if int(plans[id_].body["end"]) < before:
            change.items["plan", id_] = None
            change.items["old_plan", id_] = plans[id_].body


def _document(state: State, fact: Fact, seq: int, change: Change) -> None:
    doc = fact.body
    change.items["document", fact.id] = doc
    change.items["counter", "document"] = {"last": int(doc["sequence"])}
    if int(doc["total"]["minor"]):
        change.items["open", fact.id] = {
            "agreement": doc["agreement"],
            "issued_at": doc["issued_at"],
            "due_at": doc["due_at"],
            "currency": doc["currency"],
            "left": int(doc["total"]["minor"]),
        }
    if doc["fixed_in_advance"]:
        change.items["billed", str(doc["agreement"])] = {"month": doc["month"]}
        change.items["advance", fact.id] = {**doc, "earned": False}


def _entry(state: State, fact: Fact, seq: int, change: Change) -> None:
    entry = from_plain(
        Entry,
        {
            "id": fact.id,
            "at": fact.effective_at,
            "text": fact.body["text"],
            "postings": fact.body["postings"],
        },
    )
    accounts = {(leg.account, leg.amount.currency) for leg in entry.postings}
    for (account, currency), minor in post_to(balances(state, accounts), entry).items():
        change.items["balance", f"{account}|{currency}"] = {"minor": minor}
    change.postings += [
        {
            "seq": seq,
            "leg": i,
            "entry": fact.id,
            "at": fact.effective_at,
            "account": leg.account,
            "currency": leg.amount.currency,
            "minor": str(leg.amount.minor),
        }
        for i, leg in enumerate(entry.postings)
    ]
    for number, minor in fact.body.get("applied", []):
        open_ = state.of("open")[number].body
        left = int(open_["left"]) - int(minor)
        if "forgone" not in fact.body and int(minor) > 0:
            change.items["paid", f"{number}/{seq}"] = {
                "agreement": open_["agreement"],
                "document": number,
                "minor": int(minor),
                "currency": open_["currency"],
                "due_at": open_["due_at"],
                "at": fact.effective_at,
            }
        change.items["open", number] = {**open_, "left": left} if left else None
    if "forgone" in fact.body:
        change.items["forgone", str(fact.body["forgone"])] = {"seq": seq}
    if "payment" in fact.body:
        change.items["payment", str(fact.body["payment"])] = None
    if "earned" in fact.body:
        number = str(fact.body["earned"])
        doc = state.of("advance")[number].body
        done = state.body("settled_through", str(doc["agreement"]))
        settled = done is not None and month_key(done["month"]) >= month_key(doc["month"])
        change.items["advance", number] = None if settled else {**doc, "earned": True}


_PROJECTORS: Mapping[str, Callable[[State, Fact, int, Change], None]] = {
    "book.opened": _item("book"),
    "simulation.begun": _item("simulation"),
    "fleet.declared": _item("fleet"),
    "agreement.signed": _agreement,
    "agreement.amended": _agreement,
    "demand.declared": _item("demand"),
    "demand.withdrawn": _withdrawn,
    "outage.reported": _item("outage"),
    "delivery.reported": _item("delivery"),
    **{kind: _item(kind) for kind in BY_KIND},
    "readings.received": _readings,
    "usage.ingested": _ingested,
    "payment.received": _item("payment"),
    "series.published": _item("published"),
    "allocation.planned": _planned,
    "node.failed": _node_event,
    "node.restored": _node_event,
    "node.sanitised": _node_event,
    "nodes.assigned": _assigned,
    "cluster.commanded": _commanded,
    "usage.reconciled": _reconciled,
    "power.metered": _power,
    "delivery.tested": _item("tested"),
    "month.settled": _settled,
    "month.resettled": _resettled,
    "agreement.trued_up": _trued_up,
    "document.issued": _document,
    "document.sent": _item("sent"),
    "entry.posted": _entry,
    "credit.issued": _forgone,
    "period.closed": _closed,
    "webhook.sent": _item("told"),
    "statement.committed": _run,
    "event.proposed": _proposed,
    "proposal.decided": _decided,
    "recall.planned": _item("recall_plan"),
}

KINDS = tuple(_PROJECTORS)
"""Every kind of fact a book may hold."""


def month_key(body: Body) -> Month:
    """A month from its plain form."""
    return Month(int(body["year"]), int(body["month"]))


def carried_of(body: Body, name: str) -> Carried:
    """What a settled month carried in (`carried_in`) or out (`carried`)."""
    return {
        account: tuple(from_plain(Lot, lot) for lot in lots) for account, lots in body.get(name, {}).items()
    }


def closed_until(state: State) -> int:
    """Before this instant the ledger is closed: nothing more is posted there."""
    body = state.body("closed", "until")
    return int(body["at"]) if body else 0


def is_simulated(state: State) -> bool:
    """Whether the book was made by a simulation, so that nothing in it really happened."""
    return bool(state.of("simulation"))


def balances(state: State, accounts: Iterable[tuple[str, str]] | None = None) -> dict[tuple[str, str], int]:
    """The ledger's balances by (account, currency): all of them, or those of some accounts."""
    held = state.of("balance")
    names = (f"{account}|{currency}" for account, currency in accounts) if accounts is not None else held
    return {
        (name.rpartition("|")[0], name.rpartition("|")[2]): int(held[name].body["minor"])
        for name in names
        if name in held
    }


def fold(state: State, recorded: Iterable[Recorded]) -> Iterator[tuple[Recorded, Change]]:
    """Bring a state up to date with facts, one at a time, yielding what each changed."""
    for item in recorded:
        change = project(state, item.fact, item.seq)
        for key, body in change.items.items():
            if key[0] == "clock" and body is not None:
                state.now = int(body["now"])
            if key[0] not in ON_DEMAND:
                state.put(key, item.seq, body)
        state.head = (item.seq, item.hash)
        yield item, change
