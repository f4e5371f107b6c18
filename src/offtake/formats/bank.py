"""A bank's statement as CSV: what came in on which day."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money

COLUMNS = ("date", "amount", "currency", "text")
"""Columns that a statement needs; `reference` is taken as a payment's name where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankLine:
    """Money that came in.

    Attributes:
        id: the bank's reference, or one made from the line and its place among equal ones.
        on: the day.
        amount: how much.
        text: what the payer wrote.
    """

    id: str
    on: date
    amount: Money
    text: str


def read_bank(path: Path) -> tuple[BankLine, ...]:
    """What came in, by a bank's statement; what went out is left out.

    Raises:
        BadInput: with every line that can't be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput([Problem(where=str(path), code="unreadable", message=str(error))]) from error
    missing = [name for name in COLUMNS if rows and name not in rows[0]]
    if missing:
        message = f"it has no column {', '.join(missing)}"
        raise BadInput([Problem(where=str(path), code="missing_column", message=message)])
    problems: list[Problem] = []
    found: list[BankLine] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        line = _line(row, f"{path}: line {number}", seen, problems)
        if line is not None and line.amount.minor > 0:
            found.append(line)
    if problems:
        raise BadInput(problems)
    return tuple(found)


def _line(
    row: Mapping[str, str], where: str, seen: dict[str, int], problems: list[Problem]
) -> BankLine | None:
    try:
        day = date.fromisoformat(row["date"].strip())
        amount = Money.from_major(Decimal(row["amount"].strip().replace(",", "")), row["currency"].strip())
    except InvalidOperation:
        problems.append(Problem(where=where, code="bad_line", message=f"{row['amount']!r} is no amount"))
        return None
    except (ValueError, AttributeError) as error:
        problems.append(Problem(where=where, code="bad_line", message=str(error)))
        return None
    text = (row["text"] or "").strip()
    own = (row.get("reference") or "").strip()
    words = f"{day}\x1f{amount}\x1f{text}"
    seen[words] = seen.get(words, 0) + 1
    made = hashlib.sha256(f"{words}\x1f{seen[words]}".encode()).hexdigest()[:16]
    return BankLine(id=own or f"bank-{made}", on=day, amount=amount, text=text)
