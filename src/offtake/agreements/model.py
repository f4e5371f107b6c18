"""The agreement: parties, dates, tranches, clauses, and what has happened under it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, ClassVar, TypeVar

from annotated_types import Ge, Gt, Le, MinLen

from offtake.agreements.series import Series
from offtake.agreements.terms import (
    Covers,
    Denominator,
    HoursConvention,
    Side,
    TermSheet,
    TrancheFirmness,
)
from offtake.base.declared import Declared
from offtake.base.errors import Problem
from offtake.base.money import Money, Rounding, minor_exponent
from offtake.base.months import Month, local_midnight, month_of_date, plus_days
from offtake.base.outcome import Refused
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


class DueKind(StrEnum):
    """What a scheduled amount is: a fee is earned, a prepayment is owed back until it is drawn down."""

    FEE = "fee"
    PREPAYMENT = "prepayment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a clause schedules for one local month, before escalators and an early end; not rounded yet.

    Units: `exact` in minor units of the agreement's currency.

    Attributes:
        month: the service month.
        exact: the amount for the whole month, or for what is covered of it where `measured` is true.
        basis: paths of the terms used.
        tranche: the tranche it is for, or None for the whole agreement.
        kind: fee or prepayment.
        measured: it already counts only what is covered, so days aren't prorated again.
    """

    month: Month
    exact: Fraction
    basis: tuple[str, ...]
    tranche: str | None = None
    kind: DueKind = DueKind.FEE
    measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """By how much a clause (an escalator, an index) multiplies a fee in a month, and why."""

    value: Fraction
    basis: tuple[str, ...]
    note: str = ""


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

    def span(self, agreement: Agreement) -> tuple[Month, Month] | None:
        """First and last month for which `owes` may say anything; None where it never does."""
        return None

    def owes(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """What this clause fixes in advance for a month within its span."""
        return ()

    def least(self, agreement: Agreement, month: Month) -> Iterable[Due]:
        """What it makes owed for a month of its span even if nothing is taken, beyond what `owes` fixes."""
        return ()

    def factor(self, agreement: Agreement, path: str, month: Month) -> Factor | None:
        """By how much it multiplies the fee of the clause at `path` in a month, or None for not at all."""
        return None

    def deadlines(self, agreement: Agreement) -> Iterable[Deadline]:
        """Dates that follow from this clause."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Declared):
    """Base of what parties do under an agreement: each is a fact of the book, and may change how it stands.

    Each subclass sets `SECTION` (its section in a file of facts) and `KIND` (its kind of fact), and is listed
    in `offtake.agreements.events.EVENTS`.

    Attributes:
        id: name of the event.
        agreement: the agreement's id.
        hypothetical: it was made up, and everything told of it says so.
    """

    SECTION: ClassVar[str]
    KIND: ClassVar[str]
    id: str
    agreement: str
    hypothetical: bool = False

    @property
    def day(self) -> date:
        """The local day on which it counts as known."""
        raise TypeError(f"{type(self).__name__} doesn't say on which day it counts")

    @property
    def by_operator(self) -> bool:
        """Whether the operator acts, so that two of its people must agree (the rule of four eyes)."""
        return False

    def check(self, agreement: Agreement) -> Refused | date:
        """Why it doesn't count under the agreement as it stands, or the day on which it takes effect."""
        return self.day

    def changed(self, agreement: Agreement, effective: date) -> Agreement:
        """The agreement after it; most events change no term and are looked up in `happened`."""
        return agreement


C = TypeVar("C", bound=Clause)
E = TypeVar("E", bound=Event)


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
        pools: pools of the fleet that may serve it, most preferred first; a folder needs at least one.
        quantity: how much, in the unit that `denominator` names; may be left out where it is `none`.
        quantity_low: the least it may be, where a source gives a range.
        quantity_high: the most it may be, where a source gives a range.
        denominator: what the quantity counts; `none` where the agreement states money only (a quantity is
            then a planning assumption in GPUs).
        kw_per_gpu: converts megawatts to GPUs; see also `[conversion]`.
        hardware: what it is, for people, such as "GB300 NVL72".
        start: first day, at local midnight.
        through: last day included; the header's `through` where all tranches end together.
        tenor_months: instead of `through`, calendar months from `start`.
        firmness: firm, recallable or interruptible.
        steps: the quantity before it reaches `quantity`: each from its date on, the last until `full_from`.
        full_from: first day of the full quantity when there are steps.
        additive: this tranche adds to another that uses the same pool at the same time.
        queue: the internal demand within whose holding this tranche's work runs, up to `quantity` GPUs at
            once. Such a tranche is a limit, not an entitlement: it makes no claim of its own.
    """

    id: str
    pools: Annotated[tuple[str, ...], MinLen(1)] = ()
    quantity: Annotated[Decimal, Gt(0), Le(10**12)] | None = None
    quantity_low: Annotated[Decimal, Gt(0), Le(10**12)] | None = None
    quantity_high: Annotated[Decimal, Gt(0), Le(10**12)] | None = None
    denominator: Denominator = Denominator.GPUS
    kw_per_gpu: Annotated[Decimal, Gt(0)] | None = None
    hardware: str = ""
    start: date
    through: date
    tenor_months: Annotated[int, Gt(0), Le(1_200)] | None = None
    firmness: TrancheFirmness = TrancheFirmness.FIRM
    steps: tuple[Step, ...] = ()
    full_from: date | None = None
    additive: bool = False
    queue: str | None = None


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
        covers: what its fees pay for; see `Covers`.
        tranches: dated blocks of capacity.
        clauses: what it provides, in the order of the file; each with its path.
        sheet: provenance of every term.
        ends_on: first day no longer covered, when ended early; None means it runs its term.
        ended_by: what ended it early: the path of a clause, or empty.
        happened: events that count, in the order of recording, each with the day it took effect.
        accepted: by tranche, the first day for which its own fees are owed, where that isn't its `start`.
        extended_months: calendar months by which options have extended the term.
        earlier: texts that held before this one, oldest first, each with the first day it no longer held.
        series: published indices, tariffs and price histories by name, as far as they are known.
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
    covers: Covers = Covers.COMPUTE
    tranches: Annotated[tuple[Tranche, ...], MinLen(1)]
    clauses: tuple[tuple[str, Clause], ...] = ()
    sheet: TermSheet = field(default_factory=lambda: TermSheet({}))
    ends_on: date | None = None
    ended_by: str = ""
    happened: tuple[tuple[Any, date], ...] = ()
    accepted: Mapping[str, date] = field(default_factory=dict)
    extended_months: int = 0
    earlier: tuple[tuple[date, Agreement], ...] = ()
    series: Mapping[str, Series] = field(default_factory=dict)

    def all_of(self, kind: type[C]) -> tuple[tuple[str, C], ...]:
        """Every clause of a kind, with its path."""
        return tuple((path, clause) for path, clause in self.clauses if isinstance(clause, kind))

    def first_of(self, kind: type[C]) -> tuple[str, C] | None:
        """The first clause of a kind with its path, or None."""
        return next(iter(self.all_of(kind)), None)

    def events_of(self, kind: type[E]) -> tuple[tuple[E, date], ...]:
        """Every event of a kind that counts, with the day it took effect."""
        return tuple((event, day) for event, day in self.happened if isinstance(event, kind))

    def tranche_of(self, id_: str) -> Tranche:
        """The tranche of that name.

        Raises:
            KeyError: if there is none.
        """
        for tranche in self.tranches:
            if tranche.id == id_:
                return tranche
        raise KeyError(id_)

    def texts(self) -> tuple[tuple[Agreement, date | None, date | None], ...]:
        """Every text with the days it holds: from (None: from the beginning) and until (None: to the end).

        Earlier texts see what has happened since.
        """
        if not self.earlier:
            return ((self, None, None),)
        found = []
        since: date | None = None
        for until, text in self.earlier:
            then = replace(
                text,
                ends_on=self.ends_on,
                ended_by=self.ended_by,
                happened=self.happened,
                accepted=self.accepted,
                series=self.series,
            )
            found.append((then, since, until))
            since = until
        return (*found, (replace(self, earlier=()), since, None))

    def path_of(self, clause: Clause) -> str:
        """Where a clause stands in the file."""
        return next(path for path, other in self.clauses if other is clause)

    def money(self, amount: Decimal) -> Money:
        """An amount of the agreement in its currency."""
        return Money.from_major(amount, self.currency)

    def minor(self, amount: Decimal | Fraction) -> Fraction:
        """An amount of the agreement in minor units of its currency, exact and not rounded."""
        return Fraction(amount) * Fraction(10 ** minor_exponent(self.currency))

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

    def extended(self, last: Month) -> Month:
        """A clause's last month, moved along by options where it was the term's last."""
        if not self.extended_months:
            return last
        before = month_of_date(plus_days(self.term_end, -1)).plus(-self.extended_months)
        return last.plus(self.extended_months) if last >= before else last

    def ending(self, day: date, by: str = "") -> Agreement:
        """The same agreement, ended early: `day` is the first day no longer covered, `by` what ends it."""
        if self.ends_on is not None and self.ends_on <= day:
            return self
        return replace(self, ends_on=day, ended_by=by)

    def with_tranche(self, id_: str, **changes: Any) -> Agreement:
        """The same agreement with some terms of one tranche changed."""
        tranches = tuple(replace(t, **changes) if t.id == id_ else t for t in self.tranches)
        return replace(self, tranches=tranches)


def after_events(agreement: Agreement, events: Sequence[Event]) -> Agreement:
    """The agreement as it stands after events, in the order in which they were recorded.

    An event that doesn't count under the agreement as it then stands is passed over.
    """
    for event in events:
        effective = event.check(agreement)
        if isinstance(effective, date):
            agreement = event.changed(agreement, effective)
            agreement = replace(agreement, happened=(*agreement.happened, (event, effective)))
    return agreement
