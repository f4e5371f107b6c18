"""What others changed, and what stands in the way: noticed, named, and left until somebody decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from offtake.enforcement.model import PREFIX, Actual, Desired, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What offtake itself set last.

    Attributes:
        limits: GPUs by account.
        nodes: by hold.
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def lowered_by_hand(desired: Desired, actual: Actual, ours: Ours) -> dict[str, int]:
    """Limits below both what should be and what offtake set last, by account: somebody meant them.

    A limit above what should be isn't kept: it is lowered at once.
    """
    found = {}
    for one in desired.accounts:
        limit, last = actual.limits.get(one.name), ours.limits.get(one.name)
        if limit is not None and last is not None and limit < min(last, one.gpus or 0):
            found[one.name] = limit
    return found


def removed_by_hand(desired: Desired, actual: Actual, ours: Ours) -> dict[str, tuple[str, ...]]:
    """Nodes that offtake held for somebody, that still should be, and that aren't any more, by hold.

    Where none is left of several holds, the scheduler has lost them all: that is nobody's decision.
    """
    wanted = {hold.name: hold for hold in desired.holds if hold.start is None}
    set_ = {name: nodes for name, nodes in ours.nodes.items() if nodes and name in wanted}
    if len(set_) > 1 and not actual.holds:
        return {}
    found = {}
    for name, nodes in set_.items():
        there = actual.holds[name].nodes if name in actual.holds else ()
        gone = tuple(node for node in nodes if node in wanted[name].nodes and node not in there)
        if gone:
            found[name] = gone
    return found


def without(desired: Desired, removed: Mapping[str, tuple[str, ...]]) -> Desired:
    """What should be so, less nodes that somebody took out of holds."""
    holds = (
        replace(hold, nodes=tuple(node for node in hold.nodes if node not in removed.get(hold.name, ())))
        for hold in desired.holds
    )
    return replace(desired, holds=tuple(hold for hold in holds if hold.nodes))


def findings(
    desired: Desired, actual: Actual, lowered: Mapping[str, int], removed: Mapping[str, tuple[str, ...]]
) -> tuple[Finding, ...]:
    """What isn't as it should be and is others' to change.

    Args:
        desired: what should be so.
        actual: what is.
        lowered: of `lowered_by_hand`.
        removed: of `removed_by_hand`.
    """
    return (
        *_by_hand(desired, lowered, removed),
        *_foreign(desired, actual),
        *_strangers(desired, actual),
        *_nodes(desired, actual),
        *_users(desired, actual),
    )


def _by_hand(
    desired: Desired, lowered: Mapping[str, int], removed: Mapping[str, tuple[str, ...]]
) -> Iterator[Finding]:
    should = {one.name: one.gpus for one in desired.accounts}
    for name, limit in sorted(lowered.items()):
        yield Finding(
            code="lowered_by_hand",
            sentence=f"somebody set the limit of {name} to {limit} GPUs, and it should have {should[name]}; "
            "it stays so until `offtake live --set-back`",
        )
    for name, nodes in sorted(removed.items()):
        yield Finding(
            code="removed_by_hand",
            sentence=f"somebody took {_listed(nodes)} out of reservation {name}; they stay out until "
            "`offtake live --set-back`",
        )


def _foreign(desired: Desired, actual: Actual) -> Iterator[Finding]:
    wanted = desired.held
    for name, nodes in sorted(actual.foreign.items()):
        taken = [node for node in nodes if node in wanted]
        if taken:
            yield Finding(
                code="foreign_reservation",
                sentence=f"reservation {name} isn't offtake's and has {_listed(taken)}, which "
                f"{_listed({wanted[node].name for node in taken})} should have; delete it, or take "
                "these nodes out of the fleet",
            )


def _strangers(desired: Desired, actual: Actual) -> Iterator[Finding]:
    """Jobs of accounts that no claim has, on nodes that the book governs."""
    on: dict[str, set[str]] = defaultdict(set)
    for job in actual.jobs:
        if not job.account.startswith(PREFIX):
            on[job.account] |= set(job.nodes) & set(desired.nodes)
    for account, nodes in sorted(on.items()):
        if nodes:
            yield Finding(
                code="foreign_job",
                sentence=f"account {account}, which no claim has, runs on {_listed(nodes)}; its jobs are "
                "left, and aren't billed",
            )


def _nodes(desired: Desired, actual: Actual) -> Iterator[Finding]:
    used = desired.held
    if not actual.nodes:
        return
    for name, gpus in sorted(desired.nodes.items()):
        node = actual.nodes.get(name)
        if node is None:
            yield Finding(
                code="unknown_node", sentence=f"cluster.toml names {name}, and the cluster has no such node"
            )
        elif node.gpus != gpus:
            yield Finding(
                code="gpus_differ",
                sentence=f"{name} has {node.gpus} GPUs on the cluster, and {gpus} in fleet.toml",
            )
        elif node.out and name in used and not used[name].closes:
            yield Finding(
                code="node_out",
                sentence=f"{name} of {used[name].name} takes no jobs ({node.out}); bring it back, or say "
                "`offtake node failed`, so that it is replaced",
            )


def _users(desired: Desired, actual: Actual) -> Iterator[Finding]:
    """Who may submit for more than one holder can carry things from one to the other."""
    holders: dict[str, set[str]] = defaultdict(set)
    for one in desired.accounts:
        for user in actual.users.get(one.name, frozenset()) | set(one.users):
            holders[user].add(one.holder)
    for user, names in sorted(holders.items()):
        if len(names) > 1:
            yield Finding(
                code="user_of_two_holders",
                sentence=f"user {user} may submit for {_listed(names)}, who may be rivals",
            )


def _listed(names: Iterator[str] | set[str] | tuple[str, ...] | list[str]) -> str:
    return ", ".join(sorted(names))
