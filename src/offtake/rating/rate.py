"""Charges of an agreement, month by month.

Fixed charges follow from the agreement alone and can be billed before the month; settled charges need
what was delivered and taken. The table names every clause, so that a clause without a charge is a
decision, not an omission.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import texts_by_month
from offtake.agreements.units import total_gpus
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.rating.clauses import ORDER, RATERS
from offtake.rating.model import Carried, Charge, MonthFacts, Move, carried_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """A month's charges, the fixed ones first, and what is carried out of it."""

    fixed: tuple[Charge, ...]
    settled: tuple[Charge, ...]
    carried: Carried

    @property
    def charges(self) -> tuple[Charge, ...]:
        """All of them."""
        return (*self.fixed, *self.settled)


def rate_fixed(agreement: Agreement, month: Month) -> tuple[Charge, ...]:
    """Charges known before the month begins.

    A month cut by an early end owes the covered share of its days.
    """
    return tuple(
        charge
        for path, clause in agreement.clauses
        for charge in RATERS[clause.NAME].fixed(agreement, path, clause, month)
    )


def rate_corrections(agreement: Agreement, month: Month, billed: Sequence[Charge]) -> Iterator[Charge]:
    """The fixed charges of a month, less what was billed for it in advance: see `differences`."""
    return differences(rate_fixed(agreement, month), billed, agreement.currency)


def differences(due: Iterable[Charge], billed: Iterable[Charge], currency: str) -> Iterator[Charge]:
    """What is owed for a month less what was billed for it, by clause, tranche and kind.

    Nothing billed yields the charges themselves; all of it billed yields nothing.
    """
    owed = _by_line(due)
    before = _by_line(billed)
    for key, lines in before.items():
        now = owed.pop(key, [])
        was, is_ = (_sum(part, currency) for part in (lines, now))
        if was != is_:
            text = f"Correction: {is_} owed for {lines[0].month}, billed {was}"
            basis = tuple(dict.fromkeys(p for line in (*now, *lines) for p in line.basis))
            assumed = tuple(dict.fromkeys(p for line in (*now, *lines) for p in line.assumed))
            yield replace(lines[0], text=text, amount=is_ - was, basis=basis, assumed=assumed)
    for lines in owed.values():
        yield from lines


def _by_line(charges: Iterable[Charge]) -> dict[tuple[str, str | None, str], list[Charge]]:
    found: dict[tuple[str, str | None, str], list[Charge]] = {}
    for charge in charges:
        found.setdefault((charge.clause, charge.tranche, str(charge.kind)), []).append(charge)
    return found


def _sum(charges: Iterable[Charge], currency: str) -> Money:
    return Money(sum(charge.amount.minor for charge in charges), currency)


def rate_month(agreement: Agreement, facts: MonthFacts) -> Rated:
    """Every charge of a month, and what is carried out of it.

    Settled charges come in the order of the table of raters. Each sees the charges before it, the fixed ones
    included, so that a reduction or a credit is a share of what is really owed.
    """
    fixed = rate_fixed(agreement, facts.month)
    charges = list(fixed)
    carried = facts.carried
    for name in ORDER:
        for path, clause in agreement.clauses:
            if name == clause.NAME:
                seen = replace(facts, carried=carried)
                found = tuple(RATERS[name].settled(agreement, path, clause, seen, tuple(charges)))
                charges += [item for item in found if isinstance(item, Charge)]
                carried = carried_after(carried, (item for item in found if isinstance(item, Move)))
    return Rated(fixed=fixed, settled=tuple(charges[len(fixed) :]), carried=carried)


def rate_settled(agreement: Agreement, facts: MonthFacts) -> tuple[Charge, ...]:
    """Charges that need the month's facts."""
    return rate_month(agreement, facts).settled


def rate_term(agreement: Agreement, facts: Iterable[MonthFacts]) -> Iterator[tuple[MonthFacts, Rated]]:
    """Month after month on the text that holds on its last day, with what the one before carried into it."""
    texts = tuple(texts_by_month(agreement))
    carried: Carried = {}
    for month in facts:
        text = next(t for t, _, last in texts if last is None or month.month <= last)
        seen = replace(month, carried=carried)
        rated = rate_month(text, seen)
        carried = rated.carried
        yield seen, rated


def fee_at_stake(agreement: Agreement) -> int:
    """What one GPU short for a whole month puts at stake: the full monthly fee per GPU, rounded down.

    Units: minor units of the agreement's currency per GPU-month. Orders firm claims against each other;
    never billed.
    """
    gpus = total_gpus(agreement)
    fees = [agreement.money(fee.amount).minor for _, fee in agreement.all_of(MonthlyFee)]
    return sum(fees) // gpus if fees and gpus else 0
