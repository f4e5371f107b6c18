"""FOCUS 1.4 for FinOps tools: Cost and Usage, Contract Commitment, Billing Period, Invoice Detail.

Source: the FOCUS specification. A fee for committed capacity is a purchase that costs nothing by itself
(`EffectiveCost` 0); what it paid for stands in rows that bill nothing: the part that was used, and the part
that wasn't. A correction keeps its service period and stands in the billing period in which it was issued.
FOCUS has no columns for notice, recall or service levels: they are `x_` columns of the contract commitment.
FOCUS 1.2 is the same rows of Cost and Usage under the names of that version.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from offtake.agreements.clauses.payment import Payment
from offtake.agreements.clauses.recall import Recall
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.derive import values
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import prepayment_schedule
from offtake.agreements.units import total_gpus
from offtake.base.money import Money, share_of
from offtake.base.months import Month, month_of
from offtake.base.time import Interval, format_instant
from offtake.billing.document import Document
from offtake.rating.model import Charge, Kind


class FocusVersion(StrEnum):
    """Versions of FOCUS that are written."""

    V1_2 = "1.2"
    V1_4 = "1.4"


CATEGORY = {
    Kind.FEE: "Purchase",
    Kind.USAGE: "Usage",
    Kind.CREDIT: "Credit",
    Kind.PASS_THROUGH: "Usage",
    Kind.PREPAYMENT: "Purchase",
    Kind.DRAWDOWN: "Credit",
    Kind.INTEREST: "Adjustment",
    Kind.DAMAGES: "Adjustment",
    Kind.TAX: "Tax",
}
"""FOCUS's category of a charge."""

FREQUENCY = {Kind.FEE: "Recurring", Kind.USAGE: "Usage-Based", Kind.PASS_THROUGH: "Usage-Based"}
"""FOCUS's frequency of a charge; one-time where it isn't named."""

COST_AND_USAGE = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "CapacityReservationId", "CapacityReservationStatus", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart",
    "ConsumedQuantity", "ConsumedUnit", "ContractApplied", "ContractedCost", "ContractedUnitPrice",
    "EffectiveCost", "HostProviderName", "InvoiceDetailId", "InvoiceId", "InvoiceIssuerName",
    "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "ServiceProviderName",
    "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "Tags", "x_Assumed",
    "x_Clause",
)  # fmt: skip

CONTRACT_COMMITMENT = (
    "BillingCurrency", "ContractCommitmentApplicability", "ContractCommitmentBenefitCategory",
    "ContractCommitmentCategory", "ContractCommitmentCost", "ContractCommitmentCreated",
    "ContractCommitmentDescription", "ContractCommitmentDiscountPercentage",
    "ContractCommitmentDurationType", "ContractCommitmentFulfillmentInterval", "ContractCommitmentId",
    "ContractCommitmentLastUpdated", "ContractCommitmentLifecycleStatus", "ContractCommitmentModel",
    "ContractCommitmentOfferCategory", "ContractCommitmentPaymentInterval",
    "ContractCommitmentPaymentModel", "ContractCommitmentPaymentUpfrontPercentage",
    "ContractCommitmentPeriodEnd", "ContractCommitmentPeriodStart", "ContractCommitmentQuantity",
    "ContractCommitmentType", "ContractCommitmentUnit", "ContractId", "ContractPeriodEnd",
    "ContractPeriodStart", "InvoiceIssuerName", "ServiceProviderName", "x_FirmCost", "x_NoticeDays",
    "x_RecallNoticeDays",
)  # fmt: skip

BILLING_PERIOD = (
    "BillingPeriodCreated", "BillingPeriodEnd", "BillingPeriodLastUpdated", "BillingPeriodStart",
    "BillingPeriodStatus", "InvoiceIssuerName",
)  # fmt: skip

INVOICE_DETAIL = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "InvoiceDetailCreated", "InvoiceDetailDescription", "InvoiceDetailGrain",
    "InvoiceDetailId", "InvoiceDetailLastUpdated", "InvoiceId", "InvoiceIssueDate",
    "InvoiceIssueStatus", "InvoiceIssuerName", "PaymentDueDate", "PaymentTerms", "ReferenceInvoiceId",
)  # fmt: skip

