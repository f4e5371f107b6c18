"""The table that turns one unit of capacity into another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion(Clause):
    """Conversion of units; needed where a quantity isn't in GPUs, or a price isn't in the quantity's unit.

    Attributes:
        kw_per_gpu: critical-IT power of a GPU with its share of the node and network, in kW.
        kw_per_rack: critical-IT power of a rack, in kW; with `gpus_per_rack` instead of `kw_per_gpu`.
        gpus_per_rack: GPUs of one rack.
        gpus_per_node: GPUs of one node.
        gross_mw_per_critical_mw: megawatts drawn from the utility for one that reaches the equipment.
    """

    NAME: ClassVar[str] = "conversion"
    kw_per_gpu: Annotated[Decimal, Gt(0)] | None = None
    kw_per_rack: Annotated[Decimal, Gt(0)] | None = None
    gpus_per_rack: Annotated[int, Gt(0)] | None = None
    gpus_per_node: Annotated[int, Gt(0)] | None = None
    gross_mw_per_critical_mw: Annotated[Decimal, Ge(1)] | None = None

    @property
    def exact_kw_per_gpu(self) -> Fraction | None:
        """Power per GPU in kW, given or from the rack."""
        if self.kw_per_gpu is not None:
            return Fraction(self.kw_per_gpu)
        if self.kw_per_rack is not None and self.gpus_per_rack is not None:
            return Fraction(self.kw_per_rack) / self.gpus_per_rack
        return None

    @property
    def power_terms(self) -> tuple[str, ...]:
        """Which of its terms power per GPU rests on."""
        return ("kw_per_gpu",) if self.kw_per_gpu is not None else ("kw_per_rack", "gpus_per_rack")

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """One way of saying a GPU's power, not two."""
        if self.kw_per_gpu is not None and self.kw_per_rack is not None:
            yield Problem(
                where=path,
                code="contradiction",
                message="both kw_per_gpu and kw_per_rack say what a GPU draws",
                remedy="keep one of them",
            )
        if self.kw_per_rack is not None and self.gpus_per_rack is None:
            yield Problem(
                where=f"{path}.gpus_per_rack",
                code="missing",
                message="a rack's power says what a GPU draws only with the GPUs of a rack",
                remedy="add gpus_per_rack",
            )
