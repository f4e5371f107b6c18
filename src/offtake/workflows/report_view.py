"""The read model of a book as the values its report shows: words for people, series for charts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.model import Agreement, Deadline
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import HoursConvention, Provenance, Side
from offtake.base.money import Money, round_rate, total
from offtake.base.months import Month, local_date
from offtake.base.time import DAY_S
from offtake.billing.document import Document, DocumentKind, Open
from offtake.fleet.model import Fleet
from offtake.formats.html_report import (
    PALETTE,
    AssumptionRow,
    Card,
    Cell,
    DeadlineRow,
    DocumentRow,
    EventRow,
    FigureGroup,
    FleetSeries,
    Mark,
    MonthSeries,
    ReportView,
    Worth,
    currency_sign,
    short_money,
)
from offtake.formats.pdf import amount_text, date_text, month_text
from offtake.rating.model import EARNED, Charge, Kind
from offtake.workflows.report import FULL_FEES, AgreementLine, FleetDays, Report, in_ramp

_NONE = Cell(text="–")
_ABOUT = ("source", "assumed")  # terms about a term, which have their own column
_SIMPLIFICATIONS = (
    "Charts of the fleet show averages of days of 24 hours; figures of money and take don't come from them.",
    "GPUs are held in whole nodes, so a holder may hold a few more than its agreement says.",
    "Firm value reads one right only: leaving for convenience by notice on the first day there may be one.",
    "The implied price spreads the full fee over every GPU, though it also pays for CPUs, network and power.",
    "Amounts carry no tax.",
)


def report_view(
    known: Report, *, open_documents: Sequence[Open] | None = None, fleet: Fleet | None = None
) -> ReportView:
    """What the page shows.

    Args:
        known: the book at one position of its log.
        open_documents: documents with something left to settle; without them the page gives no status.
        fleet: as declared, for the values of its assumed terms.
    """
    names, each = _names(known.agreements), _each(known, open_documents)
    opening, closing = (
        date_text(local_date(at, known.time_zone)) for at in (known.window.start, known.window.end)
    )
    return ReportView(
        operator=known.operator,
        period=f"{opening} to {closing}",
        time_zone=known.time_zone,
        as_of=closing,
        position=known.head[0],
        head=known.head[1],
        simulated=known.simulated,
        sentence=_sentence(known),
        cards=_cards(known, each),
        columns=_columns(known, names),
        figures=_figures(each, with_all=_has_all(known)),
        fleet=_fleet_series(known, names),
        months=tuple(_month_series(line, names[line.agreement.id]) for line in known.agreements),
        worth=tuple(_worth(line, names[line.agreement.id]) for line in known.agreements),
        deadlines=_deadlines(known, names),
        events=tuple(
            EventRow(
                on=date_text(local_date(event.at, known.time_zone)),
                what=event.text,
                hypothetical=event.hypothetical,
            )
            for event in sorted(known.happened, key=lambda event: event.at)
        ),
        documents=tuple(_documents(known, open_documents)),
        assumptions=_assumptions(known, fleet, names),
        simplifications=_SIMPLIFICATIONS,
    )


def _names(lines: Iterable[AgreementLine]) -> dict[str, str]:
    """How an agreement is called: by its offtaker, and by its id too where an offtaker has several."""
    offtakers = [line.agreement.offtaker for line in lines]
    return {
        line.agreement.id: line.agreement.offtaker
        if offtakers.count(line.agreement.offtaker) == 1
        else f"{line.agreement.offtaker} ({line.agreement.id})"
        for line in lines
    }


# --- figures ---------------------------------------------------------------------------------------------


def _sums(known: Report, amounts: Iterable[Money]) -> tuple[Money, ...]:
    """One sum for each currency, the operator's first; zero of it where there is nothing."""
    amounts = tuple(amounts)
    currencies = dict.fromkeys([known.currency, *(amount.currency for amount in amounts)])
    sums = [total((a for a in amounts if a.currency == currency), currency) for currency in currencies]
    used = {amount.currency for amount in amounts}
    return tuple(amount for amount in sums if amount.currency in used) or (sums[0],)


def _short(amounts: Iterable[Money]) -> str:
    return " + ".join(short_money(amount) for amount in amounts)


