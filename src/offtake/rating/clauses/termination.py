"""What leaving for convenience costs."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.termination import Termination
from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import Charge


def rate_termination(agreement: Agreement, path: str, clause: Termination, month: Month) -> Iterable[Charge]:
    """The fee for leaving, in the last month covered."""
    return scheduled_charges(agreement, path, clause, month, "Termination fee")
