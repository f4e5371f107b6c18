"""What documents, months and payments post to the ledger."""

from __future__ import annotations

from offtake.base.money import Money, total
from offtake.base.months import Month
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


def unbilled(agreement: str) -> str:
    """What was earned and not yet billed."""
    return f"assets.unbilled.{agreement}"


def entries_for_document(doc: Document, earned_at: int) -> tuple[Entry, ...]:
    """What a document posts.

    Income of a month that was delivered is accrued as the month ends, and billed when the document is issued.
    Fees billed in advance are deferred until their month has ended.

    Args:
        doc: the document.
        earned_at: the last instant of its service month, or the first that is still open.
    """
    what = f"{doc.offtaker}: {doc.kind.value.replace('_', ' ')} {doc.number} for {doc.month}"
    income = [(_account(kind, doc.agreement), _of_kind(doc, kind)) for kind in Kind if _is_income(kind)]
    others = [(_account(kind, doc.agreement), -_of_kind(doc, kind)) for kind in Kind if not _is_income(kind)]
    receive = (receivable(doc.agreement), doc.total)
    if doc.fixed_in_advance:
        fees = _of_kind(doc, Kind.FEE)
        legs = [(a, -m) for a, m in income if a != _account(Kind.FEE, doc.agreement)]
        advance = [receive, (deferred(doc.agreement), -fees), *legs, *others]
        return (entry(f"{doc.number}/issue", doc.issued_at, what, advance),)
    earned = total((money for _, money in income), doc.currency)
    accrued = entry(
        f"{doc.number}/accrued",
        min(earned_at, doc.issued_at),
        f"{doc.offtaker}: earned in {doc.month}",
        [(unbilled(doc.agreement), earned), *((account, -money) for account, money in income)],
    )
    issued = entry(
        f"{doc.number}/issue", doc.issued_at, what, [receive, (unbilled(doc.agreement), -earned), *others]
    )
    return tuple(one for one in (accrued, issued) if one.postings)


def _is_income(kind: Kind) -> bool:
    return _ACCOUNTS[kind].startswith("income.")


def contract_asset(agreement: str) -> str:
    """Revenue recognised ahead of what was billed; negative where it lags behind."""
    return f"assets.contract.{agreement}"


def entry_for_straight_line(agreement: str, month: Month, at: int, ahead: Money) -> Entry:
    """Bring recognised revenue to the straight line; `ahead` is what it must move by."""
    legs = [(contract_asset(agreement), ahead), (f"income.straight_line.{agreement}", -ahead)]
    return entry(f"{agreement}/{month}/straight-line", at, f"{agreement}: {month} on the straight line", legs)


def prepaid(agreement: str) -> str:
    """Money paid before it is earned."""
    return f"liabilities.prepaid.{agreement}"


def accreted(agreement: str) -> str:
    """Interest on money paid before it is earned: owed in service, like the money itself."""
    return f"liabilities.accreted.{agreement}"


def entry_for_financing(agreement: str, month: Month, at: int, *, interest: Money, released: Money) -> Entry:
    """Interest that accrues on a prepayment, and what of all of it becomes revenue with what is drawn."""
    legs = [
        (f"expenses.interest.{agreement}", interest),
        (accreted(agreement), released - interest),
        (f"income.financing.{agreement}", -released),
    ]
    return entry(
        f"{agreement}/{month}/financing", at, f"{agreement}: {month} financed by its prepayment", legs
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
