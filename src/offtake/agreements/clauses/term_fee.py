"""A fee stated for the whole term, where no monthly fee is public."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.clauses.monthly_fee import check_amount, check_months, check_tranches
from offtake.agreements.model import Agreement, Clause, Due
from offtake.agreements.schedule import covered_share, factors_on
from offtake.base.errors import Problem
from offtake.base.money import round_fraction
from offtake.base.months import Month, months_through, plus_days, plus_months


@dataclass(frozen=True, slots=True, kw_only=True)
class TermFee(Clause):
    """What the whole term costs, spread over its months so that they sum to it exactly.

    An escalator weights the months, and a month that is covered in part counts in part: the total already
    contains both. An option to extend goes on at the escalator's pace.

    Attributes:
        amount: the total from `first` through `last`.
        first: first month it is for.
        last: last month it is for.
        tranche: the tranche it is for; the whole agreement when left out.
        what: what it is for, to be printed on its line.

    Units: `amount` in major units of the agreement's currency.
    Source: how headline values of public agreements are reported; spreading a total over months is our
    reading, and each month is a share of the total rounded so that the months add up.
    """

    NAME: ClassVar[str] = "term_fee"
    amount: Annotated[Decimal, Gt(0), Le(10**15)]
    first: Month
    last: Month
    tranche: str | None = None
    what: str = "Fee"

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Whole minor units, months within the term, a tranche that exists."""
        yield from check_amount(agreement, f"{path}.amount", self.amount)
        yield from check_tranches(agreement, path, self.tranche)
        yield from check_months(agreement, path, self.first, self.last)

    def span(self, agreement: Agreement) -> tuple[Month, Month]:
        """The months it is spread over, and those that options add."""
        return self.first, agreement.extended(self.last)

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """The month's part, such that what is covered of it and the escalator give whole minor units."""
        path = agreement.path_of(self)
        parts, pace, terms = _full_months(_Text(agreement), path, self)
        position = (month.year - self.first.year) * 12 + month.month - self.first.month
        exact = parts[position] if position < len(parts) else pace
        if exact:
            yield Due(month=month, exact=exact, basis=(f"{path}.amount", *terms), tranche=self.tranche)


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """An agreement that is equal to itself only, so that what follows from it can be remembered."""

    agreement: Agreement

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Text) and other.agreement is self.agreement

    def __hash__(self) -> int:
        return id(self.agreement)


@lru_cache(maxsize=64)
def _full_months(
    text: _Text, path: str, fee: TermFee
) -> tuple[tuple[Fraction, ...], Fraction, tuple[str, ...]]:
    """What each month of the total would owe if it were covered in full, and so each month after them.

    A month weighs what is covered of it, as the text was signed, times how far the fee has risen; the terms
    by which it rises come third, as every month's part rests on them.
    """
    agreement, signed = text.agreement, _as_signed(text.agreement)
    weights: list[Fraction] = []
    terms: list[str] = []
    for month in months_through(fee.first, fee.last):
        weight = covered_share(signed, month, fee.tranche)
        for factor in factors_on(agreement, path, month):
            weight *= factor.value
            terms += factor.basis
        weights.append(weight)
    whole = agreement.minor(fee.amount)
    if not any(weights):
        return tuple(weights), Fraction(0), ()
    parts = spread(whole, tuple(weights))
    full = (part / weight if weight else Fraction(0) for part, weight in zip(parts, weights, strict=True))
    return tuple(full), whole / sum(weights), tuple(dict.fromkeys(terms))


def _as_signed(agreement: Agreement) -> Agreement:
    """The agreement before it was extended, accepted late or ended early."""
    end, months = agreement.term_end, agreement.extended_months
    tranches = tuple(
        replace(t, through=plus_days(plus_months(end, -months), -1)) if plus_days(t.through, 1) == end else t
        for t in agreement.tranches
    )
    return replace(agreement, tranches=tranches, ends_on=None, accepted={}, extended_months=0)


@lru_cache(maxsize=4_096)
def spread(whole: Fraction, weights: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Whole parts in proportion to weights, each within one unit of its share, that sum exactly to the whole.

    The running sum is rounded half-even, so that parts don't depend on what comes after them.
    """
    total, reached, given = sum(weights), Fraction(0), 0
    parts = []
    for weight in weights:
        reached += weight
        upto = round_fraction(whole * reached / total)
        parts.append(Fraction(upto - given))
        given = upto
    return tuple(parts)
