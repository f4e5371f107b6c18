"""A real Slurm of 64 nodes and 512 GPUs: from nothing to enforced, then one claim more."""

from __future__ import annotations

import sys
import time
from typing import ClassVar

from offtake.adapters.slurm.runner import Ran, Runner
from offtake.adapters.slurm.scheduler import SlurmScheduler
from offtake.base.outcome import Refused
from offtake.enforcement.converge import steps
from offtake.enforcement.model import CLOSED, SWEEPER, Account, Desired, Hold, Qos
from tests.live.slurm_cluster import SlurmCluster, missing_packages

NODES, CLAIMS = 64, 20
FAR = 4_000_000_000
FIRM = Qos(name="ot_firm", priority=100, preempts=(), grace_s=60)
SWEEP = Qos(name=SWEEPER, priority=200, preempts=("ot_firm",), grace_s=0, in_holds_only=True)


class Counted(Runner):
    """A runner that counts its commands."""

    __slots__ = ()
    ran: ClassVar[list[str]] = []

    def run(self, argv: list[str], *, stdin: str = "") -> Ran:  # type: ignore[override]
        """Run and count one command."""
        self.ran.append(argv[0])
        return super().run(argv, stdin=stdin)


def plan(cluster: SlurmCluster, claims: int) -> Desired:
    """Leases of three nodes each, with one user; the other nodes are closed."""
    accounts, holds = [], []
    for i in range(claims):
        name = f"ot_c{i:02d}"
        nodes = cluster.nodes[3 * i : 3 * i + 3]
        accounts.append(
            Account(
                name=name, claim=name, holder=name, gpus=8 * len(nodes), users=(cluster.user,),
                qos=FIRM.name, parent="ot_of_all",
            )
        )  # fmt: skip
        holds.append(Hold(name=name, accounts=(name,), nodes=nodes, end=FAR))
    holds.append(Hold(name=CLOSED, accounts=(CLOSED,), nodes=cluster.nodes[3 * claims :], end=FAR))
    closed = Account(name=CLOSED, claim="", holder="", gpus=None, qos=SWEEPER, users=(cluster.user,))
    group = Account(name="ot_of_all", claim="", holder="all", gpus=None)
    return Desired(accounts=tuple(accounts), holds=tuple(holds), qos=(FIRM, SWEEP), groups=(closed, group))


def turn(scheduler: SlurmScheduler, desired: Desired) -> tuple[float, int, int]:
    """Seconds of a turn on the cluster, its steps, and its commands."""
    Counted.ran.clear()
    begun = time.perf_counter()
    actual = scheduler.read()
    if isinstance(actual, Refused):
        sys.exit(actual.sentence)
    wanted = steps(desired, actual, since={}, now=0, grace_s=60).all
    for batch in scheduler.apply(wanted):
        for _, ran in batch:
            if ran.rc != 0:
                raise RuntimeError(f"{' '.join(ran.argv)}: {ran.why}")
    return time.perf_counter() - begun, len(wanted), len(Counted.ran)


def main() -> None:
    """Start a cluster and converge it three times."""
    missing = missing_packages()
    if missing:
        print(f"skipped: install the packages {' '.join(missing)}")
        return
    with SlurmCluster(nodes=NODES) as cluster:
        scheduler = SlurmScheduler(Counted(conf=str(cluster.conf), env=cluster.env))
        print(f"a Slurm of {NODES} nodes and {8 * NODES} GPUs, leases of three nodes: wall-clock s, commands")
        for what, claims in (("from nothing", CLAIMS), ("again", CLAIMS), ("one claim more", CLAIMS + 1)):
            took, done, commands = turn(scheduler, plan(cluster, claims))
            print(f"  {what}, {claims} claims: {took:.1f} s, {done} steps, {commands} commands, 5 to look")


if __name__ == "__main__":
    main()
