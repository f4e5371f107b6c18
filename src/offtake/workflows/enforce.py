"""One turn of the live loop: decide, place, and bring the scheduler in line; then read what ran.

The same workflows as a simulation, at the real clock. Everything that is done to the cluster follows from
what the book says and what the cluster is found to enforce, so that a turn after a crash goes on where it
stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from offtake.base.outcome import Refused
from offtake.enforcement.converge import excess, steps
from offtake.enforcement.drift import Ours, findings, lowered_by_hand, removed_by_hand, without
from offtake.enforcement.model import Actual, Finding, Kind, Step, Steps
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.desired import Wiring, desired_state
from offtake.workflows.place import place
from offtake.workflows.tick import tick

COMMANDED = "cluster.commanded"
"""A fact: something was done to the cluster, or tried."""

NARROWS = (Kind.LIMIT, Kind.CHANGE_HOLD, Kind.DROP_HOLD, Kind.MAKE_HOLD)
"""Steps that must have been taken before anything is given; a job that must stop holds nobody else up."""


class Answer(Protocol):
    """What became of a command."""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command."""
        ...

    @property
    def outcome(self) -> str:
        """``done``, ``refused`` or ``unreached``."""
        ...

    @property
    def why(self) -> str:
        """What was said when it failed."""
        ...


class Scheduler(Protocol):
    """The seam to a cluster."""

    def read(self) -> Actual | Refused:
        """What is so now."""
        ...

    def settings(self) -> tuple[Finding, ...] | Refused:
        """What of the scheduler's own settings stands in the way."""
        ...

    def command(self, step: Step) -> tuple[str, ...]:
        """What a step is on this scheduler, for people to read."""
        ...

    def apply(self, wanted: Sequence[Step]) -> Iterator[Sequence[tuple[Step, Answer]]]:
        """Do steps in order; each batch as it is done, with what became of each."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A step and what became of it; nothing became of it in a dry run.

    Attributes:
        step: what.
        command: how.
        answer: what became of it.
    """

    step: Step
    command: tuple[str, ...]
    answer: Answer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a turn did.

    Attributes:
        decided: facts that the book's own decisions made.
        done: steps on the cluster.
        findings: what is others' to change.
        stopped: why the turn ended early; None where it didn't.
    """

    decided: int
    done: tuple[Done, ...]
    findings: tuple[Finding, ...] = ()
    stopped: Refused | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a cluster should enforce against what it does.

    Attributes:
        steps: between the two.
        findings: what is others' to change.
        in_the_way: ids of jobs that must stop.
    """

    steps: Steps
    findings: tuple[Finding, ...]
    in_the_way: frozenset[str]


def take_turn(
    book: Book,
    scheduler: Scheduler,
    wiring: Wiring,
    clock: Callable[[], int],
    *,
    since: dict[str, int],
    dry_run: bool = False,
    set_back: bool = False,
) -> Turn:
    """One turn: decide, place, and bring the cluster in line.

    Args:
        book: written to, unless it is a dry run.
        scheduler: the cluster.
        wiring: how things are called there.
        clock: the present instant.
        since: when each job that is in the way was first seen there; this turn's are added, those that are
            gone removed.
        set_back: also what somebody changed by hand.
        dry_run: only say what would be done to the cluster, as nodes were last assigned.
    """
    decided = 0
    if not dry_run:
        now = clock()
        decided = len(tick(book, now))
        placed = place(book, now)
        if isinstance(placed, Refused):
            return Turn(decided=decided, done=(), stopped=placed)
    found = compare(book, scheduler, wiring, clock(), since=since, set_back=set_back)
    if isinstance(found, Refused):
        return Turn(decided=decided, done=(), stopped=found)
    if dry_run:
        done = tuple(
            Done(step=step, command=scheduler.command(step), answer=None) for step in found.steps.all
        )
        return Turn(decided=0, done=done, findings=found.findings)
    for job in [one for one in since if one not in found.in_the_way]:
        del since[job]
    for job in found.in_the_way:
        since.setdefault(job, clock())
    taken = tuple(_taken(book, scheduler, found.steps, clock))
    return Turn(decided=decided, done=taken, findings=(*found.findings, *_held_up(found.steps, taken)))


