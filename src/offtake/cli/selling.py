"""Commands on selling: what can be sold at which notice, and a quote for one request."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, HOUR_S, Interval, format_instant
from offtake.claims.sellable import Failures, Prices
from offtake.cli.capacity import (
    First,
    Pools,
    Through,
    bad_option,
    check_pools,
    decimal_of,
    length_of,
    length_text,
    said_window,
    window_of,
)
from offtake.cli.options import BookDirectory, Json, RefusedByRule, opened, wall_clock
from offtake.cli.show import emit, percent, table
from offtake.formats.draft import draft_agreement
from offtake.formats.files import write_whole
from offtake.formats.paths_file import read_paths
from offtake.workflows.book import Book
from offtake.workflows.selling import (
    AtNotice,
    CapacityQuote,
    Question,
    Request,
    Selling,
    Worth,
    quote_capacity,
    sellable_in,
)
from offtake.workflows.state import is_simulated
from offtake.workflows.view import book_currency, operator_name, operator_zone

app = typer.Typer(help="Quote a price for what a buyer asks.", no_args_is_help=True)

Confidence = Annotated[str, typer.Option("--confidence", help="With which own demand fits.")]
Paths = Annotated[
    Path | None, typer.Option("--paths", help="Own demand as paths: Parquet with path, start, gpus.")
]
Draws = Annotated[
    int, typer.Option("--draws", min=1, max=10_000, help="Paths to draw of declared generators.")
]
Out = Annotated[
    float, typer.Option("--failures", min=0, max=0.9, help="Share of nodes out of order at any time.")
]
Repair = Annotated[str, typer.Option("--repair", help="How long a repair takes.")]
Loss = Annotated[
    str | None,
    typer.Option("--loss", metavar="GPUS,PER_YEAR,LENGTH", help="A large event, such as 9600,0.1,14d."),
]
Rebate = Annotated[str, typer.Option("--rebate", help="Paid per recalled GPU-hour.")]
FirmPrice = Annotated[str | None, typer.Option("--firm-price", help="Of a firm lease, per GPU-hour.")]
OwnValue = Annotated[
    str | None, typer.Option("--own-value", help="Of a GPU-hour of own work that goes short.")
]


def add_to(root: typer.Typer) -> None:
    """Add these commands to the root."""
    root.command()(sellable)
    root.add_typer(app, name="quote")


def sellable(
    book: BookDirectory,
    through: Through,
    first: First = None,
    pool: Pools = None,
    each: Annotated[bool, typer.Option("--each", help="Also each pool by itself.")] = False,
    notice: Annotated[
        list[str] | None, typer.Option("--notice", help="Such as 90d, 12h, 2min; may be repeated.")
    ] = None,
    confidence: Confidence = "0.95",
    paths: Paths = None,
    draws: Draws = 200,
    failures: Out = 0.0,
    repair: Repair = "3d",
    loss: Loss = None,
    rebate: Rebate = "0",
    firm_price: FirmPrice = None,
    recallable_price: Annotated[str | None, typer.Option("--recallable-price", help="Per GPU-hour.")] = None,
    own_value: OwnValue = None,
    json_: Json = False,
) -> None:
    """How much can be sold firm, recallable at a notice, and interruptible, at a confidence.

    With --firm-price and --own-value also the discount that a notice is worth; with --recallable-price the
    split that earns most.
    """
    worth = _worth(firm_price, own_value)
    prices = None
    if recallable_price is not None:
        if worth is None:
            raise bad_option(
                "--recallable-price", "incomplete", "a split needs --firm-price and --own-value too"
            )
        try:
            prices = Prices(
                firm=worth.firm,
                recallable=decimal_of("--recallable-price", recallable_price),
                rebate=decimal_of("--rebate", rebate),
                own=worth.own,
            )
        except ValueError as error:
            raise bad_option("--own-value", "bad_prices", str(error)) from error
    with opened(book) as target:
        question = replace(
            _question(target, window_of(target, first, through), pool, confidence, paths),
            each=each,
            notices=tuple(length_of(text) for text in notice or ("90d", "30d", "7d", "2min")),
            draws=draws,
            failures=_failures(failures, repair, loss),
            rebate=decimal_of("--rebate", rebate),
            worth=worth,
            prices=prices,
        )
        found = sellable_in(target, question)
    if isinstance(found, Refused):
        raise RefusedByRule(found)
    emit(json_, _selling_plain(found, worth), lambda out: _draw_selling(out, found, worth))


@app.command("capacity")
def capacity(
    book: BookDirectory,
    gpus: Annotated[int, typer.Option("--gpus", min=1, help="How many are asked for.")],
    through: Through,
    first: First = None,
    pool: Pools = None,
    notice: Annotated[
        str | None, typer.Option("--notice", help="Of a recallable lease, such as 30d; firm when left out.")
    ] = None,
    confidence: Confidence = "0.95",
    paths: Paths = None,
    draws: Draws = 200,
    failures: Out = 0.0,
    repair: Repair = "3d",
    loss: Loss = None,
    rebate: Rebate = "0",
    firm_price: FirmPrice = None,
    own_value: OwnValue = None,
    days: Annotated[int, typer.Option("--valid-days", min=1, max=365, help="How long the quote stands.")] = 7,
    offtaker: Annotated[str, typer.Option("--offtaker", help="Who asks, for --draft.")] = "",
    draft: Annotated[
        Path | None, typer.Option("--draft", help="Also write an agreement that says so.")
    ] = None,
    json_: Json = False,
) -> None:
    """A price per GPU-hour for what a buyer asks, the floor below it, and until when it stands.

    Prices start from what firm leases pay and what the dearest own work is worth in the book, unless
    --firm-price and --own-value say otherwise. A quote holds nothing back: what is applied takes capacity.
    """
    if draft is not None and not offtaker.strip():
        raise bad_option("--draft", "no_offtaker", "an agreement names its offtaker", "give --offtaker NAME")
    if draft is not None and draft.exists():
        raise bad_option("--draft", "exists", f"{draft} is there already", "give another name")
    with opened(book) as target:
        question = replace(
            _question(target, window_of(target, first, through), pool, confidence, paths),
            notices=() if notice is None else (length_of(notice),),
            draws=draws,
            failures=_failures(failures, repair, loss),
            rebate=decimal_of("--rebate", rebate),
            worth=_worth(firm_price, own_value),
        )
        now = target.state.now if is_simulated(target.state) else wall_clock()
        found = quote_capacity(target, Request(question=question, gpus=gpus, now=now, days=days))
        if isinstance(found, Refused):
            raise RefusedByRule(found)
        currency = book_currency(target.state)
        if draft is not None:
            _write_draft(target, draft, found, offtaker.strip(), now)
    plain = _quote_plain(found, currency)
    emit(json_, plain, lambda out: _draw_quote(out, found, currency, draft))


def _write_draft(book: Book, file: Path, found: CapacityQuote, offtaker: str, now: int) -> None:
    question = found.request.question
    notice = question.notices[0] if question.notices else None
    text = draft_agreement(
        operator=operator_name(book.state),
        offtaker=offtaker,
        pools=question.pools,
        gpus=found.request.gpus,
        window=question.window,
        zone=operator_zone(book.state),
        signed=now,
        currency=book_currency(book.state),
        rate=found.price,
        notice_days=None if notice is None else -(-notice // DAY_S),
        rebate=question.rebate,
    )
    write_whole(file, text.encode())


def _question(
    book: Book, window: Interval, pools: list[str] | None, confidence: str, paths: Path | None
) -> Question:
    """What both commands ask of a window."""
    check_pools(book, pools)
    return Question(
        window=window,
        pools=tuple(pools or ()),
        confidence=_confidence(confidence),
        paths=None if paths is None else read_paths(paths, window),
    )


def _worth(firm: str | None, own: str | None) -> Worth | None:
    if firm is None and own is None:
        return None
    if firm is None or own is None:
        raise bad_option("--firm-price", "incomplete", "--firm-price and --own-value go together")
    return Worth(firm=decimal_of("--firm-price", firm), own=decimal_of("--own-value", own))


def _confidence(text: str) -> Fraction:
    sure = decimal_of("--confidence", text)
    if not 0 < sure <= 1:
        raise bad_option(
            "--confidence", "bad_confidence", f"{text} isn't above 0 and at most 1", "write 0.95"
        )
    return Fraction(sure)


def _selling_plain(found: Selling, worth: Worth | None) -> dict[str, Any]:
    split = found.split
    return {
        "window": said_window(found.window),
        "pools": list(found.pools),
        "confidence": str(_decimal(found.confidence)),
        "paths": found.paths,
        "own_demand": dict(zip(("least", "median", "most"), found.own, strict=True)),
        "notices": [_notice_plain(one, worth) for one in found.at],
        "each": {pool: [_notice_plain(one, worth) for one in at] for pool, at in found.each.items()},
        "split": None
        if split is None
        else {
            "firm": split.firm,
            "recallable": split.recallable,
            "recall_probability": _six(split.recall_probability),
            "recalled_gpus": _six(split.recalled),
            "own_short_gpus": _six(split.own_short),
            "profit_per_hour": _six(split.profit),
        },
        "notes": list(found.notes),
    }


def _notice_plain(one: AtNotice, worth: Worth | None) -> dict[str, Any]:
    discount = _discount(one, worth)
    return {
        "notice_seconds": one.notice_s,
        "firm": one.amount.firm,
        "recallable": one.amount.recallable,
        "interruptible": one.amount.interruptible,
        "recalled_share": _six(one.recalls.share),
        "recall_in_a_month": _six(one.recalls.months),
        "month_hours": one.recalls.month_steps,
        "rebate_per_month": _six(one.rebate_month),
        "least_price": None if one.least_price is None else _six(one.least_price),
        "even_price": None if one.even_price is None else _six(one.even_price),
        "discount": None if discount is None else _six(discount),
    }


def _discount(one: AtNotice, worth: Worth | None) -> Fraction | None:
    """How far below the firm price selling recallable earns as much; None where that isn't known."""
    if worth is None or one.even_price is None or not worth.firm:
        return None
    return max(Fraction(0), 1 - one.even_price / Fraction(worth.firm))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _six(value: Fraction) -> str:
    return str(round(_decimal(value), 6))


