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
from offtake.rating.clauses.capacity_put import rate_capacity_put
from offtake.rating.clauses.default import rate_default
from offtake.rating.clauses.delay_credit import rate_delay_credit
from offtake.rating.clauses.delivery import rate_delivery
from offtake.rating.clauses.expansion import rate_expansion
from offtake.rating.clauses.force_majeure import rate_force_majeure
from offtake.rating.clauses.hourly_fee import rate_hourly_fee
from offtake.rating.clauses.liability_cap import rate_liability_cap
from offtake.rating.clauses.metered_fee import rate_metered_fee
from offtake.rating.clauses.minimum_commitment import rate_minimum_commitment
from offtake.rating.clauses.monthly_fee import rate_monthly_fee
from offtake.rating.clauses.one_off_fee import rate_one_off_fee
from offtake.rating.clauses.payment import rate_payment
from offtake.rating.clauses.percentage_fee import rate_percentage_fee
from offtake.rating.clauses.power_pass_through import rate_power_pass_through
from offtake.rating.clauses.prepayment import rate_drawdown, rate_prepayment
from offtake.rating.clauses.ramp import rate_ramp
from offtake.rating.clauses.recall import rate_recall
from offtake.rating.clauses.rent_abatement import rate_rent_abatement
from offtake.rating.clauses.resale import rate_resale
from offtake.rating.clauses.service_level import rate_service_level
from offtake.rating.clauses.spend_cap import rate_spend_cap
from offtake.rating.clauses.suspension import rate_suspension
from offtake.rating.clauses.take_or_pay import rate_take_or_pay
from offtake.rating.clauses.tax import rate_tax
from offtake.rating.clauses.term_fee import rate_term_fee
from offtake.rating.clauses.termination import rate_termination
from offtake.rating.clauses.usage_fee import rate_usage_fee
from offtake.rating.clauses.wallet import rate_wallet
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
    "expansion": Raters(fixed=rate_expansion),
    "usage_fee": Raters(settled=rate_usage_fee),
    "metered_fee": Raters(settled=rate_metered_fee),
    "hourly_fee": Raters(settled=rate_hourly_fee),
    "burst": Raters(settled=rate_burst),
    "take_or_pay": Raters(settled=rate_take_or_pay),
    "minimum_commitment": Raters(settled=rate_minimum_commitment),
    "spend_cap": Raters(settled=rate_spend_cap),
    "capacity_put": Raters(settled=rate_capacity_put),
    "percentage_fee": Raters(settled=rate_percentage_fee),
    "delivery": Raters(settled=rate_delivery),
    "recall": Raters(settled=rate_recall),
    "suspension": Raters(settled=rate_suspension),
    "force_majeure": Raters(settled=rate_force_majeure),
    "rent_abatement": Raters(settled=rate_rent_abatement),
    "availability_credit": Raters(settled=rate_availability_credit),
    "service_level": Raters(settled=rate_service_level),
    "delay_credit": Raters(settled=rate_delay_credit),
    "liability_cap": Raters(settled=rate_liability_cap),
    "resale": Raters(settled=rate_resale),
    "termination": Raters(fixed=rate_termination),
    "default": Raters(settled=rate_default),
    "power_pass_through": Raters(settled=rate_power_pass_through),
    "prepayment": Raters(fixed=rate_prepayment, settled=rate_drawdown),
    "payment": Raters(settled=rate_payment),
    "tax": Raters(settled=rate_tax),
    "wallet": Raters(settled=rate_wallet),
    "escalator": Raters(why_none="it multiplies the fees of other clauses"),
    "index_link": Raters(why_none="it multiplies the fees of other clauses"),
    "acceptance": Raters(why_none="it says from when a tranche's own fees are owed"),
    "metering": Raters(why_none="it says how readings are counted"),
    "maintenance": Raters(why_none="it says what service levels excuse"),
    "conversion": Raters(why_none="it turns one unit into another"),
    "renewal": Raters(why_none="an option that is exercised extends the fees of other clauses"),
    "substitution": Raters(why_none="equivalent hardware costs the same"),
    "first_offer": Raters(why_none="an offer that is taken becomes an amendment"),
    "assignment": Raters(why_none="it changes who owes, not what"),
    "notices": Raters(why_none="it says when a notice counts as received"),
    "credit_support": Raters(why_none="it says who answers for what is owed"),
    "concentration": Raters(why_none="it is a test of the whole book"),
    "recognition": Raters(why_none="it says how value is reported, not what is owed"),
}
"""Section of the file → raters; a test checks that every clause is listed."""

ORDER = tuple(name for name, raters in RATERS.items() if raters.settled is not none_settled)
"""Clauses whose settled raters are called, in that order."""
