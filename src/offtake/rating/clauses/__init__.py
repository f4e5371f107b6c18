"""The tables of raters, by clause.

`FIXED` is called for every clause in the order of the agreement. `SETTLED` is called in the order of the
table: usage and deficiency first, then what lowers the fee, then credits on what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.availability_credit import rate_availability_credit
from offtake.rating.clauses.delivery import rate_delivery
from offtake.rating.clauses.monthly_fee import rate_monthly_fee
from offtake.rating.clauses.ramp import rate_ramp
from offtake.rating.clauses.recall import rate_recall
from offtake.rating.clauses.take_or_pay import rate_take_or_pay
from offtake.rating.clauses.usage_fee import rate_usage_fee
from offtake.rating.model import Charge, MonthFacts

FixedRater = Callable[[Agreement, str, Any, Month], Iterable[Charge]]
SettledRater = Callable[[Agreement, str, Any, MonthFacts, tuple[Charge, ...]], Iterable[Charge]]


def none_fixed(agreement: Agreement, path: str, clause: object, month: Month) -> Iterable[Charge]:
    """A clause that fixes nothing in advance."""
    return ()


def none_settled(
    agreement: Agreement, path: str, clause: object, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge]:
    """A clause that charges nothing on what happened."""
    return ()


FIXED: Mapping[str, FixedRater] = {
    "monthly_fee": rate_monthly_fee,
    "ramp": rate_ramp,
    "usage_fee": none_fixed,
    "take_or_pay": none_fixed,
    "delivery": none_fixed,
    "availability_credit": none_fixed,
    "recall": none_fixed,
    "termination": none_fixed,
    "payment": none_fixed,
}

SETTLED: Mapping[str, SettledRater] = {
    "monthly_fee": none_settled,
    "ramp": none_settled,
    "usage_fee": rate_usage_fee,
    "take_or_pay": rate_take_or_pay,
    "delivery": rate_delivery,
    "recall": rate_recall,
    "availability_credit": rate_availability_credit,
    "termination": none_settled,
    "payment": none_settled,
}
