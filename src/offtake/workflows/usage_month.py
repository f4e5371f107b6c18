"""What the usage lake says of a period: totals by claim, curves where a clause asks when, energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from offtake.agreements.clauses.burst import Burst
from offtake.agreements.clauses.hourly_fee import HourlyFee
from offtake.agreements.clauses.metered_fee import MeteredFee, Of
from offtake.agreements.clauses.metering import Metering
from offtake.agreements.model import Agreement
from offtake.base.curve import Curve
from offtake.base.time import Interval
from offtake.metering.expressions import Calendar, energy, gpu_seconds, levels, rounded_up
from offtake.metering.usage import HOLDING, ReadingKind
from offtake.store.usage import PartManifest, part_of
from offtake.workflows.book import OpenBook
from offtake.workflows.view import agreement_ids, agreement_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageOfPeriod:
    """What was metered in a period, by claim.

    Units: GPU-seconds, GPUs over time, watt-hours by agreement.
    """

    totals: Mapping[str, int] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    energy_wh: Mapping[str, int] = field(default_factory=dict)


def usage_in(book: OpenBook, period: Interval, *, forgotten: bool = False) -> UsageOfPeriod:
    """What accepted readings add up to in a period, for every claim of the book.

    Args:
        book: the book.
        period: a local month of some agreement.
        forgotten: look also at parts that a tick has let go.

    Raises:
        BookCorrupt: for a part that isn't the one that was recorded.
    """
    parts = _parts(book, period, forgotten=forgotten)
    if not parts:
        return UsageOfPeriod()
    timed, plain, rounded = _claims(book)
    held = [part for part in parts if part.kind in HOLDING]
    power = [part for part in parts if part.kind == ReadingKind.POWER]
    return UsageOfPeriod(
        totals=_totals(book, held, plain, period) | _rounded(book, held, rounded, period),
        curves=_curves(book, held, timed, period),
        energy_wh=_energy(book, power, period),
    )


def curves_in(book: OpenBook, claims: Sequence[str], period: Interval) -> dict[str, Curve]:
    """What some claims held over time, as accepted readings say; whatever their clauses ask."""
    parts = _parts(book, period, forgotten=True)
    return _curves(book, [part for part in parts if part.kind in HOLDING], list(claims), period)


def _parts(book: OpenBook, period: Interval, *, forgotten: bool) -> list[PartManifest]:
    items = dict(book.state.of("usage_part"))
    if forgotten:
        items |= book.kept("old_usage_part")
    return [part for _, item in sorted(items.items()) if _touches(part := part_of(item.body), period)]


def _touches(part: PartManifest, period: Interval) -> bool:
    return part.start < period.end and part.end > period.start


def _claims(book: OpenBook) -> tuple[list[str], list[str], dict[int, list[str]]]:
    """Claims of which a clause asks when GPUs were held, those counted by the second, and those that are
    rounded up, by increment.
    """
    timed: list[str] = []
    plain: list[str] = sorted(book.state.of("demand"))
    rounded: dict[int, list[str]] = {}
    for id_ in agreement_ids(book.state):
        agreement = agreement_of(book.state, id_)
        claims = [f"{id_}/{tranche.id}" for text, _, _ in agreement.texts() for tranche in text.tranches]
        metering = agreement.first_of(Metering)
        into = timed if _asks_when(agreement) else plain
        if metering is not None:
            into = rounded.setdefault(metering[1].increment_s, [])
        into.extend(dict.fromkeys(claims))
    return timed, plain, rounded


def _asks_when(agreement: Agreement) -> bool:
    return any(
        isinstance(clause, Burst | HourlyFee)
        or (isinstance(clause, MeteredFee) and clause.of is Of.PEAK_GPUS)
        for text, _, _ in agreement.texts()
        for _, clause in text.clauses
    )


def _totals(book: OpenBook, parts: list[PartManifest], claims: list[str], period: Interval) -> dict[str, int]:
    if not parts or not claims:
        return {}
    engine, readings = book.usage.tables(parts)
    calendar = Calendar(subjects=tuple(claims), borders=(period.start, period.end))
    found: dict[str, int] = {}
    for row in engine.to_pyarrow(gpu_seconds(readings, calendar)).to_pylist():
        found[row["subject"]] = found.get(row["subject"], 0) + int(row["quantity"])
    return found


def _rounded(
    book: OpenBook, parts: list[PartManifest], claims: dict[int, list[str]], period: Interval
) -> dict[str, int]:
    found: dict[str, int] = {}
    for increment, own in claims.items() if parts else ():
        engine, readings = book.usage.tables(parts)
        calendar = Calendar(subjects=tuple(own), borders=(period.start, period.end))
        for row in engine.to_pyarrow(rounded_up(readings, calendar, increment)).to_pylist():
            found[row["subject"]] = found.get(row["subject"], 0) + int(row["quantity"])
    return found


def _curves(
    book: OpenBook, parts: list[PartManifest], claims: list[str], period: Interval
) -> dict[str, Curve]:
    if not parts or not claims:
        return {}
    engine, readings = book.usage.tables(parts)
    table = engine.to_pyarrow(levels(readings, claims, period.start, period.end))
    steps: dict[str, list[tuple[int, int]]] = {}
    for row in table.to_pylist():
        steps.setdefault(row["subject"], []).append((int(row["at"]), int(row["level"])))
    return {claim: Curve.from_steps(sorted(own)) for claim, own in steps.items()}


def _energy(book: OpenBook, parts: list[PartManifest], period: Interval) -> dict[str, int]:
    """A reading of power counts in the month in which it begins."""
    if not parts:
        return {}
    engine, readings = book.usage.tables(parts)
    rows = engine.to_pyarrow(energy(readings, period.start, period.end)).to_pylist()
    return {row["subject"]: int(row["quantity"]) for row in rows}
