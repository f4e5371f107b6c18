"""What a file may say of each term beside its value: where it comes from, and whether it is assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Side(StrEnum):
    """A party to an agreement."""

    OPERATOR = "operator"
    OFFTAKER = "offtaker"


class TrancheFirmness(StrEnum):
    """Whether a tranche may be taken back without breach."""

    FIRM = "firm"
    RECALLABLE = "recallable"
    INTERRUPTIBLE = "interruptible"


class HoursConvention(StrEnum):
    """How many hours a month counts when a monthly fee is expressed per hour."""

    CALENDAR = "calendar"
    H720 = "720"
    H730 = "730"


class Denominator(StrEnum):
    """What a tranche's quantity counts.

    Critical-IT megawatts reach the equipment; gross megawatts include cooling and losses, so one isn't the
    other. `NONE`: the agreement states money and no quantity; a quantity given beside it is a planning
    assumption in GPUs.
    """

    GPUS = "gpus"
    NODES = "nodes"
    RACKS = "racks"
    CRITICAL_IT_MW = "critical_it_mw"
    GROSS_MW = "gross_mw"
    GPU_HOURS = "gpu_hours"
    NONE = "none"


class Covers(StrEnum):
    """What an agreement's fees pay for; agreements that differ in it have no price in common.

    `COMPUTE`: GPUs with the nodes, network, space and power they need, as one bundle. `OTHER_COMPUTE`: such a
    bundle on other accelerators. `SPACE_AND_POWER`: a place for the offtaker's own equipment.
    `UNSOLD_CAPACITY`: whatever the operator leaves unsold, up to a cap.
    """

    COMPUTE = "compute"
    OTHER_COMPUTE = "other_compute"
    SPACE_AND_POWER = "space_and_power"
    UNSOLD_CAPACITY = "unsold_capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where a term comes from."""

    source: str = ""
    assumed: bool = False


class TermSheet:
    """Provenance by path, inherited downwards: a section's holds for what is in it.

    Paths look like ``monthly_fee.amount`` and ``tranche[0].quantity``.
    """

    __slots__ = ("_by_path",)

    def __init__(self, by_path: Mapping[str, Provenance]) -> None:
        self._by_path = dict(by_path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TermSheet) and self._by_path == other._by_path

    def __hash__(self) -> int:
        return hash(frozenset(self._by_path))

    def of(self, path: str) -> Provenance:
        """The provenance of a term: its own, or that of the nearest section around it."""
        while path:
            if path in self._by_path:
                return self._by_path[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return Provenance()

    def assumed(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the paths that are assumptions."""
        return tuple(path for path in paths if self.of(path).assumed)

    def assumptions(self) -> tuple[tuple[str, Provenance], ...]:
        """Every assumption written in the agreement, in the order of the file."""
        return tuple((path, prov) for path, prov in self._by_path.items() if prov.assumed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure(Generic[T]):
    """A derived value that knows what it rests on.

    Attributes:
        value: the figure.
        basis: paths of the terms used.
        assumed: those of them that are assumptions; empty means the figure rests on sources alone.
    """

    value: T
    basis: tuple[str, ...]
    assumed: tuple[str, ...] = ()


HOURS_PER_MONTH = {HoursConvention.H720: Decimal(720), HoursConvention.H730: Decimal(730)}
