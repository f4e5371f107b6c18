"""Slurm as a scheduler to enforce on: what it enforces now, and a step as commands.

Limits are those of accounts, on ``gres/gpu``: a limit on a type alone is walked past by a job that names
none, so one on a type comes beside it. Holds are reservations of whole nodes that the accounts' jobs enter
by themselves (MAGNETIC); those that close nodes lie over others (OVERLAP), whose jobs start there only where
they end before.

Source: what each command does was tried on Slurm 22.05; tests/live does so again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, groupby

from offtake.adapters.slurm.conversation import change, show
from offtake.adapters.slurm.runner import Ran, Runner, outputs, time_text, words_in
from offtake.adapters.slurm.settings import problems_of
from offtake.base.outcome import Refused
from offtake.enforcement.model import (
    CLOSED,
    PREFIX,
    SWEEPER,
    Account,
    Actual,
    Finding,
    Hold,
    Job,
    Kind,
    Node,
    Qos,
    Step,
    Sweep,
)
from offtake.metering.hostlist import expand_nodes
from offtake.metering.sacct import parse_span
from offtake.metering.tres import gpus_of, parse_tres

ROOT = "root"
"""The account above all others."""

_WIDTHS = {
    "JobArrayID": 40, "Account": 64, "tres-alloc": 512, "StartTime": 32, "Requeue": 8, "BatchFlag": 8,
    "NodeList": 4_096,
}  # fmt: skip

_SWEEP_WIDTHS = {"JobID": 40, "Name": 64, "Reservation": 256, "ReqNodes": 4_096}

_TOLD = (
    ("show", "association", "format=account,user,parentname,grptres,qos"),
    ("show", "qos", "format=name,priority,preempt,gracetime,flags"),
)


@dataclass(frozen=True, slots=True)
class SlurmScheduler:
    """One cluster, through its commands."""

    runner: Runner

    def read(self) -> Actual | Refused:
        """What is so now.

        Refusals: `slurm_unreached`, `slurm_refused`; then nothing is known.
        """
        others = (
            ["scontrol", "-o", "show", "reservation"],
            ["squeue", "--noheader", "--states=RUNNING,SUSPENDED", f"--Format={_format(_WIDTHS)}"],
            ["squeue", "--noheader", f"--account={CLOSED}", f"--Format={_format(_SWEEP_WIDTHS)}"],
            ["scontrol", "-o", "show", "node"],
        )
        said = outputs(chain(show(self.runner, _TOLD), map(self.runner.run, others)))
        if isinstance(said, Refused):
            return said
        associations, qos, reservations, jobs, sweeps, nodes = said
        found = parse_associations(associations)
        holds, foreign = parse_holds(reservations)
        return Actual(
            limits=found.limits, types=found.types, users=found.users, parents=found.parents,
            qos_of=found.qos, qos=parse_qos(qos), holds=holds, foreign=foreign, jobs=parse_jobs(jobs),
            sweeps=parse_sweeps(sweeps), nodes=parse_nodes_shown(nodes),
        )  # fmt: skip

    def settings(self) -> tuple[Finding, ...] | Refused:
        """What of Slurm's own settings stands in the way of enforcing or metering."""
        return problems_of(self.runner)

    def command(self, step: Step) -> tuple[str, ...]:
        """What a step is, as one would type it."""
        return tuple(words_of(step))

    def apply(self, wanted: Sequence[Step]) -> Iterator[Sequence[tuple[Step, Ran]]]:
        """Do steps in order; each batch as it is done, with what became of each.

        What sacctmgr does goes into one call, but a QOS isn't known to what else is in its call; and what is
        the same for several accounts into one of its commands.
        """
        for how, group in groupby(wanted, key=_batch_of):
            batch = tuple(group)
            if how:
                alike = [tuple(steps) for _, steps in groupby(batch, key=_alike)]
                answers = change(self.runner, [_for_all(steps) for steps in alike])
                yield tuple((step, ran) for steps, ran in zip(alike, answers, strict=True) for step in steps)
            else:
                for step in batch:
                    yield ((step, self.runner.run(words_of(step))),)


def _batch_of(step: Step) -> str:
    """What goes into one call; empty for steps that are done one by one."""
    if step.kind in (Kind.MAKE_QOS, Kind.SET_QOS):
        return step.target
    return "sacctmgr" if words_of(step)[0] == "sacctmgr" else ""


def _alike(step: Step) -> tuple[str, ...]:
    """A command without the account that it is about."""
    return tuple(word for word in words_of(step) if word not in (step.target, f"account={step.target}"))


def _for_all(steps: Sequence[Step]) -> list[str]:
    """One command for the accounts of several that are alike."""
    names = ",".join(step.target for step in steps)
    first = steps[0].target
    told = {first: names, f"account={first}": f"account={names}"}
    return [told.get(word, word) for word in words_of(steps[0])[2:]]


