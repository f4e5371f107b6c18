"""What is outside the book in a simulation: the work that wants to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from offtake.adapters.simulated import running_readings
from offtake.agreements.derive import entitlement
from offtake.base.curve import Curve
from offtake.base.time import Interval, format_instant
from offtake.claims.demand import share_demand
from offtake.formats.folder import Folder
from offtake.metering.readings import Readings
from offtake.workflows.allocate import Rows, held_rows
from offtake.workflows.book import Book


class Workload(Protocol):
    """Work outside the book: what ran in a window, given what its holders held."""

    def readings(self, held: Rows, window: Interval, prefix: str) -> Readings:
        """Readings that cover a window completely."""
        ...


@dataclass(frozen=True, slots=True)
class CurveWorkload:
    """Each claim wants so many GPUs over time, and runs as many of them as it holds."""

    wanted: Mapping[str, Curve]

    def readings(self, held: Rows, window: Interval, prefix: str) -> Readings:
        """One reading for each run of an unchanged number of GPUs."""
        pairs = sorted(set(zip(held.claim.tolist(), held.other.tolist(), strict=True)))
        curves = {}
        for claim, pool in pairs:
            rows = (held.claim == claim) & (held.other == pool)
            curves[claim, pool] = Curve.from_records(held.start[rows], held.end[rows], held.gpus[rows])
        return running_readings(curves, self.wanted, window, prefix)


def curve_workload(folder: Folder) -> CurveWorkload:
    """Internal demand, and what offtakers want of their entitlement (all of it where nothing is said)."""
    window = folder.settings.window
    wanted = {demand.declaration.id: demand.curve for demand in folder.demands}
    shares = {take.claim: take.share for take in folder.takes}
    for agreement in folder.agreements.values():
        for tranche in agreement.tranches:
            claim = f"{agreement.id}/{tranche.id}"
            entitled = entitlement(agreement, tranche).value
            share = shares.get(claim)
            wanted[claim] = (
                entitled
                if share is None
                else share_demand(share, entitled, window, np.random.default_rng(share.seed))
            )
    return CurveWorkload(wanted)


def read_meters(book: Book, workload: Workload, window: Interval) -> Readings:
    """What the simulated cluster ran in a window, under the plan in force."""
    held = held_rows(book.state.of("plan"), book.lake, window)
    return workload.readings(held, window, f"sim-{format_instant(window.start)}")
