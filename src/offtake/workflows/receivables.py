"""What offtakers owe, what of it is disputed, and which payments of a bank statement settle what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from offtake.agreements.events.dispute import Dispute
from offtake.base.money import Money
from offtake.billing.ageing import Aged, aged
from offtake.billing.document import Received
from offtake.formats.bank import BankLine
from offtake.formats.plain import from_plain
from offtake.workflows.book import Book
from offtake.workflows.state import State
from offtake.workflows.view import agreement_ids, agreement_of, open_documents


def disputed(state: State) -> dict[str, Money]:
    """By document, what is disputed and not settled yet."""
    found: dict[str, Money] = {}
    for id_ in state.of(Dispute.KIND):
        event: Dispute = state.parsed(Dispute.KIND, id_, partial(from_plain, Dispute))
        if event.ended is None:
            amount = agreement_of(state, event.agreement).money(event.amount)
            found[event.document] = found.get(event.document, Money.zero(amount.currency)) + amount
    return found


def ageing(book: Book, at: int) -> tuple[Aged, ...]:
    """Every open document, the longest overdue first."""
    return aged(open_documents(book.state), disputed(book.state), at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """A line of a bank statement and what it seems to pay.

    Attributes:
        line: of the statement.
        payment: the payment it would be recorded as, or None where no agreement is plain.
        because: why it is that agreement's, or why none is.
    """

    line: BankLine
    payment: Received | None
    because: str


def match(book: Book, lines: Iterable[BankLine]) -> tuple[Matched, ...]:
    """Whose payment each line of a bank statement is.

    A document's number in the text decides; then an amount and currency that only one agreement has open, in
    one document or in all of them together. Whatever isn't plain is left to a person.
    """
    return tuple(_matched(book.state, line) for line in lines)


def _matched(state: State, line: BankLine) -> Matched:
    found, because = _agreement_for(state, line)
    if found is None:
        return Matched(line=line, payment=None, because=because)
    currency = agreement_of(state, found).currency
    if currency != line.amount.currency:
        return Matched(line=line, payment=None, because=f"{found} is settled in {currency}")
    received = agreement_of(state, found).midnight(line.on)
    payment = Received(id=line.id, agreement=found, amount=line.amount, received_at=received)
    return Matched(line=line, payment=payment, because=because)


def _agreement_for(state: State, line: BankLine) -> tuple[str | None, str]:
    documents = open_documents(state)
    named = {d.agreement for d in documents if d.number in line.text}
    if len(named) == 1:
        return named.pop(), "its text names the document"
    if len(named) > 1:
        return None, f"its text names documents of {', '.join(sorted(named))}"
    whole: dict[str, int] = {}
    for document in documents:
        if document.left.currency == line.amount.currency:
            whole[document.agreement] = whole.get(document.agreement, 0) + document.left.minor
    equal = {d.agreement for d in documents if d.left == line.amount}
    equal |= {id_ for id_, minor in whole.items() if minor == line.amount.minor}
    if len(equal) == 1:
        return equal.pop(), "its amount is what is open"
    spoken = {id_ for id_ in agreement_ids(state) if _names(state, id_, line.text)}
    if len(spoken) == 1:
        return spoken.pop(), "its text names the offtaker"
    if equal or spoken:
        return None, f"it may be of {', '.join(sorted(equal | spoken))}"
    return None, "neither its text nor its amount says whose it is"


def _names(state: State, id_: str, text: str) -> bool:
    return agreement_of(state, id_).offtaker.casefold() in text.casefold()
