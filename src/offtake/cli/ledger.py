"""Commands on the ledger."""

from __future__ import annotations

import typer
from rich.console import Console

from offtake.base.money import Money
from offtake.cli.options import BookDirectory, Json, opened
from offtake.cli.show import emit, table
from offtake.ledger.model import trial_balance
from offtake.workflows.state import balances

app = typer.Typer(help="The ledger: double entry, balanced in each currency.", no_args_is_help=True)


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
