"""A service level: what is measured, over which time, what it excuses, and the ladder of credits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.clauses.availability_credit import Band, check_ladder
from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.agreements.periods import Period
from offtake.base.declared import Declared
from offtake.base.errors import Problem


class Measure(StrEnum):
    """What counts as unavailable.

    `CAPACITY`: GPU-seconds that outages took, over GPU-seconds entitled. `ANY`: time in which any GPU of the
    scope was out, over all time. `ALL`: time in which the whole scope was out, over all time.
    """

    CAPACITY = "capacity"
    ANY = "any"
    ALL = "all"


class Edges(StrEnum):
    """Whether availability exactly at a rung's edge earns its credit."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chronic(Declared):
    """Failure that goes on: the offtaker may leave.

    Attributes:
        below: a window counts as failed when availability is below this fraction.
        windows: so many failed windows …
        of: … of so many windows in a row, the last one included.
        notice_days: calendar days from the notice to the end.
    """

    below: Annotated[Decimal, Gt(0), Le(1)]
    windows: Annotated[int, Gt(0), Le(1_200)]
    of: Annotated[int, Gt(0), Le(1_200)]
    notice_days: Annotated[int, Ge(0), Le(36_500)] = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevel(Clause):
    """Credits when availability over a window falls to the rungs of a ladder.

    An agreement may have several, each with its own scope. Maintenance that was announced in time and force
    majeure count as available. The lowest rung reached decides.

    Attributes:
        tranches: ids of the tranches in its scope; all of them when left out.
        pools: pools in its scope; all of them when left out.
        measure: what counts as unavailable: "capacity" (GPU-seconds lost over GPU-seconds entitled), "any"
            (time with any GPU of the scope out), "all" (time with the whole scope out).
        window: over which availability is measured: "month", "quarter", "year", "contract_year" or "term";
            the credit is given in its last month.
        minimum_minutes: an outage shorter than this doesn't count at all; a longer one counts in full.
        edges: whether availability exactly at a rung earns its credit ("inclusive") or not ("exclusive").
        band: rungs of the ladder, from the highest availability down.
        cap: no credit above this fraction of the fee of the scope.
        claim_days: calendar days after a window in which the offtaker must claim; none needed when left out.
        later_months: months after the window in which the credit is given; 0 for the window's own last month.
        chronic: failure that goes on, after which the offtaker may leave.

    Source: ladders, minimum outages (2 and 5 minutes), claim windows (14 and 30 days) and credit timing (60
    days) as AWS, Nebius, FPT and Voltage Park publish them.
    """

    NAME: ClassVar[str] = "service_level"
    tranches: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    measure: Measure = Measure.CAPACITY
    window: Period = Period.MONTH
    minimum_minutes: Annotated[int, Ge(0), Le(44_640)] = 0
    edges: Edges = Edges.EXCLUSIVE
    band: Annotated[tuple[Band, ...], MinLen(1)]
    cap: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)
    claim_days: Annotated[int, Gt(0), Le(3_650)] | None = None
    later_months: Annotated[int, Ge(0), Le(24)] = 0
    chronic: Chronic | None = None

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Deeper rungs must earn more; what is in scope must exist."""
        yield from check_tranches(agreement, path, *self.tranches)
        yield from check_ladder(self.band, path)
        known = {pool for tranche in agreement.tranches for pool in tranche.pools}
        for i, pool in enumerate(self.pools):
            if pool not in known:
                yield Problem(
                    where=f"{path}.pools[{i}]",
                    code="unknown_pool",
                    message=f"no tranche names pool {pool!r}",
                    remedy=f"pools are {', '.join(sorted(known))}",
                )
        if self.chronic is not None and self.chronic.windows > self.chronic.of:
            yield Problem(
                where=f"{path}.chronic.windows",
                code="contradiction",
                message=f"{self.chronic.windows} of {self.chronic.of} windows can't fail",
                remedy="`windows` is how many of the last `of` windows must fail",
            )

    def governed(self, agreement: Agreement) -> tuple[str, ...]:
        """Ids of the tranches in its scope."""
        return self.tranches or tuple(t.id for t in agreement.tranches if t.queue is None)

    def share(self, lost: int, base: int) -> tuple[int, Decimal] | None:
        """The rung reached and its credit after the cap, or None above the ladder.

        Units: GPU-seconds or seconds, as `measure` says.
        """
        reached = None
        for i, band in enumerate(self.band):
            left, edge = base - lost, band.below * base
            if base > 0 and (left < edge or (self.edges is Edges.INCLUSIVE and left == edge)):
                reached = i
        return None if reached is None else (reached, min(self.band[reached].credit, self.cap))
