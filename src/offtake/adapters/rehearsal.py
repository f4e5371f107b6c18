"""A scheduler that does every step at once and runs nothing: what the real ones are held against.

With it `offtake live` can be rehearsed where there is no cluster: what would be set, when, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from offtake.enforcement.model import Actual, Finding, Kind, Step


@cache
def _adapter() -> TypeAdapter[Actual]:
    return TypeAdapter(Actual)


NOTHING = Actual(limits={}, users={}, holds={}, foreign={}, jobs=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """What became of a step: it was done."""

    argv: tuple[str, ...]
    outcome: str = "done"
    why: str = ""


@dataclass(slots=True)
class SimulatedScheduler:
    """Accounts, holds and jobs in memory, and in a file where there is one.

    Attributes:
        actual: what is so now.
        path: of the file that keeps it from one process to the next.
    """

    actual: Actual = field(default=NOTHING)
    path: Path | None = None

    def __post_init__(self) -> None:
        """Go on where the last process stopped."""
        if self.path is not None and self.path.exists():
            self.actual = _adapter().validate_json(self.path.read_bytes())

    def read(self) -> Actual:
        """What is so now."""
        return self.actual

    def settings(self) -> tuple[Finding, ...]:
        """Nothing stands in the way."""
        return ()

    def command(self, step: Step) -> tuple[str, ...]:
        """What a step is."""
        return (str(step.kind), step.target)

    def apply(self, wanted: Sequence[Step]) -> Iterator[Sequence[tuple[Step, Obeyed]]]:
        """Do steps in order, each as a batch of its own."""
        for step in wanted:
            self.actual = after(self.actual, step)
            if self.path is not None:
                unfinished = self.path.with_suffix(".new")
                unfinished.write_bytes(_adapter().dump_json(self.actual, indent=1))
                unfinished.replace(self.path)
            yield ((step, Obeyed(argv=self.command(step))),)


def after(actual: Actual, step: Step) -> Actual:
    """What is so after a step."""
    if step.account is not None:
        return _after_account(actual, step)
    if step.qos is not None:
        return replace(actual, qos={**actual.qos, step.target: step.qos})
    if step.hold is not None:
        holds = {name: hold for name, hold in actual.holds.items() if name != step.target}
        kept = {} if step.kind is Kind.DROP_HOLD else {step.target: step.hold}
        return replace(actual, holds=holds | kept)
    if step.kind is Kind.STOP:
        return replace(actual, jobs=tuple(job for job in actual.jobs if job.id != step.target))
    return _after_sweep(actual, step)


def _after_sweep(actual: Actual, step: Step) -> Actual:
    """A sweeper waits while its hold hasn't begun; then it empties its node at once."""
    sweep = step.sweep
    assert sweep is not None
    left = tuple(one for one in actual.sweeps if (one.hold, one.node) != (sweep.hold, sweep.node))
    if step.kind is Kind.UNSWEEP:
        return replace(actual, sweeps=left)
    if actual.holds[sweep.hold].start is not None:
        return replace(actual, sweeps=(*left, sweep))
    return replace(actual, jobs=tuple(job for job in actual.jobs if sweep.node not in job.nodes))


def _after_account(actual: Actual, step: Step) -> Actual:
    name, account = step.target, step.account
    assert account is not None
    if step.kind is Kind.ADD_USER:
        users = actual.users.get(name, frozenset()) | {step.user}
        return replace(actual, users={**actual.users, name: users})
    if step.kind in (Kind.LIMIT, Kind.MAKE_ACCOUNT):
        types = {**actual.types.get(name, {}), **dict(account.types)}
        left = {kind: gpus for kind, gpus in types.items() if gpus >= 0}
        actual = replace(
            actual,
            limits={**actual.limits, name: account.gpus},
            types={**actual.types, name: left},
        )
    if step.kind in (Kind.SET_ACCOUNT, Kind.MAKE_ACCOUNT):
        qos = (account.qos,) if account.qos else ()
        actual = replace(
            actual,
            parents={**actual.parents, name: account.parent},
            qos_of={**actual.qos_of, name: qos},
        )
    return actual
