"""Dated outside facts as people write them (a scenario, or a file to record), as events of the book."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from offtake.agreements.model import Agreement
from offtake.base.months import local_midnight
from offtake.base.time import parse_instant
from offtake.billing.document import Received
from offtake.fleet.model import Delivery, Fleet, Outage
from offtake.formats.scenario import Scenario
from offtake.workflows.record import Happened


@dataclass(frozen=True, slots=True)
class Happening:
    """When the book learns something, and what it learns."""

    at: int
    what: str
    event: Happened


def happenings(
    scenario: Scenario, fleet: Fleet, agreements: Mapping[str, Agreement], *, since: int
) -> tuple[Happening, ...]:
    """What a scenario says, in order of time; of an outage that ended by `since` only the end is learnt."""
    found = [
        *_outages(scenario, since),
        *_deliveries(scenario, fleet),
        *_agreement_events(scenario, agreements),
        *(
            Happening(local_midnight(one.published or one.on, "UTC"), f"{one.series} of {one.on}", one)
            for one in scenario.published
        ),
    ]
    return tuple(sorted(found, key=lambda happening: happening.at))


def _outages(scenario: Scenario, since: int) -> Iterable[Happening]:
    """An outage is learnt when it begins, and again when it ends."""
    for outage in scenario.outage:
        start = parse_instant(outage.start)
        begun = Outage(
            id=outage.id,
            pool=outage.pool,
            start=start,
            end=None,
            gpus=outage.gpus,
            hypothetical=_made_up(scenario),
        )
        end = None if outage.end is None else parse_instant(outage.end)
        if end is None or end > since:
            yield Happening(start, f"outage {outage.id} begins", begun)
        if end is not None:
            yield Happening(end, f"outage {outage.id} ends", replace(begun, end=end))


def _deliveries(scenario: Scenario, fleet: Fleet) -> Iterable[Happening]:
    for delivery in scenario.delivery:
        zone = fleet.site_of(fleet.pool_of(delivery.pool)).time_zone
        event = Delivery(
            id=delivery.id,
            pool=delivery.pool,
            build_out=delivery.build_out,
            steps=tuple((local_midnight(step.on, zone), step.nodes) for step in delivery.step),
            hypothetical=_made_up(scenario),
        )
        yield Happening(local_midnight(delivery.known_on, zone), f"delivery {delivery.id}", event)


def _agreement_events(scenario: Scenario, agreements: Mapping[str, Agreement]) -> Iterable[Happening]:
    """Payments and what parties do are learnt at midnight of their day."""
    for payment in scenario.payment:
        agreement = agreements[payment.agreement]
        at = agreement.midnight(payment.received)
        received = Received(
            id=payment.id, agreement=agreement.id, amount=agreement.money(payment.amount), received_at=at
        )
        yield Happening(at, f"payment {payment.id}", received)
    for event in scenario.events:
        at = agreements[event.agreement].midnight(event.day)
        yield Happening(at, f"{event.SECTION} {event.id}", replace(event, hypothetical=_made_up(scenario)))


def _made_up(scenario: Scenario) -> bool:
    return scenario.hypothetical is not False
