"""What agreements are worth from a month on: by maturity, by offtaker, and against credit support."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from offtake.agreements.clauses.concentration import Concentration, Of
from offtake.agreements.clauses.credit_support import CreditSupport
from offtake.agreements.clauses.recognition import Obligation, Recognition
from offtake.agreements.derive import Values, entitlement, values
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import figure_of
from offtake.agreements.terms import Figure, Side
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.schedule import Dated, Schedule

RUNGS = (12, 24, 36, 60)
"""Months after the reporting month at which a rung of the maturity ladder ends; the last is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """What is owed for the months of a rung.

    Attributes:
        label: such as "13–24 months".
        firm: what is firm of it.
        cancellable: what the offtaker may still cancel.
    """

    label: str
    firm: Money
    cancellable: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """An agreement's value after a month.

    Attributes:
        agreement: as it stands.
        after: the last month that is past.
        values: of the whole term; firm as if notice were given on the first day allowed after `after`.
        remaining: scheduled fees and minimums of later months.
        firm: what of them is owed whatever the offtaker does.
        obligation: the remaining performance obligation, on the judgement recorded.
        judgement: that judgement in words.
        support: what stands behind the offtaker after that month; None where a guaranty has no limit.
        uncovered: what of `firm` nothing stands behind.
        ladder: remaining months by maturity.
    """

    agreement: Agreement
    after: Month
    values: Values
    remaining: Figure[Money]
    firm: Figure[Money]
    obligation: Figure[Money]
    judgement: str
    support: Money | None
    uncovered: Figure[Money]
    ladder: tuple[Rung, ...]


def worth_after(agreement: Agreement, after: Month) -> Worth:
    """What an agreement is worth once a month is over.

    Source: ASC 606-10-50-13 for the obligation that remains; the maturity ladder is what lenders ask for.
    """
    following = after.plus(1)
    found = values(agreement, date(following.year, following.month, 1))
    head, firm = (
        _figure(agreement, schedule, after) for schedule in (found.headline_by_month, found.firm_by_month)
    )
    recognition = agreement.first_of(Recognition)
    kept = recognition is not None and recognition[1].rpo is Obligation.HEADLINE
    support, support_basis = _support(agreement, following)
    covered = firm.value if support is None else min(firm.value, support, key=lambda m: m.minor)
    return Worth(
        agreement=agreement,
        after=after,
        values=found,
        remaining=head,
        firm=firm,
        obligation=head if kept else firm,
        judgement=_judgement(recognition),
        support=support,
        uncovered=figure_of(agreement, firm.value - covered, (*firm.basis, *support_basis)),
        ladder=_ladder(agreement, found, after),
    )


def _figure(agreement: Agreement, schedule: Schedule, after: Month) -> Figure[Money]:
    items = _later(schedule, after)
    whole = Money(sum(item.amount.minor for item in items), agreement.currency)
    return figure_of(agreement, whole, (path for item in items for path in item.basis))


def _later(schedule: Schedule, after: Month) -> tuple[Dated, ...]:
    return tuple(item for item in schedule if item.month > after)


def _judgement(recognition: tuple[str, Recognition] | None) -> str:
    if recognition is None:
        return "firm value, as no judgement is recorded"
    clause = recognition[1]
    by = f", judged by {clause.judged_by}" if clause.judged_by else ""
    on = f" on {clause.judged_on}" if clause.judged_on else ""
    return f"{clause.rpo.value} value: {clause.because}{by}{on}"


def _support(agreement: Agreement, month: Month) -> tuple[Money | None, tuple[str, ...]]:
    """What stands behind the offtaker on the first day of a month; None where it has no limit."""
    whole, basis = Money.zero(agreement.currency), []
    for path, clause in agreement.all_of(CreditSupport):
        if clause.behind is Side.OFFTAKER and clause.holds(date(month.year, month.month, 1)):
            basis.append(f"{path}.amount")
            if clause.amount is None:
                return None, (f"{path}.form",)
            whole += agreement.money(clause.amount)
    return whole, tuple(basis)


