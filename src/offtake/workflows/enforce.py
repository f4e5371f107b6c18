"""One turn of the live loop: decide, place, and bring the scheduler in line; then read what ran.

The same workflows as a simulation, at the real clock. Everything that is done to the cluster follows from
what the book says and what the cluster is found to enforce, so that a turn after a crash goes on where it
stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from offtake.base.errors import ensure
from offtake.base.outcome import Refused
from offtake.claims.model import Claim
from offtake.enforcement.converge import findings, lowered_by_hand, steps
from offtake.enforcement.model import PREFIX, Account, Actual, Desired, Finding, Hold, Kind, Step
from offtake.placement.model import NodeState
from offtake.store.fact import Fact
from offtake.workflows.book import Book, OpenBook
from offtake.workflows.place import place
from offtake.workflows.tick import tick
from offtake.workflows.view import claims_in, fleet_of

COMMANDED = "cluster.commanded"
"""A fact: something was done to the cluster, or tried."""


class Answer(Protocol):
    """What became of a command."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command."""
        ...

    @property
    def outcome(self) -> str:
        """``done``, ``refused`` or ``unreached``."""
        ...

    @property
    def why(self) -> str:
        """What was said when it failed."""
        ...


class Scheduler(Protocol):
    """The seam to a cluster."""

    def read(self) -> Actual | Refused:
        """What is so now."""
        ...

    def apply(self, step: Step) -> Answer:
        """Do one step."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How the book's things are called on a cluster.

    Attributes:
        nodes: by pool, names of nodes in the order of their numbers.
        users: by claim, who may submit.
        grace_s: seconds between the warning of a job that must stop and its end.
    """

    nodes: Mapping[str, tuple[str, ...]]
    users: Mapping[str, tuple[str, ...]]
    grace_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step and what became of it; nothing became of it in a dry run."""

    step: Step
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn did.

    Attributes:
        decided: facts that the book's own decisions made.
        done: steps on the cluster.
        findings: what is others' to change.
        stopped: why the turn ended early; None where it didn't.
    """

    decided: int
    done: tuple[Done, ...]
    findings: tuple[Finding, ...] = ()
    stopped: Refused | None = None


def account_name(claim: str) -> str:
    """What a claim's account is called."""
    return PREFIX + re.sub(r"[^a-z0-9]+", "_", claim.lower())


def accounts_of(book: OpenBook) -> dict[str, str]:
    """By account, the claim whose jobs run there."""
    return {account_name(claim.id): claim.id for claim in claims_in(book.state, book.lake)}


def desired_state(book: OpenBook, wiring: Wiring) -> Desired | Refused:
    """What the cluster should enforce, as nodes were last assigned.

    Leases have their nodes to themselves. The operator's own work has a limit, and runs where no lease is.

    Refusals: `not_placed` where no nodes have been assigned yet, `too_few_names` where cluster.toml names
    fewer nodes than are assigned, `same_account` where two claims would have one account.
    """
    known = book.state.body("assigned", "nodes")
    if known is None:
        return Refused(code="not_placed", sentence="no nodes have been assigned yet; run `offtake place`")
    size = {pool.id: pool.gpus_per_node for pool in fleet_of(book.state).pool}
    rows = book.lake.load(known["nodes"])
    nodes: dict[str, list[str]] = {}
    gpus: dict[str, dict[str, int]] = {}
    for pool, first, end, state, claim in zip(
        *(np.asarray(rows[name]).tolist() for name in ("pool", "first", "end", "state", "claim")), strict=True
    ):
        names = wiring.nodes.get(pool, ())
        if pool not in wiring.nodes or state != NodeState.HELD:
            continue
        if end > len(names):
            return Refused(
                code="too_few_names",
                sentence=f"pool {pool} has node {end - 1}, and cluster.toml names {len(names)} nodes of it",
            )
        nodes.setdefault(claim, []).extend(names[first:end])
        own = gpus.setdefault(claim, {})
        own[pool] = own.get(pool, 0) + (end - first) * size[pool]
    claims = [c for c in claims_in(book.state, book.lake) if set(c.pools) & set(wiring.nodes)]
    by_name = {account_name(claim.id): claim.id for claim in claims}
    if len(by_name) < len(claims):
        return Refused(code="same_account", sentence="two claims would have the same account; rename one")
    return Desired(
        accounts=tuple(_account(claim, gpus.get(claim.id, {}), wiring) for claim in claims),
        holds=tuple(
            Hold(
                name=account_name(claim.id), account=account_name(claim.id),
                nodes=tuple(sorted(nodes[claim.id])), end=int(claim.gpus.times[-1]),
            )
            for claim in claims
            if claim.agreement is not None and nodes.get(claim.id)
        ),
    )  # fmt: skip


