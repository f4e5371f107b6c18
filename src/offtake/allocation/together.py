"""Which of some deals can be honoured together, and which of them are worth most.

Deals and the firm claims that are there may each sit on any of their pools and move when they must. They fit
exactly if at no instant the claims that are confined to a set of pools ask for more than that set has (Hall's
condition, for every set of pools: a cut). So accepting is a choice of whole deals under one row for each cut
and segment that could be exceeded; HiGHS makes it, and the answer is checked row by row in whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import highspy
import numpy as np
from numpy.typing import NDArray

from offtake.allocation.model import Supply
from offtake.allocation.room import CUTS, CutTask, cut_task, joined
from offtake.base.errors import ensure
from offtake.base.time import Interval
from offtake.claims.model import Claim

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """A deal that is accepted wholly or not at all.

    Attributes:
        id: its name.
        claims: what it would claim.
        worth: what it brings, in minor units.
    """

    id: str
    claims: tuple[Claim, ...]
    worth: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """Where a deal that is turned down wouldn't fit beside those that are accepted.

    Attributes:
        interval: the segment in which most is lacking.
        pools: the set of pools.
        gpus: how many.
    """

    interval: Interval
    pools: tuple[str, ...]
    gpus: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which deals to accept.

    Attributes:
        accepted: ids, in the order given.
        rejected: by id, where it wouldn't fit; None for a deal that is worth nothing.
        worth: of the accepted, in minor units.
        bound: no choice is worth more.
    """

    accepted: tuple[str, ...]
    rejected: Mapping[str, Lacking | None]
    worth: int
    bound: int

    @property
    def gap(self) -> Fraction:
        """How far the choice may be from the best, as a part of the bound."""
        return Fraction(self.bound - self.worth, self.bound) if self.bound else Fraction(0)


class Oversold(Exception):
    """The claims that are there don't fit by themselves."""

    def __init__(self, lacking: Lacking) -> None:
        super().__init__(f"{lacking.gpus:,} GPUs are lacking on {', '.join(lacking.pools)}")
        self.lacking = lacking


