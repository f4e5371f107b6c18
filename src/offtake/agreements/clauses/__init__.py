"""The table of clauses. Adding one: its file here, its charge in `offtake.rating.clauses`, one line below."""

from __future__ import annotations

from collections.abc import Mapping

from offtake.agreements.clauses.availability_credit import AvailabilityCredit
from offtake.agreements.clauses.delivery import Delivery
from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.payment import Payment
from offtake.agreements.clauses.ramp import Ramp
from offtake.agreements.clauses.recall import Recall
from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.model import Clause

CLAUSES: Mapping[str, type[Clause]] = {
    clause.NAME: clause
    for clause in (
        MonthlyFee,
        Ramp,
        UsageFee,
        TakeOrPay,
        Delivery,
        AvailabilityCredit,
        Recall,
        Termination,
        Payment,
    )
}
"""Section of the file → clause; a test checks that every file of this package is listed."""
