"""The month's part of a fee stated for the whole term."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.term_fee import TermFee
from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import Charge


def rate_term_fee(agreement: Agreement, path: str, clause: TermFee, month: Month) -> Iterable[Charge]:
    """The month's part of the total."""
    return scheduled_charges(agreement, path, clause, month, clause.what)