def choose_deals(
    there: Sequence[Claim],
    pools: Sequence[Supply],
    window: Interval,
    deals: Sequence[Deal],
    *,
    seconds: float = 60.0,
) -> Decision:
    """The deals that are worth most of those that can be served in full together, beside what is there.

    Args:
        there: claims that must be served in full, such as firm ones.
        pools: every pool that a claim names.
        window: half-open; deals count within it.
        deals: each is accepted wholly or not at all.
        seconds: after so long the best choice found is taken, with its bound.

    Raises:
        Oversold: where what is there doesn't fit by itself.
        ValueError: for an unknown pool, or where more than `CUTS` pools are joined by claims.
    """
    rows = [row for task in _tasks(there, pools, window, deals) for row in _rows(task)]
    for row in rows:
        if row.left < 0:
            raise Oversold(_lacking(row, -row.left))
    picked, bound = _solved(rows, deals, seconds)
    accepted = [i for i, deal in enumerate(deals) if picked[i] and deal.worth > 0]
    used = [sum(row.asked.get(i, 0) for i in accepted) for row in rows]
    ensure(all(row.left >= sum_ for row, sum_ in zip(rows, used, strict=True)), "accepted deals don't fit")
    rejected: dict[str, Lacking | None] = {}
    for i, deal in enumerate(deals):
        if i in accepted:
            continue
        worst = max(
            zip(rows, used, strict=True),
            key=lambda pair: pair[0].asked.get(i, 0) + pair[1] - pair[0].left if i in pair[0].asked else -1,
            default=None,
        )
        over = 0 if worst is None else worst[0].asked.get(i, 0) + worst[1] - worst[0].left
        rejected[deal.id] = _lacking(worst[0], over) if worst is not None and over > 0 else None
    return Decision(
        accepted=tuple(deals[i].id for i in accepted),
        rejected=rejected,
        worth=sum(deals[i].worth for i in accepted),
        bound=bound,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """Claims that share pools; `deal` says of each whose it is, -1 for what is there."""

    pools: tuple[Supply, ...]
    cuts: CutTask
    deal: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A cut in a segment: what is left of it, and what each deal asks of it."""

    pools: tuple[str, ...]
    interval: Interval
    left: int
    asked: Mapping[int, int]


def _tasks(
    there: Sequence[Claim], pools: Sequence[Supply], window: Interval, deals: Sequence[Deal]
) -> Iterator[_Task]:
    claims = [*there, *(claim for deal in deals for claim in deal.claims)]
    owner = [-1] * len(there) + [i for i, deal in enumerate(deals) for _ in deal.claims]
    seen: set[str] = set()
    for claim in claims:
        if claim.pools[0] in seen:
            continue
        near = joined(claims, pools, claim)
        seen |= {pool.id for pool in near}
        if len(near) > CUTS:
            raise ValueError(
                f"{len(near)} pools are joined by claims; choosing looks at sets of at most {CUTS}"
            )
        cuts = cut_task(claims, near, window)
        yield _Task(pools=near, cuts=cuts, deal=tuple(owner[c] for c in cuts.claims))


def _rows(task: _Task) -> Iterator[_Row]:
    """Every cut and segment that could be exceeded, once for what it asks."""
    cuts, owner = task.cuts, np.array(task.deal)
    inside = np.array(cuts.inside)
    for mask in range(1, 1 << len(task.pools)):
        own = np.flatnonzero((inside | mask) == mask)
        if not len(own):
            continue
        members = [p for p in range(len(task.pools)) if mask >> p & 1]
        left = cuts.room[members].sum(axis=0) - cuts.asked[own[owner[own] < 0]].sum(axis=0)
        new = own[owner[own] >= 0]
        deals = sorted(set(owner[new].tolist()))
        wanted = np.stack([cuts.asked[new[owner[new] == d]].sum(axis=0) for d in deals]) if deals else None
        total = 0 if wanted is None else wanted.sum(axis=0)
        tight = np.flatnonzero(left < total) if wanted is not None else np.flatnonzero(left < 0)
        found: dict[tuple[int, ...], tuple[int, int]] = {}
        for k in tight.tolist():
            asked = tuple(wanted[:, k].tolist()) if wanted is not None else ()
            if asked not in found or int(left[k]) < found[asked][0]:
                found[asked] = int(left[k]), k
        for asked, (room, k) in found.items():
            yield _Row(
                pools=tuple(task.pools[p].id for p in members),
                interval=Interval(int(cuts.times[k]), int(cuts.times[k + 1])),
                left=room,
                asked={d: gpus for d, gpus in zip(deals, asked, strict=True) if gpus},
            )


def _lacking(row: _Row, gpus: int) -> Lacking:
    return Lacking(interval=row.interval, pools=row.pools, gpus=gpus)


def _solved(rows: Sequence[_Row], deals: Sequence[Deal], seconds: float) -> tuple[list[bool], int]:
    """The choice, and a bound on what any choice is worth."""
    most = max([deal.worth for deal in deals if deal.worth > 0], default=0)
    if not most:
        return [False] * len(deals), 0
    lp = highspy.HighsLp()
    n = len(deals)
    lp.num_col_, lp.num_row_ = n, len(rows)
    lp.col_cost_ = np.array([-max(deal.worth, 0) / most for deal in deals])
    lp.col_lower_, lp.col_upper_ = np.zeros(n), np.array([float(deal.worth > 0) for deal in deals])
    lp.row_lower_ = np.full(len(rows), -np.inf)
    lp.row_upper_ = np.array([float(row.left) for row in rows])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum([len(row.asked) for row in rows])]).astype(np.int32)
    lp.a_matrix_.index_ = np.array([d for row in rows for d in row.asked], dtype=np.int32)
    lp.a_matrix_.value_ = np.array([float(g) for row in rows for g in row.asked.values()])
    lp.integrality_ = [highspy.HighsVarType.kInteger] * n
    highs = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in (
        ("output_flag", False), ("threads", 1), ("random_seed", 0), ("time_limit", seconds),
        ("mip_rel_gap", 0.0), ("mip_abs_gap", 0.0), ("mip_feasibility_tolerance", 1e-9),
    ):  # fmt: skip
        highs.setOptionValue(name, value)
    highs.passModel(lp)
    highs.run()
    status = highs.getModelStatus()
    done = highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit
    ensure(status in done, f"the choice wasn't solved: {status}")
    picked = [value > 0.5 for value in highs.getSolution().col_value]
    worth = sum(deal.worth for deal, taken in zip(deals, picked, strict=True) if taken)
    if status == highspy.HighsModelStatus.kOptimal:
        return picked, worth
    return picked, max(worth, int(-highs.getInfo().mip_dual_bound * most) + 1)
