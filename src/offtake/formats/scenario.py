"""Dated outside facts in TOML: what a simulation meets, or what a live book is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from annotated_types import Gt, MinLen

from offtake.agreements.catalogue import EVENTS
from offtake.agreements.clauses.monthly_fee import check_amount
from offtake.agreements.model import Agreement, Event
from offtake.agreements.series import Published
from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.time import parse_instant
from offtake.fleet.capacity import unknown_pool
from offtake.fleet.model import Fleet
from offtake.formats.toml import known_keys, parse_toml, read, unknown_key, unwrap


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioOutage(Declared):
    """An outage; without an end it lasts."""

    id: str
    pool: str
    start: str
    end: str | None = None
    gpus: Annotated[int, Gt(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStep(Declared):
    """Nodes of a block that arrive on a day."""

    on: date
    nodes: Annotated[int, Gt(0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioDelivery(Declared):
    """A build-out block that arrives otherwise than planned; known on `known_on`."""

    id: str
    pool: str
    build_out: str
    known_on: date
    step: Annotated[tuple[DeliveryStep, ...], MinLen(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioPayment(Declared):
    """Money that came in on a day.

    Units: `amount` in major units of the agreement's currency.
    """

    id: str
    agreement: str
    amount: Annotated[Decimal, Gt(0)]
    received: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario(Declared):
    """Dated outside facts.

    Attributes:
        hypothetical: they were made up; true in a simulation unless it says otherwise, never in a live book.
        payment: money that came in.
        published: values of indices, tariffs and price histories that agreements refer to.
        outage: GPUs that stop working for a while.
        delivery: build-out blocks that arrive otherwise than planned.
        events: what parties do under their agreements, each in a section of its own, such as `[[notice]]`.
    """

    hypothetical: bool | None = None
    payment: tuple[ScenarioPayment, ...] = ()
    published: tuple[Published, ...] = ()
    outage: tuple[ScenarioOutage, ...] = ()
    delivery: tuple[ScenarioDelivery, ...] = ()
    events: tuple[Event, ...] = ()


def parse_scenario(
    text: str, where: str, fleet: Fleet | None, agreements: Mapping[str, Agreement]
) -> Scenario:
    """Read dated outside facts, and check that what they name exists.

    Raises:
        BadInput: with every problem.
    """
    problems: list[Problem] = []
    node = unwrap(parse_toml(text, where), "", {}, problems)
    events = read_events(node, problems)
    scenario = read(Scenario, node, "", problems)
    if scenario is not None:
        scenario = replace(scenario, events=tuple(event for _, event in events))
        problems += [
            unknown_agreement(f"{where}.agreement", event.agreement, list(agreements))
            for where, event in events
            if event.agreement not in agreements
        ]
    if scenario is not None and fleet is not None:
        problems += _check_scenario(scenario, fleet, agreements)
    if scenario is None or problems:
        raise BadInput([problem.within(where) for problem in problems])
    return scenario


def read_events(node: dict[str, Any], problems: list[Problem]) -> list[tuple[str, Event]]:
    """Take the sections of events out of a parsed file: each event with its place, in the file's order."""
    found = []
    for section in [name for name in node if name in EVENTS]:
        items = node.pop(section)
        for i, item in enumerate(items if isinstance(items, list) else [items]):
            path = f"{section}[{i}]"
            if isinstance(item, dict) and "hypothetical" in item:
                problems.append(
                    unknown_key(f"{path}.hypothetical", "hypothetical", known_keys(EVENTS[section], []))
                )
                continue
            event = read(EVENTS[section], item, path, problems)
            if event is not None:
                found.append((path, event))
    return found


def _check_scenario(scenario: Scenario, fleet: Fleet, agreements: Mapping[str, Agreement]) -> list[Problem]:
    problems: list[Problem] = []
    pools = {pool.id: pool for pool in fleet.pool}
    for i, outage in enumerate(scenario.outage):
        if outage.pool not in pools:
            problems.append(unknown_pool(f"outage[{i}].pool", outage.pool, list(pools)))
        try:
            start = parse_instant(outage.start)
            if outage.end is not None and parse_instant(outage.end) <= start:
                problems.append(
                    Problem(
                        where=f"outage[{i}].end",
                        code="end_before_start",
                        message=f"{outage.end} isn't after {outage.start}",
                    )
                )
        except ValueError as error:
            problems.append(Problem(where=f"outage[{i}]", code="bad_instant", message=str(error)))
    for i, delivery in enumerate(scenario.delivery):
        if delivery.pool not in pools:
            problems.append(unknown_pool(f"delivery[{i}].pool", delivery.pool, list(pools)))
        elif delivery.build_out not in [block.id for block in pools[delivery.pool].build_out]:
            problems.append(
                Problem(
                    where=f"delivery[{i}].build_out",
                    code="unknown_build_out",
                    message=f"pool {delivery.pool!r} has no build-out {delivery.build_out!r}",
                    remedy="build-outs are " + ", ".join(b.id for b in pools[delivery.pool].build_out),
                )
            )
    for i, payment in enumerate(scenario.payment):
        if payment.agreement in agreements:
            agreement = agreements[payment.agreement]
            problems += check_amount(agreement, f"payment[{i}].amount", payment.amount)
    return problems + [
        unknown_agreement(f"payment[{i}].agreement", payment.agreement, list(agreements))
        for i, payment in enumerate(scenario.payment)
        if payment.agreement not in agreements
    ]


def unknown_agreement(where: str, agreement: str, known: list[str]) -> Problem:
    """The problem of an agreement that the folder doesn't have."""
    return Problem(
        where=where,
        code="unknown_agreement",
        message=f"there is no agreement {agreement!r}",
        remedy=f"agreements are {', '.join(known)}",
    )