def words_of(step: Step) -> list[str]:
    """The command of a step."""
    if step.account is not None:
        return ["sacctmgr", "-i", *_words_of_account(step, step.account)]
    if step.qos is not None:
        verb = (
            ["add", "qos", step.target]
            if step.kind is Kind.MAKE_QOS
            else ["modify", "qos", step.target, "set"]
        )
        return [
            "sacctmgr", "-i", *verb, f"Priority={step.qos.priority}",
            f"Preempt={','.join(step.qos.preempts)}", "PreemptMode=requeue", f"GraceTime={step.qos.grace_s}",
            *(["Flags=RequiresReservation"] if step.qos.in_holds_only else []),
        ]  # fmt: skip
    if step.hold is not None:
        return ["scontrol", *_words_of_hold(step.kind, step.hold)]
    if step.sweep is not None:
        return _words_of_sweep(step, step.sweep)
    if step.job is not None and not step.job.requeues:
        return ["scancel", step.target]
    return ["scontrol", "requeue", step.target]


def _words_of_account(step: Step, account: Account) -> list[str]:
    above = [f"parent={account.parent or ROOT}"]
    qos = [f"QOS={account.qos}", f"DefaultQOS={account.qos}"] if account.qos else []
    if step.kind is Kind.ADD_USER:
        return ["add", "user", step.user, f"account={step.target}"]
    if step.kind is Kind.LIMIT:
        return ["modify", "account", step.target, "set", f"GrpTRES={_tres(account)}"]
    if step.kind is Kind.SET_ACCOUNT:
        return ["modify", "account", step.target, "set", *above, *qos]
    told = f"Organization={_plain(account.holder)}"
    limit = [f"GrpTRES={_tres(account)}"] if account.gpus is not None else []
    return ["add", "account", step.target, *above, told, "Description=offtake", *limit, *qos]


def _words_of_sweep(step: Step, sweep: Sweep) -> list[str]:
    """A job that asks for a whole node and ends at once."""
    if step.kind is Kind.UNSWEEP:
        return ["scancel", sweep.job]
    return [
        "sbatch", "--parsable", f"--job-name={SWEEPER}", f"--account={CLOSED}", f"--qos={SWEEPER}",
        f"--reservation={sweep.hold}", f"--nodelist={sweep.node}", "--nodes=1", "--exclusive", "--time=1",
        *([f"--partition={step.partition}"] if step.partition else []), "--no-requeue",
        "--output=/dev/null", "--chdir=/", "--wrap=true",
    ]  # fmt: skip


def _plain(text: str) -> str:
    """Text as a label: what sacctmgr would take for more than that is left out."""
    return re.sub(r"[^\w ./:@+-]+", " ", text).strip() or "offtake"


def _tres(account: Account) -> str:
    typed = (f"gres/gpu:{name}={gpus}" for name, gpus in account.types)
    return ",".join([f"gres/gpu={account.gpus}", *typed])


