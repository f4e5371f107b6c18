"""The tables of clauses and of events.

Adding a clause: its file in `offtake.agreements.clauses`, one line here, its charge in
`offtake.rating.clauses`. Adding an event: its class in `offtake.agreements.events`, one line here.
"""

from __future__ import annotations

from collections.abc import Mapping

from offtake.agreements.clauses.availability_credit import AvailabilityCredit
from offtake.agreements.clauses.burst import Burst
from offtake.agreements.clauses.capacity_fee import CapacityFee
from offtake.agreements.clauses.conversion import Conversion
from offtake.agreements.clauses.delivery import Delivery
from offtake.agreements.clauses.escalator import Escalator
from offtake.agreements.clauses.minimum_commitment import MinimumCommitment
from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.one_off_fee import OneOffFee
from offtake.agreements.clauses.payment import Payment
from offtake.agreements.clauses.percentage_fee import PercentageFee
from offtake.agreements.clauses.prepayment import Prepayment
from offtake.agreements.clauses.ramp import Ramp
from offtake.agreements.clauses.recall import Recall
from offtake.agreements.clauses.renewal import Renewal
from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.clauses.term_fee import TermFee
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.events.election import Election
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.model import Clause, Event

CLAUSES: Mapping[str, type[Clause]] = {
    clause.NAME: clause
    for clause in (
        MonthlyFee,
        Ramp,
        TermFee,
        CapacityFee,
        OneOffFee,
        PercentageFee,
        UsageFee,
        Burst,
        TakeOrPay,
        MinimumCommitment,
        Escalator,
        Delivery,
        AvailabilityCredit,
        Recall,
        Termination,
        Renewal,
        Conversion,
        Payment,
        Prepayment,
    )
}
"""Section of the file → clause; a test checks that every file of this package is listed."""

EVENTS: Mapping[str, type[Event]] = {
    event.SECTION: event
    for event in (
        Notice,
        Election,
        RecallNotice,
    )
}
"""Section of a file of facts → event; a test checks that every event of this package is listed."""

BY_KIND: Mapping[str, type[Event]] = {event.KIND: event for event in EVENTS.values()}
"""Kind of fact → event."""
