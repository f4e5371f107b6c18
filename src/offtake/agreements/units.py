"""Quantities in the unit an agreement states, as GPUs and as megawatts.

Source: the units of commitment that public agreements use: GPUs, nodes, racks, critical-IT or gross
megawatts, GPU-hours, or money alone.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from offtake.agreements.clauses.conversion import Conversion
from offtake.agreements.model import Agreement, Tranche
from offtake.agreements.terms import Denominator
from offtake.base.months import plus_days
from offtake.base.time import HOUR_S

POWER = (Denominator.CRITICAL_IT_MW, Denominator.GROSS_MW)


def missing_factor(agreement: Agreement, tranche: Tranche) -> str | None:
    """The key without which a tranche's quantity can't become GPUs, or None."""
    _, table = _table(agreement)
    if tranche.denominator in POWER and _kw_per_gpu(table, tranche) is None:
        return "kw_per_gpu"
    if tranche.denominator is Denominator.GROSS_MW and table.gross_mw_per_critical_mw is None:
        return "gross_mw_per_critical_mw"
    if tranche.denominator is Denominator.NODES and table.gpus_per_node is None:
        return "gpus_per_node"
    if tranche.denominator is Denominator.RACKS and table.gpus_per_rack is None:
        return "gpus_per_rack"
    return None


def exact_gpus(agreement: Agreement, tranche: Tranche, quantity: Decimal | None = None) -> Fraction:
    """A quantity of a tranche in GPUs, exact; the tranche's own quantity when left out.

    Raises:
        ValueError: naming the factor that the conversion lacks.
    """
    quantity = tranche.quantity if quantity is None else quantity
    if quantity is None:
        return Fraction(0)
    missing = missing_factor(agreement, tranche)
    if missing is not None:
        raise ValueError(f"tranche {tranche.id}: {missing} is needed to turn {tranche.denominator} into GPUs")
    return Fraction(quantity) * _gpus_per_unit(agreement, tranche)


def gpus_of(agreement: Agreement, tranche: Tranche, quantity: Decimal | None = None) -> int:
    """A quantity of a tranche in whole GPUs, rounded up in the offtaker's favour.

    Raises:
        ValueError: naming the factor that the conversion lacks.
    """
    exact = exact_gpus(agreement, tranche, quantity)
    return -(-exact.numerator // exact.denominator)


def total_gpus(agreement: Agreement) -> int:
    """The full quantity of all tranches, in GPUs."""
    return sum(gpus_of(agreement, tranche) for tranche in agreement.tranches)


def conversion_basis(agreement: Agreement, tranche: Tranche) -> tuple[str, ...]:
    """Terms that turn a tranche's unit into GPUs."""
    path, table = _table(agreement)
    if tranche.denominator in (Denominator.GPUS, Denominator.NONE, Denominator.GPU_HOURS):
        return ()
    if tranche.denominator is Denominator.NODES:
        return (f"{path}.gpus_per_node",)
    if tranche.denominator is Denominator.RACKS:
        return (f"{path}.gpus_per_rack",)
    own = tranche.kw_per_gpu is not None
    index = next(i for i, other in enumerate(agreement.tranches) if other.id == tranche.id)
    basis = [f"tranche[{index}].kw_per_gpu"] if own else [f"{path}.{name}" for name in table.power_terms]
    if tranche.denominator is Denominator.GROSS_MW:
        basis.append(f"{path}.gross_mw_per_critical_mw")
    return tuple(basis)


def _table(agreement: Agreement) -> tuple[str, Conversion]:
    found = agreement.first_of(Conversion)
    return found or ("conversion", Conversion())


def _kw_per_gpu(table: Conversion, tranche: Tranche) -> Fraction | None:
    return Fraction(tranche.kw_per_gpu) if tranche.kw_per_gpu is not None else table.exact_kw_per_gpu


def _gpus_per_unit(agreement: Agreement, tranche: Tranche) -> Fraction:
    _, table = _table(agreement)
    match tranche.denominator:
        case Denominator.NODES:
            return Fraction(table.gpus_per_node or 0)
        case Denominator.RACKS:
            return Fraction(table.gpus_per_rack or 0)
        case Denominator.CRITICAL_IT_MW | Denominator.GROSS_MW:
            kw = _kw_per_gpu(table, tranche)
            gross = table.gross_mw_per_critical_mw if tranche.denominator is Denominator.GROSS_MW else 1
            return Fraction(1000) / (kw or 1) / Fraction(gross or 1)
        case Denominator.GPU_HOURS:
            days = (plus_days(tranche.through, 1) - tranche.start).days
            return Fraction(HOUR_S, days * 24 * HOUR_S)
        case _:
            return Fraction(1)
