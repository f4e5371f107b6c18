"""What rating is given, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from offtake.agreements.model import Agreement
from offtake.base.curve import Curve
from offtake.base.money import Money, round_rate, total
from offtake.base.months import Month


class Kind(StrEnum):
    """What a charge is to the books.

    Fees, usage and credits are revenue, and credits and reductions are shares of them; the rest isn't:
    passed-through cost, money paid before it is earned and what is drawn of it, interest, damages and tax.
    """

    FEE = "fee"
    USAGE = "usage"
    CREDIT = "credit"
    PASS_THROUGH = "pass_through"  # noqa: S105 - no password: a cost that is passed on
    PREPAYMENT = "prepayment"
    DRAWDOWN = "drawdown"
    INTEREST = "interest"
    DAMAGES = "damages"
    TAX = "tax"


EARNED = (Kind.FEE, Kind.USAGE, Kind.CREDIT)
"""Kinds that reductions, credits and drawdowns are measured on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrancheFacts:
    """What happened under one tranche in a month.

    Units: GPU-seconds; curves in GPUs over time.

    Attributes:
        entitled: what it entitles to, recalls not deducted.
        delivered: what was allocated, never above the entitlement.
        taken: what was metered.
        recalled: what recalls that count took back.
        over: what was metered beyond the entitlement at each instant.
        lost: entitlement not delivered, by cause.
        out: GPUs that outages took from it over time, by pool; the pool is empty where it isn't known.
        use: GPUs that were metered, over time.
    """

    entitled: int = 0
    delivered: int = 0
    taken: int = 0
    recalled: int = 0
    over: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    out: Mapping[str, Curve] = field(default_factory=dict)
    use: Curve = field(default_factory=Curve.zero)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """A quantity that is carried from month to month, with the month it came from.

    Units: those of its account, such as GPU-seconds or minor units.
    """

    month: Month
    quantity: int


Carried = Mapping[str, tuple[Lot, ...]]
"""What an agreement carries from month to month, by account, oldest lot first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of what is carried: a rater answers it beside its charges.

    Attributes:
        account: path of the clause and a word, such as ``prepayment[0]/left``.
        month: the month of the lot that changes.
        quantity: added when positive, used or expired when negative.
    """

    account: str
    month: Month
    quantity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A document that was paid, wholly or in part.

    Attributes:
        document: its number.
        amount: what was paid.
        due: the day it was due.
        paid: the day it was paid.
    """

    document: str
    amount: Money
    due: date
    paid: date


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthFacts:
    """What happened under an agreement in one of its local months.

    Units: GPU-seconds throughout, except where an attribute says otherwise.

    Attributes:
        month: which.
        tranches: what happened under each tranche.
        energy_wh: energy metered for the offtaker at its equipment, in watt-hours.
        unsold: what of a pool nobody had claimed, by pool (for a capacity put).
        paid: documents paid in the month.
        carried: what was carried into the month.
    """

    month: Month
    tranches: Mapping[str, TrancheFacts] = field(default_factory=dict)
    energy_wh: int = 0
    unsold: Mapping[str, int] = field(default_factory=dict)
    paid: tuple[Paid, ...] = ()
    carried: Carried = field(default_factory=dict)

    @property
    def entitled(self) -> int:
        """What the agreement entitles to, recalls not deducted."""
        return sum(facts.entitled for facts in self.tranches.values())

    @property
    def delivered(self) -> int:
        """What was allocated, never above the entitlement."""
        return sum(facts.delivered for facts in self.tranches.values())

    @property
    def taken(self) -> int:
        """What was metered."""
        return sum(facts.taken for facts in self.tranches.values())

    @property
    def recalled(self) -> int:
        """What recalls that count took back."""
        return sum(facts.recalled for facts in self.tranches.values())

    @property
    def over(self) -> int:
        """What was metered beyond the entitlement."""
        return sum(facts.over for facts in self.tranches.values())

    @property
    def lost(self) -> Mapping[str, int]:
        """Entitlement not delivered, by cause."""
        found: dict[str, int] = {}
        for facts in self.tranches.values():
            for cause, gpu_seconds in facts.lost.items():
                found[cause] = found.get(cause, 0) + gpu_seconds
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A rated line.

    Attributes:
        clause: path of the clause it comes from.
        month: service month.
        kind: what it is to the books.
        text: what it is, in plain English, with its quantity and rate.
        amount: negative for what the operator owes.
        basis: paths of the terms used.
        assumed: those of them that are assumptions.
        tranche: the tranche it is for, or None.
    """

    clause: str
    month: Month
    kind: Kind
    text: str
    amount: Money
    basis: tuple[str, ...]
    assumed: tuple[str, ...]
    tranche: str | None = None


