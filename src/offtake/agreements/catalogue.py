"""The tables of clauses and of events.

Adding a clause: its file in `offtake.agreements.clauses`, one line here, its charge in
`offtake.rating.clauses`. Adding an event: its class in `offtake.agreements.events`, one line here.
"""

from __future__ import annotations

from collections.abc import Mapping

from offtake.agreements.clauses.acceptance import Acceptance
from offtake.agreements.clauses.assignment import Assignment
from offtake.agreements.clauses.availability_credit import AvailabilityCredit
from offtake.agreements.clauses.burst import Burst
from offtake.agreements.clauses.capacity_fee import CapacityFee
from offtake.agreements.clauses.capacity_put import CapacityPut
from offtake.agreements.clauses.concentration import Concentration
from offtake.agreements.clauses.conversion import Conversion
from offtake.agreements.clauses.credit_support import CreditSupport
from offtake.agreements.clauses.default import Default
from offtake.agreements.clauses.delay_credit import DelayCredit
from offtake.agreements.clauses.delivery import Delivery
from offtake.agreements.clauses.escalator import Escalator
from offtake.agreements.clauses.expansion import Expansion
from offtake.agreements.clauses.first_offer import FirstOffer
from offtake.agreements.clauses.force_majeure import ForceMajeure
from offtake.agreements.clauses.hourly_fee import HourlyFee
from offtake.agreements.clauses.index_link import IndexLink
from offtake.agreements.clauses.liability_cap import LiabilityCap
from offtake.agreements.clauses.maintenance import Maintenance
from offtake.agreements.clauses.metered_fee import MeteredFee
from offtake.agreements.clauses.metering import Metering
from offtake.agreements.clauses.minimum_commitment import MinimumCommitment
from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.notices import Notices
from offtake.agreements.clauses.one_off_fee import OneOffFee
from offtake.agreements.clauses.payment import Payment
from offtake.agreements.clauses.percentage_fee import PercentageFee
from offtake.agreements.clauses.power_pass_through import PowerPassThrough
from offtake.agreements.clauses.prepayment import Prepayment
from offtake.agreements.clauses.ramp import Ramp
from offtake.agreements.clauses.recall import Recall
from offtake.agreements.clauses.recognition import Recognition
from offtake.agreements.clauses.renewal import Renewal
from offtake.agreements.clauses.rent_abatement import RentAbatement
from offtake.agreements.clauses.resale import Resale
from offtake.agreements.clauses.service_level import ServiceLevel
from offtake.agreements.clauses.spend_cap import SpendCap
from offtake.agreements.clauses.substitution import Substitution
from offtake.agreements.clauses.suspension import Suspension
from offtake.agreements.clauses.take_or_pay import TakeOrPay
from offtake.agreements.clauses.tax import Tax
from offtake.agreements.clauses.term_fee import TermFee
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.clauses.usage_fee import UsageFee
from offtake.agreements.clauses.wallet import Wallet
from offtake.agreements.events.acceptance import Answer, Tender
from offtake.agreements.events.assignment import AssignmentNotice, StepIn
from offtake.agreements.events.cause import CauseNotice, DefaultNotice
from offtake.agreements.events.claim import Claim
from offtake.agreements.events.credit import Credit, WriteOff
from offtake.agreements.events.dispute import Dispute
from offtake.agreements.events.election import Election
from offtake.agreements.events.exercise import Exercise
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.offer import Offer
from offtake.agreements.events.recall import GiveBack, RecallNotice
from offtake.agreements.events.relief import MaintenanceWindow, Relief
from offtake.agreements.events.substitution import SubstitutionNotice
from offtake.agreements.events.suspension import SuspensionNotice
from offtake.agreements.events.top_up import TopUp
from offtake.agreements.events.transfer import Transfer
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
        MeteredFee,
        HourlyFee,
        Metering,
        Burst,
        TakeOrPay,
        MinimumCommitment,
        SpendCap,
        CapacityPut,
        Escalator,
        IndexLink,
        PowerPassThrough,
        Prepayment,
        Wallet,
        Acceptance,
        Delivery,
        DelayCredit,
        AvailabilityCredit,
        ServiceLevel,
        RentAbatement,
        Maintenance,
        ForceMajeure,
        LiabilityCap,
        Recall,
        Suspension,
        Substitution,
        Termination,
        Default,
        Renewal,
        Expansion,
        FirstOffer,
        Resale,
        Assignment,
        Notices,
        CreditSupport,
        Concentration,
        Payment,
        Tax,
        Conversion,
        Recognition,
    )
}
"""Section of the file → clause; a test checks that every file of this package is listed."""

EVENTS: Mapping[str, type[Event]] = {
    event.SECTION: event
    for event in (
        Notice,
        CauseNotice,
        DefaultNotice,
        Tender,
        Answer,
        Election,
        Claim,
        RecallNotice,
        GiveBack,
        MaintenanceWindow,
        Relief,
        SuspensionNotice,
        SubstitutionNotice,
        Exercise,
        Offer,
        TopUp,
        Transfer,
        AssignmentNotice,
        StepIn,
        Dispute,
        Credit,
        WriteOff,
    )
}
"""Section of a file of facts → event; a test checks that every event of this package is listed."""

BY_KIND: Mapping[str, type[Event]] = {event.KIND: event for event in EVENTS.values()}
"""Kind of fact → event."""
