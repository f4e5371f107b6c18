"""The steps from what a scheduler enforces to what it should: what narrows comes first.

A step that fails is simply among the next steps again, because they follow from what is there. Between two
looks nobody may have more than either the old or the new plan gives: limits are lowered, nodes closed and let
go before anything is raised or taken. An account is made without GPUs and gets them last, when its nodes are
held for it.

What runs on a node that nobody may use is swept off it: a job that outranks all others asks for the node, and
the scheduler warns and requeues what is there by its own rules. For a recall that job waits from the day
before, so that it needs nobody to be there. What runs beside others who may be there is requeued by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from offtake.base.time import DAY_S
from offtake.enforcement.model import (
    CLOSED,
    PREFIX,
    Account,
    Actual,
    Desired,
    Hold,
    Job,
    Kind,
    Qos,
    Step,
    Steps,
    Sweep,
)

UNLIMITED = -1
"""In place of a limit on a type: none."""

FAR = 4_000_000_000
"""When a hold ends that has no end of its own: October 2096, which every scheduler can write down."""

SWEEP_AHEAD_S = DAY_S
"""How long before a recall takes effect its sweepers wait."""

LATE_S = 120
"""How long a sweep may take beyond the time of grace: schedulers look every half minute."""


def steps(
    desired: Desired,
    actual: Actual,
    *,
    since: Mapping[str, int],
    now: int,
    grace_s: int,
    kept: Collection[str] = (),
) -> Steps:
    """What to do, in order; nothing where all is as it should be.

    Args:
        desired: what should be so.
        actual: what is.
        since: when each job that is in the way (`excess`) was first seen there; now, where it isn't named.
        now: the present instant.
        grace_s: seconds that a job has to end by itself.
        kept: accounts whose limit somebody lowered by hand (`drift.lowered_by_hand`), and that stay so.
    """
    desired = _closed_until_empty(desired, actual)
    must = excess(desired, actual)
    return Steps(
        narrow=(
            *_lower(desired, actual),
            *_frame(desired, actual),
            *_close(desired, actual, now),
            *_sweep(desired, actual, must, now),
            *_stop(desired, must, since, now, grace_s),
            *_let_go(desired, actual),
        ),
        widen=(
            *_open(desired, actual, now),
            *_take(desired, actual, now),
            *_raise(desired, actual, kept),
        ),
    )


def excess(desired: Desired, actual: Actual) -> dict[str, tuple[Job, ...]]:
    """By account, the jobs that must stop.

    Those on nodes that others are to hold, or nobody; then as many as bring an account within its limit:
    first those outside the nodes that it holds, then the youngest.
    """
    allowed = {one.name: one.gpus or 0 for one in desired.accounts}
    allow = {node: hold.accounts for node, hold in desired.held.items()}
    running: dict[str, list[Job]] = defaultdict(list)
    for job in actual.jobs:
        if job.account in allowed or job.account.startswith(PREFIX):
            running[job.account].append(job)
    found = {}
    for name, jobs in running.items():
        own = {node for node, accounts in allow.items() if name in accounts}
        must = [job for job in jobs if any(name not in allow.get(node, (name,)) for node in job.nodes)]
        over = sum(job.gpus for job in jobs if job not in must) - allowed.get(name, 0)
        for job in sorted(jobs, key=lambda one: (set(one.nodes) <= own, -one.start, one.id)):
            if over > 0 and job not in must:
                must.append(job)
                over -= job.gpus
        if must:
            found[name] = tuple(must)
    return found


def _lower(desired: Desired, actual: Actual) -> Iterator[Step]:
    wanted = {one.name: one for one in (*desired.groups, *desired.accounts)}
    for name, limit in sorted(actual.limits.items()):
        one = wanted.get(name)
        if one is None and name.startswith(PREFIX) and limit != 0:
            gone = Account(name=name, claim="", holder="", gpus=0)
            yield _limit(gone, "no claim of the book has this account")
        elif one is not None and one.gpus is not None:
            low, types = _lower_of(one, limit, actual.types.get(name, {}))
            if low != limit or types != actual.types.get(name, {}):
                was = "no limit" if limit is None else f"{limit}"
                less = replace(one, gpus=low, types=tuple(sorted(types.items())))
                yield _limit(less, f"{one.claim or name} holds {one.gpus} GPUs now; the limit was {was}")


def _lower_of(one: Account, limit: int | None, types: Mapping[str, int]) -> tuple[int, dict[str, int]]:
    """The lower of what an account has and what it should have, in all and by type."""
    should = one.gpus or 0
    low = should if limit is None else min(limit, should)
    return low, {**types, **{name: min(types.get(name, gpus), gpus) for name, gpus in one.types}}


def _frame(desired: Desired, actual: Actual) -> Iterator[Step]:
    """QOS, accounts and users: they give nobody a GPU."""
    for qos in desired.qos:
        if qos.name not in actual.qos:
            yield Step(kind=Kind.MAKE_QOS, target=qos.name, qos=qos, why="no claim of this firmness had one")
        elif _ranks(actual.qos[qos.name]) != _ranks(qos) or (
            qos.in_holds_only and not actual.qos[qos.name].in_holds_only
        ):
            yield Step(kind=Kind.SET_QOS, target=qos.name, qos=qos, why="it ranks otherwise")
    for one in (*desired.groups, *sorted(desired.accounts, key=lambda account: account.name)):
        if one.name not in actual.limits:
            bare = one if one.gpus is None else replace(one, gpus=0, types=())
            why = f"{one.claim or one.holder or 'what nobody may use'} has no account yet"
            yield Step(kind=Kind.MAKE_ACCOUNT, target=one.name, account=bare, why=why)
        elif one.parent != actual.parents.get(one.name, "") or (
            one.qos and (one.qos,) != actual.qos_of.get(one.name, ())
        ):
            why = "it has another account above it, or another QOS"
            yield Step(kind=Kind.SET_ACCOUNT, target=one.name, account=one, why=why)
    missing = [
        (user, one)
        for one in (*desired.groups, *desired.accounts)
        for user in one.users
        if user not in actual.users.get(one.name, frozenset())
    ]
    for user, one in sorted(missing, key=lambda pair: (pair[0], pair[1].name)):
        why = f"cluster.toml lets {user} submit for {one.claim or 'offtake'}"
        yield Step(kind=Kind.ADD_USER, target=one.name, account=one, user=user, why=why)


def _ranks(qos: Qos) -> Qos:
    """The same, wherever it may be used."""
    return replace(qos, in_holds_only=False)


def _close(desired: Desired, actual: Actual, now: int) -> Iterator[Step]:
    """Nodes that nobody may use, from now or from a date on: this may lie over other holds."""
    for hold in _sorted_holds(desired):
        old = actual.holds.get(hold.name)
        if not hold.closes:
            continue
        if old is None or not old.closes:
            day = "nobody may use them now" if hold.start is None else "from then on nobody may use them"
            yield Step(kind=Kind.MAKE_HOLD, target=hold.name, hold=hold, why=day)
        elif set(hold.nodes) - set(old.nodes) or _later(old, hold, now):
            both = replace(hold, nodes=tuple(sorted({*hold.nodes, *old.nodes})))
            more = ", ".join(sorted(set(hold.nodes) - set(old.nodes))) or "an earlier date"
            yield Step(kind=Kind.CHANGE_HOLD, target=hold.name, hold=both, why=f"it gets {more}")


def _later(old: Hold, new: Hold, now: int) -> bool:
    """Whether a hold begins at another time than it should."""
    if new.start is None:
        return old.start is not None and old.start > now
    return old.start != new.start


def _closed_until_empty(desired: Desired, actual: Actual) -> Desired:
    """The same, but that nodes which pass from one account to another are closed until they are empty."""
    must, held = excess(desired, actual), desired.held
    ids = {job.id for jobs in must.values() for job in jobs}
    beside = {node for job in actual.jobs if job.id not in ids for node in job.nodes}
    dirty = {
        node
        for name, jobs in must.items()
        for job in jobs
        for node in job.nodes
        if node in held and name not in held[node].accounts and node not in beside
    }
    if not dirty:
        return desired
    holds = {hold.name: hold for hold in desired.holds}
    closed = holds.pop(CLOSED, Hold(name=CLOSED, accounts=(CLOSED,), nodes=(), end=FAR))
    left = (
        replace(hold, nodes=tuple(node for node in hold.nodes if hold.closes or node not in dirty))
        for hold in holds.values()
    )
    closed = replace(closed, nodes=tuple(sorted({*closed.nodes, *dirty})))
    return replace(desired, holds=(*(hold for hold in left if hold.nodes), closed))


def _sweep(desired: Desired, actual: Actual, must: Mapping[str, tuple[Job, ...]], now: int) -> Iterator[Step]:
    in_the_way = {node for jobs in must.values() for job in jobs for node in job.nodes}
    wanted: list[Sweep] = []
    for hold in (one for one in _sorted_holds(desired) if one.closes):
        if hold.start is None:
            wanted += [Sweep(hold=hold.name, node=node) for node in hold.nodes if node in in_the_way]
        elif hold.start - now <= SWEEP_AHEAD_S:
            wanted += [Sweep(hold=hold.name, node=node) for node in hold.nodes]
    there = {(one.hold, one.node) for one in actual.sweeps}
    under_way = {one.node for one in actual.sweeps if _has_begun(one, actual)}
    for one in wanted:
        if (one.hold, one.node) not in there and not (one.hold == CLOSED and one.node in under_way):
            known = actual.nodes.get(one.node)
            yield Step(
                kind=Kind.SWEEP, target=one.node, sweep=one, partition=known.partition if known else "",
                why="what runs there makes room: warned, and requeued after its time of grace",
            )  # fmt: skip
    want = {(one.hold, one.node) for one in wanted}
    for one in actual.sweeps:
        if (one.hold, one.node) not in want and not (one.node in in_the_way and _has_begun(one, actual)):
            yield Step(kind=Kind.UNSWEEP, target=one.node, sweep=one, why="nobody need make room there")


def _has_begun(sweep: Sweep, actual: Actual) -> bool:
    """Whether the hold in which a sweeper waits is in force, so that it sweeps now."""
    hold = actual.holds.get(sweep.hold)
    return hold is not None and hold.start is None


def _stop(
    desired: Desired, must: Mapping[str, tuple[Job, ...]], since: Mapping[str, int], now: int, grace_s: int
) -> Iterator[Step]:
    """Requeue what is in the way and isn't swept, or should have been swept long ago."""
    swept = {node for hold in desired.holds if hold.closes and hold.start is None for node in hold.nodes}
    for name, jobs in sorted(must.items()):
        for job in jobs:
            for_s = now - since.get(job.id, now)
            if for_s >= grace_s + (LATE_S if set(job.nodes) & swept else 0):
                why = f"{name} must give up its GPUs, for {for_s} s already"
                yield Step(kind=Kind.STOP, target=job.id, job=job, why=why)


