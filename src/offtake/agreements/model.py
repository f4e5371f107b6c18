"""The agreement: parties, dates, tranches and clauses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Annotated, ClassVar, TypeVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.terms import Denominator, HoursConvention, Side, TermSheet, TrancheFirmness
from offtake.base.declared import Declared
from offtake.base.errors import Problem
from offtake.base.money import Money, Rounding
from offtake.base.months import Month, local_midnight, plus_days
from offtake.base.schedule import Dated
from offtake.base.time import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A date on which a right opens or ends.

    Attributes:
        on: local date in the agreement's time zone; the instant is its midnight.
        what: what happens then, in plain English.
        side: whose right or duty it is, or None for both.
        basis: paths of the terms it follows from.
    """

    on: date
    what: str
    side: Side | None
    basis: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause(Declared):
    """Base of all clauses. A clause says what follows from it; the defaults say nothing.

    Each subclass lives in one file of `offtake.agreements.clauses`, sets `NAME` to that file's name
    (which is also its section in TOML and its charge in `offtake.rating.clauses`), and overrides what
    concerns it.
    """

    NAME: ClassVar[str]

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """Problems that types can't tell; `path` is the clause's place in the file."""
        return ()

    def scheduled(self, agreement: Agreement) -> Iterable[Dated]:
        """Fees this clause fixes in advance, by service month, before any early end."""
        return ()

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """Dates that follow from this clause."""
        return ()


C = TypeVar("C", bound=Clause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Declared):
    """A quantity from a date on."""

    start: date
    quantity: Annotated[Decimal, Ge(0), Le(10**9)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tranche(Declared):
    """A dated block of capacity.

    Attributes:
        id: name within the agreement.
        pools: pools of the fleet that may serve it, most preferred first.
        quantity: how much, in the unit that `denominator` names.
        denominator: GPUs, critical-IT megawatts, or none stated (then `quantity` is a planning
            assumption in GPUs).
        kw_per_gpu: converts critical-IT megawatts to GPUs.
        start: first day, at local midnight.
        through: last day included.
        firmness: firm, recallable or interruptible.
        steps: the quantity before it reaches `quantity`: each from its date on, the last until `full_from`.
        full_from: first day of the full quantity when there are steps.
        additive: this tranche adds to another that uses the same pool at the same time.
        queue: the internal demand within whose holding this tranche's work runs, up to `quantity` GPUs at
            once. Such a tranche is a limit, not an entitlement: it makes no claim of its own.
    """

    id: str
    pools: Annotated[tuple[str, ...], MinLen(1)]
    quantity: Annotated[Decimal, Gt(0), Le(10**9)]
    denominator: Denominator = Denominator.GPUS
    kw_per_gpu: Annotated[Decimal, Gt(0)] | None = None
    start: date
    through: date
    firmness: TrancheFirmness = TrancheFirmness.FIRM
    steps: tuple[Step, ...] = ()
    full_from: date | None = None
    additive: bool = False
    queue: str | None = None

    def gpus(self, quantity: Decimal) -> int:
        """A quantity of this tranche in whole GPUs, rounded up in the offtaker's favour."""
        if self.denominator is Denominator.CRITICAL_IT_MW:
            if self.kw_per_gpu is None:
                raise ValueError(f"tranche {self.id}: kw_per_gpu is needed to turn megawatts into GPUs")
            quantity = quantity * 1000 / self.kw_per_gpu
        return int(quantity.to_integral_value(rounding="ROUND_CEILING"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement(Declared):
    """An offtake agreement, as far as it can be executed.

    Attributes:
        id: name in the book.
        title: what its paper calls itself.
        operator: seller of capacity.
        offtaker: buyer.
        signed: date of signature.
        currency: of all its money.
        time_zone: of all its dates and months.
        hours: convention for $ per GPU-hour.
        rounding: of its charges.
        tranches: dated blocks of capacity.
        clauses: what it provides, in the order of the file; each with its path.
        sheet: provenance of every term.
        ends_on: first day no longer covered, when ended early; None means it runs its term.
    """

    id: str
    title: str
    operator: str
    offtaker: str
    signed: date
    currency: str
    time_zone: str
    hours: HoursConvention = HoursConvention.CALENDAR
    rounding: Rounding = Rounding.HALF_EVEN
    tranches: Annotated[tuple[Tranche, ...], MinLen(1)]
    clauses: tuple[tuple[str, Clause], ...] = ()
    sheet: TermSheet = field(default_factory=lambda: TermSheet({}))
    ends_on: date | None = None

    def all_of(self, kind: type[C]) -> tuple[tuple[str, C], ...]:
        """Every clause of a kind, with its path."""
        return tuple((path, clause) for path, clause in self.clauses if isinstance(clause, kind))

    def first_of(self, kind: type[C]) -> tuple[str, C] | None:
        """The first clause of a kind with its path, or None."""
        return next(iter(self.all_of(kind)), None)

    def path_of(self, clause: Clause) -> str:
        """Where a clause stands in the file."""
        return next(path for path, other in self.clauses if other is clause)

    def money(self, amount: Decimal) -> Money:
        """An amount of the agreement in its currency."""
        return Money.from_major(amount, self.currency)

    def midnight(self, day: date) -> int:
        """The instant a local date of this agreement begins."""
        return local_midnight(day, self.time_zone)

    def month(self, month: Month) -> Interval:
        """A local month of this agreement."""
        return month.interval(self.time_zone)

    @property
    def starts(self) -> date:
        """The first day of the first tranche."""
        return min(tranche.start for tranche in self.tranches)

    @property
    def term_end(self) -> date:
        """The first day after the last tranche, not looking at an early end."""
        return plus_days(max(tranche.through for tranche in self.tranches), 1)

    @property
    def ends(self) -> date:
        """The first day no longer covered."""
        return self.term_end if self.ends_on is None else min(self.ends_on, self.term_end)

    def ending(self, day: date) -> Agreement:
        """The same agreement, ended early: `day` is the first day no longer covered."""
        return replace(self, ends_on=day if self.ends_on is None else min(day, self.ends_on))
