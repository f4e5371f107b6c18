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
from offtake.agreements.derive import fee_schedule
from offtake.agreements.model import Agreement, Deadline
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
from offtake.rating.model import Charge, Kind
from offtake.workflows.report import AgreementLine, FleetDays, Report

_NONE = Cell(text="–")
_ABOUT = ("source", "assumed")  # terms about a term, which have their own column
_SIMPLIFICATIONS = (
    "The charts of the fleet show averages over days of 24 hours from the first instant of the period; "
    "figures of money and take are exact and don't come from them.",
    "GPUs are held in whole nodes, so a holder may hold a few more than its agreement says.",
    "Firm value reads one right only: the offtaker leaving for convenience, by notice on the first day it may, "
    "under the agreement as it stands.",
    "The implied price spreads the full monthly fee over every GPU of the full quantity; the fee also pays for "
    "CPUs, network and power.",
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
    names = _names(known.agreements)
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
        sentence=_sentence(known),
        cards=_cards(known),
        columns=(*names.values(), *(["All"] if _has_all(known) else [])),
        figures=_figures(known),
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
    return (
        f"{known.operator} has {count} {noun} with a headline value of {value}, of which {firm} is firm. "
        f"By {date_text(local_date(known.window.end, known.time_zone))} it had invoiced {invoiced}: "
        f"{received} is paid and {outstanding} outstanding."
    )


def _cards(known: Report) -> tuple[Card, ...]:
    lines = known.agreements
    return (
        (
            _money_card(known, _HEADLINE, note="every fixed fee through the terms"),
            _money_card(known, _FIRM, note="if every offtaker left as early as it may"),
            _money_card(known, _INVOICED, note=f"{len(known.documents):,} documents, credits deducted"),
            _money_card(known, _PAID, note="received against documents"),
            _money_card(known, _OUTSTANDING, note="on documents, due or not"),
            _money_card(known, _CREDITS, note="given for what wasn't delivered"),
            *_fleet_cards(known.fleet, known.window.end),
        )
        if lines
        else tuple(_fleet_cards(known.fleet, known.window.end))
    )


def _money_card(known: Report, row: _MoneyRow, *, note: str) -> Card:
    sums = _sums(known, (amount for line in known.agreements if (amount := row.amount(line)) is not None))
    exact = " + ".join(f"{amount_text(amount)} {amount.currency}" for amount in sums)
    marks = tuple(mark for line in known.agreements for mark in _marks(line, row.rests_on(known, line)))
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


def _figures(known: Report) -> tuple[FigureGroup, ...]:
    """The statement; a row that says nothing of any agreement is left out."""
    with_all = _has_all(known)
    groups = (
        FigureGroup(
            name=name,
            rows=tuple(
                (row.name, cells)
                for row in rows
                if any(cell != _NONE for cell in (cells := row.cells(known, with_all=with_all)))
            ),
        )
        for name, rows in _STATEMENT
    )
    return tuple(group for group in groups if group.rows)


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


def _behind_lines(known: Report, line: AgreementLine, select: Callable[[Charge], bool]) -> tuple[str, ...]:
    """Assumed terms behind the charges of an agreement's documents."""
    own = (document for document in known.documents if document.agreement == line.agreement.id)
    charges = (charge for document in own for charge in document.lines if select(charge))
    return tuple(dict.fromkeys(path for charge in charges for path in charge.assumed))


def _behind_months(line: AgreementLine, select: Callable[[Month], bool]) -> tuple[str, ...]:
    """Assumed terms behind the scheduled fees of an agreement's months."""
    paths = (path for item in fee_schedule(line.agreement) if select(item.month) for path in item.basis)
    return line.agreement.sheet.assumed(tuple(paths))


def _is_full_month(line: AgreementLine, month: Month) -> bool:
    fee = line.agreement.first_of(MonthlyFee)
    return fee is not None and fee[1].first <= month <= fee[1].last


def _fee_months(known: Report, line: AgreementLine) -> set[Month]:
    """Months whose fees are on a document."""
    own = (document for document in known.documents if document.agreement == line.agreement.id)
    return {charge.month for document in own for charge in document.lines if charge.kind is Kind.FEE}


def _fee_of(charge: Charge) -> str:
    """What a fee line is: full, ramp or an adjustment; empty for what is no fee."""
    clause = charge.clause.partition("[")[0]
    return {"monthly_fee": "full", "ramp": "ramp"}.get(clause, "other") if charge.kind is Kind.FEE else ""


# --- the rows of the statement ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _MoneyRow:
    """A row of amounts: where each comes from, and which assumed terms it rests on."""

    name: str
    amount: Callable[[AgreementLine], Money | None]
    rests_on: Callable[[Report, AgreementLine], tuple[str, ...]] = lambda known, line: ()
    summed: bool = True

    def cells(self, known: Report, *, with_all: bool) -> tuple[Cell, ...]:
        lines = known.agreements
        cells = tuple(
            _money_cell(self.amount(line), _marks(line, self.rests_on(known, line))) for line in lines
        )
        if not with_all:
            return cells
        amounts = (amount for line in lines if self.summed and (amount := self.amount(line)) is not None)
        marks = (mark for cell in cells for mark in cell.marks)
        return (*cells, _money_cell(total(amounts, lines[0].agreement.currency), marks))


@dataclass(frozen=True, slots=True)
class _WordRow:
    """A row of dates, counts or rates, which have no sum."""

    name: str
    cell: Callable[[AgreementLine], Cell]

    def cells(self, known: Report, *, with_all: bool) -> tuple[Cell, ...]:
        return (*(self.cell(line) for line in known.agreements), *((_NONE,) if with_all else ()))


def _full_fee_terms(known: Report, line: AgreementLine) -> tuple[str, ...]:
    fee = line.agreement.first_of(MonthlyFee)
    return line.agreement.sheet.assumed((f"{fee[0]}.amount",)) if fee else ()


def _first_notice(line: AgreementLine) -> Cell:
    notice = line.values.firm_notice
    if notice is None:
        return Cell(text="no such right")
    return Cell(text=date_text(notice), marks=_marks(line, line.values.firm.assumed, within="termination"))


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
    "Headline value",
    lambda line: line.values.headline.value,
    lambda known, line: line.values.headline.assumed,
)
_FIRM = _MoneyRow(
    "Firm value", lambda line: line.values.firm.value, lambda known, line: line.values.firm.assumed
)
_INVOICED = _MoneyRow(
    "Invoiced",
    lambda line: line.invoiced,
    lambda known, line: _behind_lines(known, line, lambda charge: True),
)
_CREDITS = _MoneyRow(
    "Credits",
    lambda line: line.credits,
    lambda known, line: _behind_lines(known, line, lambda charge: charge.kind is Kind.CREDIT),
)
_PAID = _MoneyRow("Paid", lambda line: line.invoiced - line.outstanding)
_OUTSTANDING = _MoneyRow("Outstanding", lambda line: line.outstanding)