def _account(claim: Claim, gpus: Mapping[str, int], wiring: Wiring) -> Account:
    return Account(
        name=account_name(claim.id), claim=claim.id, holder=claim.holder, gpus=sum(gpus.values()),
        pools=tuple(sorted(gpus.items())), firmness=claim.firmness, users=wiring.users.get(claim.id, ()),
    )  # fmt: skip


def take_turn(
    book: Book,
    scheduler: Scheduler,
    wiring: Wiring,
    clock: Callable[[], int],
    *,
    warned: dict[str, int],
    dry_run: bool = False,
    set_back: bool = False,
) -> Turn:
    """One turn: decide, place, and bring the cluster in line.

    Args:
        book: written to, unless it is a dry run.
        scheduler: the cluster.
        wiring: how things are called there.
        clock: the present instant.
        warned: when jobs were warned; this turn's are added, those that are gone removed.
        set_back: also limits that somebody lowered by hand.
        dry_run: only say what would be done to the cluster, as nodes were last assigned.
    """
    decided = 0
    if not dry_run:
        now = clock()
        decided = len(tick(book, now))
        placed = place(book, now)
        if isinstance(placed, Refused):
            return Turn(decided=decided, done=(), stopped=placed)
    desired = desired_state(book, wiring)
    if isinstance(desired, Refused):
        return Turn(decided=decided, done=(), stopped=desired)
    actual = scheduler.read()
    if isinstance(actual, Refused):
        return Turn(decided=decided, done=(), stopped=actual)
    running = {job.id for job in actual.jobs}
    for job in [one for one in warned if one not in running]:
        del warned[job]
    ours = {name: int(item.body["gpus"]) for name, item in book.state.of("limit_set").items()}
    kept = {} if set_back else lowered_by_hand(desired, actual, ours)
    found = steps(desired, actual, warned=warned, now=clock(), grace_s=wiring.grace_s, kept=kept)
    foreign = findings(desired, actual, kept)
    if dry_run:
        return Turn(decided=0, done=tuple(Done(step=step, answer=None) for step in found), findings=foreign)
    done = []
    for step in found:
        answer = scheduler.apply(step)
        done.append(Done(step=step, answer=answer))
        if step.kind is Kind.WARN and answer.outcome == "done":
            warned[step.target] = clock()
    _record(book, done, clock())
    return Turn(decided=decided, done=tuple(done), findings=foreign)


def _record(book: Book, done: Sequence[Done], now: int) -> None:
    """Every command with what became of it."""
    facts = []
    for i, one in enumerate(done):
        ensure(one.answer is not None, "a step that was taken has an answer")
        assert one.answer is not None
        body = {
            "step": str(one.step.kind), "target": one.step.target, "why": one.step.why,
            "words": list(one.answer.argv), "outcome": str(one.answer.outcome), "said": one.answer.why,
            "limit_gpus": _limit_of(one.step),
        }  # fmt: skip
        id_ = f"{book.state.head[0] + 1}/{i}"
        facts.append(Fact(kind=COMMANDED, id=id_, effective_at=now, recorded_at=now, body=body))
    if facts:
        with book.writing():
            book.append(facts)


def _limit_of(step: Step) -> int | None:
    """The limit that a step sets; None for one that sets none."""
    if step.account is None or step.kind not in (Kind.LIMIT, Kind.MAKE_ACCOUNT):
        return None
    return step.account.gpus
