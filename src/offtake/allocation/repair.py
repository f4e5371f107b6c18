"""Plan again after a change, keeping whatever can be kept.

A claim that is new, different or gone, or a pool that has more or less, touches a few claims over a part of
the horizon. They are placed anew on whole stretches at once: first where they were, then in one pool for as
long as possible, then anywhere, at last in place of what is worth less. Nobody else moves. The prices of the
plan before still prove a bound, because weak duality holds at any prices; the gap then says when it is time
to plan the whole again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.horizon import (
    Counts,
    Horizon,
    Move,
    Wanted,
    above,
    check_pools,
    earned,
    exact_dot,
    paired,
)
from offtake.allocation.model import Supply
from offtake.base.time import HOUR_S


def replan(
    plan: Horizon,
    *,
    wanted: Sequence[Wanted] = (),
    withdrawn: Collection[str] = (),
    pools: Sequence[Supply] = (),
) -> Horizon:
    """The plan after a change, for a fraction of the cost of a new one.

    Args:
        plan: as it stands.
        wanted: claims that are new, or that replace the one of the same id.
        withdrawn: ids of claims that are gone.
        pools: pools that have another curve than they had, nodes of the same size.

    Raises:
        ValueError: for a claim or a pool that the plan doesn't know, or a claim that joins pools which the
            plan counts in different units: it must be planned anew.
    """
    return _Repair(plan, wanted, withdrawn, pools).done()


class _Repair:
    """A plan on its way to the next one.

    Shapes: K segments, P pools, E pools of a claim.
    """

    def __init__(
        self,
        plan: Horizon,
        wanted: Sequence[Wanted],
        withdrawn: Collection[str],
        pools: Sequence[Supply],
    ) -> None:
        self.plan = plan
        index = {one.claim.id: c for c, one in enumerate(plan.wanted)}
        self.index = {pool.id: p for p, pool in enumerate(plan.pools)}
        _check(plan, wanted, withdrawn, pools)
        self._refine([*(one.claim.gpus.times for one in wanted), *(pool.available.times for pool in pools)])
        self.lengths = np.diff(self.times)
        self.pools = list(plan.pools)
        self.bound, self.objective = plan.bound, plan.objective
        self.wanted = list(plan.wanted)
        self.moves = list(plan.moves)
        self.own: dict[int, Counts] = {}
        self.asked: dict[int, Counts] = {}
        self.first: dict[int, Counts] = {}
        self.gone: set[int] = set()
        changed: list[int] = []
        for pool in pools:
            self._resize(pool)
        for id_ in withdrawn:
            self._withdraw(index[id_])
            self.gone.add(index[id_])
        for one in wanted:
            c = index.get(one.claim.id)
            if c is None:
                c = len(self.wanted)
                self.wanted.append(one)
                self._begin(c, one)
            else:
                self._withdraw(c)
                before, pools_before = self.first[c], self.wanted[c].claim.pools
                self.wanted[c] = one
                self._begin(c, one)
                for e, pool_id in enumerate(one.claim.pools):
                    if pool_id in pools_before:
                        self.first[c][:, e] = before[:, pools_before.index(pool_id)]
            self.bound += self._above(c)
            changed.append(c)
        for c in changed:
            self._fill(c)
        self._displace(sorted(changed, key=self._rank))
        self._fill_others(changed)

    def done(self) -> Horizon:
        """What came out."""
        kept = [c for c in range(len(self.wanted)) if c not in self.gone]
        place = np.full(len(self.wanted), -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        touched = np.isin(self.runs[:, 0], np.array(sorted(self.own), dtype=np.int64))
        parts = [self.runs[~touched]]
        shorts = [self.short[~np.isin(self.short[:, 0], np.array(sorted(self.own), dtype=np.int64))]]
        for c, x in sorted(self.own.items()):
            if c not in self.gone:
                parts.append(_runs_of(c, self._eligible(c), x))
                shorts.append(self._short(c, x))
                self.objective += earned(self.wanted[c], x.sum(axis=1), self.asked[c], self.lengths)
                own = self._moves(c, x)
                self.moves += own
                self.objective -= HOUR_S * self.plan.move_cost * sum(move.gpus for move in own)
        runs = np.concatenate(parts)
        runs[:, 0] = place[runs[:, 0]]
        short = np.concatenate(shorts)
        short[:, 0] = place[short[:, 0]]
        return replace(
            self.plan,
            times=self.times,
            wanted=tuple(self.wanted[c] for c in kept),
            pools=tuple(self.pools),
            prices=self.prices,
            free=self.free,
            runs=runs[np.lexsort((runs[:, 2], runs[:, 1], runs[:, 0]))],
            short=short[np.lexsort((short[:, 1], short[:, 0]))],
            moves=tuple(sorted(self.moves, key=lambda move: move.at)),
            objective=self.objective,
            bound=self.bound,
        )

    def _refine(self, instants: Sequence[Counts]) -> None:
        """New breakpoints split segments in which nothing else changes."""
        plan = self.plan
        inside = [at[(at > plan.times[0]) & (at < plan.times[-1])] for at in instants]
        self.times = np.unique(np.concatenate([plan.times, *inside])) if inside else plan.times
        self.runs, self.prices, self.free, self.short = plan.runs, plan.prices, plan.free.copy(), plan.short
        if len(self.times) != len(plan.times):
            places = np.searchsorted(self.times, plan.times)
            count = np.diff(places)
            self.runs = plan.runs.copy()
            self.runs[:, 2:4] = places[plan.runs[:, 2:4]]
            self.prices = np.repeat(plan.prices, count, axis=0)
            self.free = np.repeat(plan.free, count, axis=0)
            self.short = plan.short.copy()
            self.short[:, 1:3] = places[plan.short[:, 1:3]]
        self.free_before = self.free.copy()

    def _eligible(self, c: int) -> list[int]:
        return [self.index[pool] for pool in self.wanted[c].claim.pools]

    def _rank(self, c: int) -> tuple[int, int]:
        one = self.wanted[c]
        return -(one.value + one.penalty), c

    def _above(self, c: int) -> int:
        """What weak duality allows a claim, at the prices of the plan before."""
        return above(self.wanted[c], self.asked[c], self.prices[:, self._eligible(c)], self.lengths)

    def _touch(self, c: int) -> Counts:
        """A claim's holdings by segment and pool, int64[K, E], taken out of the plan to be changed."""
        if c not in self.own:
            one = self.wanted[c]
            eligible = self._eligible(c)
            x = np.zeros((len(self.lengths) + 1, len(eligible)), dtype=np.int64)
            for _, p, first, last, gpus in self.runs[self.runs[:, 0] == c].tolist():
                x[first, eligible.index(p)] += gpus
                x[last, eligible.index(p)] -= gpus
            self.own[c] = np.cumsum(x, axis=0)[:-1]
            self.first[c] = self.own[c].copy()
            self.asked[c] = one.claim.gpus.at(self.times[:-1])
            self.objective -= earned(one, self.own[c].sum(axis=1), self.asked[c], self.lengths)
            self.objective += (
                HOUR_S * self.plan.move_cost * sum(m.gpus for m in self.moves if m.claim == one.claim.id)
            )
            self.moves = [move for move in self.moves if move.claim != one.claim.id]
        return self.own[c]

    def _begin(self, c: int, one: Wanted) -> None:
        shape = (len(self.lengths), len(one.claim.pools))
        self.own[c] = np.zeros(shape, dtype=np.int64)
        self.first[c] = self.own[c].copy()
        self.asked[c] = one.claim.gpus.at(self.times[:-1])

    def _withdraw(self, c: int) -> None:
        """Free what a claim holds, and take its worth out of the bound."""
        x = self._touch(c)
        self.bound -= self._above(c)
        self.free[:, self._eligible(c)] += x
        x[:] = 0

    def _resize(self, pool: Supply) -> None:
        """A pool has another curve; where it is too small, what is worth least stops."""
        p = self.index[pool.id]
        node = pool.gpus_per_node
        before = self.pools[p].available.at(self.times[:-1]) // node * node
        after = pool.available.at(self.times[:-1]) // node * node
        self.pools[p] = pool
        self.free[:, p] += after - before
        for sign, part in ((1, np.maximum(after - before, 0)), (-1, np.maximum(before - after, 0))):
            self.bound += sign * exact_dot(part * self.lengths, self.prices[:, p])
        for c in sorted(self._holders(p, self.free[:, p] < 0), key=self._rank, reverse=True):
            over = np.maximum(-self.free[:, p], 0)
            if not over.any():
                break
            self._give(c, p, np.minimum(self._touch(c)[:, self._eligible(c).index(p)], over))

    def _holders(self, p: int, where: NDArray[np.bool_]) -> list[int]:
        """Claims that hold nodes of a pool in some of those segments."""
        count = np.concatenate([[0], np.cumsum(where)])
        runs = self.runs[self.runs[:, 1] == p]
        met = runs[count[runs[:, 3]] > count[runs[:, 2]], 0]
        return [c for c in {*np.unique(met).tolist(), *self.own} - self.gone if p in self._eligible(c)]

    def _give(self, c: int, p: int, gpus: Counts) -> None:
        self._touch(c)[:, self._eligible(c).index(p)] -= gpus
        self.free[:, p] += gpus

    def _left(self, c: int) -> Counts:
        """GPUs a claim still lacks, in whole nodes."""
        held = self._touch(c).sum(axis=1)
        unit = int(self.plan.unit[self._eligible(c)[0]])
        lacking: Counts = np.maximum(-(-self.asked[c] // unit) * unit - held, 0)
        return lacking

    def _take(self, c: int, e: int, gpus: Counts) -> None:
        self._touch(c)[:, e] += gpus
        self.free[:, self._eligible(c)[e]] -= gpus

    def _fill(self, c: int) -> None:
        """Place what a claim lacks on free nodes: where it was, then in one pool for long, then anywhere."""
        eligible = self._eligible(c)
        left = self._left(c)
        before = self.first[c] if self.first[c].shape == self._touch(c).shape else None
        for e, p in enumerate(eligible):
            if before is not None:
                kept = np.minimum(np.minimum(before[:, e], np.maximum(self.free[:, p], 0)), left)
                self._take(c, e, kept)
                left = left - kept
        borders = np.flatnonzero(np.diff(self.asked[c], prepend=-1, append=-1))
        for a, b in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
            least = int(left[a:b].min())
            if not least:
                continue
            room = {e: max(0, int(self.free[a:b, p].min())) for e, p in enumerate(eligible)}
            for e in sorted(
                room, key=lambda e: (-min(room[e], least), self.prices[a:b, eligible[e]].sum(), e)
            ):
                gpus = np.zeros_like(left)
                gpus[a:b] = min(room[e], int(left[a:b].min()))
                self._take(c, e, gpus)
                left = left - gpus
        for e, p in enumerate(eligible):
            gpus = np.minimum(left, np.maximum(self.free[:, p], 0))
            self._take(c, e, gpus)
            left = left - gpus

    def _displace(self, claims: Sequence[int]) -> None:
        """What is still lacking takes the place of what is worth less, cheapest first."""
        for c in claims:
            left = self._left(c)
            own = self.wanted[c].value + self.wanted[c].penalty
            holders = {
                (self._rank(d), d, e, p)
                for e, p in enumerate(self._eligible(c))
                for d in (self._holders(p, left > 0) if left.any() else ())
                if d != c and self.wanted[d].value + self.wanted[d].penalty < own
            }
            for _, d, e, p in sorted(holders, reverse=True):
                if not left.any():
                    break
                gpus = np.minimum(self._touch(d)[:, self._eligible(d).index(p)], left)
                if gpus.any():
                    self._give(d, p, gpus)
                    self._take(c, e, gpus)
                    left = left - gpus

    def _fill_others(self, changed: Sequence[int]) -> None:
        """Whoever is short where nodes have become free takes them, dearest first."""
        grown = self.free > self.free_before
        if not grown.any():
            return
        count = np.zeros((len(grown) + 1, grown.shape[1]), dtype=np.int64)
        np.cumsum(grown, axis=0, out=count[1:])
        near = count[self.short[:, 2]] > count[self.short[:, 1]]
        others = set(self.own) - self.gone - set(changed)
        for c in np.unique(self.short[near.any(axis=1), 0]).tolist():
            if near[self.short[:, 0] == c][:, self._eligible(c)].any():
                others.add(c)
        others -= self.gone | set(changed)
        for c in sorted(others, key=self._rank):
            if self._left(c).any():
                self._fill(c)

    def _short(self, c: int, x: Counts) -> Counts:
        """Runs in which a claim is short: outbid where no pool's price is below its worth."""
        lacking = np.maximum(self.asked[c] - x.sum(axis=1), 0)
        outbid = self.prices[:, self._eligible(c)].min(axis=1) >= -self._rank(c)[0]
        both = np.stack([np.where(outbid, 0, lacking), np.where(outbid, lacking, 0)], axis=1)
        return _runs_of(c, [0, 1], both)[:, [0, 2, 3, 4, 1]]

    def _moves(self, c: int, x: Counts) -> list[Move]:
        """What changes pool, instant by instant."""
        change = np.diff(x, axis=0)
        both = np.flatnonzero((change > 0).any(axis=1) & (change < 0).any(axis=1))
        pools = self.wanted[c].claim.pools
        found: list[Move] = []
        for k in both.tolist():
            found += paired(
                int(self.times[k + 1]),
                self.wanted[c].claim.id,
                dict(zip(pools, change[k].tolist(), strict=True)),
                None,
            )
        return found


def _runs_of(c: int, eligible: Sequence[int], x: Counts) -> Counts:
    """Runs of equal holdings of one claim."""
    parts = []
    for e, p in enumerate(eligible):
        borders = np.flatnonzero(np.diff(x[:, e], prepend=-1, append=-1))
        first, last = borders[:-1], borders[1:]
        level = x[first, e]
        kept = level > 0
        rows = np.zeros((int(kept.sum()), 5), dtype=np.int64)
        rows[:, 0], rows[:, 1] = c, p
        rows[:, 2], rows[:, 3], rows[:, 4] = first[kept], last[kept], level[kept]
        parts.append(rows)
    return np.concatenate(parts)


def _check(
    plan: Horizon, wanted: Sequence[Wanted], withdrawn: Collection[str], resized: Sequence[Supply]
) -> None:
    known = {one.claim.id for one in plan.wanted}
    for id_ in withdrawn:
        if id_ not in known:
            raise ValueError(f"the plan has no claim {id_!r}")
    sizes = {pool.id: pool.gpus_per_node for pool in plan.pools}
    units = dict(zip(sizes, plan.unit.tolist(), strict=True))
    for pool in resized:
        if sizes.get(pool.id) != pool.gpus_per_node:
            raise ValueError(f"the plan has no pool {pool.id!r} with nodes of {pool.gpus_per_node} GPUs")
    for one in wanted:
        check_pools(one.claim, sizes)
        if len({units[pool] for pool in one.claim.pools}) > 1:
            raise ValueError(f"claim {one.claim.id} joins pools with nodes of different sizes: plan anew")
        if one.claim.id in withdrawn:
            raise ValueError(f"claim {one.claim.id} can't be withdrawn and wanted at once")
