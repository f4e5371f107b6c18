"""How figures look in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from offtake.agreements.terms import Figure
from offtake.base.money import Money, round_rate
from offtake.base.months import local_date

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥"}
_SCALES = ((Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "K"))


def console(*, to_error: bool = False) -> Console:
    """A console; wide enough for tables when the output isn't a terminal."""
    stream = sys.stderr if to_error else sys.stdout
    return Console(
        stderr=to_error,
        width=None if stream.isatty() else 140,
        highlight=False,
        soft_wrap=False,
        markup=False,
    )


def money(amount: Money) -> str:
    """Short and honest: ``$43.75B`` when exact, ``≈$890.323M`` when rounded, a dash for nothing."""
    if not amount:
        return "–"
    symbol = _SYMBOLS.get(amount.currency, f"{amount.currency} ")
    major = abs(amount.major)
    sign = "-" if amount.minor < 0 else ""
    for scale, letter in _SCALES:
        scaled = (major / scale).quantize(Decimal("0.001"))
        if scaled >= 1:
            exact = scaled * scale == major
            digits = format(scaled.normalize(), "f") if exact else str(scaled)
            return f"{'' if exact else '≈'}{sign}{symbol}{digits}{letter}"
    return f"{sign}{symbol}{major:,}"


def figure(value: Figure[Money]) -> str:
    """A figure, starred when it rests on an assumption."""
    return starred(value.value, bool(value.assumed))


def starred(amount: Money, assumed: bool) -> str:
    """An amount, starred when it rests on an assumption; nothing isn't."""
    return money(amount) + ("*" if assumed and amount else "")


def percent(share: Decimal | None) -> str:
    """A share with one decimal."""
    return "–" if share is None else f"{share * 100:.1f} %"


def day(instant: int, zone: str) -> str:
    """The local date of an instant."""
    return str(local_date(instant, zone))


def table(title: str, *columns: str) -> Table:
    """A table; columns that begin with '>' are aligned right."""
    built = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold dim",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in columns:
        right = name.startswith(">")
        built.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=right)
    return built


def filled(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], sums: Sequence[Sequence[str]] = ()
) -> Table:
    """A table without the columns that say nothing in any row, and with its sums below a line."""
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] != "–" for row in rows)]
    built = table(title, *(columns[i] for i in kept))
    for part in (rows, sums):
        for row in part:
            built.add_row(*(row[i] for i in kept))
        built.add_section()
    return built


def hours(gpu_seconds: int) -> str:
    """GPU-seconds as GPU-hours with two decimals, rounded half to even."""
    return f"{round_rate(Fraction(gpu_seconds, 3600), 2):,}"


def emit(as_json: bool, plain: Mapping[str, Any], draw: Callable[[Console], None]) -> None:
    """Print a result for programs or for people."""
    if as_json:
        sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    else:
        draw(console())
