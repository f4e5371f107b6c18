"""A service level as one ladder of credits on the month's fee."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.model import Agreement, Clause
from offtake.base.declared import Declared
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Band(Declared):
    """A rung of the ladder: availability strictly below `below` earns `credit` of the month's fee."""

    below: Annotated[Decimal, Gt(0), Le(1)]
    credit: Annotated[Decimal, Ge(0), Le(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailabilityCredit(Clause):
    """Credits when the month's availability falls below a ladder of targets.

    Availability = 1 - (GPU-seconds of the entitlement lost to outages) / (GPU-seconds entitled).
    The lowest band reached decides; edges are exclusive (availability equal to `below` earns nothing
    from that band). Credits are applied without a claim.

    Units: all fields are fractions.
    """

    NAME: ClassVar[str] = "availability_credit"
    band: Annotated[tuple[Band, ...], MinLen(1)]
    cap: Annotated[Decimal, Ge(0), Le(1)] = Decimal(1)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Deeper rungs must earn more."""
        return check_ladder(self.band, path)

    def share(self, lost: int, entitled: int) -> tuple[int, Decimal] | None:
        """The rung reached and its credit after the cap, or None above the ladder.

        Units: GPU-seconds.
        """
        reached = None
        for i, band in enumerate(self.band):
            # availability < below, without dividing
            if entitled > 0 and (entitled - lost) < band.below * entitled:
                reached = i
        return None if reached is None else (reached, min(self.band[reached].credit, self.cap))


def check_ladder(bands: tuple[Band, ...], path: str) -> Iterable[Problem]:
    """Deeper rungs of a ladder must earn more."""
    for i, (upper, lower) in enumerate(pairwise(bands), start=1):
        if lower.below >= upper.below or lower.credit < upper.credit:
            yield Problem(
                where=f"{path}.band[{i}]",
                code="ladder_order",
                message=f"below {lower.below} earns {lower.credit}, "
                f"after below {upper.below} earns {upper.credit}",
                remedy="list bands from the highest availability down, with credits that rise",
            )