IN_1_2 = {
    "ContractApplied": ("x_ContractApplied",),
    "HostProviderName": (),
    "InvoiceDetailId": ("x_InvoiceDetailId",),
    "ServiceProviderName": ("ProviderName", "PublisherName"),
}
"""Columns of Cost and Usage that 1.2 doesn't have, and what stands there for them; the others are the same.

A contract is none of 1.2's commitment discounts: those can be bought by anybody, without one.
"""

COST_AND_USAGE_1_2 = tuple(
    sorted(
        ["CommitmentDiscountStatus", *(new for old in COST_AND_USAGE for new in IN_1_2.get(old, (old,)))],
        key=lambda name: (name.startswith("x_"), name),
    )
)
"""`CommitmentDiscountStatus` stays empty; it is there because 1.2's rule of `ConsumedQuantity` reads it."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What of an agreement is exported.

    Attributes:
        agreement: as it stands.
        documents: issued under it, in order of number.
        settled: by settled month, GPU-seconds entitled and taken.
    """

    agreement: Agreement
    documents: Sequence[Document]
    settled: Mapping[Month, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The four datasets, as rows of texts."""

    cost_and_usage: tuple[Row, ...]
    contract_commitment: tuple[Row, ...]
    billing_period: tuple[Row, ...]
    invoice_detail: tuple[Row, ...]

    def files(self, version: FocusVersion = FocusVersion.V1_4) -> dict[str, str]:
        """Each dataset as CSV, by file name; of 1.2 there is Cost and Usage alone."""
        if version is FocusVersion.V1_2:
            rows = (_in_1_2(row) for row in self.cost_and_usage)
            return {"focus_1_2_cost_and_usage.csv": _csv(COST_AND_USAGE_1_2, rows)}
        return {
            "focus_1_4_cost_and_usage.csv": _csv(COST_AND_USAGE, self.cost_and_usage),
            "focus_1_4_contract_commitment.csv": _csv(CONTRACT_COMMITMENT, self.contract_commitment),
            "focus_1_4_billing_period.csv": _csv(BILLING_PERIOD, self.billing_period),
            "focus_1_4_invoice_detail.csv": _csv(INVOICE_DETAIL, self.invoice_detail),
        }


def focus_bundle(billed: Iterable[Billed], *, at: int) -> Bundle:
    """The datasets of everything billed.

    Args:
        billed: by agreement.
        at: the instant of the export: periods that have ended by then are closed.
    """
    known = list(billed)
    rows: list[Row] = []
    details: list[Row] = []
    periods: dict[tuple[str, str, str], Row] = {}
    for one in known:
        before = len(rows)
        for doc in one.documents:
            period = _billing_period(one.agreement, doc)
            own = list(_lines(one, doc, period))
            rows += own
            details += _details(one.agreement, doc, own)
            row = _period_row(doc, period, at)
            periods[row["InvoiceIssuerName"], row["BillingPeriodStart"], row["BillingPeriodEnd"]] = row
        _consume_once(rows[before:])
    return Bundle(
        cost_and_usage=tuple(rows),
        contract_commitment=tuple(_commitment(one, at) for one in known),
        billing_period=tuple(periods[key] for key in sorted(periods)),
        invoice_detail=tuple(details),
    )


def _consume_once(rows: Sequence[Row]) -> None:
    """A month's consumption stands once: on its used capacity, or else on its first charge for use."""
    seen: set[str] = set()
    for row in sorted(rows, key=lambda row: row.get("CapacityReservationStatus") != "Used"):
        if row.get("ConsumedQuantity"):
            if row["ChargePeriodStart"] in seen:
                row["ConsumedQuantity"] = "0.000000"
            seen.add(row["ChargePeriodStart"])


def _in_1_2(row: Row) -> Row:
    return {new: value for old, value in row.items() for new in IN_1_2.get(old, (old,))}


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _billing_period(agreement: Agreement, doc: Document) -> Interval:
    """The service month, or for a correction the month in which it is issued."""
    month = month_of(doc.issued_at, agreement.time_zone) if doc.corrects else doc.month
    return agreement.month(month)


def _decimal(amount: Money) -> str:
    """With a decimal point, as importers want it."""
    text = f"{amount.major:f}"
    return text if "." in text else f"{text}.0"


def _quantity(value: Fraction) -> str:
    return f"{Decimal(value.numerator) / Decimal(value.denominator):.6f}"


def _common(agreement: Agreement, doc: Document, period: Interval) -> Row:
    return {
        "BillingAccountId": agreement.id,
        "BillingCurrency": doc.currency,
        "BillingPeriodStart": format_instant(period.start),
        "BillingPeriodEnd": format_instant(period.end),
        "InvoiceId": doc.number,
        "InvoiceIssuerName": doc.operator,
    }


def _lines(one: Billed, doc: Document, period: Interval) -> Iterator[Row]:
    common = {
        **_common(one.agreement, doc, period),
        "BillingAccountName": one.agreement.offtaker,
        "HostProviderName": doc.operator,
        "ServiceProviderName": doc.operator,
        "ServiceCategory": "Compute",
        "ServiceSubcategory": "Other (Compute)",
        "ServiceName": "GPU capacity",
        "ChargeClass": "Correction" if doc.corrects else "",
    }
    # what is drawn from money paid before lowers what is billed, row by row, and has no row of its own
    drawn = -sum(line.amount.minor for line in doc.lines if line.kind is Kind.DRAWDOWN)
    for line in doc.lines:
        if line.kind is Kind.DRAWDOWN:
            continue
        part = max(0, min(drawn, line.amount.minor)) if line.kind is not Kind.PREPAYMENT else 0
        drawn -= part
        billed = Money(line.amount.minor - part, doc.currency)
        yield {**common, **_line(one, doc, line), "BilledCost": _decimal(billed)}
    if not doc.corrects:
        yield from _used_and_unused(one, doc, common)


def _line(one: Billed, doc: Document, line: Charge) -> Row:
    """A line as a row; money paid before it is earned costs nothing by itself."""
    month = one.agreement.month(line.month)
    committed = line.kind is Kind.FEE and line.month in one.settled and not doc.corrects
    free = committed or line.kind is Kind.PREPAYMENT
    row = {
        "BilledCost": _decimal(line.amount),
        "ContractedCost": _decimal(line.amount),
        "ListCost": _decimal(line.amount),
        "EffectiveCost": "0.0" if free else _decimal(line.amount),
        "ChargeCategory": CATEGORY[line.kind],
        "ChargeFrequency": FREQUENCY.get(line.kind, "One-Time"),
        "ChargeDescription": line.text,
        "ChargePeriodStart": format_instant(month.start),
        "ChargePeriodEnd": format_instant(month.end),
        "InvoiceDetailId": _detail_id(doc, line),
        "x_Clause": line.clause,
        "x_Assumed": ", ".join(line.assumed),
    }
    if line.kind is not Kind.TAX:
        row |= {"SkuId": line.clause.partition("[")[0], "SkuMeter": "GPU capacity"}
    if line.kind in (Kind.FEE, Kind.USAGE, Kind.PASS_THROUGH, Kind.PREPAYMENT):
        row |= {"PricingCategory": "Committed" if line.kind is Kind.FEE else "Standard"}
        row |= {"PricingQuantity": "1.0", "PricingUnit": "Months" if line.kind is Kind.FEE else "Units"}
        if line.amount.minor >= 0:
            row |= {"ContractedUnitPrice": _decimal(line.amount), "ListUnitPrice": _decimal(line.amount)}
            row |= {"SkuPriceId": f"{one.agreement.id}/{line.clause}"}
    if line.kind in (Kind.USAGE, Kind.PASS_THROUGH):
        row |= {
            "ResourceId": f"{one.agreement.id}/{line.tranche or 'all'}",
            "ResourceName": line.tranche or one.agreement.id,
            "ResourceType": "Tranche",
        }
        taken = one.settled.get(line.month)
        if line.kind is Kind.USAGE and taken is not None and line.tranche is None:
            row |= {"ConsumedQuantity": _quantity(Fraction(taken[1], 3600)), "ConsumedUnit": "GPU-Hours"}
    return row


def _used_and_unused(one: Billed, doc: Document, common: Row) -> Iterator[Row]:
    """What the fees of a settled month paid for: capacity that was used, and capacity that wasn't."""
    for month in dict.fromkeys(line.month for line in doc.lines if line.kind is Kind.FEE):
        if month not in one.settled:
            continue
        entitled, taken = one.settled[month]
        fees = [line for line in doc.lines if line.kind is Kind.FEE and line.month == month]
        fee = Money(sum(line.amount.minor for line in fees), doc.currency)
        share = Fraction(min(taken, entitled), entitled) if entitled else Fraction(0)
        used = share_of(fee, share)
        for status, cost, seconds in (
            ("Used", used, min(taken, entitled)),
            ("Unused", fee - used, entitled - taken),
        ):
            if seconds <= 0 and not cost:
                continue
            period = one.agreement.month(month)
            quantity = _quantity(Fraction(max(seconds, 0), 3600))
            consumed = {"ConsumedQuantity": quantity, "ConsumedUnit": "GPU-Hours"} if status == "Used" else {}
            yield {
                **common,
                **consumed,
                "BilledCost": "0.0",
                "ContractedCost": _decimal(cost),
                "ListCost": _decimal(cost),
                "EffectiveCost": _decimal(cost),
                "ChargeCategory": "Usage",
                "ChargeFrequency": "Usage-Based",
                "ChargeDescription": f"Committed capacity {status.lower()} in {month}",
                "ChargePeriodStart": format_instant(period.start),
                "ChargePeriodEnd": format_instant(period.end),
                "CapacityReservationId": one.agreement.id,
                "CapacityReservationStatus": status,
                "ContractApplied": _applied(one.agreement, cost),
                "InvoiceDetailId": f"{doc.number}-Usage",
                "PricingCategory": "Committed",
                "PricingQuantity": "1.0",
                "PricingUnit": "Months",
                "ResourceId": one.agreement.id,
                "ResourceName": one.agreement.title or one.agreement.id,
                "ResourceType": "Committed capacity",
                "SkuId": "committed_capacity",
                "SkuMeter": "GPU capacity",
                **_unit_price(one.agreement, cost),
                "x_Clause": ", ".join(dict.fromkeys(line.clause for line in fees)),
            }


def _unit_price(agreement: Agreement, cost: Money) -> Row:
    """The part of the month's fee, as the price of a month."""
    if cost.minor < 0:
        return {}
    price = _decimal(cost)
    return {"ContractedUnitPrice": price, "ListUnitPrice": price, "SkuPriceId": f"{agreement.id}/committed"}


def _applied(agreement: Agreement, cost: Money) -> str:
    element = {
        "ContractId": agreement.id,
        "ContractCommitmentId": f"{agreement.id}/fees",
        "ContractCommitmentAppliedCost": float(cost.major),
    }
    return _json({"Elements": [element]})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def _detail_id(doc: Document, line: Charge) -> str:
    return f"{doc.number}-{CATEGORY[line.kind]}"


def _details(agreement: Agreement, doc: Document, rows: Iterable[Row]) -> Iterator[Row]:
    """One row for each category of an invoice, of which its cost-and-usage rows are the parts."""
    sums: dict[str, Decimal] = {}
    common: Row = {}
    for row in rows:
        category = row["ChargeCategory"]
        sums[category] = sums.get(category, Decimal(0)) + Decimal(row["BilledCost"])
        common = {name: row[name] for name in INVOICE_DETAIL if name in row}
    terms = agreement.first_of(Payment)
    days = terms[1].net_days if terms else Payment().net_days
    for category, amount in sorted(sums.items()):
        yield {
            **common,
            "BilledCost": f"{amount:f}",
            "ChargeCategory": category,
            "InvoiceDetailCreated": format_instant(doc.issued_at),
            "InvoiceDetailDescription": f"{category} of {doc.number}",
            "InvoiceDetailGrain": _json({"x_GroupedBy": "InvoiceId,ChargeCategory"}),
            "InvoiceDetailId": f"{doc.number}-{category}",
            "InvoiceDetailLastUpdated": format_instant(doc.issued_at),
            "InvoiceIssueDate": format_instant(doc.issued_at),
            "InvoiceIssueStatus": "Issued",
            "PaymentDueDate": format_instant(doc.due_at),
            "PaymentTerms": f"Net {days}",
            "ReferenceInvoiceId": doc.corrects[0] if doc.corrects else doc.number,
        }


def _period_row(doc: Document, period: Interval, at: int) -> Row:
    closed = period.end <= at
    return {
        "BillingPeriodStart": format_instant(period.start),
        "BillingPeriodEnd": format_instant(period.end),
        "BillingPeriodCreated": format_instant(period.start),
        "BillingPeriodLastUpdated": format_instant(period.end if closed else at),
        "BillingPeriodStatus": "Closed" if closed else "Open",
        "InvoiceIssuerName": doc.operator,
    }


def _applicability(agreement: Agreement) -> str:
    """The commitment is for everything billed to the agreement."""
    rule = {"Dimension": "BillingAccountId", "Operator": "In", "Values": [agreement.id]}
    return _json({"InclusionOperator": "And", "Inclusions": [rule]})


def _commitment(one: Billed, at: int) -> Row:
    """The agreement's fees as one commitment over its term."""
    agreement = one.agreement
    start, end = agreement.midnight(agreement.starts), agreement.midnight(agreement.ends)
    found = values(agreement)
    exits = agreement.first_of(Termination)
    recalls = agreement.first_of(Recall)
    status = "Pending" if at < start else "Active" if at < end else "Expired"
    paid = prepayment_schedule(agreement).total
    upfront = Fraction(paid.minor * 100, found.headline.value.minor or 1)
    months = max(1, len(found.headline_by_month))
    return {
        "BillingCurrency": agreement.currency,
        "ContractCommitmentApplicability": _applicability(agreement),
        "ContractCommitmentBenefitCategory": "Entitlement",
        "ContractCommitmentCategory": "Spend",
        "ContractCommitmentCost": _decimal(found.headline.value),
        "ContractCommitmentCreated": format_instant(agreement.midnight(agreement.signed)),
        "ContractCommitmentDescription": f"{agreement.title or agreement.id}: {total_gpus(agreement):,} GPUs",
        "ContractCommitmentDurationType": f"{months} Months",
        "ContractCommitmentFulfillmentInterval": "Monthly",
        "ContractCommitmentId": f"{agreement.id}/fees",
        "ContractCommitmentLastUpdated": format_instant(agreement.midnight(agreement.signed)),
        "ContractCommitmentLifecycleStatus": status,
        "ContractCommitmentModel": "Continuous",
        "ContractCommitmentOfferCategory": "Negotiated",
        "ContractCommitmentPaymentInterval": "Monthly",
        "ContractCommitmentPaymentModel": "Partial Upfront" if paid else "No Upfront",
        "ContractCommitmentPaymentUpfrontPercentage": _quantity(upfront),
        "ContractCommitmentPeriodStart": format_instant(start),
        "ContractCommitmentPeriodEnd": format_instant(end),
        "ContractCommitmentType": "Capacity",
        "ContractId": agreement.id,
        "ContractPeriodStart": format_instant(start),
        "ContractPeriodEnd": format_instant(end),
        "InvoiceIssuerName": agreement.operator,
        "ServiceProviderName": agreement.operator,
        "x_FirmCost": _decimal(found.firm.value),
        "x_NoticeDays": "" if exits is None else str(exits[1].notice_days),
        "x_RecallNoticeDays": "" if recalls is None else str(recalls[1].notice_days),
    }
