"""Slurm as a scheduler to enforce on: what it enforces now, and a step as commands.

Limits are those of accounts, on ``gres/gpu`` without a type: a limit on a type is walked past by a job that
names none. Holds are reservations of whole nodes that the account's jobs enter by themselves (MAGNETIC).

Source: what each command does was tried on Slurm 22.05; tests/live does so again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from offtake.adapters.slurm.runner import Ran, Runner, time_text
from offtake.base.outcome import Refused
from offtake.enforcement.model import PREFIX, Actual, Hold, Job, Kind, Step
from offtake.metering.hostlist import expand_nodes
from offtake.metering.tres import gpus_of, parse_tres

SIGNAL = "USR1"
"""What the script of a batch job gets when it must stop soon."""

_WIDTHS = {"JobID": 32, "Account": 64, "tres-alloc": 512, "StartTime": 32, "NodeList": 4_096}


@dataclass(frozen=True, slots=True)
class SlurmScheduler:
    """One cluster, through its commands."""

    runner: Runner

    def read(self) -> Actual | Refused:
        """What is so now.

        Refusals: `slurm_unreached`, `slurm_refused`; then nothing is known.
        """
        asked = (
            ["sacctmgr", "-nP", "show", "association", "format=account,user,grptres"],
            ["scontrol", "-o", "show", "reservation"],
            ["squeue", "--noheader", "--states=RUNNING,SUSPENDED", f"--Format={_format()}"],
        )
        said = []
        for words in asked:
            ran = self.runner.run(words)
            refused = ran.refusal()
            if refused is not None:
                return refused
            said.append(ran.out)
        limits, users = parse_associations(said[0])
        holds, foreign = parse_holds(said[1])
        return Actual(limits=limits, users=users, holds=holds, foreign=foreign, jobs=parse_jobs(said[2]))

    def apply(self, step: Step) -> Ran:
        """Do one step; what became of it is in the answer."""
        return self.runner.run(words_of(step))


def words_of(step: Step) -> list[str]:
    """The command of a step."""
    account, hold = step.account, step.hold
    if step.kind is Kind.LIMIT and account is not None:
        return [
            "sacctmgr", "-i", "modify", "account", step.target, "set", f"GrpTRES=gres/gpu={account.gpus}",
        ]  # fmt: skip
    if step.kind is Kind.MAKE_ACCOUNT and account is not None:
        return [
            "sacctmgr", "-i", "add", "account", step.target, f"Organization={account.holder}",
            f"Description={account.claim}", f"GrpTRES=gres/gpu={account.gpus}",
        ]  # fmt: skip
    if step.kind is Kind.ADD_USER:
        return ["sacctmgr", "-i", "add", "user", step.user, f"account={step.target}"]
    if step.kind is Kind.MAKE_HOLD and hold is not None:
        return [
            "scontrol", "create", "reservation", f"ReservationName={step.target}", "StartTime=now",
            f"EndTime={time_text(hold.end)}", f"Nodes={','.join(hold.nodes)}", f"Accounts={hold.account}",
            "Flags=MAGNETIC,IGNORE_JOBS",
        ]  # fmt: skip
    if step.kind is Kind.CHANGE_HOLD and hold is not None:
        return [
            "scontrol", "update", f"reservation={step.target}", f"Nodes={','.join(hold.nodes)}",
            f"EndTime={time_text(hold.end)}", "Flags+=IGNORE_JOBS",
        ]  # fmt: skip
    if step.kind is Kind.DROP_HOLD:
        return ["scontrol", "delete", f"reservation={step.target}"]
    if step.kind is Kind.WARN:
        return ["scancel", "--batch", f"--signal={SIGNAL}", step.target]
    return ["scontrol", "requeue", step.target]


def parse_associations(text: str) -> tuple[dict[str, int | None], dict[str, frozenset[str]]]:
    """GPU limits by account, and who may submit to each."""
    limits: dict[str, int | None] = {}
    users: dict[str, set[str]] = defaultdict(set)
    for line in text.splitlines():
        account, user, tres = line.split("|")
        if user:
            users[account].add(user)
        else:
            found = parse_tres(tres).get("gres/gpu")
            limits[account] = None if found is None else int(found[0])
    return limits, {account: frozenset(names) for account, names in users.items()}


def parse_holds(text: str) -> tuple[dict[str, Hold], dict[str, tuple[str, ...]]]:
    """Reservations: offtake's own, and the nodes of others'."""
    holds, foreign = {}, {}
    for line in text.splitlines():
        said = dict(re.findall(r"(\w+)=(\S*)", line))
        name = said.get("ReservationName")
        if name is None:
            continue  # "No reservations in the system"
        nodes = tuple(sorted(expand_nodes(said.get("Nodes", ""))))
        if name.startswith(PREFIX):
            holds[name] = Hold(
                name=name, account=said.get("Accounts", ""), nodes=nodes, end=_instant(said["EndTime"])
            )
        else:
            foreign[name] = nodes
    return holds, foreign


def parse_jobs(text: str) -> tuple[Job, ...]:
    """Jobs that hold GPUs."""
    found = []
    for line in text.splitlines():
        fields, at = {}, 0
        for name, width in _WIDTHS.items():
            fields[name] = line[at : at + width].strip()
            at += width
        gpus = gpus_of(parse_tres(fields["tres-alloc"]))
        if gpus:
            found.append(
                Job(
                    id=fields["JobID"], account=fields["Account"], gpus=gpus,
                    start=_instant(fields["StartTime"]),
                    nodes=tuple(expand_nodes(fields["NodeList"])),
                )
            )  # fmt: skip
    return tuple(found)


def _format() -> str:
    return ",".join(f"{name}:{width}" for name, width in _WIDTHS.items())


def _instant(text: str) -> int:
    """Seconds since the epoch, as the runner asks for, or Slurm's own form in UTC where that is ignored."""
    if text.isdigit():
        return int(text)
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
