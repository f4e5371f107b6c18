"""What is metered, in tiers."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from offtake.agreements.clauses.metered_fee import MeteredFee, Model, Of
from offtake.agreements.model import Agreement
from offtake.agreements.periods import closes
from offtake.base.curve import combine
from offtake.base.money import money_of, round_rate
from offtake.base.time import HOUR_S
from offtake.rating.model import Charge, Kind, MonthFacts, Move, charge, left_of
from offtake.rating.pricing import Part, cost, price

UNITS = {Of.GPU_HOURS: "GPU-hours", Of.PEAK_GPUS: "GPUs", Of.KWH: "kWh", Of.CHARGES: "of charges"}
SCALE = {Of.GPU_HOURS: HOUR_S, Of.PEAK_GPUS: 1, Of.KWH: 1_000}
"""What is carried, for one unit: GPU-seconds, GPUs, watt-hours."""


def rate_metered_fee(
    agreement: Agreement, path: str, clause: MeteredFee, facts: MonthFacts, charges: tuple[Charge, ...]
) -> Iterable[Charge | Move]:
    """The price of the period so far, less the price of what the months before counted."""
    account = f"{path}/counted"
    lots = facts.carried.get(account, ())
    scale = SCALE.get(clause.of) or int(agreement.minor(Fraction(1)))
    before, now = left_of(lots), _counted(agreement, clause, facts, charges)
    if closes(agreement, clause.period, facts.month):
        yield from (Move(account=account, month=lot.month, quantity=-lot.quantity) for lot in lots)
    elif now:
        yield Move(account=account, month=facts.month, quantity=now)
    whole = price(clause, Fraction(before + now, scale))
    earlier = price(clause, Fraction(before, scale)) if lots else ()
    exact = cost(whole) - cost(earlier)
    if not exact:
        return
    since = "" if not lots else f"; {_quantity(Fraction(before, scale))} counted before"
    yield charge(
        agreement,
        path,
        facts.month,
        kind=Kind.USAGE,
        text=f"{clause.what} for {facts.month}: {_quantity(Fraction(now, scale))} {UNITS[clause.of]}"
        f"{since} ({_said(clause, whole)})",
        amount=money_of(exact, agreement.currency, agreement.rounding),
        basis=tuple(f"{path}.tier[{part.tier}]" for part in whole) or (f"{path}.tier[0]",),
        tranche=clause.tranche,
    )


def _counted(agreement: Agreement, clause: MeteredFee, facts: MonthFacts, charges: tuple[Charge, ...]) -> int:
    """What the month counts: GPU-seconds, GPUs, watt-hours or minor units."""
    own = [facts.tranches[t] for t in facts.tranches if clause.tranche in (None, t)]
    match clause.of:
        case Of.GPU_HOURS:
            return sum(tranche.taken for tranche in own)
        case Of.PEAK_GPUS:
            return combine([t.use for t in own]).max_over(agreement.month(facts.month)) if own else 0
        case Of.KWH:
            return facts.energy_wh
        case _:
            return sum(
                c.amount.minor for c in charges if {c.clause, c.clause.partition("[")[0]} & {*clause.clauses}
            )


def _said(clause: MeteredFee, parts: tuple[Part, ...]) -> str:
    unit = f" of {clause.package:,f}" if clause.model is Model.PACKAGE and clause.package else ""
    said = []
    for part in parts:
        flat = f" and {part.flat:,f}" if part.flat else ""
        said.append(f"{_quantity(part.quantity)}{unit} at {part.rate:,f}{flat}")
    return ", ".join(said)


def _quantity(value: Fraction) -> str:
    return f"{round_rate(value, 4).normalize():,f}"