def _ladder(agreement: Agreement, found: Values, after: Month) -> tuple[Rung, ...]:
    rungs, since = [], 0
    for until in (*RUNGS, None):
        first = after.plus(since)
        last = None if until is None else after.plus(until)
        head, firm = (
            sum(
                item.amount.minor
                for item in schedule
                if item.month > first and (last is None or item.month <= last)
            )
            for schedule in (found.headline_by_month, found.firm_by_month)
        )
        label = f"{since + 1}–{until} months" if until is not None else f"after {since} months"
        # what leaving costs may fall into a rung in which less would have been owed
        rungs.append(
            Rung(
                label=label,
                firm=Money(firm, agreement.currency),
                cancellable=Money(head - firm, agreement.currency),
            )
        )
        since = until or since
    return tuple(rungs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One offtaker's part of the firm value that remains.

    Attributes:
        offtaker: who.
        firm: its firm value.
        share: of all firm value in that currency.
    """

    offtaker: str
    firm: Money
    share: Fraction


def shares_of(worths: Iterable[Worth]) -> tuple[Share, ...]:
    """Firm value by offtaker, the largest first; each currency by itself, nothing is converted."""
    sums: dict[tuple[str, str], int] = {}
    wholes: dict[str, int] = {}
    for worth in worths:
        amount = worth.firm.value
        key = (worth.agreement.offtaker, amount.currency)
        sums[key] = sums.get(key, 0) + amount.minor
        wholes[amount.currency] = wholes.get(amount.currency, 0) + amount.minor
    found = [
        Share(
            offtaker=offtaker,
            firm=Money(minor, currency),
            share=Fraction(minor, wholes[currency]) if wholes[currency] else Fraction(0),
        )
        for (offtaker, currency), minor in sums.items()
    ]
    return tuple(sorted(found, key=lambda share: (-share.share, share.offtaker)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A concentration cap and what was found.

    Attributes:
        agreement: whose clause it is.
        path: the clause.
        offtaker: whose share is the largest that the clause looks at.
        share: that share.
        cap: the most it may be.
    """

    agreement: str
    path: str
    offtaker: str
    share: Fraction
    cap: Fraction

    @property
    def holds(self) -> bool:
        """Whether the share is within the cap."""
        return self.share <= self.cap


def caps_of(worths: Sequence[Worth], at: int) -> tuple[Tested, ...]:
    """Every concentration clause of the book against the shares there are.

    Args:
        worths: of all agreements.
        at: the instant at which entitled GPUs are counted.
    """
    found = []
    for worth in worths:
        for path, clause in worth.agreement.all_of(Concentration):
            shares = _gpu_shares(worths, clause, at) if clause.of is Of.GPUS else _firm_shares(worths)
            own = {who: share for who, share in shares.items() if clause.offtaker in (None, who)}
            who = max(own, key=lambda name: (own[name], name), default=clause.offtaker or "")
            found.append(
                Tested(
                    agreement=worth.agreement.id,
                    path=path,
                    offtaker=who,
                    share=own.get(who, Fraction(0)),
                    cap=Fraction(clause.cap),
                )
            )
    return tuple(found)


def _firm_shares(worths: Sequence[Worth]) -> Mapping[str, Fraction]:
    """The largest share of each offtaker in any currency."""
    found: dict[str, Fraction] = {}
    for share in shares_of(worths):
        found[share.offtaker] = max(share.share, found.get(share.offtaker, Fraction(0)))
    return found


def _gpu_shares(worths: Sequence[Worth], clause: Concentration, at: int) -> Mapping[str, Fraction]:
    held: dict[str, int] = {}
    for worth in worths:
        for tranche in worth.agreement.tranches:
            if set(tranche.pools) & set(clause.pools) and tranche.queue is None:
                gpus = entitlement(worth.agreement, tranche).value.value_at(at)
                held[worth.agreement.offtaker] = held.get(worth.agreement.offtaker, 0) + gpus
    whole = sum(held.values())
    return {who: Fraction(gpus, whole) if whole else Fraction(0) for who, gpus in held.items()}
