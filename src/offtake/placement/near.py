"""The nodes nearest to those a claim has: by domain, then unit, then failure domain, whichever fits best.

Rooms are counted by domain and by unit, and kept up to date: a claim costs a look at every unit, and at the
domains of the few that it gets.
"""

from __future__ import annotations

import numpy as np

from offtake.fleet.nodes import Layout
from offtake.placement.model import Bools, Ints

Some = tuple[Ints, Ints]
"""Domains, and how many nodes of each."""


class Room:
    """Nodes that may be taken.

    Attributes:
        size: nodes of a domain.
        per_unit: domains of a unit.
        per_failure: units of a failure domain.
        left: int64[domains], nodes that may be taken.
        unit_left: int64[units], the same.
        unit_whole: int64[units], those of them in domains where every node that works may be taken.
    """

    def __init__(self, layout: Layout, usable: Bools, free: Bools) -> None:
        domain, unit, failure = layout.sizes()
        self.size, self.per_unit, self.per_failure = domain, unit // domain, failure // unit
        self._free = _padded(free, domain)
        self._usable = _padded(usable, domain).reshape(-1, domain).sum(axis=1)
        self.left: Ints = self._free.reshape(-1, domain).sum(axis=1)
        self._starts = np.arange(0, len(self.left), self.per_unit)
        self.unit_left = np.add.reduceat(self.left, self._starts)
        self.unit_whole = np.add.reduceat(self.untouched(slice(None)), self._starts)

    def untouched(self, part: slice | Ints) -> Ints:
        """`left` of some domains where it is every node that works; nought for others."""
        left = self.left[part]
        return np.where(left == self._usable[part], left, 0)

    def take(self, some: Some) -> int:
        """Count nodes as taken; how many they are."""
        domains, amounts = some
        before = self.untouched(domains)
        self.left[domains] -= amounts
        np.subtract.at(self.unit_left, domains // self.per_unit, amounts)
        np.subtract.at(self.unit_whole, domains // self.per_unit, before - self.untouched(domains))
        return int(amounts.sum())

    def pick(self, some: Some) -> Ints:
        """The first so many free nodes of each domain, by number; they are free no more."""
        domains, amounts = some
        free = self._free.reshape(-1, self.size)[domains]
        chosen = free & (np.cumsum(free, axis=1) <= amounts[:, None])
        nodes: Ints = np.sort((domains[:, None] * self.size + np.arange(self.size))[chosen])
        self._free[nodes] = False
        return nodes


def _padded(chosen: Bools, size: int) -> Bools:
    padded = np.zeros(-(-len(chosen) // size) * size, dtype=np.bool_)
    padded[: len(chosen)] = chosen
    return padded


def nearest(room: Room, own: Ints, count: int) -> Ints:
    """Take so many nodes, as near to each other and to a claim's own as there are; their numbers.

    First the rest of domains that the claim is in; then whole domains, by the failure domain and unit that
    fit best; then one domain for the remainder, as full as can be; what is left goes into fragments.

    Args:
        room: has at least so many.
        own: the claim's nodes, in rising order.
        count: how many.
    """
    mine = _by_domain(own, room.size)
    taken = [_beside(room, mine, count)]
    count -= room.take(taken[0])
    units = np.zeros(len(room.unit_left), dtype=np.int64)
    np.add.at(units, mine[0] // room.per_unit, mine[1])
    for step in (_whole_domains, _one_domain, _fragments):
        if count:
            some = step(room, units, count)
            count -= room.take(some)
            np.add.at(units, some[0] // room.per_unit, some[1])
            taken.append(some)
    return room.pick((np.concatenate([d for d, _ in taken]), np.concatenate([n for _, n in taken])))


def _by_domain(nodes: Ints, size: int) -> Some:
    domain = nodes // size
    first = np.flatnonzero(np.diff(domain, prepend=-1))
    return domain[first], np.diff(first, append=len(domain))


def _beside(room: Room, mine: Some, count: int) -> Some:
    """The rest of domains that a claim is in, where it has most first."""
    domains = mine[0][np.argsort(-mine[1], kind="stable")]
    domains = domains[room.left[domains] > 0]
    left = room.left[domains]
    amounts = np.clip(count - (np.cumsum(left) - left), 0, left)
    return domains[amounts > 0], amounts[amounts > 0]


def _whole_domains(room: Room, units: Ints, count: int) -> Some:
    """Whole domains, as many as are needed in full."""
    domains, amounts = _by_unit(room, units, count, whole=True) if count >= room.size else _NOTHING
    full = amounts == room.left[domains]
    return domains[full], amounts[full]


def _fragments(room: Room, units: Ints, count: int) -> Some:
    """What there is, by the failure domain, unit and domain that fit best."""
    return _by_unit(room, units, count, whole=False)


_NOTHING: Some = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def _one_domain(room: Room, units: Ints, count: int) -> Some:
    """The one domain that fits so many best: in a unit, else a failure domain that the claim is in."""
    unit = np.flatnonzero(room.unit_left >= count)
    if count > room.size or not unit.size:
        return _NOTHING
    failures = np.add.reduceat(units, np.arange(0, len(units), room.per_failure))
    near = 2 * (units[unit] > 0) + (failures[unit // room.per_failure] > 0)
    for nearness in np.unique(near)[::-1]:
        domains = _within(unit[near == nearness], room.per_unit, len(room.left))
        domains = domains[room.left[domains] >= count]
        if domains.size:
            return domains[[np.argmin(room.left[domains])]], np.array([count])
    return _NOTHING


def _within(groups: Ints, size: int, length: int) -> Ints:
    """The places, below a length, that groups of some size are made of."""
    places: Ints = (groups[:, None] * size + np.arange(size)).ravel()
    return places[places < length]


def _by_unit(room: Room, units: Ints, count: int, *, whole: bool) -> Some:
    """So many nodes: failure domain first, then unit, then domain. `whole`: of untouched domains only.

    A group of which all is taken needs no further look; of each level at most two are taken in part.
    """
    left = room.unit_whole if whole else room.unit_left
    starts = np.arange(0, len(left), room.per_failure)
    failure_left = np.add.reduceat(left, starts)
    by_failure = _spread(failure_left, count, np.add.reduceat(units, starts))
    by_unit = np.where(np.repeat(by_failure == failure_left, room.per_failure)[: len(left)], left, 0)
    for failure in np.flatnonzero((by_failure > 0) & (by_failure < failure_left)).tolist():
        part = slice(failure * room.per_failure, (failure + 1) * room.per_failure)
        by_unit[part] = _spread(left[part], int(by_failure[failure]), units[part])
    domains = _within(np.flatnonzero((by_unit > 0) & (by_unit == left)), room.per_unit, len(room.left))
    found = [(domains, room.untouched(domains) if whole else room.left[domains])]
    for unit in np.flatnonzero((by_unit > 0) & (by_unit < left)).tolist():
        part = slice(unit * room.per_unit, (unit + 1) * room.per_unit)
        amounts = _spread(room.untouched(part) if whole else room.left[part], int(by_unit[unit]))
        found.append((part.start + np.flatnonzero(amounts), amounts[amounts > 0]))
    domains, amounts = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return domains[amounts > 0], amounts[amounts > 0]


def _spread(left: Ints, count: int, mine: Ints | None = None) -> Ints:
    """How many of each group: those a claim is in; then the roomiest, while filled; then the tightest fit."""
    taken = np.zeros_like(left)
    groups = np.flatnonzero(left)
    if mine is not None:
        own = groups[mine[groups] > 0]
        own = own[np.argsort(-mine[own], kind="stable")]
        taken[own] = np.clip(count - (np.cumsum(left[own]) - left[own]), 0, left[own])
        count -= int(taken[own].sum())
        groups = groups[mine[groups] == 0]
    if not count:
        return taken
    groups = groups[_roomiest_first(left[groups])]
    total = np.cumsum(left[groups])
    full = int(np.searchsorted(total, count, side="right"))
    taken[groups[:full]] = left[groups[:full]]
    count -= int(total[full - 1]) if full else 0
    if count and full < len(groups):
        fits = groups[full:][left[groups[full:]] >= count]
        taken[fits[np.flatnonzero(left[fits] == left[fits[-1]])[0]]] = count
    return taken


def _roomiest_first(left: Ints) -> Ints:
    """The order of falling room; equals by number. Small numbers are sorted by radix."""
    small = left.size and int(left.max()) < 2**15
    return np.argsort(-(left.astype(np.int16) if small else left), kind="stable")
