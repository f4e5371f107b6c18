"""What is outside the book in a simulation: work that wants to run, parties that act and pay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any, Protocol

import numpy as np

from offtake.adapters.simulated import running_readings
from offtake.agreements.derive import entitlement
from offtake.agreements.events import Election, Notice, RecallNotice
from offtake.base.curve import Curve
from offtake.base.months import local_midnight
from offtake.base.time import Interval, format_instant, parse_instant
from offtake.claims.demand import share_demand
from offtake.fleet.model import Delivery, Outage
from offtake.formats.folder import Folder
from offtake.metering.readings import Readings
from offtake.workflows.allocate import Rows, held_rows
from offtake.workflows.book import Book
from offtake.workflows.record import Event


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


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a simulation meets: when the book learns it, and what it learns."""

    at: int
    what: str
    event: Event


def happenings(folder: Folder) -> tuple[Happening, ...]:
    """A folder's scenario in order of time."""
    found = [*_outages(folder), *_deliveries(folder), *_agreement_events(folder)]
    return tuple(sorted(found, key=lambda happening: happening.at))


def _outages(folder: Folder) -> Iterable[Happening]:
    """An outage is learnt twice: when it begins, and when it ends."""
    for outage in folder.scenario.outage:
        start, end = parse_instant(outage.start), parse_instant(outage.end)
        begun = Outage(
            id=outage.id,
            pool=outage.pool,
            start=start,
            end=None,
            gpus=outage.gpus,
            hypothetical=folder.scenario.hypothetical,
        )
        if end > folder.settings.window.start:
            yield Happening(start, f"outage {outage.id} begins", begun)
        yield Happening(end, f"outage {outage.id} ends", replace(begun, end=end))


def _deliveries(folder: Folder) -> Iterable[Happening]:
    for delivery in folder.scenario.delivery:
        zone = folder.fleet.site_of(folder.fleet.pool_of(delivery.pool)).time_zone
        event = Delivery(
            id=delivery.id,
            pool=delivery.pool,
            build_out=delivery.build_out,
            steps=tuple((local_midnight(step.on, zone), step.nodes) for step in delivery.step),
            hypothetical=folder.scenario.hypothetical,
        )
        yield Happening(local_midnight(delivery.known_on, zone), f"delivery {delivery.id}", event)


def _agreement_events(folder: Folder) -> Iterable[Happening]:
    """Notices, elections and recalls are learnt at midnight of their day."""
    scenario = folder.scenario
    events: list[tuple[date, Notice | Election | RecallNotice]] = [
        *((n.given, Notice(**_fields(n), hypothetical=scenario.hypothetical)) for n in scenario.notice),
        *((e.made, Election(**_fields(e), hypothetical=scenario.hypothetical)) for e in scenario.election),
        *((r.given, RecallNotice(**_fields(r), hypothetical=scenario.hypothetical)) for r in scenario.recall),
    ]
    for day, event in events:
        what = type(event).__name__.lower()
        yield Happening(folder.agreements[event.agreement].midnight(day), f"{what} {event.id}", event)


def _fields(declared: Any) -> dict[str, Any]:
    return {field.name: getattr(declared, field.name) for field in fields(declared)}


def read_meters(book: Book, workload: Workload, window: Interval) -> Readings:
    """What the simulated cluster ran in a window, under the plan in force."""
    held = held_rows(book.state, book.lake, window)
    return workload.readings(held, window, f"sim-{format_instant(window.start)}")
