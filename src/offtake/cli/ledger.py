"""Commands on the ledger."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from offtake.base.errors import BadInput, Problem
from offtake.base.money import Money
from offtake.base.months import local_date
from offtake.base.outcome import Refused
from offtake.cli.agreements import day_of
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, read_month, wall_clock
from offtake.cli.show import emit, table
from offtake.formats.files import disk_errors
from offtake.formats.journal import Journal, journal
from offtake.ledger.model import trial_balance
from offtake.ledger.translate import translated
from offtake.workflows.close import close_period
from offtake.workflows.export import journal_of
from offtake.workflows.state import balances, is_simulated
from offtake.workflows.view import operator_zone, series_of

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
def translate(
    book: BookDirectory,
    currency: Annotated[str, typer.Argument(metavar="CURRENCY", help="Such as USD.")],
    on: Annotated[str | None, typer.Option("--on", help="At rates of this day; today when left out.")] = None,
    json_: Json = False,
) -> None:
    """Every balance in one currency, at the last published rate of a day: a series such as EUR/USD."""
    with opened(book) as target:
        zone = operator_zone(target.state)
        day = day_of("--on", on) if on else local_date(max(target.state.now, 1), zone)
        series = series_of(target.state)

        def rate(own: str) -> tuple[Decimal, date] | None:
            named = series.get(f"{own}/{currency}")
            point = named.at(day, known=day) if named else None
            return None if point is None else (point.value, point.on)

        found, unknown = translated(balances(target.state), currency, rate)
    if unknown:
        names = ", ".join(f"{own}/{currency}" for own in unknown)
        problem = Problem(
            where=str(book), code="no_rate", message=f"no rate is published by {day} for {names}",
            remedy="record it: [[published]] with series, on and value",
        )  # fmt: skip
        raise BadInput([problem])
    rows = [
        {
            "account": one.account, "own": str(one.own.major), "own_currency": one.own.currency,
            "amount": str(one.other.major), "rate": None if one.rate is None else str(one.rate),
            "dated": None if one.dated is None else str(one.dated),
        }
        for one in found
    ]  # fmt: skip
    left = Money(sum(one.other.minor for one in found), currency)

    def draw(out: Console) -> None:
        built = table(
            f"Balances in {currency}, at rates of {day}", "account", ">own", f">{currency}", ">rate", "of"
        )
        for one in found:
            built.add_row(
                one.account, str(one.own), f"{one.other.major:,}", str(one.rate or ""), str(one.dated or "")
            )
        out.print(built)
        out.print(f"Rounding and rates leave {left}.")

    emit(json_, {"currency": currency, "on": str(day), "accounts": rows, "left": str(left.major)}, draw)


@app.command()
def close(
    book: BookDirectory,
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2027-01; with all before it.")],
    json_: Json = False,
) -> None:
    """Close a period: nothing more is posted in it; what comes later is posted as the next one begins."""
    wanted = read_month("MONTH", month)
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
