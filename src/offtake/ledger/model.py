"""Entries, postings and the trial balance.

Accounts are dotted names; the first part tells the kind: assets, liabilities, income, expenses, equity.
A debit is positive, a credit negative, so that a balanced entry sums to zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from offtake.base.errors import ensure
from offtake.base.money import Money

KINDS = ("assets", "liabilities", "equity", "income", "expenses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One leg of an entry: a debit when positive, a credit when negative."""

    account: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act of the journal.

    Attributes:
        id: unique in the book.
        at: instant it takes effect.
        text: why, in plain English.
        postings: its legs.

    Raises:
        Broken: if the legs don't sum to zero in each currency, or an account is of no known kind.
    """

    id: str
    at: int
    text: str
    postings: tuple[Posting, ...]

    def __post_init__(self) -> None:
        for currency, minor in sums(self.postings).items():
            ensure(minor == 0, f"entry {self.id} is out of balance by {minor} minor units of {currency}")
        for posting in self.postings:
            kind = posting.account.partition(".")[0]
            ensure(kind in KINDS, f"entry {self.id}: account {posting.account!r} begins with none of {KINDS}")


def sums(postings: Iterable[Posting]) -> dict[str, int]:
    """Minor units by currency."""
    result: dict[str, int] = {}
    for posting in postings:
        result[posting.amount.currency] = result.get(posting.amount.currency, 0) + posting.amount.minor
    return result


def entry(id_: str, at: int, text: str, legs: Iterable[tuple[str, Money]]) -> Entry:
    """An entry from (account, amount) pairs; legs of nothing are left out."""
    return Entry(
        id=id_,
        at=at,
        text=text,
        postings=tuple(Posting(account=account, amount=amount) for account, amount in legs if amount),
    )


Balances = Mapping[tuple[str, str], int]
"""Minor units by (account, currency)."""


def post_to(balances: Balances, new: Entry) -> dict[tuple[str, str], int]:
    """Balances after an entry; accounts that reach zero stay, so that history shows."""
    result = dict(balances)
    for posting in new.postings:
        key = (posting.account, posting.amount.currency)
        result[key] = result.get(key, 0) + posting.amount.minor
    return result


def trial_balance(balances: Balances) -> dict[str, int]:
    """Sum of all accounts by currency: zero, or the ledger is broken."""
    result: dict[str, int] = {}
    for (_, currency), minor in balances.items():
        result[currency] = result.get(currency, 0) + minor
    return result


def ensure_balanced(balances: Balances) -> None:
    """Guard after every tick.

    Raises:
        Broken: naming the currency and the difference.
    """
    for currency, minor in trial_balance(balances).items():
        ensure(minor == 0, f"the trial balance is off by {minor} minor units of {currency}")
