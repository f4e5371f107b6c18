"""Readings that were accepted and not charged for, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from offtake.agreements.model import Agreement
from offtake.agreements.schedule import first_month, last_month
from offtake.base.months import Month, month_of, months_through
from offtake.metering.expressions import Calendar, gpu_seconds
from offtake.metering.usage import HOLDING
from offtake.store.usage import part_of
from offtake.workflows.book import Book
from offtake.workflows.settle import settled_month
from offtake.workflows.view import agreement_ids, agreement_of, document_of


class Why(StrEnum):
    """Why readings aren't charged for."""

    UNKNOWN_CLAIM = "the book has no such agreement and tranche"
    OWN = "the operator's own use; `offtake statement take` shows it"
    OUTSIDE = "outside the agreement's months"
    OPEN = "the month isn't settled yet"
    FLAT = "the agreement's fees don't depend on what is taken"
    BEYOND_INCLUDED = "nothing was owed for it: tiers, allowances or the commitment cover it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbilled:
    """Take of a claim in a month that no charge rests on.

    Attributes:
        subject: the claim.
        month: the local month; None where the claim isn't known.
        gpu_seconds: how much.
        readings: how many readings.
        why: the reason.
    """

    subject: str
    month: Month | None
    gpu_seconds: int
    readings: int
    why: Why


BY_USE = ("usage_fee", "metered_fee", "hourly_fee", "burst", "take_or_pay", "minimum_commitment")
"""Clauses whose charges depend on what is taken."""


def unbilled(book: Book) -> Iterator[Unbilled]:
    """Every claim and month of accepted readings without a charge by use, with the reason.

    Looks at all parts the lake has, so its cost grows with them.
    """
    items = {**book.kept("usage_part"), **book.kept("old_usage_part")}
    parts = [p for _, item in sorted(items.items()) if (p := part_of(item.body)).kind in HOLDING]
    if not parts:
        return
    engine, readings = book.usage.tables(parts)
    spans = readings.group_by("subject").aggregate(
        start=readings.start.min(), end=readings.end.max(), readings=readings.count(),
        quantity=(readings.value * (readings.end - readings.start)).sum(),
    )  # fmt: skip
    charged = _charged(book)
    for row in sorted(engine.to_pyarrow(spans).to_pylist(), key=lambda r: str(r["subject"])):
        id_, _, tranche = str(row["subject"]).partition("/")
        agreement = agreement_of(book.state, id_) if id_ in agreement_ids(book.state) else None
        if agreement is None or tranche not in {
            t.id for text, _, _ in agreement.texts() for t in text.tranches
        }:
            yield Unbilled(
                subject=row["subject"], month=None, gpu_seconds=int(row["quantity"]),
                readings=int(row["readings"]),
                why=Why.OWN if row["subject"] in book.state.of("demand") else Why.UNKNOWN_CLAIM,
            )  # fmt: skip
            continue
        zone = agreement.time_zone
        months = list(months_through(month_of(int(row["start"]), zone), month_of(int(row["end"]) - 1, zone)))
        borders = (*(agreement.month(m).start for m in months), agreement.month(months[-1]).end)
        calendar = Calendar(subjects=(row["subject"],), borders=borders)
        table = engine.to_pyarrow(gpu_seconds(readings, calendar)).to_pylist()
        for segment in sorted({int(r["segment"]) for r in table}):
            own = [r for r in table if int(r["segment"]) == segment]
            why = _why(book, agreement, months[segment], charged)
            if why is not None:
                yield Unbilled(
                    subject=row["subject"],
                    month=months[segment],
                    gpu_seconds=sum(int(r["quantity"]) for r in own),
                    readings=sum(int(r["readings"]) for r in own),
                    why=why,
                )


def _charged(book: Book) -> set[tuple[str, Month]]:
    """Agreements and months that have a charge by use."""
    return {
        (doc.agreement, line.month)
        for item in book.kept("document").values()
        for doc in (document_of(item.body),)
        for line in doc.lines
        if line.clause.partition("[")[0] in BY_USE
    }


def _why(book: Book, agreement: Agreement, month: Month, charged: set[tuple[str, Month]]) -> Why | None:
    if (agreement.id, month) in charged:
        return None
    if not first_month(agreement) <= month <= last_month(agreement):
        return Why.OUTSIDE
    done = settled_month(book.state, agreement.id)
    if done is None or done < month:
        return Why.OPEN
    by_use = any(c.NAME in BY_USE for text, _, _ in agreement.texts() for _, c in text.clauses)
    return Why.BEYOND_INCLUDED if by_use else Why.FLAT
