"""Slurm's trackable resources: what a job held, and its weighted billing units.

Source: Slurm's documentation of TRES and of `TRESBillingWeights` (tres.html, slurm.conf): a weight may have a
unit, such as 0.25G for memory, and then counts per that unit; the sum is truncated to a whole number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction

GLOBAL = ("license/", "bb/")
"""Resources that no node has: they are added whatever the combination."""

_SIZES = {"": Fraction(1)} | {unit: Fraction(1024) ** (i - 1) for i, unit in enumerate("KMGTP")}
"""Memory counts megabytes where it has no unit."""

_ITEM = re.compile(r"([^=,]+)=(\d+(?:\.\d+)?)([KMGTP]?)")


class Combination(StrEnum):
    """How weighted resources of a job are combined.

    `SUM`: all added. `MAX`: the largest of those that nodes have (`MAX_TRES`). `MAX_GRES`: the largest of
    CPUs, memory and the like, and all generic resources added (`MAX_TRES_GRES`). What no node has, such as
    licences, is always added.
    """

    SUM = "sum"
    MAX = "max"
    MAX_GRES = "max_gres"


def parse_tres(text: str) -> dict[str, tuple[Fraction, str]]:
    """Resources with their amounts and units: ``cpu=8,mem=64G,gres/gpu=4``; names in lower case.

    Raises:
        ValueError: for an item that isn't NAME=NUMBER, or one that is there twice.
    """
    found: dict[str, tuple[Fraction, str]] = {}
    for item in filter(None, text.split(",")):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise ValueError(f"{item!r} is no resource, such as cpu=8 or mem=64G")
        name = match[1].lower()
        if name in found:
            raise ValueError(f"{name} is named twice")
        found[name] = (Fraction(match[2]), match[3])
    return found


def gpus_of(resources: Mapping[str, tuple[Fraction, str]]) -> int:
    """GPUs among resources: `gres/gpu`, or the sum of its types where there is no total."""
    if "gres/gpu" in resources:
        return int(resources["gres/gpu"][0])
    return int(sum(amount for name, (amount, _) in resources.items() if name.startswith("gres/gpu:")))


def billing_units(resources: str, weights: str, combination: Combination = Combination.SUM) -> int:
    """Weighted units of a job's resources, truncated as Slurm does.

    Args:
        resources: such as ``cpu=1,mem=8G,license/iop1=1``.
        weights: such as ``CPU=1.0,Mem=0.25G,GRES/gpu=2.0,license/iop1=1.5``.
        combination: as the partition's priority flags have it.

    Raises:
        ValueError: those of `parse_tres`.
    """
    held, per = parse_tres(resources), parse_tres(weights)
    parts = {
        name: amount * _SIZES[unit] / _SIZES[per[name][1]] * per[name][0]
        for name, (amount, unit) in held.items()
        if name in per
    }
    everywhere = sum(part for name, part in parts.items() if name.startswith(GLOBAL))
    generic = [part for name, part in parts.items() if name.startswith("gres/")]
    plain = [part for name, part in parts.items() if not name.startswith((*GLOBAL, "gres/"))]
    if combination is Combination.SUM:
        whole = sum(plain) + sum(generic)
    elif combination is Combination.MAX:
        whole = max([*plain, *generic], default=Fraction(0))
    else:
        whole = max(plain, default=Fraction(0)) + sum(generic)
    return int(whole + everywhere)
