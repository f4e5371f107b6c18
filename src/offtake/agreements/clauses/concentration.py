"""How much of something one holder may have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar

from annotated_types import Gt, Le

from offtake.agreements.model import Agreement, Clause
from offtake.base.errors import Problem


class Of(StrEnum):
    """What the share is of: the firm value of all agreements, or the GPUs of some pools."""

    FIRM_VALUE = "firm_value"
    GPUS = "gpus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concentration(Clause):
    """The operator promises that one offtaker's share stays within a cap.

    It charges nothing: `offtake agreement value` tests it.

    Attributes:
        of: what the share is of: "firm_value" of the whole book, or "gpus" entitled in some pools.
        pools: those pools.
        offtaker: whose share; every offtaker's when left out.
        cap: the fraction that may not be exceeded.

    Source: collateral and revenue from others than investment-grade customers up to 0.35 (CoreWeave's second
    delayed-draw loan); NVIDIA's share of each server type at Lambda.
    """

    NAME: ClassVar[str] = "concentration"
    of: Of = Of.FIRM_VALUE
    pools: tuple[str, ...] = ()
    offtaker: str | None = None
    cap: Annotated[Decimal, Gt(0), Le(1)]

    def check(self, agreement: Agreement, path: str) -> Iterable[Problem]:
        """GPUs are counted in pools."""
        if (self.of is Of.GPUS) != bool(self.pools):
            yield Problem(
                where=f"{path}.pools",
                code="contradiction" if self.pools else "missing",
                message="a share of GPUs and its pools go together",
                remedy='name pools, or write of = "firm_value"',
            )
