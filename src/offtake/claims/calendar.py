"""What of each pool is committed over time: an index that is kept up to date, not rebuilt.

Each pool has its own breakpoints, sorted, and one row of GPUs for what it has and one for each kind of
commitment. A question is two binary searches and a minimum over a slice; a change shifts an array once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.claims.model import Firmness

_BEGINNING = -(2**62)


class Kind(IntEnum):
    """Commitments that are told apart: leases that stay, leases that can be taken back, own use."""

    FIRM = 1
    REVOCABLE = 2
    OWN = 3


KIND_OF = {
    Firmness.FIRM: Kind.FIRM,
    Firmness.RECALLABLE: Kind.REVOCABLE,
    Firmness.INTERRUPTIBLE: Kind.REVOCABLE,
    Firmness.INTERNAL: Kind.OWN,
    Firmness.ELASTIC: Kind.OWN,
}
"""The kind of a claim, by its firmness."""


@dataclass(slots=True)
class _Pool:
    """Shapes: times int64[n], the first before everything; levels int64[4, n], available and by kind."""

    times: NDArray[np.int64]
    levels: NDArray[np.int64]

    def place(self, instant: int) -> int:
        """The column that begins at an instant; made where there is none."""
        i = int(np.searchsorted(self.times, instant))
        if i == len(self.times) or self.times[i] != instant:
            self.times = np.insert(self.times, i, instant)
            self.levels = np.insert(self.levels, i, self.levels[:, i - 1], axis=1)
        return i


@dataclass(slots=True)
class Calendar:
    """Commitments on pools.

    Attributes:
        commitments: by name, the pool, the kind and the GPUs of each.
    """

    commitments: dict[str, tuple[str, Kind, Curve]] = field(default_factory=dict)
    _pools: dict[str, _Pool] = field(default_factory=dict)

    @classmethod
    def of(cls, available: Mapping[str, Curve]) -> Calendar:
        """A calendar without commitments.

        Args:
            available: GPUs of each pool over time.
        """
        made = cls()
        for pool, curve in available.items():
            times = np.concatenate([[_BEGINNING], curve.times]).astype(np.int64)
            levels = np.zeros((4, len(times)), dtype=np.int64)
            levels[0, 1:] = curve.values
            made._pools[pool] = _Pool(times=times, levels=levels)
        return made

    def add(self, name: str, pool: str, kind: Kind, gpus: Curve) -> None:
        """Commit GPUs of a pool.

        Raises:
            ValueError: for a name that is taken, an unknown pool, or fewer than no GPUs.
        """
        if name in self.commitments:
            raise ValueError(f"{name} is in the calendar already")
        if len(gpus.values) and int(gpus.values.min()) < 0:
            raise ValueError(f"{name}: a commitment can't be for fewer than no GPUs")
        self._shift(pool, kind, gpus, 1)
        self.commitments[name] = pool, kind, gpus

    def remove(self, name: str) -> None:
        """Take a commitment back.

        Raises:
            KeyError: for a name that isn't there.
        """
        pool, kind, gpus = self.commitments.pop(name)
        self._shift(pool, kind, gpus, -1)

    def free(self, pool: str, window: Interval, against: Collection[Kind] = tuple(Kind)) -> int:
        """The least that some kinds of commitment leave of a pool within a window; may be negative.

        Args:
            pool: which.
            window: half-open, not empty.
            against: kinds that count; all when left out.
        """
        found = self._known(pool)
        a = int(np.searchsorted(found.times, window.start, side="right")) - 1
        b = int(np.searchsorted(found.times, window.end, side="left"))
        left = found.levels[0, a:b]
        for kind in against:
            left = left - found.levels[kind, a:b]
        return int(left.min())

    def pools_free(
        self, gpus: int, window: Interval, against: Collection[Kind] = tuple(Kind)
    ) -> tuple[str, ...]:
        """Pools that have so many GPUs free through the whole window."""
        return tuple(pool for pool in self._pools if self.free(pool, window, against) >= gpus)

    def curve(self, pool: str, against: Collection[Kind] = tuple(Kind)) -> Curve:
        """What some kinds of commitment leave of a pool over time."""
        found = self._known(pool)
        left = found.levels[0] - found.levels[list(against)].sum(axis=0)
        return Curve.from_arrays(found.times[1:], left[1:])

    def _known(self, pool: str) -> _Pool:
        if pool not in self._pools:
            raise ValueError(f"the calendar has no pool {pool!r}; it has {', '.join(self._pools) or 'none'}")
        return self._pools[pool]

    def _shift(self, pool: str, kind: Kind, gpus: Curve, sign: int) -> None:
        found = self._known(pool)
        ends = [*gpus.times[1:].tolist(), None][: len(gpus.times)]
        for start, end, value in zip(gpus.times.tolist(), ends, gpus.values.tolist(), strict=True):
            a = found.place(start)
            b = len(found.times) if end is None else found.place(end)
            found.levels[kind, a:b] += sign * value
