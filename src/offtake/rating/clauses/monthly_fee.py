"""The month's flat fee."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.derive import covered_days, owed_by
from offtake.agreements.model import Agreement, Clause
from offtake.base.months import Month, days_in_month
from offtake.rating.model import Charge, Kind, charge


def rate_monthly_fee(agreement: Agreement, path: str, clause: MonthlyFee, month: Month) -> Iterable[Charge]:
    """The scheduled amount, or the covered share of its days when the agreement ends that month."""
    return scheduled_charges(agreement, path, clause, month, "Fee")


def scheduled_charges(
    agreement: Agreement, path: str, clause: Clause, month: Month, what: str
) -> Iterable[Charge]:
    """Charges for the amounts a clause schedules for a month."""
    covered, days = covered_days(agreement, month), days_in_month(month)
    for item in owed_by(agreement, clause):
        if item.month == month:
            text = f"{what} for {month}" + ("" if covered == days else f", {covered} of {days} days")
            yield charge(
                agreement, path, month, kind=Kind.FEE, text=text, amount=item.amount, basis=item.basis
            )
