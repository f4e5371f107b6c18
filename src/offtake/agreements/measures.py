"""What makes agreements comparable: the same few figures of each, or the reason why one has no such figure.

A price per unit is what the base term costs divided by what it provides: scheduled fees and minimums over
capacity and time. Months at a ramp's reduced fee are left out on both sides, so that a price is one at full
capacity. Every price is a bundle's: it also pays for CPUs, network, power and whatever else comes with them.

Source: how public prices are derived, such as $1.25 billion ÷ 325,000 GPUs ÷ 730 hours = $5.27 (CCIR) and
$9.7 billion ÷ 200 MW ÷ 60 months = $808,000 per MW-month.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from offtake.agreements.clauses.conversion import Conversion
from offtake.agreements.clauses.escalator import Escalator
from offtake.agreements.clauses.ramp import Ramp
from offtake.agreements.clauses.renewal import Renewal
from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.clauses.term_fee import TermFee
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.derive import Values, values
from offtake.agreements.model import Agreement, Tranche
from offtake.agreements.schedule import figure_of, prepayment_schedule, value_schedule
from offtake.agreements.terms import HOURS_PER_MONTH, Covers, Denominator, Figure, HoursConvention, Side
from offtake.agreements.units import POWER, conversion_basis, exact_gpus, missing_factor
from offtake.base.money import Money, minor_exponent
from offtake.base.months import Month, days_in_month, month_of_date, months_through, plus_days, plus_months
from offtake.base.outcome import Refused
from offtake.base.schedule import Dated

HOURS_PER_YEAR_BY_12 = Fraction(8760, 12)
"""Hours of the calendar convention: those of a year of 365 days, divided by its months."""

REASONS: Mapping[str, str] = {
    "no_price": "no fee is public",
    "usage_priced": "it is priced by what is taken, so that no month has a fee",
    "unsold_capacity": "what is owed depends on what stays unsold, up to a cap",
    "space_and_power": "the fee rents space and power for the offtaker's own equipment: it sells no GPU-hour",
    "other_hardware": "what it provides aren't GPUs",
    "no_quantity": "money without a unit: the agreement states no quantity",
    "no_conversion": "nothing says how its unit converts",
    "other_currency": "it is in another currency",
    "whole_bundle": "a fee for compute isn't a rent for space and power",
    "gross_not_critical": "gross megawatts aren't critical-IT megawatts",
    "no_exit": "the offtaker may not leave for convenience",
    "not_public": "nothing public says",
}
"""Every reason for a figure that isn't there, by its code, in the order in which they are looked for."""


class Measure(StrEnum):
    """A figure by which agreements are put side by side; money only compares in one currency."""

    HEADLINE = "headline"
    WITH_OPTIONS = "with_options"
    FEE_PER_MONTH = "fee_per_month"
    FEE_PER_YEAR = "fee_per_year"
    GPU_HOUR = "gpu_hour"
    MW_MONTH = "mw_month"
    MW_MONTH_FIRST_YEAR = "mw_month_first_year"
    GPUS = "gpus"
    MEGAWATTS = "megawatts"
    FIRM_SHARE = "firm_share"
    PREPAYMENT_SHARE = "prepayment_share"
    NOTICE_DAYS = "notice_days"