def _draw_selling(out: Console, found: Selling, worth: Worth | None) -> None:
    least, median, most = found.own
    out.print(
        f"Own demand on {', '.join(found.pools)}: {least:,} to {most:,} GPUs, median {median:,}, "
        f"in {found.paths:,} paths."
    )
    sure = percent(_decimal(found.confidence))
    priced = [] if worth is None else [">discount"]
    built = table(
        f"GPUs that can be sold with {sure} confidence",
        *(["pool"] if found.each else []),
        ">notice", ">firm", ">recallable", ">interruptible", ">in all", ">hours recalled", ">months", *priced,
    )  # fmt: skip
    for pool, at in (("together", found.at), *found.each.items()):
        for one in at:
            parts = (one.amount.firm, one.amount.recallable, one.amount.interruptible)
            discount = _discount(one, worth)
            built.add_row(
                *([pool] if found.each else []),
                length_text(one.notice_s),
                *(f"{part:,}" for part in (*parts, sum(parts))),
                percent(_decimal(one.recalls.share)),
                percent(_decimal(one.recalls.months)),
                *([] if worth is None else ["–" if discount is None else percent(_decimal(discount))]),
            )
        built.add_section()
    out.print(built)
    out.print(
        "Firm through all of it; recallable on top if taken back by notice; interruptible on top of both.\n"
        f"Months: of {found.at[0].recalls.month_steps // 24} days, in which at least one GPU is recalled."
    )
    if worth is not None:
        out.print(
            f"Discount: so far below {worth.firm} recallable earns as much as firm, own work being worth "
            f"{worth.own}."
        )
    if found.split is not None:
        out.print(
            f"Earning most: {found.split.firm:,} firm and {found.split.recallable:,} recallable, recalled in "
            f"{percent(_decimal(found.split.recall_probability))} of hours."
        )
    for note in found.notes:
        out.print(f"Note: {note}.")


