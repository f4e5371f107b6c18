"""A price in tiers for what is metered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause
from offtake.agreements.periods import Period
from offtake.base.declared import Declared
from offtake.base.errors import Problem


class Of(StrEnum):
    """What is counted: GPU-hours taken, the most GPUs at once, energy, or the charges of other sections."""

    GPU_HOURS = "gpu_hours"
    PEAK_GPUS = "peak_gpus"
    KWH = "kwh"
    CHARGES = "charges"


class Model(StrEnum):
    """How tiers apply.

    `GRADUATED`: each part of the quantity at its own tier's rate. `VOLUME`: all of it at the rate of the tier
    that the whole quantity reaches. `PACKAGE`: so much for each package begun, or filled.
    """

    GRADUATED = "graduated"
    VOLUME = "volume"
    PACKAGE = "package"


class Packages(StrEnum):
    """Whether a package that is begun costs, or only one that is full."""

    BEGUN = "begun"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier(Declared):
    """A tier of the quantity.

    Attributes:
        up_to: the last unit of it; the last tier has none.
        rate: what a unit costs, or a package; of charges, the fraction.
        flat: what reaching the tier costs besides.
    """

    up_to: Annotated[Decimal, Gt(0), Le(10**15)] | None = None
    rate: Annotated[Decimal, Ge(0), Le(10**12)] = Decimal(0)
    flat: Annotated[Decimal, Ge(0), Le(10**15)] = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredFee(Clause):
    """What is metered in a period, priced in tiers; the month's line is rounded once.

    Over a period longer than a month, tiers count from the period's beginning, and each month owes what its
    own quantity adds.

    Attributes:
        of: what is counted: "gpu_hours" taken, "peak_gpus" (the most at once), "kwh", or the "charges" of
            other sections.
        tranche: only what is taken under this tranche.
        clauses: sections whose charges are counted.
        model: "graduated", "volume" or "package".
        tier: the tiers, from the first unit up.
        package: units of a package.
        packages: whether a package "begun" costs, or only a "full" one.
        free: units that cost nothing, before the first tier.
        period: over which the tiers count: "month", "quarter", "year", "contract_year" or "term".
        flat_at_zero: whether the first tier's flat fee is owed when nothing was metered.
        what: what it is for, to be printed on its line.

    Units: rates and flat fees in major units of the agreement's currency.
    Source: the models that billing engines share (Stripe, Lago, OpenMeter, Kill Bill, Flexprice). Where they
    differ, a key decides: some owe the first flat fee at zero (Lago, OpenMeter), some don't (Autumn, Zuplo).
    """

    NAME: ClassVar[str] = "metered_fee"
    of: Of = Of.GPU_HOURS
    tranche: str | None = None
    clauses: tuple[str, ...] = ()
    model: Model = Model.GRADUATED
    tier: Annotated[tuple[Tier, ...], MinLen(1)]
    package: Annotated[Decimal, Gt(0), Le(10**12)] | None = None
    packages: Packages = Packages.BEGUN
    free: Annotated[Decimal, Ge(0), Le(10**15)] = Decimal(0)
    period: Period = Period.MONTH
    flat_at_zero: bool = True
    what: str = "Metered"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Tiers that rise and end open; a package has one tier and a size; charges have sections."""
        yield from check_tranches(agreement, path, self.tranche)
        for i, (lower, upper) in enumerate(pairwise(self.tier), start=1):
            if lower.up_to is None or (upper.up_to is not None and upper.up_to <= lower.up_to):
                yield Problem(
                    where=f"{path}.tier[{i}]",
                    code="tier_order",
                    message=f"it comes after a tier up to {lower.up_to or 'any quantity'}",
                    remedy="list tiers by rising up_to; only the last has none",
                )
        if self.tier[-1].up_to is not None:
            yield Problem(
                where=f"{path}.tier[{len(self.tier) - 1}].up_to",
                code="contradiction",
                message=f"nothing says what more than {self.tier[-1].up_to} costs",
                remedy="leave up_to out of the last tier",
            )
        if (self.model is Model.PACKAGE) != (self.package is not None) or (
            self.model is Model.PACKAGE and len(self.tier) > 1
        ):
            yield Problem(
                where=f"{path}.package",
                code="contradiction",
                message="packages have a size and one tier, and nothing else has",
                remedy='write package = 10 with model = "package" and one tier, or neither',
            )
        if (self.of is Of.CHARGES) != bool(self.clauses):
            yield Problem(
                where=f"{path}.clauses",
                code="contradiction" if self.clauses else "missing",
                message="charges and their sections go together",
                remedy='write of = "charges" with clauses, or neither',
            )
        if self.of is Of.PEAK_GPUS and self.period is not Period.MONTH:
            yield Problem(
                where=f"{path}.period",
                code="contradiction",
                message="a peak is of a month, it doesn't add up",
            )
