"""What is outside the book in a simulation: work that wants to run, parties that act and pay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from offtake.adapters.simulated import running_readings
from offtake.agreements.derive import entitlement
from offtake.agreements.events import Election, Notice, RecallNotice
from offtake.base.curve import Curve
from offtake.base.months import local_midnight
from offtake.base.time import Interval, format_instant, parse_instant
from offtake.claims.demand import share_demand
from offtake.fleet.model import Delivery, Outage
from offtake.formats.folder import Folder, ScenarioDelivery
from offtake.metering.readings import Readings
from offtake.workflows.allocate import Rows, held_rows
from offtake.workflows.book import Book
from offtake.workflows.record import (
    Outcome,
    record_delivery,
    record_election,
    record_notice,
    record_outage,
    record_recall,
)


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
                entitled if share is None else share_demand(share, entitled, window, np.random.default_rng(share.seed))
            )
    return CurveWorkload(wanted)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a simulation meets: when the book learns it, and how it is recorded."""

    at: int
    what: str
    record: Callable[[Book, int], Outcome]


def happenings(folder: Folder) -> tuple[Happening, ...]:
    """A folder's scenario in order of time."""
    return tuple(sorted(_all_happenings(folder), key=lambda happening: happening.at))


def _all_happenings(folder: Folder) -> Iterable[Happening]:
    scenario, made_up = folder.scenario, folder.scenario.hypothetical
    for outage in scenario.outage:
        start, end = parse_instant(outage.start), parse_instant(outage.end)
        for at, known_end in ((start, None), (end, end)):
            fact = Outage(
                id=outage.id, pool=outage.pool, start=start, end=known_end, gpus=outage.gpus, hypothetical=made_up
            )
            yield Happening(
                at,
                f"outage {outage.id} " + ("begins" if known_end is None else "ends"),
                lambda book, now, fact=fact: record_outage(book, fact, now),
            )
    for delivery in scenario.delivery:
        yield _delivery(folder, delivery)
    for notice in scenario.notice:
        given = Notice(
            id=notice.id, agreement=notice.agreement, by=notice.by, given=notice.given, hypothetical=made_up
        )
        yield Happening(
            folder.agreements[notice.agreement].midnight(notice.given),
            f"notice {notice.id}",
            lambda book, now, given=given: record_notice(book, given, now),
        )
    for election in scenario.election:
        chosen = Election(
            id=election.id,
            agreement=election.agreement,
            choice=election.choice,
            made=election.made,
            gpus=election.gpus,
            hypothetical=made_up,
        )
        yield Happening(
            folder.agreements[election.agreement].midnight(election.made),
            f"election {election.id}",
            lambda book, now, chosen=chosen: record_election(book, chosen, now),
        )
    for recall in scenario.recall:
        noticed = RecallNotice(
            id=recall.id,
            agreement=recall.agreement,
            tranche=recall.tranche,
            gpus=recall.gpus,
            given=recall.given,
            hypothetical=made_up,
        )
        yield Happening(
            folder.agreements[recall.agreement].midnight(recall.given),
            f"recall {recall.id}",
            lambda book, now, noticed=noticed: record_recall(book, noticed, now),
        )


def _delivery(folder: Folder, delivery: ScenarioDelivery) -> Happening:
    zone = folder.fleet.site_of(folder.fleet.pool_of(delivery.pool)).time_zone
    fact = Delivery(
        pool=delivery.pool,
        build_out=delivery.build_out,
        steps=tuple((local_midnight(step.on, zone), step.nodes) for step in delivery.step),
        hypothetical=folder.scenario.hypothetical,
    )
    return Happening(
        local_midnight(delivery.known_on, zone),
        f"delivery {delivery.id}",
        lambda book, now: record_delivery(book, delivery.id, fact, now),
    )


def read_meters(book: Book, workload: Workload, window: Interval) -> Readings:
    """What the simulated cluster ran in a window, under the plan in force."""
    held = held_rows(book.state, book.lake, window)
    return workload.readings(held, window, f"sim-{format_instant(window.start)}")

