"""What rating is given, and what it answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from offtake.agreements.events import Election
from offtake.agreements.model import Agreement
from offtake.base.money import Money, round_rate, total
from offtake.base.months import Month


class Kind(StrEnum):
    """What a charge is to the books."""

    FEE = "fee"
    USAGE = "usage"
    CREDIT = "credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthFacts:
    """What happened under an agreement in one of its local months.

    Units: GPU-seconds throughout.

    Attributes:
        entitled: what the agreement entitles to, recalls not deducted.
        delivered: what was allocated, never above the entitlement.
        taken: what was metered.
        recalled: what recalls that count took back.
        lost: entitlement not delivered, by cause.
        election: a choice after a missed delivery that counts, if any.
    """

    month: Month
    entitled: int = 0
    delivered: int = 0
    taken: int = 0
    recalled: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    election: Election | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A rated line.

    Attributes:
        clause: path of the clause it comes from.
        month: service month.
        kind: fee, usage or credit.
        text: what it is, in plain English, with its quantity and rate.
        amount: negative for what the operator owes.
        basis: paths of the terms used.
        assumed: those of them that are assumptions.
    """

    clause: str
    month: Month
    kind: Kind
    text: str
    amount: Money
    basis: tuple[str, ...]
    assumed: tuple[str, ...]


def charge(
    agreement: Agreement,
    clause: str,
    month: Month,
    *,
    kind: Kind,
    text: str,
    amount: Money,
    basis: tuple[str, ...],
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
    )


def flat_fee(agreement: Agreement, charges: Iterable[Charge]) -> Money:
    """The month's fixed fee after what already lowered it; usage isn't part of it."""
    return total((item.amount for item in charges if item.kind is Kind.FEE), agreement.currency)


def percent(share: Decimal) -> str:
    """A fraction as an exact percentage, for people: 0.125 is ``12.5 %``."""
    return f"{(share * 100).normalize():f} %"


def gpu_hours(gpu_seconds: int) -> str:
    """GPU-seconds as GPU-hours with two decimals, for people."""
    return f"{round_rate(Fraction(gpu_seconds, 3600), 2):,} GPU-hours"
