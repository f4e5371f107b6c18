"""The `offtake` command.

Exit codes: 0 done; 1 another offtake error; 2 wrong usage; 3 bad input; 4 the book or the disk;
5 clock; 6 refused by a rule of the business; 70 a bug in offtake; 130 interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from offtake import __version__
from offtake.base.errors import BadInput, Broken, OfftakeError
from offtake.cli import (
    agreement,
    books,
    capacity,
    cluster,
    deals,
    forecast,
    importing,
    invoice,
    ledger,
    live,
    nodes,
    recall,
    run,
    selling,
    statement,
    stress,
    usage,
)
from offtake.cli.options import RefusedByRule
from offtake.cli.show import console

REFUSED = 6
DISK = 4

app = typer.Typer(
    name="offtake",
    help="Run a GPU fleet as a business: agreements, capacity, invoices and ledger in one book.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
books.add_to(app)
run.add_to(app)
live.add_to(app)
cluster.add_to(app)
capacity.add_to(app)
selling.add_to(app)
forecast.add_to(app)
stress.add_to(app)
nodes.add_to(app)
app.add_typer(agreement.app, name="agreement")
app.add_typer(deals.app, name="deals")
app.add_typer(invoice.app, name="invoice")
app.add_typer(ledger.app, name="ledger")
app.add_typer(importing.app, name="import")
app.add_typer(usage.app, name="usage")
app.add_typer(recall.app, name="recall")
app.add_typer(statement.app, name="statement")
app.add_typer(nodes.app, name="node")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"offtake {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Run a GPU fleet as a business."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        app(words, prog_name="offtake")
    except RefusedByRule as error:
        sys.exit(_fail(as_json, error.refused.code, error.refused.sentence, REFUSED))
    except BadInput as error:
        sys.exit(_bad_input(as_json, error))
    except OfftakeError as error:
        remedy = "; this is a bug in offtake, please report it" if isinstance(error, Broken) else ""
        sys.exit(_fail(as_json, type(error).__name__, f"{error}{remedy}", error.exit_code))
    except OSError as error:
        # standard output itself may be what refuses: say it on standard error, and print nothing more
        where = error.filename or "standard output"
        console(to_error=True).print(f"os_error: {where}: {error.strerror or error}; make room and run again")
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
        sys.exit(DISK)


def _bad_input(as_json: bool, error: BadInput) -> int:
    problems = [
        {"where": p.where, "line": p.line, "code": p.code, "message": p.message, "remedy": p.remedy}
        for p in error.problems
    ]
    if as_json:
        _print({"error": "bad_input", "problems": problems})
        return error.exit_code
    err = console(to_error=True)
    count = len(problems)
    err.print(f"{count} problem{'s' if count != 1 else ''}; nothing was recorded:", style="bold red")
    for problem in error.problems:
        err.print(f"  {problem}")
    return error.exit_code


def _fail(as_json: bool, code: str, message: str, exit_code: int) -> int:
    if as_json:
        _print({"error": code, "message": message})
    else:
        console(to_error=True).print(f"{code}: {message}")
    return exit_code


def _print(plain: Any) -> None:
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")
