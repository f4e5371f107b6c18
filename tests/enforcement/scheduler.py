"""A scheduler in memory that does every step at once: what the real ones are held against."""

from __future__ import annotations

from dataclasses import replace

from offtake.enforcement.model import Actual, Kind, Step


class SimulatedScheduler:
    """Accounts, holds and jobs in memory."""

    def __init__(self, actual: Actual) -> None:
        self.actual = actual

    def read(self) -> Actual:
        """What is so now."""
        return self.actual

    def apply(self, step: Step) -> None:
        """Do one step."""
        now = self.actual
        limits, users, holds = dict(now.limits), dict(now.users), dict(now.holds)
        jobs = now.jobs
        if step.kind in (Kind.LIMIT, Kind.MAKE_ACCOUNT) and step.account is not None:
            limits[step.target] = step.account.gpus
        elif step.kind is Kind.ADD_USER:
            users[step.target] = users.get(step.target, frozenset()) | {step.user}
        elif step.kind in (Kind.MAKE_HOLD, Kind.CHANGE_HOLD) and step.hold is not None:
            holds[step.target] = step.hold
        elif step.kind is Kind.DROP_HOLD:
            holds.pop(step.target, None)
        elif step.kind is Kind.STOP:
            jobs = tuple(job for job in jobs if job.id != step.target)
        self.actual = replace(now, limits=limits, users=users, holds=holds, jobs=jobs)