def _sentence(known: Report) -> str:
    count = len(known.agreements)
    noun = "agreement" if count == 1 else "agreements"
    value = _short(_sums(known, (line.values.headline.value for line in known.agreements)))
    firm = _short(_sums(known, (line.values.firm.value for line in known.agreements)))
    invoiced = _short(_sums(known, (line.invoiced for line in known.agreements)))
    received = _short(_sums(known, (line.invoiced - line.outstanding for line in known.agreements)))
    outstanding = _short(_sums(known, (line.outstanding for line in known.agreements)))
    worth = (
        f"{known.operator} has {count} {noun} with a headline value of {value}. As the agreements are "
        f"written, {firm} of it is owed even if each offtaker leaves on the first day it may."
    )
    if not any(line.values.headline.value for line in known.agreements):
        worth = f"{known.operator} has {count} {noun}, none with a fee fixed in advance."
    return (
        f"{worth} By {date_text(local_date(known.window.end, known.time_zone))} it had invoiced {invoiced}: "
        f"{received} is paid and {outstanding} outstanding."
    )


def _cards(known: Report, each: Sequence[_Own]) -> tuple[Card, ...]:
    return (
        _money_card(known, each, _HEADLINE, note="every fixed fee through the terms"),
        _money_card(known, each, _FIRM, note="if every offtaker left as early as it may"),
        _money_card(known, each, _INVOICED, note=f"{len(known.documents):,} documents, credits deducted"),
        _money_card(known, each, _PAID, note="received against documents"),
        _money_card(known, each, _OUTSTANDING, note="on documents, due or not"),
        _money_card(known, each, _CREDITS, note="given for what wasn't delivered"),
        *_fleet_cards(known.fleet, known.window.end),
    )


def _money_card(known: Report, each: Sequence[_Own], row: _MoneyRow, *, note: str) -> Card:
    sums = _sums(known, (amount for own in each if (amount := row.amount(own)) is not None))
    exact = " + ".join(f"{amount_text(amount)} {amount.currency}" for amount in sums)
    marks = tuple(mark for own in each for mark in row.marks(own))
    return Card(name=row.name, value=Cell(text=_short(sums), exact=exact, marks=marks), note=note)


def _fleet_cards(fleet: FleetDays, end: int) -> Iterable[Card]:
    if not len(fleet.starts):
        return
    seconds = end - int(fleet.starts[-1])
    last = round(int(fleet.available[-1]) / min(DAY_S, seconds))
    yield Card(name="GPUs available", value=Cell(text=f"{last:,}"), note="average of the last day")
    held, taken, available = (
        sum(int(series.sum()) for series in many)
        for many in (fleet.held.values(), fleet.taken.values(), [fleet.available])
    )
    yield Card(
        name="In use",
        value=Cell(text=_percent(taken, held)),
        note=f"of GPU-hours held; {_percent(held, available)} of those available were held",
    )


def _percent(part: int, whole: int) -> str:
    return f"{round_rate(Fraction(100 * part, whole), 1)} %" if whole else "–"


def _figures(each: Sequence[_Own], *, with_all: bool) -> tuple[FigureGroup, ...]:
    """The statement; a row that says nothing of any agreement is left out."""
    groups = []
    for name, rows in _STATEMENT:
        told = ((row.name, row.cells(each, with_all=with_all)) for row in rows)
        groups.append(
            FigureGroup(name=name, rows=tuple(r for r in told if any(cell != _NONE for cell in r[1])))
        )
    return tuple(group for group in groups if group.rows)


