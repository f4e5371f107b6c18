"""Serve claims by what they are worth, from one segment to the next, and what a node of each pool is worth.

All units of one claim are worth the same wherever they run, so the sets of (claim, node) that can be served
together are the independent sets of a transversal matroid, and serving the dearest first is best (Edmonds
1971, doi 10.1007/BF01584082). A set is best when no single exchange improves it: a claim that is short takes
a free node, or a cheaper claim's, reached over a chain of moves. `Walk` keeps holdings, applies what changes,
and makes exchanges until none is left.

Where moves are free this is the best that the segment allows, and `prices` says what one more node of each
pool would be worth: the dearest claim that waits for it. These are duals of the segment's transportation
problem, and they prove it: see `offtake.allocation.horizon`. Where moves cost, an exchange
must earn more than its moves for as long as both claims last.

It is plain Python over a few pools at a time: a segment changes a claim or two, and the next depends on it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence

HOUR_S = 3_600
NEVER = 1 << 62
"""More than any claim is worth."""


class Walk:
    """Who holds which nodes.

    Units: nodes; weights and prices per node-hour in whole numbers; `move` in the same unit for each node
    that changes pool; instants in seconds.

    Attributes:
        changes: (segment, claim, pool, nodes gained or lost), in order.
        moved: (segment, claim, from, to, nodes, for whom); -1 where a pool shrank.
        version: grows with every change.
    """

    def __init__(self, eligible: Sequence[Sequence[int]], weight: Sequence[int], pools: int, *, move: int):
        self.eligible, self.weight, self.move = eligible, weight, move
        self.mask = [sum(1 << p for p in own) for own in eligible]
        self.held: list[dict[int, int]] = [{} for _ in eligible]
        self.total = [0] * len(eligible)
        self.need = [0] * len(eligible)
        self.until = [0] * len(eligible)
        self.room = [0] * pools
        self.used = [0] * pools
        self.holders: list[dict[int, int]] = [{} for _ in range(pools)]
        self.changes: list[tuple[int, int, int, int]] = []
        self.moved: list[tuple[int, int, int, int, int, int]] = []
        self.version = 0
        self._cheapest: list[list[tuple[int, int]]] = [[] for _ in range(pools)]
        self._ways = [[0] * pools for _ in range(pools)]
        self._next = [0] * pools
        self._into = [0] * pools
        self._short: list[tuple[int, int]] = []
        self._is_short: set[int] = set()
        self._costs: tuple[int, list[int]] = (-1, [])
        self._k = 0
        self._now = 0

    def put(self, claim: int, pool: int, nodes: int) -> None:
        """Holdings before the first segment."""
        self._change(claim, pool, nodes)
        self.changes[-1] = (-1, claim, pool, nodes)

    def advance(
        self,
        k: int,
        now: int,
        needs: Iterable[tuple[int, int, int]],
        rooms: Iterable[tuple[int, int]],
        ahead: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """Go on to a segment.

        Args:
            k: the segment.
            now: the instant at which it begins.
            needs: claims whose need changes: (claim, nodes, the instant until which it needs as many).
            rooms: pools whose room changes: (pool, nodes).
            ahead: what pools are worth from here on, by pool, to choose between equals; the dearer is kept
                free.
        """
        self._k, self._now = k, now
        worth = ahead[k] if ahead is not None else [0] * len(self.room)
        for pool, nodes in rooms:
            self.room[pool] = nodes
            self.version += 1
        for claim, nodes, until in needs:
            self.need[claim], self.until[claim] = nodes, until
            self.version += 1
            self._release(claim, worth)
            self._mark(claim)
        for pool in range(len(self.room)):
            while self.used[pool] > self.room[pool]:
                self._relieve(pool)
        self._serve_all(worth)

    def prices(self) -> list[int]:
        """What one more node of each pool would be worth, were moves free: the dearest that waits for it.

        A claim waits for every pool that is in reach of its own: whoever is there could make room.
        """
        found = [0] * len(self.room)
        done = 0
        for weight, claim in self._short:
            for p in _bits(self._reach(self.mask[claim], done)):
                found[p] = -weight
                done |= 1 << p
        return found

    def costs(self) -> list[int]:
        """What one node less of each pool would cost, were moves free: the cheapest that is in its reach.

        Nought where a node is free, and more than anything is worth where a pool has none to lose.
        """
        if self._costs[0] == self.version:
            return self._costs[1]
        pools = range(len(self.room))
        base = [0 if self.used[p] < self.room[p] else self._least(p) for p in pools]
        found = list(base)
        done = 0
        for start in sorted((p for p in pools if self.room[p]), key=base.__getitem__):
            frontier = (1 << start) & ~done
            while frontier:
                done |= frontier
                onward = 0
                for q in _bits(frontier):
                    found[q] = base[start]
                    onward |= self._into[q]
                frontier = onward & ~done
        self._costs = (self.version, found)
        return found

    def _reach(self, mask: int, but: int) -> int:
        """Pools in reach of some by moving who is there, but for some and what only they lead to."""
        found = frontier = mask & ~but
        while frontier:
            onward = 0
            for p in _bits(frontier):
                onward |= self._next[p]
            frontier = onward & ~found & ~but
            found |= frontier
        return found

    def _least(self, pool: int) -> int:
        return self._cheapest[pool][0][0] if self._cheapest[pool] else NEVER

    def _change(self, claim: int, pool: int, nodes: int) -> None:
        before = self.held[claim].get(pool, 0)
        after = before + nodes
        if after:
            self.held[claim][pool] = self.holders[pool][claim] = after
        else:
            del self.held[claim][pool], self.holders[pool][claim]
        key = (self.weight[claim], claim)
        if not before:
            insort(self._cheapest[pool], key)
        elif not after:
            del self._cheapest[pool][bisect_left(self._cheapest[pool], key)]
        ways = self._ways[pool]
        for other in self.eligible[claim]:
            if other != pool:
                ways[other] += nodes
                if ways[other]:
                    self._next[pool] |= 1 << other
                    self._into[other] |= 1 << pool
                else:
                    self._next[pool] &= ~(1 << other)
                    self._into[other] &= ~(1 << pool)
        self.used[pool] += nodes
        self.total[claim] += nodes
        self.version += 1
        self.changes.append((self._k, claim, pool, nodes))

    def _mark(self, claim: int) -> None:
        """Keep the list of claims that are short, dearest first."""
        key = (-self.weight[claim], claim)
        short = self.total[claim] < self.need[claim]
        if short and claim not in self._is_short:
            insort(self._short, key)
            self._is_short.add(claim)
        elif not short and claim in self._is_short:
            del self._short[bisect_left(self._short, key)]
            self._is_short.discard(claim)

    def _release(self, claim: int, worth: Sequence[int]) -> None:
        """Give back what isn't needed any more, where it is worth most."""
        over = self.total[claim] - self.need[claim]
        while over > 0:
            pool = max(self.held[claim], key=lambda p: (self.used[p] > self.room[p], worth[p], -p))
            nodes = min(over, self.held[claim][pool])
            self._change(claim, pool, -nodes)
            over -= nodes

    def _serve_all(self, worth: Sequence[int]) -> None:
        again = True
        while again:
            again = False
            for _, claim in list(self._short):
                while claim in self._is_short:
                    costs = self.costs()
                    if min(costs[p] for p in self.eligible[claim]) >= self.weight[claim]:
                        break
                    if not self._serve(claim, worth):
                        break
                    again = True

    def _serve(self, claim: int, worth: Sequence[int]) -> bool:
        """One exchange for a claim that is short: the one that earns most; whether there was any."""
        own, lasts = self.weight[claim], self.until[claim] - self._now
        best: tuple[int, int, int] | None = None
        target = loser = -1
        frontier, seen, hops = self.mask[claim], self.mask[claim], 0
        came: dict[int, int] = {}
        while frontier:
            cost = hops * self.move * HOUR_S
            if best is not None and own * lasts - cost < best[0]:
                break
            step = 0
            for p in _bits(frontier):
                if self.used[p] < self.room[p]:
                    gain, low = own * lasts - cost, -1
                elif self._cheapest[p] and self._cheapest[p][0][0] < own:
                    low = self._cheapest[p][0][1]
                    both = min(lasts, self.until[low] - self._now)
                    gain = (own - self.weight[low]) * both - cost
                else:
                    gain, low = 0, -1
                rank = (gain, -worth[p], -p)
                if gain > 0 and (best is None or rank > best):
                    best, target, loser = rank, p, low
                onward = self._next[p] & ~seen
                seen |= onward
                step |= onward
                for q in _bits(onward):
                    came[q] = p
            frontier, hops = step, hops + 1
        if best is None:
            return False
        path = self._path(came, target)
        nodes = self.need[claim] - self.total[claim]
        nodes = min(
            nodes, self.holders[target][loser] if loser >= 0 else self.room[target] - self.used[target]
        )
        nodes = min([nodes, *(self.holders[a][self._mover(a, b)] for a, b in path)])
        if loser >= 0:
            self._change(loser, target, -nodes)
            self._mark(loser)
        self._shift(path, nodes, claim)
        self._change(claim, path[0][0] if path else target, nodes)
        self._mark(claim)
        return True

    def _relieve(self, pool: int) -> None:
        """A pool has shrunk: move on what is cheapest to move, or stop what is worth least."""
        best: tuple[int, int, int] | None = None
        target = loser = -1
        frontier, seen, hops = 1 << pool, 1 << pool, 0
        came: dict[int, int] = {}
        while frontier:
            step = 0
            for p in _bits(frontier):
                cost = hops * self.move * HOUR_S
                if self.used[p] < self.room[p]:
                    low = -1
                elif self._cheapest[p]:
                    low = self._cheapest[p][0][1]
                    cost += self.weight[low] * max(1, self.until[low] - self._now)
                else:
                    continue
                if best is None or (cost, hops, p) < best:
                    best, target, loser = (cost, hops, p), p, low
                onward = self._next[p] & ~seen
                seen |= onward
                step |= onward
                for q in _bits(onward):
                    came[q] = p
            frontier, hops = step, hops + 1
        path = self._path(came, target)
        nodes = self.used[pool] - self.room[pool]
        nodes = min(
            nodes, self.holders[target][loser] if loser >= 0 else self.room[target] - self.used[target]
        )
        nodes = min([nodes, *(self.holders[a][self._mover(a, b)] for a, b in path)])
        if loser >= 0:
            self._change(loser, target, -nodes)
            self._mark(loser)
        self._shift(path, nodes, -1)

    def _path(self, came: dict[int, int], target: int) -> list[tuple[int, int]]:
        """Moves, from pool to pool, that end at the target, first to last."""
        path = []
        while target in came:
            path.append((came[target], target))
            target = came[target]
        return path[::-1]

    def _mover(self, a: int, b: int) -> int:
        """Whoever holds most in a, of those that b may serve; the first of equals."""
        return max(
            (c for c in self.holders[a] if self.mask[c] >> b & 1), key=lambda c: (self.holders[a][c], -c)
        )

    def _shift(self, path: list[tuple[int, int]], nodes: int, claim: int) -> None:
        """Move nodes along a path, the last step first, so that each pool has room for what comes."""
        for a, b in reversed(path):
            mover = self._mover(a, b)
            self._change(mover, a, -nodes)
            self._change(mover, b, nodes)
            self.moved.append((self._k, mover, a, b, nodes, claim))


def _bits(mask: int) -> Iterator[int]:
    """The places of a mask's ones, lowest first."""
    while mask:
        bit = mask & -mask
        mask ^= bit
        yield bit.bit_length() - 1