def _let_go(desired: Desired, actual: Actual) -> Iterator[Step]:
    wanted = {hold.name: hold for hold in desired.holds}
    for name, hold in sorted(actual.holds.items()):
        new = wanted.get(name)
        if hold.closes:
            continue  # opened later
        if new is None or new.closes:
            if not _in_use(hold, actual):
                yield Step(kind=Kind.DROP_HOLD, target=name, hold=hold, why="no claim holds these nodes")
            continue
        kept = tuple(node for node in new.nodes if node in hold.nodes)
        lost = ", ".join(sorted(set(hold.nodes) - set(new.nodes)))
        who = ", ".join(sorted(set(hold.accounts) - set(new.accounts)))
        if kept and (lost or who):
            less = replace(new, nodes=kept)
            why = f"it gives up {lost}" if lost else f"{who} has nothing to do there"
            yield Step(kind=Kind.CHANGE_HOLD, target=name, hold=less, why=why)
        elif not kept and not _in_use(hold, actual):
            yield Step(kind=Kind.DROP_HOLD, target=name, hold=hold, why="it moves to other nodes")


def _in_use(hold: Hold, actual: Actual) -> bool:
    """Whether a hold can't be dropped yet: a job in it must end first."""
    return any(job.account in hold.accounts and set(job.nodes) & set(hold.nodes) for job in actual.jobs)


