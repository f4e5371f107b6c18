"""Which claims went short, why, and how much: every reason an allocation recorded, for people."""

from __future__ import annotations

from dataclasses import dataclass

from offtake.base.time import Interval, format_instant
from offtake.workflows.allocate import plans_in_force, rows_of
from offtake.workflows.book import Book


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """A claim's shortfall from one cause over the book's life.

    Attributes:
        claim: whose.
        cause: outage, not_in_service, power_cap, derate, outranked or no_capacity.
        gpu_seconds: how much, exact.
        gpus_max: most GPUs at once.
        first: when it was first short for this cause.
        last: the end of the last time.
        example: one reason in plain English, as it was recorded.
    """

    claim: str
    cause: str
    gpu_seconds: int
    gpus_max: int
    first: str
    last: str
    example: str


def shortfalls_of(book: Book, agreement: str | None = None) -> tuple[Shortfall, ...]:
    """Shortfalls by claim and cause, each plan in force until a later one replaced it.

    Args:
        book: read only.
        agreement: only claims of this agreement.
    """
    plans = [item.fact.body for item in book.database.facts_of(["allocation.planned"])]
    if not plans:
        return ()
    window = Interval(min(int(p["start"]) for p in plans), max(int(p["end"]) for p in plans))
    examples = {(r["claim"], r["code"]): r["example"] for plan in reversed(plans) for r in plan["reasons"]}
    found = []
    for claim, rows in rows_of(plans_in_force(plans, book.lake, window, "short"), "cause").by_claim().items():
        if agreement not in (None, claim.partition("/")[0]):
            continue
        for cause in sorted(set(rows.other)):
            mine = rows.other == cause
            found.append(
                Shortfall(
                    claim=claim,
                    cause=str(cause),
                    gpu_seconds=int(((rows.end - rows.start) * rows.gpus)[mine].sum()),
                    gpus_max=int(rows.gpus[mine].max()),
                    first=format_instant(int(rows.start[mine].min())),
                    last=format_instant(int(rows.end[mine].max())),
                    example=str(examples.get((claim, cause), "")),
                )
            )
    return tuple(found)
