"""Commands on agreements: check files, show what follows from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.agreements.derive import deadlines, entitlement, fee_schedule, implied_rate, values
from offtake.agreements.model import Agreement
from offtake.agreements.terms import Denominator, HoursConvention
from offtake.base.errors import BadInput, Problem
from offtake.base.schedule import Dated, Schedule
from offtake.cli.options import Json, check_agreement_known, opened
from offtake.cli.show import emit, figure, money, table
from offtake.formats.agreement import parse_agreement
from offtake.formats.plain import to_plain
from offtake.workflows.view import agreement_of

app = typer.Typer(help="Agreements: check files, show what follows from them.", no_args_is_help=True)


def _load(path: Path) -> Agreement:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "name a file, or an id together with --book"
        raise BadInput(
            [Problem(where=str(path), code="unreadable", message=str(error), remedy=remedy)]
        ) from error
    return parse_agreement(text, str(path))


@app.command()
def check(
    file: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Agreement files.")],
    json_: Json = False,
) -> None:
    """Check agreement files; every problem of every file is listed at once."""
    problems: list[Problem] = []
    found = []
    for path in file:
        try:
            found.append(_load(path))
        except BadInput as error:
            problems += error.problems
    if problems:
        raise BadInput(problems)

    def draw(out: Console) -> None:
        for path, agreement in zip(file, found, strict=True):
            count = len(agreement.sheet.assumptions())
            out.print(
                f"{path}: {agreement.id} is sound, {len(agreement.clauses)} clauses, {count} assumptions"
            )

    emit(json_, {"agreements": [agreement.id for agreement in found], "problems": []}, draw)


@app.command()
def show(
    agreement: Annotated[
        str, typer.Argument(metavar="FILE|ID", help="An agreement file, or an id with --book.")
    ],
    book: Annotated[
        Path | None, typer.Option("--book", help="Read the agreement as a book knows it.")
    ] = None,
    json_: Json = False,
) -> None:
    """Show an agreement: tranches, fees, value three ways, deadlines, assumptions."""
    if book is None:
        found = _load(Path(agreement))
    else:
        with opened(book) as target:
            check_agreement_known(target, agreement)
            found = agreement_of(target.state, agreement)
    emit(json_, _plain(found), lambda out: _draw(out, found))


def _plain(agreement: Agreement) -> dict[str, Any]:
    worth = values(agreement)
    return {
        "id": agreement.id,
        "operator": agreement.operator,
        "offtaker": agreement.offtaker,
        "signed": str(agreement.signed),
        "ends": str(agreement.ends),
        "currency": agreement.currency,
        "fees": [
            {"month": str(item.month), "amount": str(item.amount.major), "basis": list(item.basis)}
            for item in fee_schedule(agreement)
        ],
        "values": {
            name: {"amount": str(part.value.major), "assumed": list(part.assumed)}
            for name, part in (
                ("headline", worth.headline),
                ("firm", worth.firm),
                ("cancellable", worth.cancellable),
            )
        },
        "firm_notice": None if worth.firm_notice is None else str(worth.firm_notice),
        "firm_end": str(worth.firm_end),
        "implied_per_gpu_h": {
            str(convention): str(rate.value)
            for convention in HoursConvention
            if (rate := implied_rate(agreement, convention)) is not None
        },
        "deadlines": [
            {
                "on": str(item.on),
                "what": item.what,
                "side": item.side and str(item.side),
                "basis": list(item.basis),
            }
            for item in deadlines(agreement)
        ],
        "assumptions": [
            {"term": path, "source": provenance.source} for path, provenance in agreement.sheet.assumptions()
        ],
        "tranches": to_plain(agreement.tranches),
    }


def _draw(out: Console, agreement: Agreement) -> None:
    out.print(
        f"{agreement.operator} → {agreement.offtaker}, signed {agreement.signed}, "
        f"until {agreement.ends}, {agreement.currency}, {agreement.time_zone}"
    )
    blocks = table("Tranches", "tranche", "firmness", "pools", ">quantity", "from", "through", "in force")
    for tranche in agreement.tranches:
        curve = entitlement(agreement, tranche)
        steps = ", ".join(f"{int(gpus):,}" for gpus in curve.value.values[:-1] if gpus)
        unit = {Denominator.GPUS: "GPUs", Denominator.NONE: "GPUs, not stated"}.get(tranche.denominator, "MW")
        blocks.add_row(
            tranche.id, str(tranche.firmness), ", ".join(tranche.pools), f"{tranche.quantity:,} {unit}",
            str(tranche.start), str(tranche.through), steps + ("*" if curve.assumed else ""),
        )  # fmt: skip
    out.print(blocks)
    out.print(_fees(agreement, fee_schedule(agreement)))
    worth = values(agreement)
    out.print(
        f"Headline {figure(worth.headline)}   firm {figure(worth.firm)}   "
        f"cancellable {figure(worth.cancellable)}"
        + (f"   (notice {worth.firm_notice}, end {worth.firm_end})" if worth.firm_notice else "")
    )
    for convention in HoursConvention:
        rate = implied_rate(agreement, convention)
        if rate is not None:
            out.print(f"Implied {rate.value} {agreement.currency} per GPU-hour, {convention} hours a month")
    dates = table("Deadlines", "on", "what")
    for item in deadlines(agreement):
        dates.add_row(str(item.on), item.what)
    out.print(dates)
    if not agreement.sheet.assumptions():
        return
    assumed = table("Assumptions (*)", "term", "why")
    for path, provenance in agreement.sheet.assumptions():
        assumed.add_row(path, provenance.source)
    out.print(assumed)


def _fees(agreement: Agreement, schedule: Schedule) -> Any:
    """Runs of equal months, so that three years fit a screen."""
    built = table("Fees", "from", "through", ">months", ">each", ">sum")
    run: list[Dated] = []
    for item in [*schedule, None]:
        if run and (item is None or item.amount != run[-1].amount):
            each = money(run[0].amount) + ("*" if agreement.sheet.assumed(run[0].basis) else "")
            whole = run[0].amount * len(run)
            built.add_row(str(run[0].month), str(run[-1].month), str(len(run)), each, money(whole))
            run = []
        if item is not None:
            run.append(item)
    return built