def _open(desired: Desired, actual: Actual, now: int) -> Iterator[Step]:
    """Nodes that need no longer be closed."""
    wanted = {hold.name: hold for hold in desired.holds}
    busy = {node for job in actual.jobs for node in job.nodes}
    at_work = {one.hold for one in actual.sweeps if one.node in busy}
    for name, old in sorted(actual.holds.items()):
        new = wanted.get(name)
        if not old.closes:
            continue
        if new is None or not new.closes:
            if name not in at_work:  # a sweeper that is at work ends first
                yield Step(kind=Kind.DROP_HOLD, target=name, hold=old, why="these nodes needn't be closed")
        elif set(old.nodes) - set(new.nodes):
            less = ", ".join(sorted(set(old.nodes) - set(new.nodes)))
            yield Step(kind=Kind.CHANGE_HOLD, target=name, hold=new, why=f"{less} needn't be closed")
        elif old.end != new.end and not _later(old, new, now):
            yield Step(kind=Kind.CHANGE_HOLD, target=name, hold=new, why="it ends otherwise")


def _take(desired: Desired, actual: Actual, now: int) -> Iterator[Step]:
    kept = _kept_by_others(desired, actual)
    for wanted in _sorted_holds(desired):
        free = tuple(node for node in wanted.nodes if kept.get(node, wanted.name) == wanted.name)
        old, hold = actual.holds.get(wanted.name), replace(wanted, nodes=free)
        if hold.closes or not free:
            continue
        if old is None or old.closes or not set(old.nodes) & set(hold.nodes):
            # one that is in use can't be dropped and made anew, but moved
            moves = old is not None and not old.closes and _in_use(old, actual)
            kind = Kind.CHANGE_HOLD if moves else Kind.MAKE_HOLD
            why = f"only {', '.join(hold.accounts)} runs there"
            yield Step(kind=kind, target=hold.name, hold=hold, why=why)
        elif set(hold.nodes) - set(old.nodes):
            more = ", ".join(sorted(set(hold.nodes) - set(old.nodes)))
            yield Step(kind=Kind.CHANGE_HOLD, target=hold.name, hold=hold, why=f"it gets {more}")
        elif old.end != hold.end or set(hold.accounts) - set(old.accounts) or _later(old, hold, now):
            yield Step(kind=Kind.CHANGE_HOLD, target=hold.name, hold=hold, why="its claim ends otherwise")


