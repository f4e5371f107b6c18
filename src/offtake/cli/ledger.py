"""Commands on the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money
from offtake.base.months import parse_month
from offtake.base.outcome import Refused
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, table
from offtake.formats.files import disk_errors
from offtake.formats.journal import Journal, journal
from offtake.ledger.model import trial_balance
from offtake.workflows.close import close_period
from offtake.workflows.export import journal_of
from offtake.workflows.state import balances, is_simulated
from offtake.workflows.view import operator_zone

app = typer.Typer(help="The ledger: double entry, balanced in each currency.", no_args_is_help=True)


@app.command()
def export(
    book: BookDirectory,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    kind: Annotated[Journal, typer.Option("--format", help="What to write.")] = Journal.BEANCOUNT,
    json_: Json = False,
) -> None:
    """Write the ledger as a journal that beancount or hledger reads, or as CSV."""
    with opened(book) as target:
        entries = list(journal_of(target))
        text = journal(kind, entries, operator_zone(target.state))
    with disk_errors(out):
        out.write_text(text, encoding="utf-8")
    said = f"{out}: {len(entries)} entries"
    emit(json_, {"file": str(out), "entries": len(entries)}, lambda console: console.print(said))


@app.command()
def close(
    book: BookDirectory,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2027-01; with all before it.")],
    json_: Json = False,
) -> None:
    """Close a period: nothing more is posted in it; what comes later is posted as the next one begins."""
    try:
        wanted = parse_month(month)
    except ValueError as error:
        raise BadInput([Problem(where=month, code="bad_month", message=str(error))]) from error
    with opened(book) as target:
        if is_simulated(target.state):
            sentence = f"the book in {book} was made by a simulation; its periods aren't closed by hand"
            raise RefusedByRule(Refused(code="simulated_book", sentence=sentence))
        outcome = close_period(target, wanted, wall_clock())
    if isinstance(outcome, Refused):
        raise RefusedByRule(outcome)
    emit(json_, {"closed": month}, lambda out: out.print(f"The ledger is closed through {month}."))


@app.command()
def balance(book: BookDirectory, json_: Json = False) -> None:
    """Print every account and the trial balance."""
    with opened(book) as target:
        accounts = balances(target.state)
    sums = trial_balance(accounts)
    rows = [(account, Money(minor, currency)) for (account, currency), minor in sorted(accounts.items())]

    def draw(out: Console) -> None:
        built = table("Balances", "account", "currency", ">debit", ">credit")
        for account, amount in rows:
            debit, credit = (f"{amount.major:,}", "") if amount.minor >= 0 else ("", f"{-amount.major:,}")
            built.add_row(account, amount.currency, debit, credit)
        out.print(built)
        for currency, minor in sums.items():
            out.print(f"Trial balance {currency}: {Money(minor, currency).major}")

    plain = {
        "accounts": [
            {"account": account, "currency": amount.currency, "minor": amount.minor}
            for account, amount in rows
        ],
        "trial_balance_minor": sums,
    }
    emit(json_, plain, draw)
