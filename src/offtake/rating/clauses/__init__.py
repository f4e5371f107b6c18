"""The table of raters, by clause.

Fixed raters are called for every clause in the order of the agreement. Settled ones are called in `ORDER`:
usage and deficiency first, then what lowers the fee, then credits on what is left of it, then what isn't
revenue, tax last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.availability_credit import rate_availability_credit
from offtake.rating.clauses.burst import rate_burst
from offtake.rating.clauses.capacity_fee import rate_capacity_fee
from offtake.rating.clauses.delivery import rate_delivery
from offtake.rating.clauses.minimum_commitment import rate_minimum_commitment
from offtake.rating.clauses.monthly_fee import rate_monthly_fee
from offtake.rating.clauses.one_off_fee import rate_one_off_fee
from offtake.rating.clauses.percentage_fee import rate_percentage_fee
from offtake.rating.clauses.prepayment import rate_drawdown, rate_prepayment
from offtake.rating.clauses.ramp import rate_ramp
from offtake.rating.clauses.recall import rate_recall
from offtake.rating.clauses.take_or_pay import rate_take_or_pay
from offtake.rating.clauses.term_fee import rate_term_fee
from offtake.rating.clauses.termination import rate_termination
from offtake.rating.clauses.usage_fee import rate_usage_fee
from offtake.rating.model import Charge, MonthFacts, Move

FixedRater = Callable[[Agreement, str, Any, Month], Iterable[Charge]]
SettledRater = Callable[[Agreement, str, Any, MonthFacts, tuple[Charge, ...]], Iterable[Charge | Move]]


def none_fixed(agreement: Agreement, path: str, clause: object, month: Month) -> Iterable[Charge]:
    """A clause that fixes nothing in advance."""
    return ()


def none_settled(
    agreement: Agreement, path: str, clause: object, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """A clause that charges nothing on what happened."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raters:
    """How a clause turns a month into charges.

    Attributes:
        fixed: from the agreement alone.
        settled: from what happened.
        why_none: why it has no charge of its own, where it has none.
    """

    fixed: FixedRater = none_fixed
    settled: SettledRater = none_settled
    why_none: str = ""


RATERS: Mapping[str, Raters] = {
    "monthly_fee": Raters(fixed=rate_monthly_fee),
    "ramp": Raters(fixed=rate_ramp),
    "term_fee": Raters(fixed=rate_term_fee),
    "capacity_fee": Raters(fixed=rate_capacity_fee),
    "one_off_fee": Raters(fixed=rate_one_off_fee),
    "usage_fee": Raters(settled=rate_usage_fee),
    "burst": Raters(settled=rate_burst),
    "take_or_pay": Raters(settled=rate_take_or_pay),
    "minimum_commitment": Raters(settled=rate_minimum_commitment),
    "percentage_fee": Raters(settled=rate_percentage_fee),
    "delivery": Raters(settled=rate_delivery),
    "recall": Raters(settled=rate_recall),
    "availability_credit": Raters(settled=rate_availability_credit),
    "termination": Raters(fixed=rate_termination),
    "prepayment": Raters(fixed=rate_prepayment, settled=rate_drawdown),
    "escalator": Raters(why_none="it multiplies the fees of other clauses"),
    "conversion": Raters(why_none="it turns one unit into another"),
    "renewal": Raters(why_none="an option that is exercised extends the fees of other clauses"),
    "payment": Raters(why_none="it says when charges are billed and due"),
}
"""Section of the file → raters; a test checks that every clause is listed."""

ORDER = tuple(name for name, raters in RATERS.items() if raters.settled is not none_settled)
"""Clauses whose settled raters are called, in that order."""
