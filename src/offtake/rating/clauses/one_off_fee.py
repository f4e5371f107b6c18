"""A fee owed once, or a month's part of it."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.one_off_fee import OneOffFee
from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import Charge


def rate_one_off_fee(agreement: Agreement, path: str, clause: OneOffFee, month: Month) -> Iterable[Charge]:
    """The whole, or the month's part."""
    return scheduled_charges(agreement, path, clause, month, clause.what)
