"""An agreement's file written from a quote, for people to read, complete and sign."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

from offtake.base.months import local_date
from offtake.base.time import Interval


def draft_agreement(
    *,
    operator: str,
    offtaker: str,
    pools: Sequence[str],
    gpus: int,
    window: Interval,
    zone: str,
    signed: int,
    currency: str,
    rate: Decimal,
    notice_days: int | None,
    rebate: Decimal,
) -> str:
    """TOML of an agreement over one tranche at a rate per GPU-hour.

    Args:
        operator: seller.
        offtaker: buyer; its name makes the agreement's id.
        pools: that may serve it.
        gpus: how many.
        window: whole local days.
        zone: whose days.
        signed: instant.
        currency: of the rate.
        rate: in major units per GPU-hour.
        notice_days: of a recall; None for a firm tranche.
        rebate: paid for each recalled GPU-hour on top of the fee that falls away, in major units.
    """
    id_ = "-".join("".join(c if c.isalnum() else " " for c in offtaker.lower()).split())
    firmness = "firm" if notice_days is None else "recallable"
    parts = [
        "# A draft from a quote. What else is settled (payment, credits, how it may end) isn't in it.",
        "",
        "[agreement]",
        f"id = {json.dumps(id_)}",
        f"operator = {_text(operator)}",
        f"offtaker = {_text(offtaker)}",
        f"signed = {local_date(signed, zone)}",
        f"currency = {_text(currency)}",
        f"time_zone = {_text(zone)}",
        "",
        "[[tranche]]",
        'id = "main"',
        f"pools = [{', '.join(_text(pool) for pool in pools)}]",
        f"quantity = {gpus}",
        f"start = {local_date(window.start, zone)}",
        f"through = {local_date(window.end - 1, zone)}",
        f'firmness = "{firmness}"',
        "",
        "[capacity_fee]",
        f"rate = {rate}",
    ]
    if notice_days is not None:
        parts += [
            "",
            "[recall]",
            'tranches = ["main"]',
            f"notice_days = {notice_days}",
            f"compensation_per_gpu_h = {rebate}",
        ]
    return "\n".join([*parts, ""])


def _text(value: str) -> str:
    """As TOML writes text: JSON's way is one of TOML's."""
    return json.dumps(value, ensure_ascii=False)
