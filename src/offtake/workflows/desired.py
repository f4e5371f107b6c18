"""What a cluster should enforce: the book's claims and nodes, under the names that they have there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from offtake.base.outcome import Refused
from offtake.claims.model import Claim, Firmness
from offtake.enforcement.converge import FAR
from offtake.enforcement.model import CLOSED, PREFIX, SWEEPER, Account, Desired, Hold, Qos
from offtake.placement.model import NodeState
from offtake.store.lake import Columns
from offtake.workflows.allocate import precedence_of
from offtake.workflows.book import OpenBook
from offtake.workflows.place import given_up_later
from offtake.workflows.view import claims_in, fleet_of

GROUP = PREFIX + "of_"
"""How accounts above those of a holder's claims begin."""

PRIORITY_STEP = 100
"""How much higher each firmness ranks than the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How the book's things are called on a cluster.

    Attributes:
        nodes: by pool, names of nodes in the order of their numbers.
        users: by claim, who may submit.
        grace_s: seconds between the warning of a job that must stop and its end.
        types: by pool, what the scheduler calls its GPUs; pools without a type have no limit on one.
        holds: whether nodes are held; otherwise only limits are set.
        operator: the user as whom jobs are submitted that sweep others off closed nodes.
    """

    nodes: Mapping[str, tuple[str, ...]]
    users: Mapping[str, tuple[str, ...]]
    grace_s: int
    types: Mapping[str, str] = field(default_factory=dict)
    holds: bool = True
    operator: str = "root"


def account_name(claim: str) -> str:
    """What a claim's account is called."""
    return PREFIX + _slug(claim)


def accounts_of(book: OpenBook) -> dict[str, str]:
    """By account, the claim whose jobs run there."""
    return {account_name(claim.id): claim.id for claim in claims_in(book.state, book.lake)}


def desired_state(book: OpenBook, wiring: Wiring, now: int) -> Desired | Refused:
    """What the cluster should enforce, as nodes were last assigned.

    Every claim has its nodes to itself. Nodes that no claim has are closed: they are free, spare, to be
    cleaned, or failed. So are, from a date on, those that a lease will give up.

    Refusals: `not_placed` where no nodes have been assigned yet, `too_few_names` where cluster.toml names
    fewer nodes than are assigned, `same_account` where two claims would have one account.
    """
    known = book.state.body("assigned", "nodes")
    if known is None:
        return Refused(code="not_placed", sentence="no nodes have been assigned yet; run `offtake place`")
    rows = book.lake.load(known["nodes"])
    held: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for pool, claim, end, names in _named(rows, wiring.nodes):
        if end > len(wiring.nodes[pool]):
            return Refused(
                code="too_few_names",
                sentence=f"pool {pool} has node {end - 1}, and cluster.toml names {len(wiring.nodes[pool])} "
                "nodes of it",
            )
        held[claim][pool] = (*held[claim].get(pool, ()), *names)
    claims = [c for c in claims_in(book.state, book.lake) if set(c.pools) & set(wiring.nodes)]
    accounts = [
        CLOSED,
        *(account_name(c.id) for c in claims),
        *(GROUP + _slug(h) for h in {c.holder for c in claims}),
    ]
    if len(set(accounts)) < len(accounts):
        return Refused(code="same_account", sentence="two claims would have the same account; rename one")
    size = {pool.id: pool.gpus_per_node for pool in fleet_of(book.state).pool}
    nodes = {name: size[pool] for pools in held.values() for pool, names in pools.items() for name in names}
    closed = tuple(sorted(name for names in held.pop("", {}).values() for name in names))
    return Desired(
        qos=_qos(precedence_of(book.state), wiring.grace_s),
        groups=(_closed_account(wiring.operator), *_groups(claims)),
        accounts=tuple(_account(claim, held.get(claim.id, {}), size, wiring) for claim in claims),
        holds=(*_held(claims, held), *_closed(closed), *_given_up(book, wiring, now)) if wiring.holds else (),
        nodes=nodes,
    )


def _named(
    rows: Columns, nodes: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str, int, tuple[str, ...]]]:
    """Runs of nodes that are there: pool, claim or nothing, last number (exclusive), names."""
    columns = (np.asarray(rows[name]).tolist() for name in ("pool", "first", "end", "state", "claim"))
    for pool, first, end, state, claim in zip(*columns, strict=True):
        if pool in nodes and state != NodeState.ABSENT:
            yield pool, claim if state == NodeState.HELD else "", end, nodes[pool][first:end]


def _qos(precedence: Sequence[Firmness], grace_s: int) -> tuple[Qos, ...]:
    """One for each firmness, the last served first; jobs of one preempt those of all that come after it.

    At the end the one that preempts all, which nobody has but in a hold that closes nodes.
    """
    names = [PREFIX + firmness for firmness in reversed(precedence)]
    ranked = [
        Qos(name=name, priority=PRIORITY_STEP * (i + 1), preempts=tuple(sorted(names[:i])), grace_s=grace_s)
        for i, name in enumerate(names)
    ]
    top = PRIORITY_STEP * (len(names) + 1)
    all_ = tuple(sorted(names))
    return (*ranked, Qos(name=SWEEPER, priority=top, preempts=all_, grace_s=0, in_holds_only=True))


def _closed_account(operator: str) -> Account:
    return Account(name=CLOSED, claim="", holder="", gpus=None, qos=SWEEPER, users=(operator,))


def _groups(claims: Sequence[Claim]) -> Iterator[Account]:
    for holder in sorted({claim.holder for claim in claims}):
        yield Account(name=GROUP + _slug(holder), claim="", holder=holder, gpus=None)


def _account(
    claim: Claim, held: Mapping[str, tuple[str, ...]], size: Mapping[str, int], wiring: Wiring
) -> Account:
    pools = {pool: size[pool] * len(names) for pool, names in sorted(held.items())}
    types = dict.fromkeys(sorted({wiring.types[pool] for pool in wiring.types}), 0)
    for pool, gpus in pools.items():
        if pool in wiring.types:
            types[wiring.types[pool]] += gpus
    return Account(
        name=account_name(claim.id), claim=claim.id, holder=claim.holder, gpus=sum(pools.values()),
        pools=tuple(pools.items()), types=tuple(types.items()), firmness=claim.firmness,
        parent=GROUP + _slug(claim.holder), qos=PREFIX + claim.firmness,
        users=wiring.users.get(claim.id, ()),
    )  # fmt: skip


def _held(claims: Sequence[Claim], held: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Iterator[Hold]:
    for claim in claims:
        own = tuple(sorted(name for names in held.get(claim.id, {}).values() for name in names))
        if own:
            name, ends = account_name(claim.id), not claim.gpus.values[-1]
            end = int(claim.gpus.times[-1]) if ends else FAR
            yield Hold(name=name, accounts=(name,), nodes=own, end=end)


def _closed(nodes: tuple[str, ...]) -> Iterator[Hold]:
    if nodes:
        yield Hold(name=CLOSED, accounts=(CLOSED,), nodes=nodes, end=FAR)


def _given_up(book: OpenBook, wiring: Wiring, now: int) -> Iterator[Hold]:
    """From the day on which a lease gives nodes up they are closed, until they are clean."""
    for given in given_up_later(book, now):
        if given.pool in wiring.nodes:
            yield Hold(
                name=f"{PREFIX}back_{_slug(given.claim)}_{given.at}",
                accounts=(CLOSED,),
                nodes=tuple(sorted(wiring.nodes[given.pool][i] for i in given.nodes.tolist())),
                start=given.at,
                end=FAR,
            )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.lower())