def _kept_by_others(desired: Desired, actual: Actual) -> dict[str, str]:
    """Nodes of holds that can't be let go yet because a job in them must end first."""
    wanted = {hold.name: set(hold.nodes) for hold in desired.holds if not hold.closes}
    return {
        node: name
        for name, old in actual.holds.items()
        if not old.closes and not set(old.nodes) & wanted.get(name, set()) and _in_use(old, actual)
        for node in old.nodes
    }


def _sorted_holds(desired: Desired) -> list[Hold]:
    return sorted(desired.holds, key=lambda one: one.name)


def _raise(desired: Desired, actual: Actual, kept: Collection[str]) -> Iterator[Step]:
    for one in sorted(desired.accounts, key=lambda account: account.name):
        if one.name in kept or one.gpus is None:
            continue
        limit, types = actual.limits.get(one.name, 0), dict(actual.types.get(one.name, {}))
        low, less = _lower_of(one, limit, types)
        should = dict.fromkeys(less, UNLIMITED) | dict(one.types)
        if low < one.gpus or less != should:
            was = "nothing" if one.name not in actual.limits else f"{low}"
            more = replace(one, types=tuple(sorted(should.items())))
            yield _limit(more, f"{one.claim} holds {one.gpus} GPUs now; the limit was {was}")


def _limit(account: Account, why: str) -> Step:
    return Step(kind=Kind.LIMIT, target=account.name, account=account, why=why)
