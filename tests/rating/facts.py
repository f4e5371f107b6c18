"""Months as tests write them: what happened under one tranche."""

from __future__ import annotations

from typing import Any

from offtake.base.months import Month
from offtake.rating.model import MonthFacts, TrancheFacts


def month_facts(month: Month, tranche: str = "main", **facts: Any) -> MonthFacts:
    """A month of one tranche: the facts of `TrancheFacts`, in GPU-seconds."""
    return MonthFacts(month=month, tranches={tranche: TrancheFacts(**facts)})
