"""Charges of one month of one agreement.

Fixed charges follow from the agreement alone and can be billed before the month; settled charges need
what was delivered and taken. Both tables name every clause, so that a clause without a charge is a
decision, not an omission.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from offtake.agreements.clauses.monthly_fee import MonthlyFee
from offtake.agreements.model import Agreement
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.rating.clauses import FIXED, SETTLED
from offtake.rating.model import Charge, MonthFacts


def rate_fixed(agreement: Agreement, month: Month) -> tuple[Charge, ...]:
    """Charges known before the month begins.

    A month cut by an early end owes the covered share of its days.
    """
    return tuple(
        charge
        for path, clause in agreement.clauses
        for charge in FIXED[clause.NAME](agreement, path, clause, month)
    )


def rate_corrections(agreement: Agreement, month: Month, billed: Sequence[Charge]) -> Iterator[Charge]:
    """The fixed charges of a month, less what was billed for it in advance, by clause.

    Nothing billed yields the charges themselves; all of it billed yields nothing.
    """
    now = {charge.clause: charge for charge in rate_fixed(agreement, month)}
    for line in billed:
        due = now.pop(line.clause).amount if line.clause in now else Money.zero(agreement.currency)
        if due != line.amount:
            text = f"Correction: {due} owed for {month}, billed {line.amount}"
            yield replace(line, text=text, amount=due - line.amount)
    yield from now.values()


def rate_settled(agreement: Agreement, facts: MonthFacts) -> tuple[Charge, ...]:
    """Charges that need the month's facts, in the order of the table of clauses.

    Each sees the charges before it, the fixed ones included, so that a reduction or a credit is a share of
    what is really owed.
    """
    charges = list(rate_fixed(agreement, facts.month))
    fixed = len(charges)
    for name, rater in SETTLED.items():
        for path, clause in agreement.clauses:
            if name == clause.NAME:
                charges += rater(agreement, path, clause, facts, tuple(charges))
    return tuple(charges[fixed:])


def fee_at_stake(agreement: Agreement) -> int:
    """What one GPU short for a whole month puts at stake: the full monthly fee per GPU, rounded down.

    Units: minor units of the agreement's currency per GPU-month. Orders firm claims against each other;
    never billed.
    """
    gpus = sum(tranche.gpus(tranche.quantity) for tranche in agreement.tranches)
    found = agreement.first_of(MonthlyFee)
    return agreement.money(found[1].amount).minor // gpus if found and gpus else 0