def compare(
    book: Book,
    scheduler: Scheduler,
    wiring: Wiring,
    now: int,
    *,
    since: Mapping[str, int],
    set_back: bool = False,
) -> Compared | Refused:
    """The steps from what the cluster enforces to what it should, and what is others' to change.

    Refusals: those of `desired_state`, and of a scheduler that can't be reached.
    """
    desired = desired_state(book, wiring, now)
    if isinstance(desired, Refused):
        return desired
    actual = scheduler.read()
    if isinstance(actual, Refused):
        return actual
    ours = set_last(book)
    lowered = {} if set_back else lowered_by_hand(desired, actual, ours)
    removed = {} if set_back else removed_by_hand(desired, actual, ours)
    wanted = without(desired, removed)
    return Compared(
        steps=steps(wanted, actual, since=since, now=now, grace_s=wiring.grace_s, kept=lowered),
        findings=findings(desired, actual, lowered, removed),
        in_the_way=frozenset(job.id for jobs in excess(wanted, actual).values() for job in jobs),
    )


def set_last(book: Book) -> Ours:
    """What offtake itself set last on the cluster."""
    return Ours(
        limits={name: int(item.body["gpus"]) for name, item in book.state.of("limit_set").items()},
        nodes={name: tuple(item.body["nodes"]) for name, item in book.state.of("hold_set").items()},
    )


def _taken(book: Book, scheduler: Scheduler, wanted: Steps, clock: Callable[[], int]) -> Iterator[Done]:
    """Take steps and record them as they are done.

    Nothing is given while something that should have been taken wasn't, and nothing more is tried once the
    scheduler isn't reached.
    """
    for part in (wanted.narrow, wanted.widen):
        failed = False
        for batch in scheduler.apply(part) if part else ():
            _record(book, batch, clock())
            for step, answer in batch:
                failed = failed or (answer.outcome != "done" and step.kind in NARROWS)
                yield Done(step=step, command=scheduler.command(step), answer=answer)
            if any(answer.outcome == "unreached" for _, answer in batch):
                return
        if failed:
            return


def _held_up(wanted: Steps, taken: Iterable[Done]) -> tuple[Finding, ...]:
    """Say so where steps weren't tried."""
    left = len(wanted.all) - len(tuple(taken))
    if not left:
        return ()
    sentence = (
        f"{left} steps wait, because one before them failed: nothing is given before what must be taken"
    )
    return (Finding(code="held_up", sentence=sentence),)


def _record(book: Book, batch: Sequence[tuple[Step, Answer]], now: int) -> None:
    """Every command with what became of it."""
    facts = []
    for i, (step, answer) in enumerate(batch):
        body = {
            "step": str(step.kind), "target": step.target, "why": step.why,
            "words": list(answer.argv), "outcome": str(answer.outcome), "said": answer.why,
            "limit_gpus": _limit_of(step), "nodes": _nodes_of(step),
        }  # fmt: skip
        id_ = f"{book.state.head[0] + 1}/{i}"
        facts.append(Fact(kind=COMMANDED, id=id_, effective_at=now, recorded_at=now, body=body))
    with book.writing():
        book.append(facts)


def _limit_of(step: Step) -> int | None:
    """The limit that a step sets; None for one that sets none."""
    if step.account is None or step.kind not in (Kind.LIMIT, Kind.MAKE_ACCOUNT):
        return None
    return step.account.gpus


def _nodes_of(step: Step) -> list[str] | None:
    """The nodes of a hold after a step on it; None for other steps."""
    if step.hold is None:
        return None
    return [] if step.kind is Kind.DROP_HOLD else list(step.hold.nodes)
