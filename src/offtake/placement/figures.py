"""How compact an assignment is, and why a claim is spread out or short."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from offtake.placement.model import NONE, Assignment, Ints, Nodes, NodeState


class Why(StrEnum):
    """Why a claim is short, or in more domains or units than its size needs."""

    CLEANING = "cleaning"
    FAILED = "failed"
    NOT_THERE = "not_there"
    STAYS = "stays"
    FRAGMENTS = "fragments"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFigures:
    """What a claim has of a pool.

    Units: nodes, and numbers of groups of them. `domains_min` and `units_min` are the fewest that so many
    nodes can be in.

    Attributes:
        claim: its id.
        wanted: what the plan gives it.
        held: what it has.
        given: of these, new.
        taken: nodes that it had before and has no more.
        moved: of those given, replacing one taken.
        domains: NVLink domains it is in.
        domains_min: the fewest.
        units: scalable units it is in.
        units_min: the fewest.
        failure_domains: failure domains it is in.
        reasons: why it is short or not compact, each a code and a sentence.
    """

    claim: str
    wanted: int
    held: int
    given: int
    taken: int
    moved: int
    domains: int
    domains_min: int
    units: int
    units_min: int
    failure_domains: int
    reasons: tuple[tuple[Why, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFigures:
    """What a pool's nodes do.

    Attributes:
        states: nodes by state.
        domains_split: domains that more than one claim is in.
        units_shared: units that more than one claim is in.
        spares_wanted: nodes that should be held back.
        claims: each claim, in the order of the assignment.
    """

    states: dict[NodeState, int]
    domains_split: int
    units_shared: int
    spares_wanted: int
    claims: tuple[ClaimFigures, ...]


def figures(done: Assignment) -> PoolFigures:
    """Figures of an assignment, with reasons."""
    nodes = done.nodes
    sizes = nodes.layout.sizes()
    held = np.flatnonzero(nodes.claim != NONE)
    pairs = [_pairs(nodes.claim[held], held // size) for size in sizes]
    count = len(done.wants)
    domains, units, failures = (np.bincount(owner, minlength=count) for owner, _ in pairs)
    states = np.bincount(nodes.state, minlength=len(NodeState))
    least = [-(-done.held // size) for size in sizes]
    full = _lost_in_domains(nodes, *pairs[0], count)
    whole_free = _whole_domains_free(nodes)
    claims = tuple(
        ClaimFigures(
            claim=want.claim,
            wanted=want.nodes,
            held=int(done.held[c]),
            given=int(done.given[c]),
            taken=int(done.taken[c]),
            moved=int(done.moved[c]),
            domains=int(domains[c]),
            domains_min=int(least[0][c]),
            units=int(units[c]),
            units_min=int(least[1][c]),
            failure_domains=int(failures[c]),
            reasons=(
                *_why_short(want.nodes - int(done.held[c]), states),
                *_why_spread(
                    int(domains[c] - least[0][c]), int(units[c] - least[1][c]), int(full[c]), whole_free
                ),
            ),
        )
        for c, want in enumerate(done.wants)
    )
    return PoolFigures(
        states={state: int(states[state]) for state in NodeState},
        domains_split=_shared(pairs[0][1]),
        units_shared=_shared(pairs[1][1]),
        spares_wanted=done.spares,
        claims=claims,
    )


def _pairs(owner: Ints, group: Ints) -> tuple[Ints, Ints]:
    """Every claim with every group that it is in, once."""
    base = int(group.max(initial=0)) + 1
    both = np.unique(owner * base + group)
    return both // base, both % base


def _shared(groups: Ints) -> int:
    """Groups that are named more than once."""
    return int((np.bincount(groups) > 1).sum())


def _lost_in_domains(nodes: Nodes, owner: Ints, domain: Ints, count: int) -> Ints:
    """By claim, nodes of its domains that don't work."""
    lost = np.bincount(
        np.flatnonzero(nodes.failed | ~nodes.in_service) // nodes.layout.per_domain,
        minlength=int(domain.max(initial=0)) + 1,
    )
    totals = np.zeros(count, dtype=np.int64)
    np.add.at(totals, owner, lost[domain])
    return totals


def _whole_domains_free(nodes: Nodes) -> int:
    """Domains of which every node may be given."""
    size = nodes.layout.per_domain
    starts = np.arange(0, nodes.layout.nodes, size)
    free = np.add.reduceat((nodes.clean & ~nodes.spare).astype(np.int64), starts)
    usable = np.add.reduceat(nodes.usable.astype(np.int64), starts)
    return int(((free == usable) & (free > 0)).sum())


def _why_short(short: int, states: Ints) -> list[tuple[Why, str]]:
    if not short:
        return []
    cleaning, failed = int(states[NodeState.CLEANING]), int(states[NodeState.FAILED])
    if cleaning:
        return [
            (Why.CLEANING, f"{short} short: {cleaning} of the pool wait until they are known to be clean")
        ]
    if failed:
        return [(Why.FAILED, f"{short} short: {failed} of the pool have failed, more than spares stood by")]
    return [(Why.NOT_THERE, f"{short} short: the plan gives out more than is in service and not held back")]


def _why_spread(domains: int, units: int, lost: int, whole_free: int) -> list[tuple[Why, str]]:
    """Domains and units beyond the fewest; `lost` nodes of its domains don't work."""
    if not domains and not units:
        return []
    beyond = " and ".join(
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((domains, "domain"), (units, "unit"))
        if count
    )
    if lost:
        return [(Why.FAILED, f"{beyond} beyond the fewest: {lost} nodes of its domains don't work")]
    if whole_free:
        return [(Why.STAYS, f"{beyond} beyond the fewest: it keeps the nodes it had, though others are free")]
    return [(Why.FRAGMENTS, f"{beyond} beyond the fewest: no whole domain is free")]
