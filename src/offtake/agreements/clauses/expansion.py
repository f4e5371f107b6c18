"""The offtaker's option on more capacity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from offtake.agreements.clauses.monthly_fee import check_amount, check_tranches
from offtake.agreements.model import Agreement, Clause, Deadline, Due
from offtake.agreements.terms import Side
from offtake.base.errors import Problem
from offtake.base.months import Month, month_of_date


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion(Clause):
    """Until a day, the offtaker may add capacity of the kind of a tranche, from another day on.

    Once exercised, the new capacity is a tranche of its own, named after the old one with "-more". Fees for
    all tranches cover it; `monthly_fee` is owed for it besides.

    Attributes:
        tranche: the tranche whose kind, pools and last day the new capacity shares.
        quantity: how much may be added, in that tranche's unit.
        last_day: the last day on which the option may be exercised.
        start: the first day of the new capacity.
        monthly_fee: what a month of the new capacity costs, where no other fee covers it.

    Source: options on 1.25 GW (Cerebras and OpenAI) and $2B (Nebius); their terms aren't public.
    """

    NAME: ClassVar[str] = "expansion"
    tranche: str
    quantity: Annotated[Decimal, Gt(0), Le(10**12)]
    last_day: date
    start: date
    monthly_fee: Annotated[Decimal, Ge(0), Le(10**15)] = Decimal(0)

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """A tranche to be like, and a day within it."""
        yield from check_tranches(agreement, path, self.tranche)
        yield from check_amount(agreement, f"{path}.monthly_fee", self.monthly_fee)
        if any(t.id == self.tranche for t in agreement.tranches):
            like = agreement.tranche_of(self.tranche)
            if not like.start <= self.start <= like.through:
                yield Problem(
                    where=f"{path}.start",
                    code="outside_term",
                    message=f"{self.start} isn't within {like.start} to {like.through} of {like.id!r}",
                )

    @property
    def added(self) -> str:
        """Name of the tranche that it adds."""
        return f"{self.tranche}-more"

    def exercised(self, agreement: Agreement) -> bool:
        """Whether the new tranche is there."""
        return any(tranche.id == self.added for tranche in agreement.tranches)

    def with_more(self, agreement: Agreement) -> Agreement:
        """The agreement with the new tranche."""
        like = agreement.tranche_of(self.tranche)
        more = replace(
            like, id=self.added, quantity=self.quantity, quantity_low=None, quantity_high=None,
            start=self.start, steps=(), full_from=None, additive=True,
        )  # fmt: skip
        return replace(agreement, tranches=(*agreement.tranches, more))

    def span(self, agreement: Agreement) -> tuple[Month, Month] | None:
        """The months of the new tranche."""
        if not self.monthly_fee or not self.exercised(agreement):
            return None
        return month_of_date(self.start), month_of_date(agreement.tranche_of(self.added).through)

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """Its own fee."""
        path = agreement.path_of(self)
        basis = (f"{path}.monthly_fee", f"{path}.start")
        yield Due(month=month, exact=agreement.minor(self.monthly_fee), basis=basis, tranche=self.added)

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """The last day of the option."""
        if not self.exercised(agreement):
            path = agreement.path_of(self)
            yield Deadline(
                on=self.last_day,
                what=f"last day on which {agreement.offtaker} may add {self.quantity:,} to "
                f"{self.tranche} from {self.start}",
                side=Side.OFFTAKER,
                basis=(f"{path}.quantity", f"{path}.last_day"),
            )