def _words_of_hold(kind: Kind, hold: Hold) -> list[str]:
    over = "OVERLAP" if hold.closes else "MAGNETIC"
    nodes, accounts = f"Nodes={','.join(hold.nodes)}", f"Accounts={','.join(hold.accounts)}"
    end = f"EndTime={time_text(hold.end)}"
    start = "StartTime=now" if hold.start is None else f"StartTime={time_text(hold.start)}"
    if kind is Kind.MAKE_HOLD:
        return [
            "create", "reservation", f"ReservationName={hold.name}", start, end, nodes, accounts,
            f"Flags={over},IGNORE_JOBS",
        ]  # fmt: skip
    if kind is Kind.DROP_HOLD:
        return ["delete", f"reservation={hold.name}"]
    began = [start] if hold.start is not None else []
    return ["update", f"reservation={hold.name}", *began, end, nodes, accounts, "Flags+=IGNORE_JOBS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Associations:
    """What Slurm's associations say, by account."""

    limits: Mapping[str, int | None]
    types: Mapping[str, Mapping[str, int]]
    users: Mapping[str, frozenset[str]]
    parents: Mapping[str, str]
    qos: Mapping[str, tuple[str, ...]]


def parse_associations(text: str) -> Associations:
    """Limits, users, parents and QOS of accounts."""
    limits: dict[str, int | None] = {}
    types: dict[str, dict[str, int]] = {}
    users: dict[str, set[str]] = defaultdict(set)
    parents, qos = {}, {}
    for line in _rows(text):
        account, user, parent, tres, names = line.split("|")
        if user:
            users[account].add(user)
            continue
        found = {name: int(value) for name, (value, _) in parse_tres(tres).items()}
        limits[account] = found.get("gres/gpu")
        typed = {n.removeprefix("gres/gpu:"): v for n, v in found.items() if n.startswith("gres/gpu:")}
        types |= {account: typed} if typed else {}
        parents[account] = "" if parent == ROOT else parent
        qos[account] = tuple(sorted(name for name in names.split(",") if name))
    return Associations(
        limits=limits, types=types, users={account: frozenset(names) for account, names in users.items()},
        parents=parents, qos=qos,
    )  # fmt: skip


def parse_qos(text: str) -> dict[str, Qos]:
    """QOS by name, offtake's own."""
    found = {}
    for line in _rows(text):
        name, priority, preempts, grace, flags = line.split("|")
        if name.startswith(PREFIX):
            found[name] = Qos(
                name=name, priority=int(priority or 0), preempts=_names(preempts),
                grace_s=parse_span(grace) if grace else 0,
                in_holds_only="RequiresReservation" in flags,
            )  # fmt: skip
    return found


def parse_holds(text: str) -> tuple[dict[str, Hold], dict[str, tuple[str, ...]]]:
    """Reservations: offtake's own, and the nodes of others'."""
    holds, foreign = {}, {}
    for line in text.splitlines():
        said = words_in(line)
        name = said.get("ReservationName")
        if name is None:
            continue  # "No reservations in the system"
        nodes = tuple(sorted(expand_nodes(said.get("Nodes", ""))))
        if name.startswith(PREFIX):
            begun = said.get("State") != "INACTIVE"
            holds[name] = Hold(
                name=name, accounts=_names(said.get("Accounts", "")), nodes=nodes,
                start=None if begun else _instant(said["StartTime"]), end=_instant(said["EndTime"]),
            )  # fmt: skip
        else:
            foreign[name] = nodes
    return holds, foreign


def parse_jobs(text: str) -> tuple[Job, ...]:
    """Jobs that hold GPUs, but for sweepers."""
    found = []
    for fields in _fields(text, _WIDTHS):
        gpus = gpus_of(parse_tres(fields["tres-alloc"]))
        if gpus and fields["Account"] != CLOSED:
            found.append(
                Job(
                    id=fields["JobArrayID"], account=fields["Account"], gpus=gpus,
                    start=_instant(fields["StartTime"]), nodes=tuple(expand_nodes(fields["NodeList"])),
                    requeues=fields["Requeue"] == "1" and fields["BatchFlag"] == "1",
                )
            )  # fmt: skip
    return tuple(found)


def parse_sweeps(text: str) -> tuple[Sweep, ...]:
    """Sweepers that wait or are at work."""
    return tuple(
        Sweep(hold=fields["Reservation"], node=node, job=fields["JobID"])
        for fields in _fields(text, _SWEEP_WIDTHS)
        if fields["Name"] == SWEEPER
        for node in expand_nodes(fields["ReqNodes"])
    )


def _fields(text: str, widths: Mapping[str, int]) -> Iterator[dict[str, str]]:
    """Lines of a listing with columns of fixed widths."""
    for line in text.splitlines():
        fields, at = {}, 0
        for name, width in widths.items():
            fields[name] = line[at : at + width].strip()
            at += width
        yield fields


def parse_nodes_shown(text: str) -> dict[str, Node]:
    """Nodes by name: their GPUs, and why no job starts there."""
    found = {}
    for line in text.splitlines():
        said = words_in(line)
        if "NodeName" not in said:
            continue
        states = [s.strip("*") for s in said.get("State", "").split("+")]
        reason = re.search(r" Reason=(.*?)(?: \[|$)", line)
        bad = [state for state in states if state in OUT]
        why = f"{'+'.join(bad)}: {reason[1].strip()}" if bad and reason else "+".join(bad)
        gpus = re.findall(r"gpu(?::[\w-]+)?:(\d+)", said.get("Gres", ""))
        partition = said.get("Partitions", "").split(",")[0]
        found[said["NodeName"]] = Node(
            gpus=sum(map(int, gpus)), cpus=int(said.get("CPUTot", "0")), partition=partition, out=why
        )
    return found


OUT = ("DOWN", "DRAIN", "FAIL", "FAILING", "NOT_RESPONDING", "POWERED_DOWN", "UNKNOWN")
"""States of a node on which no job starts."""


def _rows(text: str) -> list[str]:
    """Lines of a table; the rest of a command that was repeated over two lines is none."""
    return [line for line in text.splitlines() if "|" in line]


def _names(text: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in text.split(",") if name and name != "(null)"))


def _format(widths: Mapping[str, int]) -> str:
    return ",".join(f"{name}:{width}" for name, width in widths.items())


def _instant(text: str) -> int:
    """Seconds since the epoch, as the runner asks for, or Slurm's own form in UTC where that is ignored."""
    if text.isdigit():
        return int(text)
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
