"""A figure walked back to the clauses, terms and facts that it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from offtake.agreements.clauses.renewal import with_every_renewal
from offtake.agreements.derive import Values, values
from offtake.agreements.model import Agreement, Event
from offtake.agreements.reading import Term, term_at
from offtake.agreements.schedule import Owed, valued
from offtake.agreements.worth import worth_after
from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money
from offtake.base.months import Month, month_of_date
from offtake.rating.model import Charge, MonthFacts, gpu_hours

FIGURES = ("headline", "firm", "cancellable", "with_options", "rpo", "uncovered")
"""Figures of an agreement's value that have a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A figure and what it is made of; the amounts of its parts sum to it.

    Attributes:
        what: in plain English.
        amount: the figure.
        terms: terms of the agreement it rests on.
        facts: what happened, in words.
        parts: figures that sum to it.
    """

    what: str
    amount: Money
    terms: tuple[Term, ...] = ()
    facts: tuple[str, ...] = ()
    parts: tuple[Explained, ...] = ()


def explain_value(agreement: Agreement, figure: str) -> Explained:
    """A named value, by clause, each by runs of equal months.

    Raises:
        BadInput: for a name that isn't one of `FIGURES`.
    """
    if figure not in FIGURES:
        problem = Problem(
            where=figure,
            code="unknown_figure",
            message="there is no such figure",
            remedy=f"figures are {', '.join(FIGURES)}, a month such as 2027-01, or a clause of it such as "
            "2027-01/monthly_fee; with --book also a document, or a line of it such as INV-000001/2",
        )
        raise BadInput([problem])
    return _VALUES[figure](agreement)


def _headline(agreement: Agreement) -> Explained:
    return _by_clause(agreement, agreement, "Headline: every scheduled fee and minimum through the term")


def _with_options(agreement: Agreement) -> Explained:
    extended = with_every_renewal(agreement)
    return _by_clause(agreement, extended, "Headline if every option to extend is exercised")


def _firm(agreement: Agreement, found: Values | None = None) -> Explained:
    found = found or values(agreement)
    if found.firm_notice is None:
        what = "Firm: the offtaker can't leave before the term ends, or wouldn't"
        return _by_clause(agreement, agreement, what)
    path = next(
        path
        for path in (p.rpartition(".")[0] for p in found.firm.basis)
        if path in dict(agreement.clauses) and path.startswith("termination")
    )
    left = agreement.ending(found.firm_end, by=path)
    what = f"Firm: notice on {found.firm_notice}, the first day allowed, ends it on {found.firm_end}"
    terms = _terms(agreement, (p for p in found.firm.basis if p.startswith(f"{path}.")))
    return replace(_by_clause(agreement, left, what), terms=terms)


def _cancellable(agreement: Agreement) -> Explained:
    head, firm = _headline(agreement), _firm(agreement)
    less = _negated(firm)
    return Explained(
        what="Cancellable: the headline less what is firm",
        amount=head.amount - firm.amount,
        parts=(head, less),
    )


def _negated(part: Explained) -> Explained:
    return replace(part, amount=-part.amount, parts=tuple(_negated(p) for p in part.parts))


def _rpo(agreement: Agreement) -> Explained:
    """As of the end of the month before the first: nothing is performed yet."""
    worth = worth_after(agreement, _before(agreement))
    what = f"Remaining performance obligation before anything is performed, {worth.judgement}"
    paths = [path for path, clause in agreement.clauses if clause.NAME == "recognition"]
    terms = _terms(agreement, (f"{p}.{name}" for p in paths for name in ("rpo", "because")))
    kept = worth.obligation == worth.remaining
    whole = _headline(agreement) if kept else _firm(agreement, worth.values)
    return Explained(what=what, amount=whole.amount, terms=terms, parts=(whole,))


def _uncovered(agreement: Agreement) -> Explained:
    worth = worth_after(agreement, _before(agreement))
    covered = worth.firm.value - worth.uncovered.value
    paths = [path for path, clause in agreement.clauses if clause.NAME == "credit_support"]
    names = ("form", "provider", "amount", "through")
    return Explained(
        what="Firm value that nothing stands behind",
        amount=worth.uncovered.value,
        parts=(
            _firm(agreement, worth.values),
            Explained(
                what="what credit support stands behind",
                amount=-covered,
                terms=_terms(agreement, (f"{p}.{name}" for p in paths for name in names)),
            ),
        ),
    )


def _before(agreement: Agreement) -> Month:
    spans = [clause.span(agreement) for _, clause in agreement.clauses]
    first = [span[0] for span in spans if span is not None]
    return min([month_of_date(agreement.starts), *first]).plus(-1)


_VALUES = {
    "headline": _headline,
    "firm": _firm,
    "cancellable": _cancellable,
    "with_options": _with_options,
    "rpo": _rpo,
    "uncovered": _uncovered,
}


def _by_clause(agreement: Agreement, text: Agreement, what: str) -> Explained:
    """What a text schedules, by clause."""
    items: dict[str, list[Owed]] = {}
    for path, item in valued(text):
        items.setdefault(path, []).append(item)
    parts = tuple(_of_clause(agreement, path, own) for path, own in items.items())
    return Explained(what=what, amount=_sum(parts, agreement.currency), parts=parts)


def _of_clause(agreement: Agreement, path: str, items: Sequence[Owed]) -> Explained:
    runs = tuple(_runs(agreement, items))
    return Explained(what=path, amount=_sum(runs, agreement.currency), parts=runs)


def _runs(agreement: Agreement, items: Sequence[Owed]) -> Iterator[Explained]:
    """Runs of months that owe the same for the same reason."""

    def alike(item: Owed) -> tuple[object, ...]:
        return item.amount, item.basis, item.tranche, item.covered, item.notes

    for _, group in groupby(sorted(items, key=lambda i: (i.tranche or "", i.month)), key=alike):
        own = list(group)
        first, last, each = own[0], own[-1], own[0].amount
        span = f"{first.month}" if len(own) == 1 else f"{first.month} to {last.month}, {len(own)} × {each}"
        cut = "" if first.covered == 1 else f", {first.covered} of the month"
        of = "" if first.tranche is None else f", tranche {first.tranche}"
        notes = "".join(f", {note}" for note in first.notes)
        yield Explained(
            what=f"{span}{of}{cut}{notes}",
            amount=each * len(own),
            terms=_terms(agreement, first.basis),
        )


def explain_month(
    agreement: Agreement, facts: MonthFacts, charges: Iterable[Charge], clause: str | None = None
) -> Explained:
    """A month's charges, or those of one clause, with the month's facts."""
    own = [c for c in charges if clause in (None, c.clause)]
    parts = tuple(explain_charge(agreement, one) for one in own)
    what = f"{agreement.id} for {facts.month}" + (f", {clause}" if clause else "")
    said = (*measured(facts), *what_happened(agreement, facts.month))
    return Explained(what=what, amount=_sum(parts, agreement.currency), facts=said, parts=parts)


def explain_charge(agreement: Agreement, one: Charge) -> Explained:
    """A charge with the terms it rests on."""
    return Explained(what=f"{one.clause}: {one.text}", amount=one.amount, terms=_terms(agreement, one.basis))


def measured(facts: MonthFacts) -> tuple[str, ...]:
    """What was measured in a month, as far as it isn't nothing."""
    said = [
        f"{name} {gpu_hours(quantity)}"
        for name, quantity in (
            ("entitled", facts.entitled),
            ("delivered", facts.delivered),
            ("taken", facts.taken),
            ("recalled", facts.recalled),
            ("taken beyond the entitlement", facts.over),
            *((f"lost to {cause}", quantity) for cause, quantity in sorted(facts.lost.items())),
        )
        if quantity
    ]
    if facts.energy_wh:
        said.append(f"{facts.energy_wh / 1000:,.3f} kWh metered")
    return tuple(said)


def what_happened(agreement: Agreement, month: Month) -> tuple[str, ...]:
    """Events that had taken effect by the end of a month."""
    end = month.plus(1)
    return tuple(
        f"{event.SECTION} {event.id} of {event.day}, effective {effective}"
        for event, effective in agreement.happened
        if isinstance(event, Event) and month_of_date(effective) < end
    )


def _terms(agreement: Agreement, paths: Iterable[str]) -> tuple[Term, ...]:
    return tuple(term_at(agreement, path) for path in dict.fromkeys(paths))


def _sum(parts: Iterable[Explained], currency: str) -> Money:
    return Money(sum(part.amount.minor for part in parts), currency)


def as_plain(part: Explained) -> Mapping[str, object]:
    """The tree for programs."""
    return {
        "what": part.what,
        "amount": str(part.amount.major),
        "currency": part.amount.currency,
        "terms": [
            {"path": t.path, "value": t.value, "source": t.source, "assumed": t.assumed} for t in part.terms
        ],
        "facts": list(part.facts),
        "parts": [as_plain(p) for p in part.parts],
    }
