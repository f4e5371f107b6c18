"""Everything wrong with an agreement that types can't tell: all problems, not the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offtake.agreements.model import Agreement, Tranche
from offtake.agreements.terms import Denominator, TrancheFirmness
from offtake.agreements.units import missing_factor
from offtake.base.errors import Problem
from offtake.base.ids import check_name
from offtake.base.money import minor_exponent
from offtake.base.months import check_zone


def check_agreement(agreement: Agreement, where: str) -> list[Problem]:
    """Problems of the agreement by itself; `where` names the file."""
    problems = [*_check_header(agreement)]
    for i, tranche in enumerate(agreement.tranches):
        problems += _check_tranche(f"tranche[{i}]", tranche, agreement)
        problems += _check_overlaps(f"tranche[{i}]", tranche, agreement.tranches[:i])
    if not any(p.code in ("unknown_time_zone", "bad_currency") for p in problems):
        for path, clause in agreement.clauses:
            problems += clause.check(agreement, path)
    return [problem.within(where) for problem in problems]


def check_pools(agreement: Agreement, pools: Sequence[str], where: str) -> list[Problem]:
    """What a fleet needs to know of an agreement to serve it: pools it has, and a quantity."""
    problems = [
        Problem(
            where=f"{where}: tranche[{i}].{name}",
            code="missing",
            message=f"tranche {tranche.id!r} has no {name}, so that no fleet can serve it",
            remedy=f"add {name}, marked assumed if it isn't in the agreement",
        )
        for i, tranche in enumerate(agreement.tranches)
        for name, value in (("pools", tranche.pools), ("quantity", tranche.quantity))
        if not value
    ]
    return problems + [
        Problem(
            where=f"{where}: tranche[{i}].pools[{j}]",
            code="unknown_pool",
            message=f"the fleet has no pool {pool!r}",
            remedy=f"pools are {', '.join(pools)}",
        )
        for i, tranche in enumerate(agreement.tranches)
        for j, pool in enumerate(tranche.pools)
        if pool not in pools
    ]


def _check_header(agreement: Agreement) -> Iterable[Problem]:
    checks = (
        ("agreement.id", "bad_name", check_name, agreement.id),
        ("agreement.currency", "bad_currency", minor_exponent, agreement.currency),
        ("agreement.time_zone", "unknown_time_zone", check_zone, agreement.time_zone),
    )
    for path, code, check, value in checks:
        try:
            check(value)
        except ValueError as error:
            yield Problem(where=path, code=code, message=str(error))


def _check_tranche(path: str, tranche: Tranche, agreement: Agreement) -> Iterable[Problem]:
    try:
        check_name(tranche.id)
    except ValueError as error:
        yield Problem(where=f"{path}.id", code="bad_name", message=str(error))
    if tranche.through < tranche.start:
        yield Problem(
            where=f"{path}.through",
            code="end_before_start",
            message=f"the last day {tranche.through} is before the first {tranche.start}",
            remedy="`through` is the last day included",
        )
    yield from _check_quantity(path, tranche, agreement)
    if len(set(tranche.pools)) != len(tranche.pools):
        yield Problem(
            where=f"{path}.pools", code="duplicate", message=f"a pool appears twice: {list(tranche.pools)}"
        )
    yield from _check_steps(path, tranche)
    yield from _check_queue(path, tranche)


def _check_quantity(path: str, tranche: Tranche, agreement: Agreement) -> Iterable[Problem]:
    missing = missing_factor(agreement, tranche)
    if missing is not None:
        own = f"{path}.kw_per_gpu" if missing == "kw_per_gpu" else f"conversion.{missing}"
        yield Problem(
            where=own,
            code="missing",
            message=f"a quantity in {tranche.denominator} needs {missing} to become GPUs",
            remedy=f"add {missing}, marked assumed if it isn't in the agreement",
        )
    if tranche.quantity is None and tranche.denominator is not Denominator.NONE:
        yield Problem(
            where=f"{path}.quantity",
            code="missing",
            message=f"a tranche counted in {tranche.denominator} needs a quantity",
            remedy='where the agreement states money only, write denominator = "none"',
        )
    whole = tranche.denominator in (Denominator.GPUS, Denominator.NODES, Denominator.RACKS)
    for quantity in (tranche.quantity, tranche.quantity_low, tranche.quantity_high):
        if quantity is not None and whole and quantity % 1:
            yield Problem(
                where=f"{path}.quantity", code="fraction", message=f"{quantity} GPUs isn't a whole number"
            )
    low, high = tranche.quantity_low or tranche.quantity, tranche.quantity_high or tranche.quantity
    if tranche.quantity and low and high and not low <= tranche.quantity <= high:
        yield Problem(
            where=f"{path}.quantity",
            code="outside_range",
            message=f"{tranche.quantity:,} isn't within {low:,} to {high:,}",
        )


def _check_queue(path: str, tranche: Tranche) -> Iterable[Problem]:
    if tranche.queue is None:
        return
    if tranche.firmness is not TrancheFirmness.INTERRUPTIBLE:
        yield Problem(
            where=f"{path}.firmness",
            code="contradiction",
            message=f"a tranche that runs in the queue {tranche.queue!r} can't be {tranche.firmness}",
            remedy='write firmness = "interruptible": a limit within a queue entitles to nothing',
        )
    if tranche.steps:
        yield Problem(
            where=f"{path}.steps",
            code="contradiction",
            message=f"a limit within the queue {tranche.queue!r} can't have steps",
            remedy="write one tranche with the limit as its quantity",
        )


def _check_steps(path: str, tranche: Tranche) -> Iterable[Problem]:
    if bool(tranche.steps) != (tranche.full_from is not None):
        yield Problem(
            where=f"{path}.full_from",
            code="missing" if tranche.steps else "contradiction",
            message="steps and full_from go together",
            remedy="full_from is the first day of the full quantity",
        )
    days = [step.start for step in tranche.steps] + ([tranche.full_from] if tranche.full_from else [])
    if days and (days != sorted(set(days)) or days[0] < tranche.start or days[-1] > tranche.through):
        yield Problem(
            where=f"{path}.steps",
            code="steps_order",
            message=f"dates of steps must rise within {tranche.start} to {tranche.through}: "
            + ", ".join(map(str, days)),
        )


def _check_overlaps(path: str, tranche: Tranche, earlier: Sequence[Tranche]) -> Iterable[Problem]:
    for other in earlier:
        if other.id == tranche.id:
            yield Problem(
                where=f"{path}.id", code="duplicate", message=f"tranche {tranche.id!r} appears twice"
            )
        shared = sorted(set(other.pools) & set(tranche.pools))
        together = tranche.start <= other.through and other.start <= tranche.through
        if shared and together and not tranche.additive:
            yield Problem(
                where=path,
                code="overlapping_tranches",
                message=f"{tranche.id!r} and {other.id!r} both use {', '.join(shared)} "
                f"from {max(tranche.start, other.start)} to {min(tranche.through, other.through)}",
                remedy="make one follow the other, or write additive = true if they add up",
            )
