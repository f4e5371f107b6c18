"""A real Slurm of 64 nodes and 512 GPUs: from nothing to enforced, then one claim more."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import ClassVar

from offtake.adapters.slurm.runner import Ran, Runner
from offtake.adapters.slurm.scheduler import SlurmScheduler
from offtake.base.outcome import Refused
from offtake.enforcement.converge import steps
from offtake.enforcement.model import Account, Actual, Desired, Hold
from tests.live.slurm_cluster import SlurmCluster, missing_packages

NODES, CLAIMS = 64, 20
FAR = 4_000_000_000


class Counted(Runner):
    """A runner that counts its commands."""

    __slots__ = ()
    ran: ClassVar[list[str]] = []

    def run(self, argv: list[str], *, stdin: str = "") -> Ran:  # type: ignore[override]
        """Run and count one command."""
        self.ran.append(argv[0])
        return super().run(argv, stdin=stdin)


def plan(cluster: SlurmCluster, claims: int) -> Desired:
    """Leases of three nodes each, with one user."""
    accounts, holds = [], []
    for i in range(claims):
        name = f"ot_c{i:02d}"
        nodes = cluster.nodes[3 * i : 3 * i + 3]
        accounts.append(
            Account(name=name, claim=name, holder=name, gpus=8 * len(nodes), users=(cluster.user,))
        )
        holds.append(Hold(name=name, account=name, nodes=nodes, end=FAR))
    return Desired(accounts=tuple(accounts), holds=tuple(holds))


def turn(scheduler: SlurmScheduler, desired: Desired) -> tuple[float, int]:
    """Seconds of a turn on the cluster, and its commands."""
    Counted.ran.clear()
    begun = time.perf_counter()
    actual = scheduler.read()
    if isinstance(actual, Refused):
        sys.exit(actual.sentence)
    for step in steps(desired, _at(actual), warned={}, now=0, grace_s=60):
        done = scheduler.apply(step)
        if done.rc != 0:
            raise RuntimeError(f"{' '.join(done.argv)}: {done.why}")
    return time.perf_counter() - begun, len(Counted.ran)


def _at(actual: Actual) -> Actual:
    """Slurm keeps the end to the second in its own zone; it isn't what is measured."""
    return replace(actual, holds={name: replace(hold, end=FAR) for name, hold in actual.holds.items()})


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
            took, commands = turn(scheduler, plan(cluster, claims))
            print(f"  {what}, {claims} claims: {took:.1f} s, {commands} commands, 3 of them to look")


if __name__ == "__main__":
    main()
