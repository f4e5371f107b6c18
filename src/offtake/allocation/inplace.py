"""Serve a segment by changing only what must change, and prove that nothing better exists.

Most segments differ from the one before by a few GPUs of one claim. `Holdings.advance` proposes the
obvious: what fits stays, shrinking claims give back their least preferred nodes, growing claims take free
nodes in order of preference, and a claim that finds none free takes them from the lowest ranked holder of
its pools. The proposal stands only if it can be proved as good as any:

- No GPU moved from one pool to another, so there can't be fewer moves.
- No claim can be better served without harm to a higher ranked one. For a short claim, take its pools, the
  pools that higher ranked holders of those pools could go to instead, and so on. If each of these pools is
  full, of claims that rank higher, and none of them holds more than it needs, there is nothing to gain: this
  is the min-cut side of max-flow min-cut.

Otherwise the proposal is taken back and the solver decides.

"More than it needs" arises only where one claim's pools have nodes of different sizes: its last node of 72
may be needed in part while no node of 8 is free. Winning that part back for somebody else means moving
running work for less than a node, so it is done for the first `exact` claims only, by default the firm ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offtake.allocation.network import Network


class Holdings:
    """Who holds which nodes; changes from segment to segment.

    Units: `nodes` by arc, `used` and `room` by pool count nodes; `served` and `need` by claim count units.
    """

    def __init__(self, network: Network, nodes: Sequence[int], *, exact: int) -> None:
        self.network = network
        self.exact = exact
        self.nodes = [0] * len(network.arc_claim)
        self.used = [0] * network.n_pools
        self.room = [0] * network.n_pools
        self.served = [0] * network.n_claims
        self.need = [0] * network.n_claims
        self.before: dict[int, int] = {}
        self._short: set[int] = set()
        self._arcs_of = [
            [a for a, c in enumerate(network.arc_claim) if c == own] for own in range(network.n_claims)
        ]
        self._arcs_on = [
            [a for a, p in enumerate(network.arc_pool) if p == own] for own in range(network.n_pools)
        ]
        self._units = [network.node_units[p] for p in network.arc_pool]
        self._mask = [sum(1 << network.arc_pool[a] for a in arcs) for arcs in self._arcs_of]
        self.place(nodes)

    def place(self, nodes: Sequence[int]) -> None:
        """Put nodes where a solver says."""
        for arc, count in enumerate(nodes):
            if count != self.nodes[arc]:
                self._add(arc, count - self.nodes[arc])
        self._short = {c for c, need in enumerate(self.need) if self.served[c] < need}

    def withdraw(self) -> None:
        """Back to the holdings at the end of the segment before; needs and room stay the new ones."""
        for arc, count in list(self.before.items()):
            self._add(arc, count - self.nodes[arc])

    def advance(self, needs: Iterable[tuple[int, int]], rooms: Iterable[tuple[int, int]]) -> bool:
        """Enter the next segment with some needs and rooms changed; whether the outcome is proved best."""
        self.before.clear()
        touched = set(self._short)
        for claim, need in needs:
            self.need[claim] = need
            touched.add(claim)
            self._release(claim)
        for pool, room in rooms:
            self.room[pool] = room
            if self.used[pool] > room:
                touched |= self._evict(pool)
        self._serve(touched)
        return self._nothing_moved() and self._nothing_to_gain()

    def round_up(self) -> None:
        """Whole nodes for parts of nodes that a relaxed solution gave, in the order of rank."""
        self._serve(set(range(self.network.n_claims)))

    def shortfalls(self) -> list[int]:
        """Units short of each claim."""
        return [max(need - served, 0) for need, served in zip(self.need, self.served, strict=True)]

    def _serve(self, touched: set[int]) -> None:
        """Release, grow, displace: the claims named, and those that they displace."""
        for claim in touched:
            self._release(claim)
        hungry = sorted(claim for claim in touched if self.served[claim] < self.need[claim])
        for claim in hungry:
            self._grow(claim)
        for claim in hungry:
            touched |= self._displace(claim)
        for claim in touched:
            self._release(claim)
        self._short = {claim for claim in touched if self.served[claim] < self.need[claim]}

    def _add(self, arc: int, count: int) -> None:
        self.before.setdefault(arc, self.nodes[arc])
        self.nodes[arc] += count
        self.used[self.network.arc_pool[arc]] += count
        self.served[self.network.arc_claim[arc]] += count * self._units[arc]

    def _evict(self, pool: int) -> set[int]:
        """Take nodes from a pool's lowest ranked holders until the rest fits."""
        evicted = set()
        for arc in reversed(self._arcs_on[pool]):
            gone = min(self.nodes[arc], self.used[pool] - self.room[pool])
            if gone > 0:
                self._add(arc, -gone)
                evicted.add(self.network.arc_claim[arc])
        return evicted

    def _release(self, claim: int) -> None:
        """Give back whole nodes that the claim doesn't need, the least preferred first."""
        if self.served[claim] <= self.need[claim]:
            return
        for arc in reversed(self._arcs_of[claim]):
            spare = min(self.nodes[arc], (self.served[claim] - self.need[claim]) // self._units[arc])
            if spare > 0:
                self._add(arc, -spare)

    def _free(self, arc: int) -> int:
        pool = self.network.arc_pool[arc]
        return self.room[pool] - self.used[pool]

    def _grow(self, claim: int) -> None:
        """Take free nodes in order of preference; a last part of a node where it wastes least."""
        arcs = self._arcs_of[claim]
        for arc in arcs:
            gain = min(self._free(arc), (self.need[claim] - self.served[claim]) // self._units[arc])
            if gain > 0:
                self._add(arc, gain)
        rest = self.need[claim] - self.served[claim]
        if rest > 0:
            open_arcs = [arc for arc in arcs if self._free(arc) * self._units[arc] >= rest]
            if open_arcs:
                best = min(open_arcs, key=lambda arc: -rest % self._units[arc])
                self._add(best, -(-rest // self._units[best]))

    def _displace(self, claim: int) -> set[int]:
        """Take nodes of lower ranked claims, the lowest ranked first."""
        displaced: set[int] = set()
        for loser in range(self.network.n_claims - 1, claim, -1):
            rest = self.need[claim] - self.served[claim]
            if rest <= 0:
                break
            if not self._mask[loser] & self._mask[claim]:
                continue
            for arc in self._arcs_of[claim]:
                other = self._arc(loser, self.network.arc_pool[arc])
                taken = 0 if other is None else min(self.nodes[other], -(-rest // self._units[arc]))
                if other is not None and taken > 0:
                    self._add(other, -taken)
                    self._add(arc, taken)
                    displaced.add(loser)
                    rest = self.need[claim] - self.served[claim]
        return displaced

    def _arc(self, claim: int, pool: int) -> int | None:
        return next((arc for arc in self._arcs_of[claim] if self.network.arc_pool[arc] == pool), None)

    def _nothing_moved(self) -> bool:
        """Whether no claim both left a pool and came to another."""
        left, came = set(), set()
        for arc, count in self.before.items():
            if self.nodes[arc] < count:
                left.add(self.network.arc_claim[arc])
            elif self.nodes[arc] > count:
                came.add(self.network.arc_claim[arc])
        return not left & came

    def _nothing_to_gain(self) -> bool:
        """Whether no short claim could get more without harm to a higher ranked one."""
        if not self._short:
            return True
        reach, lowest, slack, parts = self._standing()
        for claim in self._short:
            pools = reachable(self._mask[claim], reach)
            if pools & (slack | parts if claim < self.exact else slack) or any(
                low > claim for p, low in enumerate(lowest) if pools >> p & 1
            ):
                return False
        return True

    def _standing(self) -> tuple[list[int], list[int], int, int]:
        """Each pool's holders' reach and its lowest rank; masks of pools with free nodes, and with parts."""
        net = self.network
        reach, lowest, slack, parts = [0] * net.n_pools, [-1] * net.n_pools, 0, 0
        for arc, count in enumerate(self.nodes):
            if count:
                pool, claim = net.arc_pool[arc], net.arc_claim[arc]
                reach[pool] |= self._mask[claim]
                lowest[pool] = claim  # arcs are in the order of rank
                if self.served[claim] > self.need[claim]:
                    parts |= 1 << pool
        for pool in range(net.n_pools):
            if self.used[pool] < self.room[pool]:
                slack |= 1 << pool
        return reach, lowest, slack, parts


def reachable(pools: int, reach: Sequence[int]) -> int:
    """Pools, as a bit mask, that can be reached from some pools through their holders' other pools."""
    found, frontier = pools, pools
    while frontier:
        step = 0
        while frontier:
            bit = frontier & -frontier
            step |= reach[bit.bit_length() - 1]
            frontier ^= bit
        frontier = step & ~found
        found |= step
    return found
