"""What documents, months and payments post to the ledger."""

from __future__ import annotations

from offtake.base.money import Money, total
from offtake.billing.document import Document
from offtake.ledger.model import Entry, entry
from offtake.rating.model import Kind

_INCOME = {Kind.FEE: "income.fees", Kind.USAGE: "income.usage", Kind.CREDIT: "income.credits"}


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
    """Receivable against income by kind of line; against deferred revenue when billed in advance."""
    legs = [(receivable(doc.agreement), doc.total)]
    for kind in Kind:
        amount = total((line.amount for line in doc.lines if line.kind is kind), doc.currency)
        account = deferred(doc.agreement) if doc.fixed_in_advance else f"{_INCOME[kind]}.{doc.agreement}"
        legs.append((account, -amount))
    what = doc.kind.value.replace("_", " ")
    return entry(
        f"{doc.number}/issue", doc.issued_at, f"{doc.offtaker}: {what} {doc.number} for {doc.month}", legs
    )


def entry_for_month(doc: Document, at: int) -> Entry:
    """A month billed in advance is earned when it has ended."""
    legs = [
        (deferred(doc.agreement), doc.total),
        (f"{_INCOME[Kind.FEE]}.{doc.agreement}", -doc.total),
    ]
    return entry(f"{doc.number}/earned", at, f"{doc.offtaker}: {doc.month} earned", legs)


def entry_for_unapplied(id_: str, agreement: str, at: int, amount: Money) -> Entry:
    """Money received earlier settles documents that came later."""
    legs = [(unapplied(agreement), amount), (receivable(agreement), -amount)]
    return entry(id_, at, f"{agreement}: money received earlier applied", legs)


def entry_for_payment(payment: str, agreement: str, at: int, amount: Money, unused: Money) -> Entry:
    """Cash against the receivable; what no document asked for is owed back."""
    legs = [
        ("assets.cash", amount),
        (receivable(agreement), unused - amount),
        (unapplied(agreement), -unused),
    ]
    return entry(f"{payment}/received", at, f"{agreement}: payment {payment}", legs)
