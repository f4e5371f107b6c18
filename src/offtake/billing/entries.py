"""What documents, months and payments post to the ledger."""

from __future__ import annotations

from offtake.base.money import Money, total
from offtake.billing.document import Document
from offtake.ledger.model import Entry, entry
from offtake.rating.model import Kind

_ACCOUNTS = {
    Kind.FEE: "income.fees",
    Kind.USAGE: "income.usage",
    Kind.CREDIT: "income.credits",
    Kind.PASS_THROUGH: "income.pass_through",
    Kind.PREPAYMENT: "liabilities.prepaid",
    Kind.DRAWDOWN: "liabilities.prepaid",
    Kind.INTEREST: "income.interest",
    Kind.DAMAGES: "income.damages",
    Kind.TAX: "liabilities.tax",
}
"""Where the other leg of a line goes, by what it is: money paid before it is earned is owed, not income."""


def receivable(agreement: str) -> str:
    """What the offtaker owes."""
    return f"assets.receivable.{agreement}"


def deferred(agreement: str) -> str:
    """What was billed and not yet earned."""
    return f"liabilities.deferred.{agreement}"


def unapplied(agreement: str) -> str:
    """Money received for which no document is open."""
    return f"liabilities.unapplied.{agreement}"


def entry_for_document(doc: Document) -> Entry:
    """Receivable against accounts by kind of line; fees billed in advance are deferred."""
    legs = [(receivable(doc.agreement), doc.total)]
    for kind in Kind:
        amount = _of_kind(doc, kind)
        waits = doc.fixed_in_advance and kind is Kind.FEE
        legs.append((deferred(doc.agreement) if waits else _account(kind, doc.agreement), -amount))
    what = doc.kind.value.replace("_", " ")
    return entry(
        f"{doc.number}/issue", doc.issued_at, f"{doc.offtaker}: {what} {doc.number} for {doc.month}", legs
    )


def entry_for_month(doc: Document, at: int) -> Entry:
    """The fees of a month billed in advance are earned when it has ended."""
    fees = _of_kind(doc, Kind.FEE)
    legs = [(deferred(doc.agreement), fees), (_account(Kind.FEE, doc.agreement), -fees)]
    return entry(f"{doc.number}/earned", at, f"{doc.offtaker}: {doc.month} earned", legs)


def _account(kind: Kind, agreement: str) -> str:
    return f"{_ACCOUNTS[kind]}.{agreement}"


def _of_kind(doc: Document, kind: Kind) -> Money:
    return total((line.amount for line in doc.lines if line.kind is kind), doc.currency)


def entry_for_unapplied(id_: str, agreement: str, at: int, amount: Money) -> Entry:
    """Money received earlier settles documents that came later."""
    legs = [(unapplied(agreement), amount), (receivable(agreement), -amount)]
    return entry(id_, at, f"{agreement}: money received earlier applied", legs)


def entry_for_write_off(id_: str, agreement: str, at: int, amount: Money, number: str) -> Entry:
    """What is no longer expected to be paid becomes a loss."""
    legs = [(f"expenses.bad_debt.{agreement}", amount), (receivable(agreement), -amount)]
    return entry(f"{id_}/written-off", at, f"{agreement}: {number} written off", legs)


def entry_for_payment(payment: str, agreement: str, at: int, amount: Money, unused: Money) -> Entry:
    """Cash against the receivable; what no document asked for is owed back."""
    legs = [
        ("assets.cash", amount),
        (receivable(agreement), unused - amount),
        (unapplied(agreement), -unused),
    ]
    return entry(f"{payment}/received", at, f"{agreement}: payment {payment}", legs)
