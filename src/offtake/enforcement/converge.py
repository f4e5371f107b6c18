"""The steps from what a scheduler enforces to what it should: what narrows comes first.

A step that fails is simply among the next steps again, because they follow from what is there. Between two
looks nobody may have more than either the old or the new plan gives: limits are lowered and nodes let go
before anything is raised or taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from offtake.enforcement.model import PREFIX, Account, Actual, Desired, Finding, Hold, Job, Kind, Step


def steps(
    desired: Desired,
    actual: Actual,
    *,
    warned: Mapping[str, int],
    now: int,
    grace_s: int,
    kept: Collection[str] = (),
) -> tuple[Step, ...]:
    """What to do, in order; nothing where all is as it should be.

    Args:
        desired: what should be so.
        actual: what is.
        kept: accounts whose limit somebody lowered by hand (`lowered_by_hand`), and that stay so.
        warned: when each job was told that it must stop.
        now: the present instant.
        grace_s: seconds from the warning of a job to its end.
    """
    return (
        *_lower(desired, actual),
        *_clear(desired, actual, warned, now, grace_s),
        *_let_go(desired, actual),
        *_accounts(desired, actual),
        *_take(desired, actual),
        *_raise(desired, actual, kept),
    )


def lowered_by_hand(desired: Desired, actual: Actual, ours: Mapping[str, int]) -> dict[str, int]:
    """Limits below both what should be and what offtake set last, by account: somebody meant them.

    A limit above what should be isn't kept: it is lowered at once.

    Args:
        desired: what should be so.
        actual: what is.
        ours: the limit that offtake set last, by account.
    """
    found = {}
    for one in desired.accounts:
        limit, last = actual.limits.get(one.name), ours.get(one.name)
        if limit is not None and last is not None and limit < min(last, one.gpus):
            found[one.name] = limit
    return found


def excess(desired: Desired, actual: Actual) -> dict[str, tuple[Job, ...]]:
    """By account, the jobs that must stop.

    Those on nodes that another account is to hold; then as many as bring an account within its limit: first
    those outside the nodes that it holds, then the youngest.
    """
    allowed = {one.name: one.gpus for one in desired.accounts}
    holder = {node: hold.account for hold in desired.holds for node in hold.nodes}
    running: dict[str, list[Job]] = defaultdict(list)
    for job in actual.jobs:
        if job.account in allowed or job.account.startswith(PREFIX):
            running[job.account].append(job)
    found = {}
    for name, jobs in running.items():
        own = {node for node, account in holder.items() if account == name}
        must = [job for job in jobs if any(holder.get(node, name) != name for node in job.nodes)]
        over = sum(job.gpus for job in jobs if job not in must) - allowed.get(name, 0)
        for job in sorted(jobs, key=lambda one: (set(one.nodes) <= own, -one.start, one.id)):
            if over > 0 and job not in must:
                must.append(job)
                over -= job.gpus
        if must:
            found[name] = tuple(must)
    return found


def findings(desired: Desired, actual: Actual, kept: Mapping[str, int]) -> tuple[Finding, ...]:
    """What stands in the way and is others' to change; `kept` is of `lowered_by_hand`."""
    wanted = {node: hold.name for hold in desired.holds for node in hold.nodes}
    should = {one.name: one.gpus for one in desired.accounts}
    found = [
        Finding(
            code="lowered_by_hand",
            sentence=f"somebody set the limit of {name} to {limit} GPUs, and it should have {should[name]}; "
            "it stays so until `offtake live --set-back`",
        )
        for name, limit in sorted(kept.items())
    ]
    for name, nodes in sorted(actual.foreign.items()):
        taken = sorted(node for node in nodes if node in wanted)
        if taken:
            found.append(
                Finding(
                    code="foreign_reservation",
                    sentence=f"reservation {name} isn't offtake's and has {', '.join(taken)}, which "
                    f"{', '.join(sorted({wanted[node] for node in taken}))} should have; delete it, or take "
                    "these nodes out of the fleet",
                )
            )
    return tuple(found)


