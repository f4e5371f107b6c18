"""What is overdue, by age, without what is disputed; and which reminder is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from offtake.base.money import Money
from offtake.base.time import DAY_S
from offtake.billing.document import Open

BUCKETS = (0, 30, 60, 90)
"""Days after which an open document falls into the next bucket; the last is open."""

REMINDERS = (
    (0, "due"),
    (7, "first reminder"),
    (21, "second reminder"),
    (45, "last reminder"),
    (60, "suspension"),
)
"""Days overdue from which a step of dunning is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged:
    """An open document as it stands.

    Attributes:
        document: its number.
        agreement: id.
        left: what is open of it.
        disputed: what of that is disputed.
        days: days overdue; negative while it isn't due.
        step: the step of dunning that is due, or ``not due``, ``disputed``, ``credit``.
    """

    document: str
    agreement: str
    left: Money
    disputed: Money
    days: int
    step: str

    @property
    def asked(self) -> Money:
        """What is owed without dispute."""
        return self.left - self.disputed


def aged(open_documents: Iterable[Open], disputed: Mapping[str, Money], at: int) -> tuple[Aged, ...]:
    """Every open document, the longest overdue first.

    Args:
        open_documents: with something left.
        disputed: by document, what is disputed.
        at: the instant.
    """
    found = []
    for item in open_documents:
        held = disputed.get(item.number, Money.zero(item.left.currency))
        part = min(held, item.left, key=lambda money: money.minor) if item.left.minor > 0 else held * 0
        days = (at - item.due_at) // DAY_S
        found.append(
            Aged(
                document=item.number,
                agreement=item.agreement,
                left=item.left,
                disputed=part,
                days=days,
                step=_step(item.left.minor, item.left.minor - part.minor, days),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.days, one.document)))


def _step(left: int, asked: int, days: int) -> str:
    if left < 0:
        return "credit"
    if not asked:
        return "disputed"
    steps = [name for since, name in REMINDERS if days >= since]
    return steps[-1] if steps else "not due"


def buckets(documents: Iterable[Aged], currency: str) -> dict[str, Money]:
    """What is asked for by age, in one currency."""
    names = [
        "not due",
        *(f"{a}–{b} days" for a, b in pairwise(BUCKETS)),
        f"over {BUCKETS[-1]} days",
    ]
    sums = dict.fromkeys(names, 0)
    for one in documents:
        if one.left.currency == currency and one.left.minor > 0:
            place = sum(one.days >= since for since in BUCKETS)
            sums[names[place]] += one.asked.minor
    return {name: Money(minor, currency) for name, minor in sums.items()}
