"""The reduced fee of a ramp month."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.ramp import Ramp
from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import Charge, percent


def rate_ramp(agreement: Agreement, path: str, clause: Ramp, month: Month) -> Iterable[Charge]:
    """The share of the full fee."""
    return scheduled_charges(
        agreement, path, clause, month, f"Ramp fee, {percent(clause.fee_share)} of the full fee,"
    )
