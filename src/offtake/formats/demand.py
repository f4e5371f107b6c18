"""Demand in TOML: of the operator's own teams, and in simulation what offtakers take."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen

from offtake.base.curve import Curve
from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.base.ids import check_name
from offtake.base.time import Interval
from offtake.claims.demand import Inference, ShareOfEntitlement, Training, inference_demand, training_demand
from offtake.claims.model import Firmness
from offtake.fleet.capacity import unknown_pool
from offtake.formats.series import load_curve


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandDeclaration(Declared):
    """Demand of an internal team: one of the generators, a constant, or a file of (start, gpus) rows.

    Attributes:
        transfer_price: what the team is shown as its cost, in the book's currency per GPU-hour held.
    """

    id: str
    holder: str
    firmness: Firmness
    pools: Annotated[tuple[str, ...], MinLen(1)]
    training: Training | None = None
    inference: Inference | None = None
    constant_gpus: Annotated[int, Gt(0)] | None = None
    file: str | None = None
    transfer_price: Annotated[Decimal, Ge(0), Le(10**6)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeDeclaration(Declared):
    """What an offtaker wants of one tranche, in simulation."""

    claim: str
    share: ShareOfEntitlement


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Internal demand, ready to be recorded."""

    declaration: DemandDeclaration
    curve: Curve


def check_demand(
    at: str, demand: DemandDeclaration, earlier: list[str], pools: list[str] | None
) -> list[Problem]:
    """Everything wrong with one declaration that types can't tell; `at` is its place."""
    problems = []
    try:
        check_name(demand.id)
    except ValueError as error:
        problems.append(Problem(where=f"{at}.id", code="bad_name", message=str(error)))
    if demand.id in earlier:
        problems.append(Problem(where=f"{at}.id", code="duplicate", message=f"{demand.id!r} appears twice"))
    for j, pool in enumerate(demand.pools):
        if pools is not None and pool not in pools:
            problems.append(unknown_pool(f"{at}.pools[{j}]", pool, pools))
    if demand.training is not None:
        problems += _check_training(f"{at}.training", demand.training)
    sources = (demand.training, demand.inference, demand.constant_gpus, demand.file)
    if sum(source is not None for source in sources) != 1:
        problems.append(
            Problem(
                where=at,
                code="one_of",
                message="say where the demand comes from, once",
                remedy="one of training, inference, constant_gpus or file",
            )
        )
    return problems


def _check_training(at: str, training: Training) -> list[Problem]:
    """Ranges must rise, and a campaign lasts at least a day."""
    return [
        Problem(
            where=f"{at}.{name}",
            code="bad_range",
            message=f"{list(bounds)} doesn't go from a smallest to a largest of at least {least}",
            remedy="write [smallest, largest]",
        )
        for name, bounds, least in (
            ("gpus", training.gpus, 1),
            ("days", training.days, 1),
            ("gap_days", training.gap_days, 0),
        )
        if not least <= bounds[0] <= bounds[1]
    ]


def demand_curve(declaration: DemandDeclaration, window: Interval, folder: Path, at: str) -> Curve:
    """The demand as a curve: generated from its seed, or read from its file.

    Raises:
        BadInput: if the file can't be read.
    """
    if declaration.training is not None:
        return training_demand(declaration.training, window, np.random.default_rng(declaration.training.seed))
    if declaration.inference is not None:
        return inference_demand(
            declaration.inference, window, np.random.default_rng(declaration.inference.seed)
        )
    if declaration.constant_gpus is not None:
        return Curve.constant(declaration.constant_gpus, window)
    if declaration.file is not None:
        return load_curve(inside(folder / "demand", declaration.file, f"{at}.file"), f"{at}.file")
    return Curve.zero()


def inside(base: Path, name: str, where: str) -> Path:
    """The file of that name under a directory.

    Raises:
        BadInput: if the name leads out of it.
    """
    path = base / name
    if not path.resolve().is_relative_to(base.resolve()):
        problem = Problem(
            where=where, code="outside", message=f"{name!r} leads out of the folder", remedy="keep it inside"
        )
        raise BadInput([problem])
    return path