_STATEMENT: tuple[tuple[str, tuple[_MoneyRow | _WordRow, ...]], ...] = (
    (
        "Over the term",
        (
            _MoneyRow("Full monthly fee", lambda line: line.full_fee, _full_fee_terms, summed=False),
            _WordRow(
                "Full months", lambda line: Cell(text=str(line.full_months)) if line.full_months else _NONE
            ),
            _MoneyRow(
                "Full fees",
                lambda line: line.full_total,
                lambda known, line: _behind_months(line, lambda month: _is_full_month(line, month)),
            ),
            _MoneyRow(
                "Ramp fees",
                lambda line: line.ramp_total,
                lambda known, line: _behind_months(line, lambda month: not _is_full_month(line, month)),
            ),
            _HEADLINE,
        ),
    ),
    (
        "Billed so far",
        (
            _MoneyRow(
                "Full fees",
                lambda line: line.full_invoiced,
                lambda known, line: _behind_lines(known, line, lambda charge: _fee_of(charge) == "full"),
            ),
            _MoneyRow(
                "Ramp fees",
                lambda line: line.ramp_invoiced,
                lambda known, line: _behind_lines(known, line, lambda charge: _fee_of(charge) == "ramp"),
            ),
            _MoneyRow(
                "Adjustments",
                lambda line: line.adjustments,
                lambda known, line: _behind_lines(known, line, lambda charge: _fee_of(charge) == "other"),
            ),
            _MoneyRow(
                "Usage",
                lambda line: line.usage,
                lambda known, line: _behind_lines(known, line, lambda charge: charge.kind is Kind.USAGE),
            ),
            _CREDITS,
            _INVOICED,
            _PAID,
            _OUTSTANDING,
        ),
    ),
    (
        "Still to come",
        (
            _MoneyRow(
                "Fixed fees not invoiced yet",
                lambda line: line.remaining,
                lambda known, line: _behind_months(
                    line, lambda month, billed=_fee_months(known, line): month not in billed
                ),
            ),
        ),
    ),
    (
        "If the offtaker leaves as early as it may",
        (
            _WordRow("First day of notice", _first_notice),
            _WordRow("Covered until", lambda line: Cell(text=date_text(line.values.firm_end))),
            _FIRM,
            _MoneyRow(
                "Cancellable value",
                lambda line: line.values.cancellable.value,
                lambda known, line: line.values.cancellable.assumed,
            ),
        ),
    ),
    (
        "Per GPU-hour, and take",
        (
            _WordRow("Implied price, 730 h a month", _implied),
            _WordRow("Taken of what was entitled", _taken),
        ),
    ),
)


# --- series ----------------------------------------------------------------------------------------------


def _fleet_series(known: Report, names: Mapping[str, str]) -> FleetSeries:
    fleet = known.fleet
    # The last day may be cut by the window; an average is over what there is of it.
    seconds = np.minimum(fleet.starts + DAY_S, known.window.end) - fleet.starts
    held_all = _together(fleet.held.values(), len(seconds))
    taken_all = _together(fleet.taken.values(), len(seconds))
    return FleetSeries(
        # A day is named by its middle: a change of clocks shifts days of 24 hours against local ones by an hour.
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
    if value is None:
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return date_text(value)
    if isinstance(value, Decimal | int):
        return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    if isinstance(value, Month):
        return month_text(value)
    if isinstance(value, tuple):
        return "; ".join(in_words(item) for item in value)
    if is_dataclass(value):
        said = ((f.name, in_words(getattr(value, f.name))) for f in fields(value) if f.name not in _ABOUT)
        return ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in said if text)
    return str(value)
