"""Readings: who held how many GPUs of which pool, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offtake.base.canonical import rows_digest
from offtake.base.curve import Curve
from offtake.base.errors import Problem
from offtake.base.time import Interval

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """A batch of allocation intervals, by column.

    Shapes: `ids`, `claim`, `pool`, `start`, `end`, `gpus` all of length n; `claim` and `pool` index
        `claims` and `pools`.
    Units: instants in seconds UTC, end exclusive; GPUs.
    """

    claims: tuple[str, ...]
    pools: tuple[str, ...]
    ids: tuple[str, ...]
    claim: Ints
    pool: Ints
    start: Ints
    end: Ints
    gpus: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def gpu_seconds(self) -> int:
        """The sum over all rows."""
        return int(((self.end - self.start) * self.gpus).sum())

    def digest(self) -> str:
        """Hash of the canonical rows, independent of any file format."""
        return rows_digest(
            [
                ("claims", list(self.claims)),
                ("pools", list(self.pools)),
                ("id", list(self.ids)),
                ("claim", self.claim),
                ("pool", self.pool),
                ("start", self.start),
                ("end", self.end),
                ("gpus", self.gpus),
            ]
        )

    def take(self, rows: NDArray[np.bool_]) -> Readings:
        """The rows where the mask is true."""
        return Readings(
            claims=self.claims,
            pools=self.pools,
            ids=tuple(np.asarray(self.ids, dtype=object)[rows]),
            claim=self.claim[rows],
            pool=self.pool[rows],
            start=self.start[rows],
            end=self.end[rows],
            gpus=self.gpus[rows],
        )


def check_readings(readings: Readings, window: Interval, where: str) -> list[Problem]:
    """What is wrong with a batch: at most one problem of each kind, naming its first row."""
    first_seen = np.unique(np.asarray(readings.ids), return_index=True)[1]
    repeated = np.ones(len(readings), dtype=bool)
    repeated[first_seen] = False
    checks = (
        ("end_before_start", readings.end <= readings.start, "its end isn't after its start"),
        ("gpus", readings.gpus <= 0, "it is for no GPUs"),
        (
            "outside_window",
            (readings.start < window.start) | (readings.end > window.end),
            f"it is outside {window}",
        ),
        ("duplicate", repeated, "another row of the batch has the same id"),
    )
    problems = []
    for code, bad, message in checks:
        if bad.any():
            row = int(np.argmax(bad))
            problems.append(
                Problem(
                    where=f"{where}: row {row}",
                    code=code,
                    message=f"reading {readings.ids[row]!r}: {message}; {int(bad.sum())} such rows",
                    remedy="correct the rows and send the batch again; nothing of it was recorded",
                )
            )
    return problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Settled take of one claim over a period.

    Units: GPU-seconds; GPUs over time.
    """

    claim: str
    gpu_seconds: int
    rows: int
    curve: Curve


def settle_take(batches: Sequence[Readings], period: Interval) -> dict[str, Take]:
    """Take by claim within a period: rows are clipped to it and summed exactly.

    The same id in two batches counts once, the earliest batch's row.
    """
    parts: dict[str, list[tuple[Ints, Ints, Ints]]] = {}
    seen: set[str] = set()
    for received in batches:
        batch = _unseen(received, seen) if len(batches) > 1 else received
        start, end = np.maximum(batch.start, period.start), np.minimum(batch.end, period.end)
        inside = end > start
        kept = np.flatnonzero(inside)
        kept = kept[np.argsort(batch.claim[kept], kind="stable")]
        codes, first = np.unique(batch.claim[kept], return_index=True)
        for code, rows in zip(codes, np.split(kept, first[1:]), strict=False):
            parts.setdefault(batch.claims[code], []).append((start[rows], end[rows], batch.gpus[rows]))
    return {claim: _take(claim, pieces) for claim, pieces in sorted(parts.items())}


def _unseen(batch: Readings, seen: set[str]) -> Readings:
    fresh = np.fromiter((reading not in seen for reading in batch.ids), dtype=bool, count=len(batch))
    seen.update(batch.ids)
    return batch if fresh.all() else batch.take(fresh)


def _take(claim: str, pieces: list[tuple[Ints, Ints, Ints]]) -> Take:
    start, end, gpus = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return Take(
        claim=claim,
        gpu_seconds=int(((end - start) * gpus).sum()),
        rows=len(start),
        curve=Curve.from_records(start, end, gpus),
    )
