"""A price for capacity that is reserved, whether it is used or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from offtake.agreements.clauses.monthly_fee import check_tranches
from offtake.agreements.model import Agreement, Clause, Due, Tranche
from offtake.agreements.terms import HOURS_PER_MONTH, Denominator, HoursConvention
from offtake.agreements.units import POWER, conversion_basis, exact_gpus, gpus_of, missing_factor
from offtake.base.errors import Problem
from offtake.base.months import Month, month_of_date, plus_days
from offtake.base.time import HOUR_S, Interval


class Per(StrEnum):
    """What a capacity price is for."""

    GPU_HOUR = "gpu_hour"
    GPU_MONTH = "gpu_month"
    MW_MONTH = "mw_month"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityFee(Clause):
    """Reserved capacity at a rate per unit and time, owed from each day a tranche covers to its end.

    Per GPU-hour, a month counts the hours that really pass (`calendar`), or a fixed 720 or 730 hours of which
    a part of a month owes its share of days. The tranche's steps count.

    Attributes:
        rate: the price of one unit.
        per: the unit: a GPU-hour, a GPU-month or a megawatt-month in the tranche's own kind of megawatt.
        hours: hours that a month counts, for a rate per GPU-hour; as they pass when left out.
        tranche: the tranche it is for; all of them when left out.
        what: what it is for, to be printed on its line.

    Units: `rate` in major units of the agreement's currency per `per`.
    """

    NAME: ClassVar[str] = "capacity_fee"
    rate: Annotated[Decimal, Ge(0), Le(10**12)]
    per: Per = Per.GPU_HOUR
    hours: HoursConvention = HoursConvention.CALENDAR
    tranche: str | None = None
    what: str = "Capacity"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A quantity in a unit that the price is for."""
        yield from check_tranches(agreement, path, self.tranche)
        for tranche in self.tranches(agreement):
            if tranche.quantity is None:
                yield _unpriced(path, tranche, "it has no quantity", "state its quantity")
            elif self.per is Per.MW_MONTH and tranche.denominator not in POWER:
                yield _unpriced(
                    path, tranche, f"its quantity is in {tranche.denominator}", "price it per GPU instead"
                )
            elif self.per is not Per.MW_MONTH and (missing := missing_factor(agreement, tranche)):
                yield _unpriced(path, tranche, f"{missing} isn't stated", f"add [conversion] with {missing}")

    def tranches(self, agreement: Agreement) -> tuple[Tranche, ...]:
        """The tranches it is for."""
        return tuple(t for t in agreement.tranches if self.tranche in (None, t.id) and t.queue is None)

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """From the first tranche's first month to the last one's last."""
        tranches = self.tranches(agreement) or agreement.tranches
        return (
            month_of_date(min(t.start for t in tranches)),
            month_of_date(max(t.through for t in tranches)),
        )

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """One amount for each tranche, for what is covered of the month."""
        path = agreement.path_of(self)
        for tranche in self.tranches(agreement):
            units = self._unit_seconds(agreement, tranche, month)
            if units:
                index = agreement.tranches.index(tranche)
                basis = [f"{path}.rate", f"tranche[{index}].quantity"]
                if self.per is not Per.MW_MONTH:
                    basis += conversion_basis(agreement, tranche)
                exact = agreement.minor(self.rate) * units
                yield Due(month=month, exact=exact, basis=tuple(basis), tranche=tranche.id, measured=True)

    def _unit_seconds(self, agreement: Agreement, tranche: Tranche, month: Month) -> Fraction:
        """Units of the price in a month: GPU-hours, GPU-months or megawatt-months."""
        steps = [(step.start, step.quantity) for step in tranche.steps]
        steps.append((tranche.full_from or tranche.start, tranche.quantity or Decimal(0)))
        begin = agreement.accepted.get(tranche.id, tranche.start)
        end = min(plus_days(tranche.through, 1), agreement.ends)
        units = Fraction(0)
        for (start, quantity), (until, _) in zip(steps, [*steps[1:], (end, None)], strict=True):
            cut = Interval(
                *_ordered(agreement.midnight(max(start, begin)), agreement.midnight(min(until, end)))
            )
            overlap = cut.overlap(agreement.month(month))
            if overlap is not None:
                units += self._time(agreement, month, overlap) * self._quantity(agreement, tranche, quantity)
        return units

    def _time(self, agreement: Agreement, month: Month, covered: Interval) -> Fraction:
        if self.per is Per.GPU_HOUR and self.hours is HoursConvention.CALENDAR:
            return Fraction(covered.seconds, HOUR_S)
        share = Fraction(covered.seconds, agreement.month(month).seconds)
        return share * Fraction(HOURS_PER_MONTH[self.hours]) if self.per is Per.GPU_HOUR else share

    def _quantity(self, agreement: Agreement, tranche: Tranche, quantity: Decimal) -> Fraction:
        if self.per is Per.MW_MONTH:
            return Fraction(quantity)
        if tranche.denominator is Denominator.GPUS:
            return Fraction(gpus_of(agreement, tranche, quantity))
        return exact_gpus(agreement, tranche, quantity)


def _ordered(start: int, end: int) -> tuple[int, int]:
    return start, max(start, end)


def _unpriced(path: str, tranche: Tranche, why: str, remedy: str) -> Problem:
    return Problem(
        where=path,
        code="no_quantity",
        message=f"tranche {tranche.id!r} can't be priced: {why}",
        remedy=remedy,
    )