def charge(
    agreement: Agreement,
    clause: str,
    month: Month,
    *,
    kind: Kind,
    text: str,
    amount: Money,
    basis: tuple[str, ...],
    tranche: str | None = None,
) -> Charge:
    """A charge that knows which of its terms are assumed."""
    return Charge(
        clause=clause,
        month=month,
        kind=kind,
        text=text,
        amount=amount,
        basis=basis,
        assumed=agreement.sheet.assumed(basis),
        tranche=tranche,
    )


def flat_fee(agreement: Agreement, charges: Iterable[Charge], tranches: Iterable[str] | None = None) -> Money:
    """The month's fixed fee after what already lowered it; usage isn't part of it.

    Args:
        agreement: for its currency.
        charges: of the month.
        tranches: only what is for these tranches, where given.
    """
    own = None if tranches is None else set(tranches)
    return total(
        (c.amount for c in charges if c.kind is Kind.FEE and (own is None or c.tranche in own)),
        agreement.currency,
    )


def fee_of(
    agreement: Agreement, charges: Iterable[Charge], facts: MonthFacts, part: Mapping[str, int]
) -> Fraction:
    """The fixed fee of a part of what is entitled: of the whole agreement's fee in proportion to everything,
    of a tranche's fee in proportion to the tranche.

    Units: minor units, exact; `part` in GPU-seconds by tranche.
    """
    lines = tuple(charges)
    exact = Fraction(0)
    if facts.entitled:
        whole = flat_fee(agreement, (c for c in lines if c.tranche is None))
        exact = whole.minor * Fraction(sum(part.values()), facts.entitled)
    for tranche, seconds in part.items():
        entitled = facts.tranches[tranche].entitled
        if entitled:
            exact += flat_fee(agreement, lines, [tranche]).minor * Fraction(seconds, entitled)
    return exact


def earned(agreement: Agreement, charges: Iterable[Charge]) -> Money:
    """What of the charges is revenue: fees, usage and credits."""
    return total((item.amount for item in charges if item.kind in EARNED), agreement.currency)


def carried_after(carried: Carried, moves: Iterable[Move]) -> Carried:
    """What is carried after moves; lots that are used up are gone."""
    lots = {name: {lot.month: lot.quantity for lot in own} for name, own in carried.items()}
    for move in moves:
        own = lots.setdefault(move.account, {})
        own[move.month] = own.get(move.month, 0) + move.quantity
    return {
        name: tuple(Lot(month=month, quantity=own[month]) for month in sorted(own) if own[month])
        for name, own in sorted(lots.items())
        if any(own.values())
    }


def left_of(lots: Iterable[Lot]) -> int:
    """The sum of lots."""
    return sum(lot.quantity for lot in lots)


def oldest_first(account: str, lots: Iterable[Lot], wanted: int) -> tuple[tuple[Move, ...], int]:
    """Use up to `wanted` of lots, oldest first: the moves, and how much was used."""
    moves, used = [], 0
    for lot in lots:
        part = min(lot.quantity, wanted - used)
        if part > 0:
            moves.append(Move(account=account, month=lot.month, quantity=-part))
            used += part
    return tuple(moves), used


def percent(share: Decimal) -> str:
    """A fraction as an exact percentage, for people: 0.125 is ``12.5 %``."""
    return f"{(share * 100).normalize():f} %"


def gpu_hours(gpu_seconds: int) -> str:
    """GPU-seconds as GPU-hours with two decimals, for people."""
    return f"{round_rate(Fraction(gpu_seconds, 3600), 2):,} GPU-hours"