def _lower(desired: Desired, actual: Actual) -> Iterator[Step]:
    allowed = {one.name: one for one in desired.accounts}
    for name, limit in sorted(actual.limits.items()):
        one = allowed.get(name)
        if one is not None and (limit is None or limit > one.gpus):
            was = "no limit" if limit is None else f"{limit}"
            yield _limit(one, f"{one.claim} holds {one.gpus} GPUs now; the limit was {was}")
        elif one is None and name.startswith(PREFIX) and limit != 0:
            gone = Account(name=name, claim="", holder="", gpus=0)
            yield _limit(gone, "no claim of the book has this account")


def _clear(
    desired: Desired, actual: Actual, warned: Mapping[str, int], now: int, grace_s: int
) -> Iterator[Step]:
    for name, jobs in sorted(excess(desired, actual).items()):
        for job in jobs:
            told = warned.get(job.id)
            if told is None:
                yield Step(kind=Kind.WARN, target=job.id, why=f"{name} must give up its GPUs in {grace_s} s")
            elif now - told >= grace_s:
                yield Step(kind=Kind.STOP, target=job.id, why=f"{name} must give up its GPUs, and time is up")


def _let_go(desired: Desired, actual: Actual) -> Iterator[Step]:
    wanted = {hold.name: hold for hold in desired.holds}
    for name, hold in sorted(actual.holds.items()):
        new = wanted.get(name)
        if new is None or new.account != hold.account:
            yield Step(kind=Kind.DROP_HOLD, target=name, hold=hold, why="no claim holds these nodes any more")
        elif set(hold.nodes) - set(new.nodes):
            # what it keeps, first; what it gets comes when others have let go
            kept = tuple(node for node in new.nodes if node in hold.nodes)
            if kept:
                less = Hold(name=name, account=new.account, nodes=kept, end=new.end)
                lost = ", ".join(sorted(set(hold.nodes) - set(new.nodes)))
                yield Step(kind=Kind.CHANGE_HOLD, target=name, hold=less, why=f"it gives up {lost}")
            else:
                yield Step(kind=Kind.DROP_HOLD, target=name, hold=hold, why="it moves to other nodes")


def _take(desired: Desired, actual: Actual) -> Iterator[Step]:
    for hold in sorted(desired.holds, key=lambda one: one.name):
        old = actual.holds.get(hold.name)
        if old is None or old.account != hold.account or not set(old.nodes) & set(hold.nodes):
            yield Step(
                kind=Kind.MAKE_HOLD,
                target=hold.name,
                hold=hold,
                why=f"only {hold.account} runs there",
            )
        elif set(hold.nodes) - set(old.nodes):
            more = ", ".join(sorted(set(hold.nodes) - set(old.nodes)))
            yield Step(kind=Kind.CHANGE_HOLD, target=hold.name, hold=hold, why=f"it gets {more}")
        elif old.end != hold.end:
            yield Step(kind=Kind.CHANGE_HOLD, target=hold.name, hold=hold, why="its claim ends otherwise")


def _accounts(desired: Desired, actual: Actual) -> Iterator[Step]:
    for one in sorted(desired.accounts, key=lambda account: account.name):
        if one.name not in actual.limits:
            yield Step(
                kind=Kind.MAKE_ACCOUNT, target=one.name, account=one, why=f"{one.claim} has no account yet"
            )
        for user in one.users:
            if user not in actual.users.get(one.name, frozenset()):
                yield Step(
                    kind=Kind.ADD_USER, target=one.name, account=one, user=user,
                    why=f"cluster.toml lets {user} submit for {one.claim}",
                )  # fmt: skip


def _raise(desired: Desired, actual: Actual, kept: Collection[str]) -> Iterator[Step]:
    for one in sorted(desired.accounts, key=lambda account: account.name):
        limit = actual.limits.get(one.name)
        if limit is not None and limit < one.gpus and one.name not in kept:
            yield _limit(one, f"{one.claim} holds {one.gpus} GPUs now; the limit was {limit}")


def _limit(account: Account, why: str) -> Step:
    return Step(kind=Kind.LIMIT, target=account.name, account=account, why=why)