def _quote_plain(found: CapacityQuote, currency: str) -> dict[str, Any]:
    question = found.request.question
    return {
        "gpus": found.request.gpus,
        "window": said_window(question.window),
        "pools": list(question.pools),
        "firmness": "recallable" if question.notices else "firm",
        "notice_seconds": question.notices[0] if question.notices else None,
        "currency": currency,
        "price": str(found.price),
        "floor": str(found.floor),
        "firm_price": str(found.firm_price),
        "own_value": str(found.own),
        "value": str(found.value),
        "own_short_share": _six(found.short_share),
        "recalled_share": _six(found.recalls.share),
        "recall_in_a_month": _six(found.recalls.months),
        "left": found.left,
        "stands_until": format_instant(found.expires),
        "book_at": found.head,
        "notes": list(found.notes),
    }


def _draw_quote(out: Console, found: CapacityQuote, currency: str, draft: Path | None) -> None:
    question = found.request.question
    how = f"recallable by {length_text(question.notices[0])}' notice" if question.notices else "firm"
    out.print(f"{found.request.gpus:,} GPUs, {how}, on any of {', '.join(question.pools)}:")
    out.print(f"  price  {found.price} {currency} per GPU-hour; about {found.value:,} {currency} in all")
    out.print(f"  floor  {found.floor} {currency}: below it the operator is better off without the lease")
    if question.notices:
        out.print(
            f"  recalled in {percent(_decimal(found.recalls.share))} of hours; a recall in "
            f"{percent(_decimal(found.recalls.months))} of months of {found.recalls.month_steps // 24} days"
        )
    else:
        out.print(f"  own work goes short in {percent(_decimal(found.short_share))} of their hours")
    out.print(f"  {found.left:,} more could be sold so")
    out.print(f"  stands until {format_instant(found.expires)}, for the book as of fact {found.head}")
    out.print(f"Firm leases pay {found.firm_price} {currency}; own work is worth up to {found.own}.")
    for note in found.notes:
        out.print(f"Note: {note}.")
    if draft is not None:
        out.print(f"{draft}: a draft to read, complete and sign.")


def _failures(share: float, repair: str, loss: str | None) -> Failures | None:
    if not share and loss is None:
        return None
    steps = max(1, length_of(repair, "--repair") // HOUR_S)
    if loss is None:
        return Failures(share=share, repair_steps=steps)
    parts = loss.split(",")
    try:
        gpus, often, lasts = int(parts[0]), float(parts[1]), parts[2]
    except (ValueError, IndexError) as error:
        raise bad_option(
            "--loss", "bad_loss", f"{loss!r} isn't GPUS,PER_YEAR,LENGTH", "write 9600,0.1,14d"
        ) from error
    return Failures(
        share=share,
        repair_steps=steps,
        loss_gpus=gpus,
        losses_per_step=often / (365 * 24),
        loss_steps=max(1, length_of(lasts, "--loss") // HOUR_S),
    )
