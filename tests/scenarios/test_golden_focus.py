"""FOCUS's own scenarios of commitments, prepayments and corrections, from an agreement to the exported rows.

Source: the FOCUS specification's commitment-discount, spend-agreement and correction examples (CC-BY-4.0); a
year's commitment of one dollar an hour is a GPU at that price.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from offtake.agreements.events.top_up import TopUp
from offtake.base.months import Month
from offtake.formats.focus import Row
from offtake.store.fact import Recorded
from offtake.workflows.export import focus_of
from offtake.workflows.record import record_event
from offtake.workflows.tick import tick
from tests.agreements.texts import TRANCHE
from tests.workflows.test_usage import HOUR, live, reading, taken_in
from tests.workflows.worlds import World, at

YEAR = "[capacity_fee]\nrate = 1\n"
ONE_GPU = TRANCHE.replace("quantity = 1_000", "quantity = 1")


def month_end(months: int) -> int:
    """So many months after the first of February 2026."""
    return Month(2026, 2).plus(months).interval("America/Chicago").start


def run_year(w: World, used: Iterable[tuple[int, int]]) -> list[Row]:
    """Twelve months with (month from 0, GPU-hours) used; every row of the export."""
    hours = dict(used)
    for month in range(12):
        begin, end = month_end(month), month_end(month + 1)
        tick(w.book, begin + 1)
        rows = [reading(f"m{month}", begin, seconds=hours[month] * HOUR, gpus=1)] if hours.get(month) else []
        taken_in(w, f"b{month}", *rows, now=end, through={"s": end})
        tick(w.book, end)
    return list(focus_of(w.book).cost_and_usage)


def total(rows: Iterable[Row], column: str, **where: str) -> Decimal:
    return sum(
        (Decimal(row[column]) for row in rows if all(row.get(k) == v for k, v in where.items())), Decimal(0)
    )


@pytest.mark.parametrize(
    ("prepayment", "upfront", "monthly"),
    [
        ("[prepayment]\nshare = 1\n", 8_760, 0),
        ("[prepayment]\nshare = 0.5\ncap_share = 0.5\n", 4_380, Decimal("0.5")),
    ],
    ids=["all upfront", "half upfront"],
)
def test_g31_a_year_s_commitment(tmp_path: Path, prepayment: str, upfront: int, monthly: Decimal) -> None:
    """The trap: paying before costs nothing by itself; the cost is spread over the hours, used or not."""
    w = live(tmp_path, YEAR, prepayment, tranche=ONE_GPU)
    rows = run_year(w, [(0, 672), (2, 15 * 24)])
    prepaid = [row for row in rows if row["x_Clause"] == "prepayment"]
    assert [[Decimal(r["BilledCost"]), Decimal(r["EffectiveCost"])] for r in prepaid] == [[upfront, 0]]
    assert total(rows, "BilledCost") == 8_760
    assert total(rows, "EffectiveCost") == 8_760
    february = [row for row in rows if row["ChargePeriodStart"] == "2026-02-01T06:00:00Z"]
    assert total(february, "BilledCost", x_Clause="capacity_fee") == 672 * monthly
    # all of February is used, half of the 720 hours of April, nothing of March
    assert total(february, "EffectiveCost", CapacityReservationStatus="Used") == 672
    assert total(february, "EffectiveCost", CapacityReservationStatus="Unused") == 0
    april = [row for row in rows if row["ChargePeriodStart"] == "2026-04-01T05:00:00Z"]
    assert total(april, "EffectiveCost", CapacityReservationStatus="Used") == 360
    assert total(april, "EffectiveCost", CapacityReservationStatus="Unused") == 360
    assert total(rows, "EffectiveCost", CapacityReservationStatus="Used") == 672 + 360
    w.book.close()


def test_g34_a_prepaid_spend_agreement(tmp_path: Path) -> None:
    w = live(tmp_path, "[usage_fee]\nrate_per_gpu_h = 1\n\n[wallet]\nexpires_months = 11\n", tranche=ONE_GPU)
    paid = TopUp(id="t", agreement="deal", amount=Decimal(1_200), given=date(2026, 2, 1))
    assert isinstance(record_event(w.book, paid, at(2, 1)), Recorded)
    rows = run_year(w, [(0, 48), (1, 120), (2, 60)])
    (purchase,) = [row for row in rows if row["ChargeDescription"].startswith("Balance topped up")]
    assert [Decimal(purchase["BilledCost"]), Decimal(purchase["EffectiveCost"])] == [1_200, 0]
    others = [row for row in rows if row is not purchase]
    assert {Decimal(row["BilledCost"]) for row in others} == {Decimal(0)}
    assert total(others, "EffectiveCost") == 1_200
    assert total(others, "EffectiveCost", x_Clause="usage_fee") == 48 + 120 + 60
    w.book.close()


def test_g36_usage_that_arrives_after_the_invoice(tmp_path: Path) -> None:
    """The trap: the correction keeps its service period, and stands in the billing period of its invoice."""
    w = live(tmp_path, "[usage_fee]\nrate_per_gpu_h = 1.5\n")
    taken_in(w, "first", reading("a", at(2, 3), gpus=10), through={"s": at(3, 1)})
    tick(w.book, at(3, 1))
    taken_in(w, "late", reading("b", at(2, 5), seconds=10 * HOUR, gpus=100), now=at(3, 5))
    tick(w.book, at(3, 5))
    rows = focus_of(w.book).cost_and_usage
    (correction,) = [row for row in rows if row["ChargeClass"] == "Correction"]
    assert Decimal(correction["BilledCost"]) == 1_500
    assert correction["ChargePeriodStart"] == "2026-02-01T06:00:00Z"
    assert correction["BillingPeriodStart"] == "2026-03-01T06:00:00Z"
    details = [row for row in focus_of(w.book).invoice_detail if row["InvoiceId"] == correction["InvoiceId"]]
    assert [row["ReferenceInvoiceId"] for row in details] == ["INV-000001"]
    w.book.close()
