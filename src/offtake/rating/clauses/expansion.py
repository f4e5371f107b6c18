"""The fee of capacity that was added by an option."""

from __future__ import annotations

from collections.abc import Iterable

from offtake.agreements.clauses.expansion import Expansion
from offtake.agreements.model import Agreement
from offtake.base.months import Month
from offtake.rating.clauses.monthly_fee import scheduled_charges
from offtake.rating.model import Charge


def rate_expansion(agreement: Agreement, path: str, clause: Expansion, month: Month) -> Iterable[Charge]:
    """The option's own fee, once it is exercised."""
    return scheduled_charges(agreement, path, clause, month, "Expansion")
