"""The nodes nearest to those a claim has: by domain, then unit, then failure domain, whichever fits best."""

from __future__ import annotations

import numpy as np

from offtake.fleet.nodes import Layout
from offtake.placement.model import Bools, Ints


class Room:
    """Nodes that may be taken, counted by domain; kept up to date as nodes are taken."""

    def __init__(self, layout: Layout, usable: Bools, free: Bools) -> None:
        domain, unit, failure = layout.sizes()
        self.nodes, self.size = layout.nodes, domain
        self.per_unit, self.per_failure = unit // domain, failure // unit
        self.free = free.copy()
        self.usable = self._by_domain(usable)
        self.left = self._by_domain(free)

    def _by_domain(self, chosen: Bools) -> Ints:
        padded = np.zeros(-(-self.nodes // self.size) * self.size, dtype=np.bool_)
        padded[: self.nodes] = chosen
        counts: Ints = padded.reshape(-1, self.size).sum(axis=1)
        return counts

    def take(self, nodes: Ints) -> None:
        """Nodes that may not be taken any more."""
        self.free[nodes] = False
        self.left -= np.bincount(nodes // self.size, minlength=len(self.left))


def nearest(room: Room, own: Ints, count: int) -> Ints:
    """The numbers of so many nodes, as near to each other and to a claim's own as there are.

    First the rest of domains that the claim is in; then whole domains, by the failure domain and unit that
    fit best; then one domain for the remainder, as full as can be; what is left goes into fragments.

    Args:
        room: has at least so many.
        own: the claim's nodes.
        count: how many.
    """
    left = room.left
    mine = np.bincount(own // room.size, minlength=len(left))
    taken = _fill(left, mine, count)
    if (missing := count - int(taken.sum())) >= room.size:
        untouched = np.where((left == room.usable) & (taken == 0), left, 0)
        taken += _descend(room, untouched, mine + taken, missing, whole=True)
    if missing := count - int(taken.sum()):
        taken += _one_domain(room, left - taken, mine + taken, missing)
    if missing := count - int(taken.sum()):
        taken += _descend(room, left - taken, mine + taken, missing, whole=False)
    return _first_of(room, taken)


def _fill(left: Ints, mine: Ints, count: int) -> Ints:
    """Of groups that a claim is in, those where it has most first."""
    taken = np.zeros_like(left)
    groups = np.flatnonzero((mine > 0) & (left > 0))
    groups = groups[np.argsort(-mine[groups], kind="stable")]
    before = np.cumsum(left[groups]) - left[groups]
    taken[groups] = np.clip(count - before, 0, left[groups])
    return taken


def _spread(left: Ints, mine: Ints, count: int) -> Ints:
    """Groups that a claim is in; then the roomiest while they are filled; then the tightest that suffices."""
    taken = _fill(left, mine, count)
    count -= int(taken.sum())
    if not count:
        return taken
    groups = np.flatnonzero((left > 0) & (mine == 0))
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


def _descend(room: Room, left: Ints, mine: Ints, count: int, *, whole: bool) -> Ints:
    """So many nodes by domain: failure domain, then unit, then domain. `whole`: no part of a domain.

    A group of which all is taken needs no further look; of each level at most two are taken in part.
    """
    taken = np.zeros_like(left)
    _into(taken, left, mine, count, (room.per_unit * room.per_failure, room.per_unit, 1), whole=whole)
    return taken


def _into(taken: Ints, left: Ints, mine: Ints, count: int, sizes: tuple[int, ...], *, whole: bool) -> None:
    """Write into `taken` how many nodes of each domain, by groups of the first size, then within them."""
    size = sizes[0]
    if size == 1:
        chosen = _spread(left, mine, count)
        taken += np.where(chosen == left, chosen, 0) if whole else chosen
        return
    starts = np.arange(0, len(left), size)
    roomy = np.add.reduceat(left, starts)
    chosen = _spread(roomy, np.add.reduceat(mine, starts), count)
    full = np.repeat(chosen == roomy, size)[: len(left)]
    taken[full] = left[full]
    for group in np.flatnonzero((chosen > 0) & (chosen < roomy)).tolist():
        part = slice(group * size, (group + 1) * size)
        _into(taken[part], left[part], mine[part], int(chosen[group]), sizes[1:], whole=whole)


def _one_domain(room: Room, left: Ints, mine: Ints, count: int) -> Ints:
    """The one domain that fits so many best: in a unit, else a failure domain that the claim is in."""
    taken = np.zeros_like(left)
    fits = np.flatnonzero(left >= count)
    if fits.size:
        unit = fits // room.per_unit
        own = np.flatnonzero(mine) // room.per_unit
        units = -(-len(left) // room.per_unit)
        in_unit = np.bincount(own, minlength=units) > 0
        in_failure = np.bincount(own // room.per_failure, minlength=-(-units // room.per_failure)) > 0
        away = 2 - in_unit[unit].astype(np.int64) - in_failure[unit // room.per_failure]
        taken[fits[np.argmin(left[fits] + (int(left.max()) + 1) * away)]] = count
    return taken


def _first_of(room: Room, taken: Ints) -> Ints:
    """The first so many free nodes of each domain."""
    domains = np.flatnonzero(taken)
    nodes = (domains[:, None] * room.size + np.arange(room.size)).ravel()
    nodes = nodes[nodes < room.nodes]
    nodes = nodes[room.free[nodes]]
    domain = nodes // room.size
    first = np.flatnonzero(np.diff(domain, prepend=-1))
    place = np.arange(len(nodes)) - np.repeat(first, np.diff(first, append=len(nodes)))
    found: Ints = nodes[place < taken[domain]]
    return found
