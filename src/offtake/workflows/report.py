"""What a book says about its business: read only, every figure from the function that billed it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from offtake.agreements.catalogue import BY_KIND
from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.clauses.ramp import Ramp
from offtake.agreements.derive import Values, deadlines, implied_rate, values
from offtake.agreements.model import Agreement, Deadline
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Figure, HoursConvention, Provenance
from offtake.base.curve import Curve, combine
from offtake.base.money import Money, total
from offtake.base.months import Month
from offtake.base.time import DAY_S, Interval
from offtake.billing.document import Document
from offtake.fleet.capacity import PoolCapacity, pool_capacities
from offtake.fleet.model import Delivery, Outage
from offtake.formats.folder import parse_fleet
from offtake.formats.plain import from_plain
from offtake.rating.model import Charge, Kind
from offtake.store.lake import Columns
from offtake.workflows.allocate import plans_in_force
from offtake.workflows.book import Book
from offtake.workflows.state import Body, State, is_simulated, month_key
from offtake.workflows.view import (
    agreement_ids,
    agreement_of,
    claims_in,
    document_of,
    fleet_of,
    open_documents,
)

FULL_FEES = ("monthly_fee", "term_fee", "capacity_fee", "one_off_fee", "termination")
"""Clauses that schedule a fee of their own; a fee line of another clause adjusts theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthLine:
    """One settled month of one agreement.

    Units: GPU-seconds; money of documents for this service month.
    """

    month: Month
    entitled: int
    delivered: int
    taken: int
    recalled: int
    lost: Mapping[str, int]
    fees: Money
    usage: Money
    credits: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementLine:
    """An agreement's business so far and to come.

    Attributes:
        full_fee: one full month, where there is a flat fee.
        full_months: how many months of it the term has.
        full_total: scheduled full-fee months over the term.
        full_invoiced: of these, invoiced so far (before adjustments and credits).
        ramp_total: other fixed fees of the term, such as ramp months.
        ramp_invoiced: of these, invoiced so far.
        adjustments: pro-rata and recall reductions invoiced, negative.
        usage: usage and deficiency invoiced.
        credits: credits given, negative.
        other: what isn't revenue: prepayments and what is drawn of them, passed-through cost, interest, tax.
        assumed: which of full, ramp, adjustments, usage and credits rest on an assumption so far.
        invoiced: sum of all documents.
        remaining: fixed fees of the term not invoiced yet.
        outstanding: what is open on documents.
        implied: $ per GPU-hour by hours convention; empty where it would mean nothing.
        months: settled months in order.
    """

    agreement: Agreement
    values: Values
    full_fee: Money | None
    full_months: int
    full_total: Money
    full_invoiced: Money
    ramp_total: Money
    ramp_invoiced: Money
    adjustments: Money
    usage: Money
    credits: Money
    other: Money
    assumed: frozenset[str]
    invoiced: Money
    remaining: Money
    outstanding: Money
    implied: Mapping[HoursConvention, Figure[Decimal]]
    months: tuple[MonthLine, ...]
    deadlines: tuple[Deadline, ...]
    assumptions: tuple[tuple[str, Provenance], ...]

    @property
    def taken_share(self) -> Decimal | None:
        """Take over entitlement so far, as a fraction; None where nothing was entitled."""
        entitled = sum(month.entitled for month in self.months)
        return Decimal(sum(month.taken for month in self.months)) / entitled if entitled else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Agreements of one currency, added up; the fields mean what they mean on an `AgreementLine`.

    Units: `entitled` and `taken` in GPU-seconds.
    """

    full_total: Money
    full_invoiced: Money
    ramp_invoiced: Money
    adjustments: Money
    usage: Money
    credits: Money
    other: Money
    invoiced: Money
    remaining: Money
    outstanding: Money
    headline: Money
    firm: Money
    entitled: int
    taken: int

    @property
    def taken_share(self) -> Decimal | None:
        """Take over entitlement so far, as a fraction; None where nothing was entitled."""
        return Decimal(self.taken) / self.entitled if self.entitled else None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDays:
    """The fleet by day: averages over 86,400 s from the window's start, in GPUs.

    Shapes: `starts` int64[D]; every series int64[D]: GPU-seconds of each day.
    """

    starts: NDArray[np.int64]
    held: Mapping[str, NDArray[np.int64]]
    taken: Mapping[str, NDArray[np.int64]]
    nameplate: NDArray[np.int64]
    available: NDArray[np.int64]
    firm: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Something dated that the report tells: an outage, a late delivery, a notice."""

    at: int
    text: str
    hypothetical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole book at one position of its log."""

    operator: str
    simulated: bool
    currency: str
    time_zone: str
    window: Interval
    head: tuple[int, str]
    agreements: tuple[AgreementLine, ...]
    totals: Mapping[str, Totals]
    documents: tuple[Document, ...]
    fleet: FleetDays
    happened: tuple[Happened, ...]
    fleet_assumptions: tuple[tuple[str, Provenance], ...]


def report_of(book: Book, *, with_fleet: bool = True) -> Report:
    """Read a book.

    Args:
        book: read only.
        with_fleet: also the days of the fleet, which reads every plan from the lake.
    """
    state = book.state
    settings = state.body("book", "book") or {}
    window = Interval(int(settings["opened_at"]), max(state.now, int(settings["opened_at"])))
    documents = tuple(document_of(body) for body in book.items("document").values())
    settled = book.items("settled")
    lines = tuple(
        _agreement_line(state, id_, documents, [b for b in settled.values() if b["agreement"] == id_])
        for id_ in agreement_ids(state)
    )
    toml = state.body("fleet", "fleet") or {}
    return Report(
        operator=str(settings["operator"]),
        simulated=is_simulated(state),
        currency=str(settings["currency"]),
        time_zone=str(settings["time_zone"]),
        window=window,
        head=state.head,
        agreements=lines,
        totals={
            currency: totals_of([line for line in lines if line.agreement.currency == currency], currency)
            for currency in sorted({line.agreement.currency for line in lines})
        },
        documents=documents,
        fleet=_fleet_days(book, window if with_fleet else Interval(window.start, window.start)),
        happened=tuple(_happened(book)),
        fleet_assumptions=parse_fleet(toml["toml"], toml["where"])[1],
    )


def totals_of(lines: Sequence[AgreementLine], currency: str) -> Totals:
    """Add up agreements of one currency."""

    def money(name: str) -> Money:
        return total((getattr(line, name) for line in lines), currency)

    return Totals(
        full_total=money("full_total"),
        full_invoiced=money("full_invoiced"),
        ramp_invoiced=money("ramp_invoiced"),
        adjustments=money("adjustments"),
        usage=money("usage"),
        credits=money("credits"),
        other=money("other"),
        invoiced=money("invoiced"),
        remaining=money("remaining"),
        outstanding=money("outstanding"),
        headline=total((line.values.headline.value for line in lines), currency),
        firm=total((line.values.firm.value for line in lines), currency),
        entitled=sum(month.entitled for line in lines for month in line.months),
        taken=sum(month.taken for line in lines for month in line.months),
    )


def _agreement_line(
    state: State, id_: str, documents: Sequence[Document], settled: Sequence[Body]
) -> AgreementLine:
    agreement = agreement_of(state, id_)
    own = [document for document in documents if document.agreement == id_]
    fee = agreement.first_of(MonthlyFee)
    schedule = fee_schedule(agreement)
    full = [item for item in schedule if not in_ramp(agreement, item.month)]
    full_total = total((item.amount for item in full), agreement.currency)
    invoiced, assumed = _by_line(own, agreement.currency)
    fixed = invoiced["full"] + invoiced["ramp"]
    return AgreementLine(
        agreement=agreement,
        values=values(agreement),
        full_fee=agreement.money(fee[1].amount) if fee else None,
        full_months=len(full),
        full_total=full_total,
        full_invoiced=invoiced["full"],
        ramp_total=schedule.total - full_total,
        ramp_invoiced=invoiced["ramp"],
        adjustments=invoiced["adjustments"],
        usage=invoiced["usage"],
        credits=invoiced["credits"],
        other=invoiced["other"],
        assumed=assumed,
        invoiced=total((document.total for document in own), agreement.currency),
        remaining=schedule.total - fixed,
        outstanding=total((item.left for item in open_documents(state, id_)), agreement.currency),
        implied={
            convention: rate
            for convention in HoursConvention
            if (rate := implied_rate(agreement, convention, places=2)) is not None
        },
        months=tuple(_month_lines(agreement, own, settled)),
        deadlines=deadlines(agreement),
        assumptions=agreement.sheet.assumptions(),
    )


def _by_line(documents: Iterable[Document], currency: str) -> tuple[dict[str, Money], frozenset[str]]:
    """Invoiced lines by what they are, and which of these rest on an assumption."""
    assumed: set[str] = set()
    names = ("full", "ramp", "adjustments", "usage", "credits", "other")
    sums = {name: Money.zero(currency) for name in names}
    for document in documents:
        for line in document.lines:
            name = _part_of(line)
            sums[name] += line.amount
            if line.assumed:
                assumed.add(name)
    return sums, frozenset(assumed)


def _part_of(line: Charge) -> str:
    clause = line.clause.partition("[")[0]
    if line.kind is Kind.FEE:
        return "full" if clause in FULL_FEES else "ramp" if clause == "ramp" else "adjustments"
    return {Kind.USAGE: "usage", Kind.CREDIT: "credits"}.get(line.kind, "other")


def in_ramp(agreement: Agreement, month: Month) -> bool:
    """Whether a month's fixed fee is a ramp's."""
    return any(clause.first <= month <= clause.last for _, clause in agreement.all_of(Ramp))


def _month_lines(
    agreement: Agreement, documents: Sequence[Document], settled: Sequence[Body]
) -> Iterable[MonthLine]:
    for body in sorted(settled, key=lambda body: int(body["end"])):
        month = month_key(body["month"])
        lines = [line for document in documents if document.month == month for line in document.lines]
        sums = {
            kind: total((line.amount for line in lines if line.kind is kind), agreement.currency)
            for kind in Kind
        }
        yield MonthLine(
            month=month,
            entitled=int(body["entitled"]),
            delivered=int(body["delivered"]),
            taken=int(body["taken"]),
            recalled=int(body["recalled"]),
            lost={str(cause): int(value) for cause, value in body["lost"].items()},
            fees=sums[Kind.FEE],
            usage=sums[Kind.USAGE],
            credits=sums[Kind.CREDIT],
        )


def _fleet_days(book: Book, window: Interval) -> FleetDays:
    starts = np.arange(window.start, window.end, DAY_S, dtype=np.int64)
    if not len(starts):
        empty = np.zeros(0, dtype=np.int64)
        return FleetDays(starts=starts, held={}, taken={}, nameplate=empty, available=empty, firm=empty)
    borders = np.append(starts, starts[-1] + DAY_S)
    claims = {claim.id: claim for claim in claims_in(book.state, book.lake)}
    holders = {id_: claim.holder for id_, claim in claims.items()}
    capacities = _capacities(book)
    held = _held_history(book, window, holders)
    firm = combine([c.gpus for c in claims.values() if c.firmness == "firm"] or [Curve.zero()])
    return FleetDays(
        starts=starts,
        held={holder: curve.integrals(borders) for holder, curve in held.items()},
        taken={holder: curve.integrals(borders) for holder, curve in _taken(book, holders).items()},
        nameplate=combine([c.nameplate for c in capacities]).restrict(window).integrals(borders),
        available=combine([c.available for c in capacities]).restrict(window).integrals(borders),
        firm=firm.restrict(window).integrals(borders),
    )


def _capacities(book: Book) -> tuple[PoolCapacity, ...]:
    """Capacity with every outage and delivery of the log, also those a tick has forgotten."""
    outages = {
        item.fact.id: from_plain(Outage, item.fact.body)
        for item in book.database.facts_of(["outage.reported"])
    }
    deliveries = {
        item.fact.id: from_plain(Delivery, item.fact.body)
        for item in book.database.facts_of(["delivery.reported"])
    }
    return pool_capacities(
        fleet_of(book.state), outages=list(outages.values()), deliveries=list(deliveries.values())
    )


def _held_history(book: Book, window: Interval, holders: Mapping[str, str]) -> dict[str, Curve]:
    """GPUs held by holder, each plan in force until a later one replaces it."""
    parts: dict[str, list[Curve]] = {}
    plans = (item.fact.body for item in book.database.facts_of(["allocation.planned"]))
    for part, columns in plans_in_force(plans, book.lake, window, "held"):
        for holder, curve in _by_holder(columns, holders):
            parts.setdefault(holder, []).append(curve.restrict(part))
    return {holder: combine(curves) for holder, curves in sorted(parts.items())}


def _by_holder(columns: Columns, holders: Mapping[str, str]) -> Iterable[tuple[str, Curve]]:
    """GPUs over time by who holds the claim; a tranche without a claim belongs to its agreement."""
    names = np.asarray([holders.get(claim, str(claim).partition("/")[0]) for claim in columns["claim"]])
    for holder in dict.fromkeys(names.tolist()):
        rows = names == holder
        yield (
            holder,
            Curve.from_records(*(np.asarray(columns[name])[rows] for name in ("start", "end", "gpus"))),
        )


def _taken(book: Book, holders: Mapping[str, str]) -> dict[str, Curve]:
    """GPUs in use by holder, from every batch of readings."""
    parts: dict[str, list[Curve]] = {}
    for item in book.database.facts_of(["readings.received"]):
        for holder, curve in _by_holder(book.lake.load(item.fact.body["rows"]), holders):
            parts.setdefault(holder, []).append(curve)
    return {holder: combine(curves) for holder, curves in sorted(parts.items())}


_TOLD = (
    "outage.reported",
    "delivery.reported",
    "delivery.tested",
    *BY_KIND,
)


def _happened(book: Book) -> Iterable[Happened]:
    latest = {(item.fact.kind, item.fact.id): item for item in book.database.facts_of(_TOLD)}
    for (kind, id_), item in sorted(latest.items(), key=lambda pair: pair[1].seq):
        body = item.fact.body
        if kind == "outage.reported":
            hours = "still open" if body["end"] is None else f"{(body['end'] - body['start']) / 3600:.0f} h"
            yield Happened(
                at=int(body["start"]),
                text=f"outage {id_}: {body['gpus']:,} GPUs of {body['pool']}, {hours}",
                hypothetical=bool(body["hypothetical"]),
            )
        elif kind == "delivery.tested":
            short = f"{body['short']:,} short" if body["short"] else "complete"
            yield Happened(
                at=item.fact.effective_at,
                text=f"delivery test {id_}: {body['delivered']:,} of {body['committed']:,} GPUs "
                f"in service, {short}",
                hypothetical=False,
            )
        else:
            what = BY_KIND[kind].SECTION.replace("_", " ") if kind in BY_KIND else kind.partition(".")[0]
            yield Happened(
                at=item.fact.effective_at,
                text=f"{what} {body.get('id', id_)}",
                hypothetical=bool(body.get("hypothetical", False)),
            )
