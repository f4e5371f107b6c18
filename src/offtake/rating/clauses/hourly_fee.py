"""Take hour by hour, at the rate of its band."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from offtake.agreements.clauses.hourly_fee import HourBand, HourlyFee
from offtake.agreements.model import Agreement
from offtake.base.curve import Curve, combine
from offtake.base.money import money_of
from offtake.base.months import local_hours, plus_days
from offtake.base.time import HOUR_S, Interval
from offtake.rating.model import Charge, Kind, MonthFacts, charge, gpu_hours


def rate_hourly_fee(
    agreement: Agreement, path: str, clause: HourlyFee, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """One line for each band, rounded once, from the exact sum over its hours."""
    hours: list[list[int]] = [[] for _ in clause.band]
    for i, seconds in _by_hour(agreement, clause, facts):
        hours[i].append(seconds)
    for i, (band, own) in enumerate(zip(clause.band, hours, strict=True)):
        costs = [hour_cost(band, seconds) for seconds in own]
        cost = sum((whole for whole, _ in costs), Fraction(0))
        trued = sum((missing for _, missing in costs), Fraction(0))
        if not cost:
            continue
        name = f" {band.name}" if band.name else ""
        up = money_of(trued, agreement.currency)
        reached = f", {up} of it to reach the hour's commitment" if trued else ""
        yield charge(
            agreement,
            path,
            facts.month,
            kind=Kind.USAGE,
            text=f"{clause.what}{name} for {facts.month}: {gpu_hours(sum(own))} "
            f"at {band.rate_per_gpu_h:,f} {agreement.currency}{reached}",
            amount=money_of(cost, agreement.currency, agreement.rounding),
            basis=(f"{path}.band[{i}].rate_per_gpu_h", f"{path}.band[{i}].commitment"),
            tranche=clause.tranche,
        )


def hour_cost(band: HourBand, gpu_seconds: int) -> tuple[Fraction, Fraction]:
    """What an hour costs, and what of it only reaches the commitment; in major units, exact."""
    plain = Fraction(band.rate_per_gpu_h) * Fraction(gpu_seconds, HOUR_S)
    committed = Fraction(band.commitment)
    if not committed:
        return plain, Fraction(0)
    if plain > committed:
        return committed + (plain - committed) * Fraction(band.overage_factor), Fraction(0)
    missing = committed - plain if band.true_up else Fraction(0)
    return plain + missing, missing


def _by_hour(agreement: Agreement, clause: HourlyFee, facts: MonthFacts) -> Iterator[tuple[int, int]]:
    """For every local hour of the month that the tranches cover, its band and the GPU-seconds taken."""
    tranches = [t for t in agreement.tranches if clause.tranche in (None, t.id)]
    first = agreement.midnight(min(t.start for t in tranches))
    last = agreement.midnight(min(agreement.ends, plus_days(max(t.through for t in tranches), 1)))
    covered = agreement.month(facts.month).overlap(Interval(first, max(first, last)))
    if covered is None:
        return
    hours = local_hours(covered, agreement.time_zone)
    borders = [start for start, _, _ in hours] + [covered.end]
    use = combine([facts.tranches[t.id].use for t in tranches if t.id in facts.tranches] or [Curve.zero()])
    for (_, hour, weekday), seconds in zip(hours, use.integrals(borders).tolist(), strict=True):
        yield next(i for i, band in enumerate(clause.band) if band.holds(hour, weekday)), seconds
