"""Invoices and credit notes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from offtake.agreements.clauses.payment import Payment, Timing
from offtake.agreements.model import Agreement
from offtake.base.errors import ensure
from offtake.base.money import Money, total
from offtake.base.months import Month, local_date, plus_days
from offtake.rating.model import Charge


class DocumentKind(StrEnum):
    """What a document asks for."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An issued invoice or credit note; never changed once issued.

    Attributes:
        number: without gaps in the book, such as ``INV-000042``.
        kind: an invoice asks for money, a credit note owes it.
        agreement: id.
        operator: issuer.
        offtaker: recipient.
        month: service month.
        issued_at: instant of issue.
        due_at: local midnight at which the day begins on which it is to be paid.
        time_zone: in which its dates are printed.
        currency: of every amount.
        lines: one for each charge.
        total: their sum.
        fixed_in_advance: its fees are for a month that is still to be delivered.
        corrects: numbers of the documents whose lines it corrects; empty when it corrects nothing.
    """

    number: str
    kind: DocumentKind
    agreement: str
    operator: str
    offtaker: str
    month: Month
    issued_at: int
    due_at: int
    time_zone: str
    currency: str
    lines: tuple[Charge, ...]
    total: Money
    fixed_in_advance: bool = False
    corrects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        summed = total((line.amount for line in self.lines), self.currency)
        ensure(summed == self.total, f"{self.number}: lines sum to {summed}, the total is {self.total}")


def payment_terms(agreement: Agreement) -> Payment:
    """The agreement's payment clause, or its defaults."""
    found = agreement.first_of(Payment)
    return found[1] if found else Payment()


def in_advance(agreement: Agreement) -> bool:
    """Whether the fixed fee is billed as the month begins."""
    return payment_terms(agreement).timing is Timing.ADVANCE


def document(
    agreement: Agreement,
    month: Month,
    charges: Iterable[Charge],
    *,
    sequence: int,
    issued_at: int,
    fixed_in_advance: bool = False,
    corrects: tuple[str, ...] = (),
) -> Document:
    """A document for a month's charges: a credit note when they sum to less than nothing."""
    lines = tuple(charges)
    amount = total((line.amount for line in lines), agreement.currency)
    kind = DocumentKind.CREDIT_NOTE if amount.minor < 0 else DocumentKind.INVOICE
    due_on = plus_days(local_date(issued_at, agreement.time_zone), payment_terms(agreement).net_days)
    return Document(
        number=f"INV-{sequence:06d}",
        kind=kind,
        agreement=agreement.id,
        operator=agreement.operator,
        offtaker=agreement.offtaker,
        month=month,
        issued_at=issued_at,
        due_at=issued_at if kind is DocumentKind.CREDIT_NOTE else agreement.midnight(due_on),
        time_zone=agreement.time_zone,
        currency=agreement.currency,
        lines=lines,
        total=amount,
        fixed_in_advance=fixed_in_advance,
        corrects=corrects,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """Money that came in under an agreement."""

    id: str
    agreement: str
    amount: Money
    received_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A document with something still to settle; `left` is negative for a credit note."""

    number: str
    agreement: str
    issued_at: int
    due_at: int
    left: Money


def apply_payment(
    amount: Money, open_documents: Sequence[Open]
) -> tuple[tuple[tuple[str, Money], ...], Money]:
    """Settle open documents with a payment: credit notes first, then invoices by due date.

    Returns:
        What is applied to each document (negative for credit notes), and what of the payment is left.
    """
    left, applied = amount, []
    for item in sorted(open_documents, key=lambda item: (item.left.minor > 0, item.due_at, item.number)):
        part = item.left if item.left.minor < 0 else min(item.left, left, key=lambda money: money.minor)
        if part:
            applied.append((item.number, part))
            left -= part
    return tuple(applied), left


def owed(open_documents: Iterable[Open], at: int, currency: str) -> Money:
    """What is due at an instant, credit notes deducted; negative when the operator owes."""
    return total((item.left for item in open_documents if item.due_at <= at), currency)