_MONEY = (Measure.HEADLINE, Measure.WITH_OPTIONS, Measure.FEE_PER_MONTH, Measure.FEE_PER_YEAR)
_PRICES = (Measure.GPU_HOUR, Measure.MW_MONTH, Measure.MW_MONTH_FIRST_YEAR)
_BY_POWER = (Measure.MW_MONTH, Measure.MW_MONTH_FIRST_YEAR, Measure.MEGAWATTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A figure that may be a range, because a source gives one; both ends are the same where it doesn't."""

    low: Fraction
    high: Fraction

    def over(self, divisor: Fraction) -> Span:
        """Both ends divided."""
        return Span(low=self.low / divisor, high=self.high / divisor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """An agreement in the figures that others have too.

    Units: money in major units of `currency`; shares are fractions.

    Attributes:
        id: name of the agreement.
        operator: seller.
        offtaker: buyer.
        signed: date of signature, and what it rests on.
        start: first day of the first tranche.
        term_months: whole calendar months of the base term.
        currency: of every amount.
        covers: what the fees pay for.
        hardware: what it is, for people; empty where it isn't known.
        headline: every scheduled fee and minimum of the base term.
        with_options: the same if every option to extend is exercised.
        fee_per_month: what a month of the base term costs on average, at full capacity.
        fee_per_year: twelve of those.
        gpu_hour: price per GPU-hour by how many hours a month counts.
        mw_month: price per megawatt-month of the base term.
        mw_month_first_year: price per megawatt-month of the first twelve months.
        mw_kind: which megawatts `megawatts` and the two prices count, or None.
        gpus: the most GPUs in service at once.
        megawatts: the most megawatts in service at once.
        firm_share: what is owed whatever the offtaker does, as a share of the headline.
        notice_days: days from the offtaker's notice to the end.
        first_notice: the first day on which the offtaker may give it.
        prepayment_share: what is paid before it is earned, as a share of the headline.
    """

    id: str
    operator: str
    offtaker: str
    signed: Figure[date]
    start: Figure[date]
    term_months: Figure[int]
    currency: str
    covers: Covers
    hardware: str
    headline: Figure[Money] | Refused
    with_options: Figure[Money] | Refused
    fee_per_month: Figure[Span] | Refused
    fee_per_year: Figure[Span] | Refused
    gpu_hour: Mapping[HoursConvention, Figure[Span] | Refused]
    mw_month: Figure[Span] | Refused
    mw_month_first_year: Figure[Span] | Refused
    mw_kind: Denominator | None
    gpus: Figure[Span] | Refused
    megawatts: Figure[Span] | Refused
    firm_share: Figure[Fraction] | Refused
    notice_days: Figure[int] | Refused
    first_notice: Figure[date] | Refused
    prepayment_share: Figure[Fraction] | Refused

    def of(self, measure: Measure) -> Figure[Any] | Refused:
        """One of them by name; a price per GPU-hour at 730 hours."""
        if measure is Measure.GPU_HOUR:
            return self.gpu_hour[HoursConvention.H730]
        found: Figure[Any] | Refused = getattr(self, measure.value)
        return found


def refusal(code: str) -> Refused:
    """A reason by its code."""
    return Refused(code=code, sentence=REASONS[code])


def measures(agreement: Agreement) -> Measures:
    """Every figure that makes an agreement comparable, or why it has none."""
    fees = _fees(agreement)
    gpus, power = _in_gpus(agreement), _in_megawatts(agreement)
    mw_price = _price(agreement, fees, power)
    monthly = _fee_per_month(agreement, fees, power if isinstance(gpus, Refused) else gpus)
    worth = fees if isinstance(fees, Refused) else values(agreement)
    leaving = _notice(agreement)
    return Measures(
        id=agreement.id,
        operator=agreement.operator,
        offtaker=agreement.offtaker,
        signed=figure_of(agreement, agreement.signed, ["agreement.signed"]),
        start=figure_of(agreement, agreement.starts, _each(agreement, "start")),
        term_months=_term_months(agreement),
        currency=agreement.currency,
        covers=agreement.covers,
        hardware=", ".join(dict.fromkeys(t.hardware for t in agreement.tranches if t.hardware)),
        headline=_headline(agreement, worth),
        with_options=_with_options(agreement, worth),
        fee_per_month=monthly,
        fee_per_year=_scaled(monthly, Fraction(1, 12)),
        gpu_hour=_per_hour(_price(agreement, fees, gpus)),
        mw_month=mw_price,
        mw_month_first_year=_price(agreement, fees, power, months=12),
        mw_kind=None if isinstance(power, Refused) else power.kind,
        gpus=_size(agreement, gpus),
        megawatts=_size(agreement, power),
        firm_share=_firm_share(agreement, worth),
        notice_days=leaving if isinstance(leaving, Refused) else leaving[0],
        first_notice=leaving if isinstance(leaving, Refused) else leaving[1],
        prepayment_share=_prepayment_share(agreement, worth),
    )


def comparable(one: Measures, other: Measures, measure: Measure) -> Refused | None:
    """Why two agreements can't be compared by a measure, or None where they can.

    In this order: one of them has no such figure; another currency; fees that cover other things; another
    kind of megawatt.
    """
    for found in (one.of(measure), other.of(measure)):
        if isinstance(found, Refused):
            return found
    if measure in (*_MONEY, *_PRICES) and one.currency != other.currency:
        return refusal("other_currency")
    if measure in _PRICES and one.covers is not other.covers:
        return refusal("whole_bundle")
    if measure in _BY_POWER and one.mw_kind is not other.mw_kind:
        return refusal("gross_not_critical")
    return None


def refused_beside(all_: Sequence[Measures], measure: Measure) -> list[Refused | None]:
    """For each agreement, why it can't stand beside the others by a measure, or None.

    Most agreements decide: those that compare with the largest group of them stay.
    """
    groups: Counter[tuple[object, ...]] = Counter(
        (one.currency, one.covers, one.mw_kind if measure in _BY_POWER else None)
        for one in all_
        if isinstance(one.of(measure), Figure)
    )
    if not groups:
        return [found if isinstance(found := one.of(measure), Refused) else None for one in all_]
    chosen = groups.most_common(1)[0][0]
    reference = next(
        one
        for one in all_
        if isinstance(one.of(measure), Figure)
        and (one.currency, one.covers, one.mw_kind if measure in _BY_POWER else None) == chosen
    )
    return [comparable(one, reference, measure) for one in all_]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    """How an agreement's tranches count in a unit.

    Attributes:
        each: how many of the unit one of a tranche's own quantity is, by tranche.
        basis: terms that this rests on.
        kind: of megawatts, or None for GPUs.
    """

    each: Mapping[str, Fraction]
    basis: tuple[str, ...]
    kind: Denominator | None = None


def _blocks(agreement: Agreement) -> list[tuple[int, Tranche]]:
    """Tranches that entitle to something, with their places."""
    return [(i, tranche) for i, tranche in enumerate(agreement.tranches) if tranche.queue is None]


def _each(agreement: Agreement, name: str) -> list[str]:
    return [f"tranche[{i}].{name}" for i, _ in _blocks(agreement)]


def _unstated(agreement: Agreement) -> bool:
    return any(t.denominator is Denominator.NONE or t.quantity is None for _, t in _blocks(agreement))


def _in_gpus(agreement: Agreement) -> _Unit | Refused:
    others = {
        Covers.UNSOLD_CAPACITY: "unsold_capacity",
        Covers.SPACE_AND_POWER: "space_and_power",
        Covers.OTHER_COMPUTE: "other_hardware",
    }
    if agreement.covers in others:
        return refusal(others[agreement.covers])
    if _unstated(agreement):
        return refusal("no_quantity")
    if any(missing_factor(agreement, tranche) for _, tranche in _blocks(agreement)):
        return refusal("no_conversion")
    basis = [path for _, tranche in _blocks(agreement) for path in conversion_basis(agreement, tranche)]
    each = {t.id: exact_gpus(agreement, t, Decimal(1)) for _, t in _blocks(agreement)}
    return _Unit(each=each, basis=(*_each(agreement, "denominator"), *basis))


def _in_megawatts(agreement: Agreement) -> _Unit | Refused:
    if agreement.covers is Covers.UNSOLD_CAPACITY:
        return refusal("unsold_capacity")
    if _unstated(agreement):
        return refusal("no_quantity")
    kinds = {
        t.denominator if t.denominator in POWER else Denominator.CRITICAL_IT_MW for _, t in _blocks(agreement)
    }
    if len(kinds) > 1:
        return refusal("gross_not_critical")
    each: dict[str, Fraction] = {}
    basis = _each(agreement, "denominator")
    for i, tranche in _blocks(agreement):
        size = _megawatts_of_one(agreement, i, tranche)
        if size is None:
            return refusal("no_conversion")
        each[tranche.id] = size[0]
        basis += size[1]
    return _Unit(each=each, basis=tuple(basis), kind=kinds.pop())


def _megawatts_of_one(
    agreement: Agreement, index: int, tranche: Tranche
) -> tuple[Fraction, tuple[str, ...]] | None:
    """Megawatts of one of a tranche's own quantity, with the terms this rests on."""
    if tranche.denominator in POWER:
        return Fraction(1), ()
    if missing_factor(agreement, tranche):
        return None
    gpus, own = exact_gpus(agreement, tranche, Decimal(1)), conversion_basis(agreement, tranche)
    if tranche.kw_per_gpu is not None:
        return gpus * Fraction(tranche.kw_per_gpu) / 1000, (*own, f"tranche[{index}].kw_per_gpu")
    table = agreement.first_of(Conversion)
    if table is None or table[1].exact_kw_per_gpu is None:
        return None
    terms = (f"{table[0]}.{name}" for name in table[1].power_terms)
    return gpus * table[1].exact_kw_per_gpu / 1000, (*own, *terms)


def _fees(agreement: Agreement) -> tuple[Dated, ...] | Refused:
    """Scheduled fees and minimums by month, without the months of a ramp."""
    ramps = tuple(f"{path}." for path, _ in agreement.all_of(Ramp))
    found = tuple(
        item
        for item in value_schedule(agreement)
        if item.amount and not any(path.startswith(ramp) for path in item.basis for ramp in ramps)
    )
    if found:
        return found
    if agreement.first_of(UsageFee) is not None:
        return refusal("usage_priced")
    return refusal("unsold_capacity" if agreement.covers is Covers.UNSOLD_CAPACITY else "no_price")


def _fee_basis(agreement: Agreement, fees: Sequence[Dated], *, length: bool, part: bool = False) -> list[str]:
    """Terms that a sum of fees rests on.

    A total for the term already contains its escalator, a part of it doesn't; an average depends on how long
    the term is.
    """
    whole = agreement.all_of(TermFee)
    within = {path.partition(".")[0] for item in fees for path in item.basis}
    rises = tuple(f"{path}." for path, _ in agreement.all_of(Escalator))
    moved = within - {path for path, _ in whole} - {path.rstrip(".") for path in rises}
    basis = [
        path for item in fees for path in item.basis if moved or part or not path.startswith(rises or ("?",))
    ]
    if length:
        basis += [term for path, fee in whole for term in _length_of(agreement, path, fee)]
    return basis


def _length_of(agreement: Agreement, path: str, fee: TermFee) -> tuple[str, ...]:
    """Terms that say over how many months a total is owed: the tenor, where it runs as long as a tranche."""
    months = (fee.last.year - fee.first.year) * 12 + fee.last.month - fee.first.month + 1
    for i, tranche in _blocks(agreement):
        if tranche.id == (fee.tranche or tranche.id) and tranche.tenor_months == months:
            return (f"tranche[{i}].tenor_months",)
    return f"{path}.first", f"{path}.last"


def _headline(agreement: Agreement, worth: Values | Refused) -> Figure[Money] | Refused:
    if isinstance(worth, Refused):
        return worth
    basis = _fee_basis(agreement, tuple(value_schedule(agreement)), length=False)
    return figure_of(agreement, worth.headline.value, basis)


def _with_options(agreement: Agreement, worth: Values | Refused) -> Figure[Money] | Refused:
    if isinstance(worth, Refused) or agreement.first_of(Renewal) is None:
        return _headline(agreement, worth)
    terms = (path for path, _ in agreement.all_of(Renewal))
    return figure_of(agreement, worth.with_options.value, [*worth.with_options.basis, *terms])


def _major(agreement: Agreement, fees: Sequence[Dated]) -> Fraction:
    minor = sum(item.amount.minor for item in fees)
    return Fraction(minor, 10 ** minor_exponent(agreement.currency))


def _capacity(agreement: Agreement, unit: _Unit, month: Month, which: str) -> Fraction:
    """Units in service in a month, averaged over its days."""
    begin = date(month.year, month.month, 1)
    until = plus_days(begin, days_in_month(month))
    units = Fraction(0)
    for _, tranche in _blocks(agreement):
        full = getattr(tranche, which) or tranche.quantity or Decimal(0)
        steps = [(step.start, step.quantity) for step in tranche.steps]
        steps.append((tranche.full_from or tranche.start, full))
        end = min(plus_days(tranche.through, 1), agreement.ends)
        for (start, quantity), (stop, _) in zip(steps, [*steps[1:], (end, None)], strict=True):
            days = (min(stop, end, until) - max(start, begin)).days
            units += max(days, 0) * Fraction(quantity) * unit.each[tranche.id]
    return units / days_in_month(month)


def _sizes(agreement: Agreement) -> tuple[tuple[str, str], list[str]]:
    """Which quantities give the low and the high end, and their paths."""
    ranged = any(t.quantity_low is not None or t.quantity_high is not None for _, t in _blocks(agreement))
    if not ranged:
        return ("quantity", "quantity"), _each(agreement, "quantity")
    basis = [
        f"tranche[{i}].{name if getattr(tranche, name) is not None else 'quantity'}"
        for i, tranche in _blocks(agreement)
        for name in ("quantity_low", "quantity_high")
    ]
    return ("quantity_low", "quantity_high"), basis


def _price(
    agreement: Agreement,
    fees: tuple[Dated, ...] | Refused,
    unit: _Unit | Refused,
    *,
    months: int | None = None,
) -> Figure[Span] | Refused:
    """Major units of the currency per unit and month, over the base term or its first months."""
    if isinstance(unit, Refused):
        return unit
    if isinstance(fees, Refused):
        return fees
    fees = fees[:months]
    (low, high), basis = _sizes(agreement)
    least, most = (sum(_capacity(agreement, unit, item.month, end) for item in fees) for end in (low, high))
    if not least:
        return refusal("no_quantity")
    paid = _major(agreement, fees)
    terms = _fee_basis(agreement, fees, length=True, part=months is not None)
    terms += [*basis, *unit.basis]
    return figure_of(agreement, Span(low=paid / most, high=paid / least), terms)


def _size(agreement: Agreement, unit: _Unit | Refused) -> Figure[Span] | Refused:
    if isinstance(unit, Refused):
        return unit
    (low, high), basis = _sizes(agreement)
    last = month_of_date(plus_days(agreement.ends, -1))
    months = tuple(months_through(month_of_date(agreement.starts), last))
    least, most = (max(_capacity(agreement, unit, month, end) for month in months) for end in (low, high))
    return figure_of(agreement, Span(low=least, high=most), [*basis, *unit.basis])


def _fee_per_month(
    agreement: Agreement, fees: tuple[Dated, ...] | Refused, unit: _Unit | Refused
) -> Figure[Span] | Refused:
    """The average month; where capacity comes in parts, the price of a unit times all of them."""
    if isinstance(fees, Refused):
        return fees
    basis = _fee_basis(agreement, fees, length=True)
    whole = _major(agreement, fees) / len(fees)
    if not isinstance(unit, Refused):
        in_service = [_capacity(agreement, unit, item.month, "quantity") for item in fees]
        if len(set(in_service)) > 1:
            whole = _major(agreement, fees) / sum(in_service) * max(in_service)
            basis += [*_each(agreement, "quantity"), *unit.basis]
    return figure_of(agreement, Span(low=whole, high=whole), basis)


def _scaled(found: Figure[Span] | Refused, divisor: Fraction) -> Figure[Span] | Refused:
    if isinstance(found, Refused):
        return found
    return Figure(value=found.value.over(divisor), basis=found.basis, assumed=found.assumed)


def _per_hour(monthly: Figure[Span] | Refused) -> dict[HoursConvention, Figure[Span] | Refused]:
    return {
        convention: _scaled(monthly, Fraction(HOURS_PER_MONTH.get(convention, HOURS_PER_YEAR_BY_12)))
        for convention in HoursConvention
    }


def _term_months(agreement: Agreement) -> Figure[int]:
    first, end = agreement.starts, agreement.term_end
    months = (end.year - first.year) * 12 + end.month - first.month
    whole = months if plus_months(first, months) <= end else months - 1
    for i, tranche in _blocks(agreement):
        if tranche.tenor_months == whole:
            return figure_of(agreement, whole, [f"tranche[{i}].tenor_months"])
    return figure_of(agreement, whole, [*_each(agreement, "start"), *_each(agreement, "through")])


def _firm_share(agreement: Agreement, worth: Values | Refused) -> Figure[Fraction] | Refused:
    """The firm share, where the file says whether the offtaker may leave."""
    if isinstance(worth, Refused):
        return worth
    binding = [path for kind in (Termination, TakeOrPay) for path, _ in agreement.all_of(kind)]
    if not binding or not worth.headline.value:
        return refusal("not_public")
    share = Fraction(worth.firm.value.minor, worth.headline.value.minor)
    basis = [*worth.firm.basis, *worth.headline.basis] if share != 1 else binding[:1]
    return figure_of(agreement, share, basis)


def _notice(agreement: Agreement) -> tuple[Figure[int], Figure[date]] | Refused:
    """The offtaker's notice and the first day it may be given."""
    for path, clause in agreement.all_of(Termination):
        if Side.OFFTAKER in clause.by:
            days = figure_of(agreement, clause.notice_days, [f"{path}.notice_days"])
            return days, figure_of(agreement, clause.first_notice(agreement), clause.basis(path)[1:])
    return refusal("no_exit" if agreement.first_of(TakeOrPay) is not None else "not_public")


def _prepayment_share(agreement: Agreement, worth: Values | Refused) -> Figure[Fraction] | Refused:
    if isinstance(worth, Refused):
        return worth
    paid = prepayment_schedule(agreement)
    if not paid.total or not worth.headline.value:
        return refusal("not_public")
    share = Fraction(paid.total.minor, worth.headline.value.minor)
    return figure_of(agreement, share, [path for item in paid for path in item.basis])
