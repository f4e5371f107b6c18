"""The ledger as journals of other programs: beancount, hledger, CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from offtake.base.money import Money
from offtake.base.months import local_date

ROOTS = {
    "assets": "Assets",
    "liabilities": "Liabilities",
    "income": "Income",
    "expenses": "Expenses",
    "equity": "Equity",
}
"""First words of accounts, as beancount names them."""


class Journal(StrEnum):
    """Kinds of journal."""

    BEANCOUNT = "beancount"
    HLEDGER = "hledger"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg of an entry; its amount in minor units."""

    account: str
    minor: int
    currency: str

    @property
    def major(self) -> str:
        """The amount in major units, with all its decimals."""
        return f"{Money(self.minor, self.currency).major:f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """An entry of the ledger."""

    id: str
    at: int
    text: str
    legs: tuple[Leg, ...]


def journal(kind: Journal, entries: Iterable[JournalEntry], zone: str) -> str:
    """Entries as a journal; dates are local days of `zone`."""
    found = list(entries)
    return {Journal.BEANCOUNT: _beancount, Journal.HLEDGER: _hledger, Journal.CSV: _csv}[kind](found, zone)


def account_name(account: str) -> str:
    """An account as beancount names it: words that begin with a capital or a digit, joined by colons.

    Where a word had to be changed a part of its hash follows, so that two accounts never become one.
    """
    first, *words = account.split(".")
    return ":".join([ROOTS[first], *map(_word, words)])


def _word(word: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9-]", "-", word)
    plain = plain[:1].upper() + plain[1:]
    changed = plain.lower() != word.lower() or not re.match(r"[A-Z0-9]", plain)
    plain = plain if re.match(r"[A-Z0-9]", plain) else f"X{plain}"
    # names that differ in their first letter's case only must not meet
    meets = word[:1].isupper()
    return f"{plain}-{hashlib.sha256(word.encode()).hexdigest()[:6]}" if changed or meets else plain


def _beancount(entries: Sequence[JournalEntry], zone: str) -> str:
    lines = ['option "title" "offtake"', ""]
    first = min((local_date(e.at, zone) for e in entries), default=None)
    accounts = sorted({account_name(leg.account) for e in entries for leg in e.legs})
    lines += [f"{first} open {account}" for account in accounts]
    for entry in entries:
        lines += [
            "",
            f'{local_date(entry.at, zone)} * "{_text(entry.text)}"',
            f'  entry: "{_text(entry.id)}"',
        ]
        lines += [f"  {account_name(leg.account)}  {leg.major} {leg.currency}" for leg in entry.legs]
    return "\n".join(lines) + "\n"


def _hledger(entries: Sequence[JournalEntry], zone: str) -> str:
    lines: list[str] = []
    for entry in entries:
        text = re.sub(r"[;|\n]", " ", entry.text)
        lines += [f"{local_date(entry.at, zone)} ({entry.id}) {text}"]
        lines += [f"    {leg.account.replace('.', ':')}  {leg.major} {leg.currency}" for leg in entry.legs]
        lines.append("")
    return "\n".join(lines)


def _csv(entries: Sequence[JournalEntry], zone: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["date", "entry", "text", "account", "amount", "currency"])
    for entry in entries:
        for leg in entry.legs:
            day = str(local_date(entry.at, zone))
            writer.writerow([day, entry.id, entry.text, leg.account, leg.major, leg.currency])
    return out.getvalue()


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
