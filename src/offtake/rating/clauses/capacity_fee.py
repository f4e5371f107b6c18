"""Reserved capacity at its rate."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.capacity_fee import CapacityFee
from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import Charge


def rate_capacity_fee(agreement: Agreement, path: str, clause: CapacityFee, month: Month) -> Iterable[Charge]:
    """A line for each tranche."""
    unit = clause.per.value.replace("gpu_", "GPU-").replace("mw_", "MW-")
    what = f"{clause.what} at {clause.rate:,f} {agreement.currency} per {unit}"
    return scheduled_charges(agreement, path, clause, month, what)
