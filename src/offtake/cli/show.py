"""How figures look in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from offtake.agreements.terms import Figure
from offtake.base.money import Money
from offtake.base.months import local_date

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CNY": "¥"}
_SCALES = ((Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "K"))


def console(*, to_error: bool = False) -> Console:
    """A console; wide enough for tables when the output isn't a terminal."""
    stream = sys.stderr if to_error else sys.stdout
    return Console(stderr=to_error, width=None if stream.isatty() else 140, highlight=False, soft_wrap=False)


def money(amount: Money) -> str:
    """Short and honest: ``$43.75B`` when exact, ``≈$890.323M`` when rounded, a dash for nothing."""
    if not amount:
        return "–"
    symbol = _SYMBOLS.get(amount.currency, f"{amount.currency} ")
    major = abs(amount.major)
    sign = "-" if amount.minor < 0 else ""
    for scale, letter in _SCALES:
        if major >= scale:
            scaled = (major / scale).quantize(Decimal("0.001"))
            exact = scaled * scale == major
            digits = format(scaled.normalize(), "f") if exact else str(scaled)
            return f"{'' if exact else '≈'}{sign}{symbol}{digits}{letter}"
    return f"{sign}{symbol}{major:,}"


def figure(value: Figure[Money]) -> str:
    """A figure, starred when it rests on an assumption."""
    return money(value.value) + ("*" if value.assumed else "")


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


def emit(as_json: bool, plain: Mapping[str, Any], draw: Callable[[Console], None]) -> None:
    """Print a result for programs or for people."""
    if as_json:
        sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
    else:
        draw(console())
