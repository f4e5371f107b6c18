"""Power and health from Prometheus, within a turn of the live loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from offtake.adapters.prometheus import Prometheus
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.formats.cluster_file import ClusterFile
from offtake.workflows.book import Book
from offtake.workflows.read_power import PowerMetered, power_turn


def read_power(book: Book, config: ClusterFile, folder: Path, now: int) -> PowerMetered | Refused | None:
    """Take in what is complete; None where nothing is, or cluster.toml has no `[prometheus]`."""
    table = config.prometheus
    if table is None:
        return None
    token = folder / table.token_file if table.token_file else None
    return power_turn(book, Prometheus(url=table.url, token_file=token), table, config.nodes, now)


def plain_power(power: PowerMetered | Refused | None) -> Mapping[str, Any] | None:
    """What was taken in, for programs; None where nothing was."""
    if not isinstance(power, PowerMetered):
        return None
    return {
        "windows": power.windows,
        "through": format_instant(power.through),
        "wh": dict(power.wh),
        "operator_wh": power.operator_wh,
        "gauge_wh": power.gauge_wh,
        "outages": power.outages,
        "findings": [
            {"code": one.code, "node": one.node, "seconds": one.seconds, "sentence": one.sentence}
            for one in power.findings
        ],
    }


def draw_power(out: Console, power: PowerMetered | Refused | None) -> None:
    """What was taken in, for people."""
    if not isinstance(power, PowerMetered):
        return
    kwh = ", ".join(f"{agreement} {wh / 1000:,.3f} kWh" for agreement, wh in sorted(power.wh.items()))
    out.print(
        f"  Power through {format_instant(power.through)}: {kwh or 'no agreement drew any'}; "
        f"the operator {power.operator_wh / 1000:,.3f} kWh",
        soft_wrap=True,
    )
    if power.gauge_wh:
        out.print(f"    of this {power.gauge_wh / 1000:,.3f} kWh integrated from power: no energy counter")
    if power.outages:
        out.print(f"  {power.outages} outages by health of GPUs")
    for one in power.findings:
        out.print(f"  Look into it: {one.code}: {one.sentence}", soft_wrap=True)
