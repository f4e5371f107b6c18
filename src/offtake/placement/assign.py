"""Give claims their nodes: what they have they keep, what they need they get as close together as there is.

The numbers are settled first, then the places:

1. A claim keeps the nodes it has, up to what it wants; if it wants fewer, its smallest fragments go. So no
   assignment that serves the same numbers moves fewer nodes.
2. Spares are set aside among the clean nodes, spread over the failure domains.
3. In the order of the claims given, it is settled how many nodes each gets: clean ones, and ones on which
   its own holder was last.
4. The largest need is placed first: beside what the claim has, then whole domains of the failure domain and
   unit that fit best, then the domain that fits the remainder best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from offtake.base.errors import ensure
from offtake.placement.model import NONE, Assignment, Bools, Ints, Nodes, Want, index_of
from offtake.placement.near import Room, nearest


def assign(before: Nodes, wants: Sequence[Want], *, spares: int = 0, now: int) -> Assignment:
    """Assign the nodes of a pool.

    Args:
        before: every node as it was left, with what has failed or been cleaned since.
        wants: one per claim, in the order in which they are served where nodes don't suffice.
        spares: nodes to hold back; those that have failed count, since a spare stands in for each.
        now: instant from which it holds.

    Raises:
        ValueError: if a claim is named twice.
    """
    names = tuple(want.claim for want in wants)
    if len(set(names)) != len(names):
        raise ValueError(f"claims are named once each, not {', '.join(names)}")
    nodes, owner = _renamed(before, wants)
    wanted = np.array([want.nodes for want in wants], dtype=np.int64)
    kept = replace(nodes, claim=_kept(nodes, wanted))
    kept = replace(kept, spare=_spares(kept, spares))
    claim, holder = _given(kept, owner, wanted)
    changed = (nodes.claim != claim) | ((before.claim != NONE) & (claim == NONE))
    since = np.where(holder == NONE, 0, np.where(changed, now, nodes.since))
    after = replace(kept, claim=claim, holder=holder, since=since)
    return _checked(nodes, after, wants, wanted, spares)


def _renamed(before: Nodes, wants: Sequence[Want]) -> tuple[Nodes, Ints]:
    """The same nodes, with claims and holders by their place among those wanted now; each claim's holder.

    A claim keeps its nodes when it passes to another holder.
    """
    claims = tuple(want.claim for want in wants)
    holders = tuple(dict.fromkeys([*(want.holder for want in wants), *before.holders]))
    claim = index_of(before.claims, claims)[before.claim]
    owner = index_of([want.holder for want in wants], holders)
    holder = np.where(claim == NONE, index_of(before.holders, holders)[before.holder], owner[claim])
    return replace(before, claims=claims, holders=holders, claim=claim, holder=holder), owner


def _kept(nodes: Nodes, wanted: Ints) -> Ints:
    """The claim of each node that stays with it."""
    claim = np.where(nodes.usable, nodes.claim, NONE)
    held = np.flatnonzero(claim != NONE)
    over = np.bincount(claim[held], minlength=len(wanted)) - wanted
    own = held[over[claim[held]] > 0]
    if not own.size:
        return claim
    domain, unit, _ = nodes.layout.sizes()
    owner, by_domain, by_unit = claim[own], own // domain, own // unit
    in_domain, in_unit = _together(owner, by_domain), _together(owner, by_unit)
    order = np.lexsort((-own, -by_domain, in_domain, -by_unit, in_unit, owner))
    gone = own[order][_place_in_run(owner[order]) < over[owner[order]]]
    claim[gone] = NONE
    return claim


def _together(owner: Ints, group: Ints) -> Ints:
    """For each node how many of its owner are in its group."""
    _, which, counts = np.unique(
        owner * (int(group.max()) + 1) + group, return_inverse=True, return_counts=True
    )
    found: Ints = counts[which]
    return found


def _place_in_run(keys: Ints) -> Ints:
    """The place of each within its run of equal keys, from 0."""
    first = np.flatnonzero(np.diff(keys, prepend=NONE - 1))
    lengths = np.diff(first, append=len(keys))
    return np.arange(len(keys)) - np.repeat(first, lengths)


def _spares(nodes: Nodes, spares: int) -> Bools:
    """Clean nodes to hold back, as evenly over the failure domains as there are any.

    Those held back before stay; then remainders of domains go first, so that whole ones are left.
    """
    spare = np.zeros(nodes.layout.nodes, dtype=np.bool_)
    failure = nodes.layout.sizes()[2]
    groups = -(-nodes.layout.nodes // failure)
    failed = _count(np.flatnonzero(nodes.failed & nodes.in_service) // failure, groups)
    wanted = max(0, spares - int(failed.sum()))
    found = np.flatnonzero(nodes.clean)
    if not wanted or not found.size:
        return spare
    there = np.flatnonzero(_count(np.flatnonzero(nodes.in_service) // failure, groups))
    quota = np.zeros(groups, dtype=np.int64)
    quota[there] = spares // len(there)
    quota[there[: spares % len(there)]] += 1
    quota = np.maximum(quota - failed, 0)
    domain = found // nodes.layout.per_domain
    broken = np.bincount(np.flatnonzero(nodes.failed) // nodes.layout.per_domain, minlength=domain[-1] + 1)
    free = np.bincount(domain)
    order = np.lexsort((-found, free[domain], broken[domain], ~nodes.spare[found], found // failure))
    found = found[order]
    beyond = _place_in_run(found // failure) - quota[found // failure]
    spare[found[np.argsort(beyond, kind="stable")[:wanted]]] = True
    return spare


def _count(groups: Ints, length: int) -> Ints:
    return np.bincount(groups, minlength=length)


def _given(nodes: Nodes, owner: Ints, wanted: Ints) -> tuple[Ints, Ints]:
    """Claim and holder of every node once those in need are served."""
    claim, holder = nodes.claim.copy(), nodes.holder.copy()
    need = wanted - np.bincount(claim[claim != NONE], minlength=len(wanted))
    free = nodes.clean & ~nodes.spare
    waiting = nodes.usable & (claim == NONE) & (holder != NONE)
    dirty, clean = _settled(need, owner, holder[waiting], int(free.sum()))
    room = Room(nodes.layout, nodes.usable, free)
    for c in np.argsort(-(dirty + clean), kind="stable").tolist():
        if dirty[c]:
            own = Room(nodes.layout, nodes.usable, waiting & (holder == owner[c]))
            got = nearest(own, np.flatnonzero(claim == c), int(dirty[c]))
            claim[got], waiting[got] = c, False
        if clean[c]:
            got = nearest(room, np.flatnonzero(claim == c), int(clean[c]))
            claim[got], holder[got] = c, owner[c]
    return claim, holder


def _settled(need: Ints, owner: Ints, waiting: Ints, free: int) -> tuple[Ints, Ints]:
    """How many nodes each claim gets of those its holder left, and of the clean ones, in order."""
    left = np.bincount(waiting, minlength=int(owner.max(initial=0)) + 1)
    dirty, clean = np.zeros_like(need), np.zeros_like(need)
    for c in np.flatnonzero(need > 0).tolist():
        dirty[c] = min(need[c], left[owner[c]])
        clean[c] = min(need[c] - dirty[c], free)
        left[owner[c]] -= dirty[c]
        free -= clean[c]
    return dirty, clean


def _checked(nodes: Nodes, after: Nodes, wants: Sequence[Want], wanted: Ints, spares: int) -> Assignment:
    """The assignment, if it keeps every promise.

    Raises:
        Broken: if a claim has too much, or a node was given that may not be.
    """
    new = after.claim != nodes.claim
    held, given, taken = (
        np.bincount(claim[chosen & (claim != NONE)], minlength=len(wants))
        for claim, chosen in ((after.claim, after.usable), (after.claim, new), (nodes.claim, new))
    )
    over = [wants[c].claim for c in np.flatnonzero(held > wanted).tolist()]
    ensure(not over, f"more nodes than they want have {', '.join(over)}")
    ensure(int(held.sum()) == int((after.claim != NONE).sum()), "a node that doesn't work was given")
    soiled = new & (after.claim != NONE) & (nodes.holder != NONE)
    ensure(
        bool((nodes.holder[soiled] == after.holder[soiled]).all()),
        "a node went from one holder to another without cleaning",
    )
    ensure(not bool(after.spare[after.claim != NONE].any()), "a spare was given")
    return Assignment(
        nodes=after,
        wants=tuple(wants),
        held=held,
        given=given,
        taken=taken,
        moved=np.minimum(given, taken),
        spares=max(0, spares - int((after.failed & after.in_service).sum())),
    )
