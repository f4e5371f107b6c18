"""Slurm's own settings: what of them stands in the way of enforcing, of metering, or of rivals' privacy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from offtake.adapters.slurm.runner import Runner, outputs, words_in
from offtake.base.outcome import Refused
from offtake.enforcement.model import Finding

PRIVATE = ("accounts", "events", "jobs", "reservations", "usage", "users")
"""What one tenant must not see of another."""

ENFORCED = ("associations", "limits", "qos")
"""Without these Slurm takes limits for advice."""


def problems_of(runner: Runner) -> tuple[Finding, ...] | Refused:
    """What of the settings of controller, slurmdbd and partitions stands in the way.

    Refusals: `slurm_unreached`, `slurm_refused`.
    """
    asked = (
        ["scontrol", "show", "config"],
        ["sacctmgr", "show", "config"],
        ["scontrol", "-o", "show", "partition"],
    )
    said = outputs(map(runner.run, asked))
    if isinstance(said, Refused):
        return said
    controller, slurmdbd, partitions = said
    return tuple(_problems(parse_config(controller), _slurmdbd(slurmdbd), partitions))


def parse_config(text: str) -> dict[str, str]:
    """Settings by name, as ``scontrol show config`` lists them."""
    return {name: value.strip() for name, value in re.findall(r"^(\w+)\s*= ?(.*)$", text, re.MULTILINE)}


def _slurmdbd(text: str) -> dict[str, str]:
    """Settings of slurmdbd itself, which sacctmgr lists last."""
    return parse_config(text[text.rfind("SlurmDBD configuration") :] if "SlurmDBD" in text else text)


def _problems(
    controller: Mapping[str, str], slurmdbd: Mapping[str, str], partitions: str
) -> Iterator[Finding]:
    for where, settings in (("slurm.conf", controller), ("slurmdbd.conf", slurmdbd)):
        missing = _missing(settings.get("PrivateData", ""), PRIVATE)
        if missing:
            yield Finding(
                code="tenants_see_each_other",
                sentence=f"{where} lets users see others' {', '.join(missing)}; say PrivateData="
                f"{','.join(PRIVATE)}",
            )
    lax = _missing(controller.get("AccountingStorageEnforce", ""), ENFORCED)
    if lax:
        yield Finding(
            code="limits_not_enforced",
            sentence=f"slurm.conf doesn't enforce {', '.join(lax)}; say AccountingStorageEnforce="
            f"{','.join(ENFORCED)}",
        )
    if "gres/gpu" not in controller.get("AccountingStorageTRES", "").split(","):
        yield Finding(
            code="gpus_not_counted",
            sentence="slurm.conf doesn't account GPUs; say AccountingStorageTRES=gres/gpu",
        )
    if controller.get("PreemptType") != "preempt/qos":
        yield Finding(
            code="no_preemption",
            sentence="firmness doesn't preempt: say PreemptType=preempt/qos in slurm.conf, or leave it to "
            "`offtake live`",
        )
    endless = [
        found[1]
        for line in partitions.splitlines()
        if (found := re.search(r"PartitionName=(\S+)", line)) and _endless(line)
    ]
    if endless:
        yield Finding(
            code="no_time_limit",
            sentence=f"jobs in partition {', '.join(endless)} need no time limit, so that none can start on "
            "nodes that will be given up; say DefaultTime",
        )


def _missing(value: str, wanted: tuple[str, ...]) -> list[str]:
    have = value.lower().split(",")
    return [] if "all" in have else [name for name in wanted if name not in have]


def _endless(line: str) -> bool:
    said = words_in(line)
    return said.get("DefaultTime", "NONE") in ("NONE", "UNLIMITED") and said.get("MaxTime") == "UNLIMITED"
