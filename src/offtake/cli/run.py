"""`offtake run`: fast-forward a folder on a simulated clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from offtake.base.errors import BadInput, Problem
from offtake.base.months import month_of, months_in
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.cli.books import draw_totals, oversold_refusal, plain_totals
from offtake.cli.options import FolderPath, Json, RefusedByRule, read_month
from offtake.cli.show import console, emit
from offtake.formats.folder import Folder, load_folder
from offtake.sim.run import RunResult, Simulation
from offtake.workflows.apply import plan_from_nothing
from offtake.workflows.book import DATABASE, LAKE, Book
from offtake.workflows.render import write_invoices
from offtake.workflows.report import Report, report_of
from offtake.workflows.write_report import write_report


def add_to(app: typer.Typer) -> None:
    """Add this command to the root."""
    app.command()(run)


def run(
    folder: FolderPath,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Where the book, the invoices and the report go; FOLDER/out when left out."
        ),
    ] = None,
    through: Annotated[
        str | None,
        typer.Option("--through", metavar="YYYY-MM", help="Stop after this month; run again to go on."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an earlier run in the same place.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Invoices as PDF beside the JSON.")] = True,
    html: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
    allow_oversold: Annotated[
        bool, typer.Option("--allow-oversold", help="Run although firm claims exceed what the pools have.")
    ] = False,
    json_: Json = False,
) -> None:
    """Fast-forward FOLDER on a simulated clock: claims, allocation, metering, invoices, ledger, report.

    A run that was stopped goes on where it was; the same folder always gives the same chain of facts.
    """
    loaded = load_folder(folder)
    until = _until(loaded, through)
    directory = out or folder / "out"
    if fresh:
        _forget(directory)
    if not allow_oversold:
        _check_sold(loaded)
    book = Book(directory, create=True)
    try:
        book.hold()
        simulation = Simulation(book, loaded)
        refused = simulation.check()
        if refused is not None:
            raise RefusedByRule(refused)
        result = _run(simulation, loaded, until, quiet=json_)
        known = report_of(book, with_fleet=html)
        _render(book, known, pdf=pdf, html=html, quiet=json_)
        head = book.state.head
    except KeyboardInterrupt:
        console(to_error=True).print("Stopped. Nothing is lost: run the same command to go on.")
        raise
    finally:
        book.close()
    plain = {
        **plain_totals(known),
        "book": str(directory),
        "facts": head[0],
        "events": result.steps,
        "refused": result.refused,
    }
    emit(json_, plain, lambda screen: _draw(screen, known, directory, result, html))


def _until(folder: Folder, through: str | None) -> int:
    settings = folder.settings
    if through is None:
        return settings.window.end
    month = read_month("--through", through)
    if not settings.first <= month <= settings.last:
        raise BadInput(
            [
                Problem(
                    where="--through",
                    code="outside_run",
                    message=f"{month} is outside the run, {settings.first} to {settings.last}",
                )
            ]
        )
    return month.interval(settings.time_zone).end


def _forget(directory: Path) -> None:
    """Remove what an earlier run wrote, and nothing else; a live book is never removed."""
    if not (directory / DATABASE).exists():
        return
    book = Book(directory, projected=False)
    try:
        book.hold()  # never from under another run
        simulated = book.database.find("simulation.begun", "simulation") or not book.database.head()[0]
    finally:
        book.close()
    if not simulated:
        raise RefusedByRule(
            Refused(
                code="live_book", sentence=f"the book in {directory} is a live one; --fresh won't remove it"
            )
        )
    written = [directory / name for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "report.html")]
    written += [*(directory / LAKE).glob("*.parquet"), *(directory / "invoices").glob("INV-*")]
    for path in written:
        path.unlink(missing_ok=True)


def _check_sold(folder: Folder) -> None:
    """Refuse to begin with more firm claims than capacity; outages on the way are another matter."""
    changes = plan_from_nothing(folder)
    if changes.oversold:
        raise RefusedByRule(oversold_refusal(changes))


def _run(simulation: Simulation, folder: Folder, until: int, *, quiet: bool) -> RunResult:
    zone, window = folder.settings.time_zone, folder.settings.window
    months = months_in(Interval(window.start, until), zone)
    with _progress("Running", len(months), quiet=quiet) as move:

        def on_step(now: int) -> None:
            done = sum(1 for month in months if month.interval(zone).end <= now)
            move(done, str(month_of(max(now - 1, window.start), zone)))

        return simulation.run(until, on_step)


def _render(book: Book, known: Report, *, pdf: bool, html: bool, quiet: bool) -> None:
    with _progress("Invoices", len(known.documents), quiet=quiet) as move:
        write_invoices(book, book.directory / "invoices", pdf=pdf, on_each=lambda i, _: move(i, ""))
    if html:
        write_report(book, known, book.directory / "report.html")


@contextmanager
def _progress(what: str, total: int, *, quiet: bool) -> Iterator[Callable[[int, str], None]]:
    columns = (
        TextColumn("{task.description:<9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[at]}"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=console(to_error=True), disable=quiet) as bar:
        task = bar.add_task(what, total=total, at="")
        yield lambda done, at: bar.update(task, completed=done, at=at)


def _draw(out: Console, known: Report, directory: Path, result: RunResult, html: bool) -> None:
    draw_totals(out, known)
    for sentence in result.refused:
        out.print(f"refused: {sentence}", style="yellow")
    if html:
        out.print(f"Report    {directory / 'report.html'}")
    out.print(f"Invoices  {directory / 'invoices'} ({len(known.documents)} documents)")
    out.print(f"Book      {directory} ({known.head[0]:,} facts, head {known.head[1][:16]})")