def _columns(known: Report, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    columns = [(names[line.agreement.id], line.agreement.currency) for line in known.agreements]
    return (*columns, *([("All", columns[0][1])] if _has_all(known) else []))


def _has_all(known: Report) -> bool:
    """Whether a column that sums the others has a meaning."""
    return len(known.agreements) > 1 and len({line.agreement.currency for line in known.agreements}) == 1


def _money_cell(amount: Money | None, marks: Iterable[Mark]) -> Cell:
    if amount is None or not amount:
        return _NONE
    return Cell(
        text=amount_text(amount), exact=f"{amount_text(amount)} {amount.currency}", marks=tuple(marks)
    )


# --- what figures rest on --------------------------------------------------------------------------------


def _anchor(where: str, path: str) -> str:
    return "assumed-" + re.sub(r"[^a-z0-9]+", "-", f"{where} {path}".lower()).strip("-")


def _marks(line: AgreementLine, paths: Iterable[str], *, within: str = "") -> tuple[Mark, ...]:
    """Marks for assumed terms; a term inside a section that is assumed as a whole points to the section."""
    written = [path for path, _ in line.assumptions]
    found: dict[str, Mark] = {}
    for path in paths:
        holders = [other for other in written if path == other or path.startswith((f"{other}.", f"{other}["))]
        if holders and path.startswith(within):
            nearest = max(holders, key=len)
            id_ = line.agreement.id
            found[nearest] = Mark(label=f"{id_}: {nearest}", anchor=_anchor(id_, nearest))
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Own:
    """An agreement's line with the charges of its documents, and of those with something left to settle."""

    line: AgreementLine
    charges: tuple[Charge, ...]
    open_charges: tuple[Charge, ...]

    def behind(self, select: Callable[[Charge], bool] | None = None) -> tuple[str, ...]:
        """Assumed terms behind charges, behind all of them by default."""
        charges = (charge for charge in self.charges if select is None or select(charge))
        return tuple(dict.fromkeys(path for charge in charges for path in charge.assumed))

    def behind_open(self) -> tuple[str, ...]:
        """Assumed terms behind what is still to settle."""
        return tuple(dict.fromkeys(path for charge in self.open_charges for path in charge.assumed))

    def behind_months(self, select: Callable[[Month], bool]) -> tuple[str, ...]:
        """Assumed terms behind the scheduled fees of months."""
        items = fee_schedule(self.line.agreement)
        return self.line.agreement.sheet.assumed(tuple(p for i in items if select(i.month) for p in i.basis))

    def behind_full_fee(self) -> tuple[str, ...]:
        """Assumed terms behind one full month."""
        fee = self.line.agreement.first_of(MonthlyFee)
        return self.line.agreement.sheet.assumed((f"{fee[0]}.amount",)) if fee else ()

    def is_full(self, month: Month) -> bool:
        """Whether a month owes the full fee."""
        return not in_ramp(self.line.agreement, month)

    def is_ramp(self, month: Month) -> bool:
        """Whether a month's fixed fee is another than the full one."""
        return not self.is_full(month)

    def is_to_come(self, month: Month) -> bool:
        """Whether no document holds a fee for a month."""
        return all(charge.month != month or charge.kind is not Kind.FEE for charge in self.charges)


def _each(known: Report, open_documents: Sequence[Open] | None) -> tuple[_Own, ...]:
    """Where it isn't known which documents are open, each may be."""
    left = None if open_documents is None else {item.number for item in open_documents}
    charges: dict[str, list[Charge]] = {line.agreement.id: [] for line in known.agreements}
    open_charges: dict[str, list[Charge]] = {line.agreement.id: [] for line in known.agreements}
    for document in known.documents:
        charges[document.agreement] += document.lines
        if left is None or document.number in left:
            open_charges[document.agreement] += document.lines
    return tuple(
        _Own(line, tuple(charges[line.agreement.id]), tuple(open_charges[line.agreement.id]))
        for line in known.agreements
    )


def _is_credit(charge: Charge) -> bool:
    return charge.kind is Kind.CREDIT


def _is_other(charge: Charge) -> bool:
    return charge.kind not in EARNED


def _is_usage(charge: Charge) -> bool:
    return charge.kind is Kind.USAGE


def _is_full(charge: Charge) -> bool:
    return charge.kind is Kind.FEE and charge.clause.partition("[")[0] in FULL_FEES


def _is_ramp(charge: Charge) -> bool:
    return charge.kind is Kind.FEE and charge.clause.partition("[")[0] == "ramp"


def _is_adjustment(charge: Charge) -> bool:
    return charge.kind is Kind.FEE and not _is_full(charge) and not _is_ramp(charge)


# --- the rows of the statement ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _MoneyRow:
    """A row of amounts: where each comes from, and which assumed terms it rests on."""

    name: str
    amount: Callable[[_Own], Money | None]
    rests_on: Callable[[_Own], tuple[str, ...]] | None = None
    summed: bool = True

    def marks(self, own: _Own) -> tuple[Mark, ...]:
        """Assumptions the amount rests on; money received is a fact and rests on none."""
        return () if self.rests_on is None else _marks(own.line, self.rests_on(own))

    def cells(self, each: Sequence[_Own], *, with_all: bool) -> tuple[Cell, ...]:
        """One for each agreement, and their sum."""
        cells = tuple(_money_cell(self.amount(own), self.marks(own)) for own in each)
        if not with_all:
            return cells
        amounts = (amount for own in each if self.summed and (amount := self.amount(own)) is not None)
        marks = (mark for cell in cells for mark in cell.marks)
        return (*cells, _money_cell(total(amounts, each[0].line.agreement.currency), marks))


@dataclass(frozen=True, slots=True)
class _WordRow:
    """A row of dates, counts or rates, which have no sum."""

    name: str
    cell: Callable[[AgreementLine], Cell]

    def cells(self, each: Sequence[_Own], *, with_all: bool) -> tuple[Cell, ...]:
        """One for each agreement."""
        return (*(self.cell(own.line) for own in each), *((_NONE,) if with_all else ()))


def _full_months(line: AgreementLine) -> Cell:
    return Cell(text=str(line.full_months)) if line.full_months else _NONE


def _first_notice(line: AgreementLine) -> Cell:
    notice = line.values.firm_notice
    if notice is None:
        return Cell(text="no such right")
    return Cell(text=date_text(notice), marks=_marks(line, line.values.firm.assumed, within="termination"))


def _covered_until(line: AgreementLine) -> Cell:
    return Cell(text=date_text(line.values.firm_end))


def _implied(line: AgreementLine) -> Cell:
    figure = line.implied.get(HoursConvention.H730)
    if figure is not None:
        text = f"{currency_sign(line.agreement.currency)}{figure.value}"
        return Cell(text=text, marks=_marks(line, figure.assumed))
    return _NONE if line.full_fee is None else Cell(text="GPU count not stated")


def _taken(line: AgreementLine) -> Cell:
    share = line.taken_share
    return _NONE if share is None else Cell(text=f"{round_rate(Fraction(share) * 100, 2)} %")


_HEADLINE = _MoneyRow(
    "Headline value", lambda own: own.line.values.headline.value, lambda own: own.line.values.headline.assumed
)
_FIRM = _MoneyRow(
    "Firm value", lambda own: own.line.values.firm.value, lambda own: own.line.values.firm.assumed
)
_CANCELLABLE = _MoneyRow(
    "Cancellable value",
    lambda own: own.line.values.cancellable.value,
    lambda own: own.line.values.cancellable.assumed,
)
_INVOICED = _MoneyRow("Invoiced", lambda own: own.line.invoiced, lambda own: own.behind())
_CREDITS = _MoneyRow("Credits", lambda own: own.line.credits, lambda own: own.behind(_is_credit))
_PAID = _MoneyRow("Paid", lambda own: own.line.invoiced - own.line.outstanding)
_OUTSTANDING = _MoneyRow("Outstanding", lambda own: own.line.outstanding, _Own.behind_open)

_TERM = (
    _MoneyRow("Full monthly fee", lambda own: own.line.full_fee, _Own.behind_full_fee, summed=False),
    _WordRow("Full months", _full_months),
    _MoneyRow("Full fees", lambda own: own.line.full_total, lambda own: own.behind_months(own.is_full)),
    _MoneyRow("Ramp fees", lambda own: own.line.ramp_total, lambda own: own.behind_months(own.is_ramp)),
    _HEADLINE,
)
_BILLED = (
    _MoneyRow("Full fees", lambda own: own.line.full_invoiced, lambda own: own.behind(_is_full)),
    _MoneyRow("Ramp fees", lambda own: own.line.ramp_invoiced, lambda own: own.behind(_is_ramp)),
    _MoneyRow("Adjustments", lambda own: own.line.adjustments, lambda own: own.behind(_is_adjustment)),
    _MoneyRow("Usage", lambda own: own.line.usage, lambda own: own.behind(_is_usage)),
    _CREDITS,
    _MoneyRow(
        "Prepayments, pass-through, interest, tax",
        lambda own: own.line.other,
        lambda own: own.behind(_is_other),
    ),
    _INVOICED,
    _PAID,
    _OUTSTANDING,
)
_TO_COME = _MoneyRow(
    "Fixed fees not invoiced yet",
    lambda own: own.line.remaining,
    lambda own: own.behind_months(own.is_to_come),
)
_LEAVING = (
    _WordRow("First day of notice", _first_notice),
    _WordRow("Covered until", _covered_until),
    _FIRM,
    _CANCELLABLE,
)
_RATES = (_WordRow("Implied price, 730 h a month", _implied), _WordRow("Taken of what was entitled", _taken))

_STATEMENT: tuple[tuple[str, tuple[_MoneyRow | _WordRow, ...]], ...] = (
    ("Over the term", _TERM),
    ("Billed so far", _BILLED),
    ("Still to come", (_TO_COME,)),
    ("If the offtaker leaves as early as it may", _LEAVING),
    ("Per GPU-hour, and take", _RATES),
)


# --- series ----------------------------------------------------------------------------------------------


def _fleet_series(known: Report, names: Mapping[str, str]) -> FleetSeries:
    fleet = known.fleet
    # The last day may be cut by the window; an average is over what there is of it.
    seconds = np.minimum(fleet.starts + DAY_S, known.window.end) - fleet.starts
    held_all = _together(fleet.held.values(), len(seconds))
    taken_all = _together(fleet.taken.values(), len(seconds))
    return FleetSeries(
        # A day is named by its middle: changes of clocks shift days of 24 hours against local ones.
        days=[str(local_date(int(start) + DAY_S // 2, known.time_zone)) for start in fleet.starts],
        holders=tuple((name, _averages(values, seconds)) for name, values in _held_by_name(fleet, names)),
        nameplate=_averages(fleet.nameplate, seconds),
        available=_averages(fleet.available, seconds),
        committed=_averages(fleet.firm, seconds),
        headroom=_averages(np.maximum(fleet.available - fleet.firm, 0), seconds),
        short=_averages(np.maximum(fleet.firm - fleet.available, 0), seconds),
        held_share=_shares(held_all, fleet.available),
        taken_share=_shares(taken_all, fleet.available),
    )


def _held_by_name(fleet: FleetDays, names: Mapping[str, str]) -> list[tuple[str, NDArray[np.int64]]]:
    """Offtakers, then internal holders; the smallest together when there are more than colours."""
    order = sorted(fleet.held, key=lambda holder: (holder not in names, holder))
    largest = sorted(order, key=lambda holder: -int(fleet.held[holder].sum()))
    kept = set(order if len(order) <= len(PALETTE) else largest[: len(PALETTE) - 1])
    series = [(names.get(holder, holder), fleet.held[holder]) for holder in order if holder in kept]
    rest = [fleet.held[holder] for holder in order if holder not in kept]
    return [*series, (f"{len(rest)} others", _together(rest, len(fleet.starts)))] if rest else series


def _together(series: Iterable[NDArray[np.int64]], days: int) -> NDArray[np.int64]:
    return sum(series, start=np.zeros(days, dtype=np.int64))


def _averages(gpu_seconds: NDArray[np.int64], seconds: NDArray[np.int64]) -> list[int]:
    return [round(int(value) / int(span)) for value, span in zip(gpu_seconds, seconds, strict=True)]


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> list[float | None]:
    return [round(100 * int(p) / int(w), 2) if w else None for p, w in zip(part, whole, strict=True)]


def _month_series(line: AgreementLine, name: str) -> MonthSeries:
    months = line.months
    return MonthSeries(
        name=name,
        currency=line.agreement.currency,
        months=[str(month.month) for month in months],
        fees=[float(month.fees.major) for month in months],
        usage=[float(month.usage.major) for month in months],
        credits=[float(month.credits.major) for month in months],
        delivered=[100 * month.delivered / month.entitled if month.entitled else None for month in months],
        taken=[100 * month.taken / month.entitled if month.entitled else None for month in months],
    )


def _worth(line: AgreementLine, name: str) -> Worth:
    values = line.values
    return Worth(
        name=name,
        currency=line.agreement.currency,
        firm=float(values.firm.value.major),
        cancellable=float(values.cancellable.value.major),
        label=f"{name}: {short_money(values.firm.value)} firm of {short_money(values.headline.value)}",
    )


# --- tables ----------------------------------------------------------------------------------------------


def _deadlines(known: Report, names: Mapping[str, str]) -> tuple[DeadlineRow, ...]:
    rows = [
        (deadline.on, _deadline_row(line, deadline, known.window.end, names[line.agreement.id]))
        for line in known.agreements
        for deadline in line.deadlines
    ]
    return tuple(row for _, row in sorted(rows, key=lambda pair: pair[0]))


def _deadline_row(line: AgreementLine, deadline: Deadline, now: int, name: str) -> DeadlineRow:
    parties = {Side.OPERATOR: line.agreement.operator, Side.OFFTAKER: line.agreement.offtaker}
    return DeadlineRow(
        on=date_text(deadline.on),
        agreement=name,
        what=deadline.what,
        whose="both" if deadline.side is None else parties[deadline.side],
        past=line.agreement.midnight(deadline.on) < now,
        marks=_marks(line, line.agreement.sheet.assumed(deadline.basis)),
    )


def _documents(known: Report, open_documents: Sequence[Open] | None) -> Iterable[DocumentRow]:
    lines = {line.agreement.id: line for line in known.agreements}
    left = None if open_documents is None else {item.number: item.left for item in open_documents}
    for document in known.documents:
        yield _document_row(document, lines[document.agreement], known.window.end, left)


def _document_row(
    document: Document, line: AgreementLine, now: int, left: Mapping[str, Money] | None
) -> DocumentRow:
    credit = document.kind is DocumentKind.CREDIT_NOTE
    status, tone = _status(document, now, left)
    return DocumentRow(
        number=document.number,
        kind="credit note" if credit else "invoice",
        offtaker=document.offtaker,
        month=month_text(document.month),
        issued=date_text(local_date(document.issued_at, document.time_zone)),
        due="–" if credit else date_text(local_date(document.due_at, document.time_zone)),
        total=Cell(
            text=f"{amount_text(document.total)} {document.currency}",
            marks=_marks(line, (path for charge in document.lines for path in charge.assumed)),
        ),
        status=status,
        tone=tone,
    )


def _status(document: Document, now: int, open_left: Mapping[str, Money] | None) -> tuple[str, str]:
    if open_left is None:
        return "", ""
    left = open_left.get(document.number)
    if left is None:
        return "settled", "settled"
    late = left.minor > 0 and document.due_at <= now
    part = "" if left == document.total else f", {amount_text(left)} left"
    return ("overdue" if late else "open") + part, "overdue" if late else "open"


def _assumptions(known: Report, fleet: Fleet | None, names: Mapping[str, str]) -> tuple[AssumptionRow, ...]:
    agreements = [
        _assumption(
            line.agreement.id, names[line.agreement.id], path, provenance, _term(line.agreement, path)
        )
        for line in known.agreements
        for path, provenance in line.assumptions
    ]
    of_fleet = [
        _assumption("fleet", _place(fleet, path), path, provenance, in_words(_walk(fleet, path)))
        for path, provenance in known.fleet_assumptions
    ]
    return (*agreements, *of_fleet)


def _assumption(id_: str, where: str, path: str, provenance: Provenance, value: str) -> AssumptionRow:
    return AssumptionRow(
        anchor=_anchor(id_, path), where=where, path=path, value=value, source=provenance.source or "–"
    )


def _place(fleet: Fleet | None, path: str) -> str:
    """The fleet, and the site or pool that a path leads through."""
    name = getattr(_walk(fleet, path.partition(".")[0]), "id", None)
    return "Fleet" if name is None else f"Fleet, {name}"


def _term(agreement: Agreement, path: str) -> str:
    """The value of a term by its path in the file."""
    for clause_path, clause in agreement.clauses:
        if path == clause_path or path.startswith(f"{clause_path}."):
            return in_words(_walk(clause, path[len(clause_path) + 1 :]))
    roots = {"agreement": agreement, "tranche": agreement.tranches}
    root = re.match(r"\w*", path)
    name = root.group() if root else ""
    return in_words(_walk(roots[name], path[len(name) :])) if name in roots else ""


def _walk(value: Any, path: str) -> Any:
    """Follow names and indices; None where the path leads nowhere."""
    for name, index in re.findall(r"(\w[\w-]*)|\[(\d+)\]", path):
        if index:
            value = value[int(index)] if isinstance(value, tuple) and int(index) < len(value) else None
        else:
            value = getattr(value, name.replace("-", "_"), None)
    return value


def in_words(value: Any) -> str:
    """A term's value for people: numbers with separators, dates spelt out, sections term by term."""
    match value:
        case None:
            text = ""
        case Enum():
            text = str(value.value)
        case bool():
            text = "yes" if value else "no"
        case date():
            text = date_text(value)
        case Month():
            text = month_text(value)
        case Decimal():
            text = f"{value:,f}"
        case int():
            text = f"{value:,}"
        case tuple():
            text = "; ".join(in_words(item) for item in value)
        case _ if is_dataclass(value):
            said = ((f.name, in_words(getattr(value, f.name))) for f in fields(value) if f.name not in _ABOUT)
            text = ", ".join(f"{name.replace('_', ' ')} {term}" for name, term in said if term)
        case _:
            text = str(value)
    return text
