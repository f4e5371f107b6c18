"""The month's flat fee."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.model import Agreement, Clause, DueKind
from offtake.agreements.schedule import Owed, owed_in
from offtake.base.months import Month, days_in_month
from offtake.rating.model import Charge, Kind, charge

_KINDS = {DueKind.FEE: Kind.FEE, DueKind.PREPAYMENT: Kind.PREPAYMENT}


def rate_monthly_fee(agreement: Agreement, path: str, clause: MonthlyFee, month: Month) -> Iterable[Charge]:
    """The scheduled amount, or the covered share of its days when the agreement ends that month."""
    return scheduled_charges(agreement, path, clause, month, clause.what)


def scheduled_charges(
    agreement: Agreement, path: str, clause: Clause, month: Month, what: str
) -> Iterable[Charge]:
    """Charges for the amounts a clause schedules for a month; `what` begins their text."""
    for item in owed_in(agreement, path, clause, month):
        yield charge(
            agreement,
            path,
            month,
            kind=_KINDS[item.kind],
            text=_text(what, item),
            amount=item.amount,
            basis=item.basis,
            tranche=item.tranche,
        )


def _text(what: str, item: Owed) -> str:
    days = days_in_month(item.month)
    tranche = "" if item.tranche is None else f", tranche {item.tranche}"
    cut = "" if item.covered == 1 else f", {item.covered * Fraction(days)} of {days} days"
    notes = "".join(f", {note}" for note in item.notes)
    return f"{what} for {item.month}{tranche}{cut}{notes}"
