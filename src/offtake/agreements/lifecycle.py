"""Where an agreement stands on a day: a state machine that its events drive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from offtake.agreements.events.assignment import AssignmentNotice, StepIn
from offtake.agreements.events.suspension import SuspensionNotice
from offtake.agreements.model import Agreement


class Stage(StrEnum):
    """Where an agreement stands.

    `SIGNED`: nothing has begun. `IN_FORCE`: its first tranche has. `SUSPENDED`: delivery has stopped for a
    while. `ENDING`: a notice counts, its end is known and not reached. `TERMINATED`: it ended early.
    `EXPIRED`: it has run its term.
    """

    SIGNED = "signed"
    IN_FORCE = "in_force"
    SUSPENDED = "suspended"
    ENDING = "ending"
    TERMINATED = "terminated"
    EXPIRED = "expired"


class Step(StrEnum):
    """What moves an agreement on."""

    BEGINS = "begins"
    AMENDED = "amended"
    ASSIGNED = "assigned"
    SUSPENDED = "suspended"
    LIFTED = "lifted"
    NOTICE = "notice"
    ENDS = "ends"


TRANSITIONS: Mapping[tuple[Stage, Step], Stage] = {
    (Stage.SIGNED, Step.AMENDED): Stage.SIGNED,
    (Stage.SIGNED, Step.ASSIGNED): Stage.SIGNED,
    (Stage.SIGNED, Step.BEGINS): Stage.IN_FORCE,
    (Stage.SIGNED, Step.NOTICE): Stage.ENDING,
    (Stage.IN_FORCE, Step.AMENDED): Stage.IN_FORCE,
    (Stage.IN_FORCE, Step.ASSIGNED): Stage.IN_FORCE,
    (Stage.IN_FORCE, Step.SUSPENDED): Stage.SUSPENDED,
    (Stage.IN_FORCE, Step.NOTICE): Stage.ENDING,
    (Stage.IN_FORCE, Step.ENDS): Stage.EXPIRED,
    (Stage.SUSPENDED, Step.AMENDED): Stage.SUSPENDED,
    (Stage.SUSPENDED, Step.ASSIGNED): Stage.SUSPENDED,
    (Stage.SUSPENDED, Step.LIFTED): Stage.IN_FORCE,
    (Stage.SUSPENDED, Step.NOTICE): Stage.ENDING,
    (Stage.SUSPENDED, Step.ENDS): Stage.EXPIRED,
    (Stage.ENDING, Step.AMENDED): Stage.ENDING,
    (Stage.ENDING, Step.ASSIGNED): Stage.ENDING,
    (Stage.ENDING, Step.BEGINS): Stage.ENDING,
    (Stage.ENDING, Step.SUSPENDED): Stage.ENDING,
    (Stage.ENDING, Step.LIFTED): Stage.ENDING,
    (Stage.ENDING, Step.ENDS): Stage.TERMINATED,
}
"""Stage and what happens → the stage after it; what isn't listed can't happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Something that moved an agreement on, or will.

    Attributes:
        on: the day.
        step: what it is.
        stage: where the agreement stands from that day on.
    """

    on: date
    step: Step
    stage: Stage


def history(agreement: Agreement) -> tuple[Turn, ...]:
    """Everything that moves an agreement, in order of days, from its signature to its end.

    What can't happen in the stage reached (a suspension after the end) is passed over.
    """
    stage = Stage.SIGNED
    turns = []
    for on, _, step in sorted(_steps(agreement), key=lambda item: item[:2]):
        following = TRANSITIONS.get((stage, step))
        if following is not None:
            stage = following
            turns.append(Turn(on=on, step=step, stage=stage))
    return tuple(turns)


def _steps(agreement: Agreement) -> list[tuple[date, int, Step]]:
    """What happens on which day; of one day, in the order of `Step`."""
    rank = {step: i for i, step in enumerate(Step)}
    found: list[tuple[date, Step]] = [(agreement.starts, Step.BEGINS), (agreement.ends, Step.ENDS)]
    found += [(day, Step.AMENDED) for day, _ in agreement.earlier]
    for event, effective in agreement.happened:
        if isinstance(event, AssignmentNotice | StepIn):
            found.append((effective, Step.ASSIGNED))
        elif isinstance(event, SuspensionNotice):
            found.append((effective, Step.SUSPENDED))
            if event.lifted is not None:
                found.append((event.lifted, Step.LIFTED))
    ending = ending_day(agreement)
    if ending is not None:
        found.append((ending, Step.NOTICE))
    return [(day, rank[step], step) for day, step in found]


def ending_day(agreement: Agreement) -> date | None:
    """The day on which the event that ends the agreement early counted, or None."""
    if agreement.ends_on is None or agreement.ends_on >= agreement.term_end:
        return None
    days = [event.day for event, effective in agreement.happened if effective == agreement.ends_on]
    made = [event.day for event, effective in agreement.happened if effective < agreement.ends_on]
    return min(days) if days else max(made, default=agreement.ends_on)


def stage_on(agreement: Agreement, day: date) -> Stage:
    """Where an agreement stands at the end of a day."""
    return next((turn.stage for turn in reversed(history(agreement)) if turn.on <= day), Stage.SIGNED)
