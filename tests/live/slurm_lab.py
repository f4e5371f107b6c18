"""A book of two rivals and an own team, and the real Slurm that it governs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from offtake.adapters.slurm.accounting import sacct_words
from offtake.adapters.slurm.runner import Runner
from offtake.adapters.slurm.scheduler import SlurmScheduler
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, Interval
from offtake.enforcement.model import CLOSED, Actual, Desired
from offtake.formats.folder import load_folder
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.desired import Wiring, desired_state
from offtake.workflows.enforce import Turn, take_turn
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import SANITISED
from offtake.workflows.read_cluster import Metered, meter_turn
from offtake.workflows.settle import taken_over_time
from tests.live.slurm_cluster import SlurmCluster

BEGIN = int(datetime(2027, 1, 10, 12, tzinfo=UTC).timestamp())

BEGIN_OF_DAY = BEGIN - BEGIN % DAY_S
BEGIN_OF_MONTH = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())

OFFTAKE = """
[operator]
name = "Lab"
time_zone = "UTC"
currency = "USD"

[run]
first = "2027-01"
last = "2027-12"
"""

FLEET = """
[[site]]
id = "lab"
name = "Lab"
critical_it_mw = 1
pue = 1.2
region = "XX"
time_zone = "UTC"

[[pool]]
id = "h100"
site = "lab"
gpu_model = "NVIDIA H100"
gpus_per_node = 8
kw_per_gpu = 1.3

[[pool.build_out]]
id = "all"
in_service = 2027-01-01
nodes = 4
"""

DEMAND = """
[[demand]]
id = "research"
holder = "research"
firmness = "elastic"
pools = ["h100"]
constant_gpus = 16
"""

AGREEMENT = """
[agreement]
id = "{id}"
operator = "Lab"
offtaker = "{id}"
signed = 2027-01-01
currency = "USD"
time_zone = "UTC"

[[tranche]]
id = "main"
pools = ["h100"]
quantity = {gpus}
start = 2027-01-01
through = 2027-12-31
firmness = "{firmness}"

[metered_fee]
of = "gpu_hours"
model = "graduated"
tier = [{{ rate = 36.00 }}]
what = "GPU-hours"
{more}
"""

RECALL = """
[recall]
tranches = ["main"]
notice_days = 7
granularity_gpus = 8
"""


@dataclass
class Lab:
    """A book and the cluster that it governs."""

    cluster: SlurmCluster
    book: Book
    runner: Runner
    wiring: Wiring
    since: dict[str, int] = field(default_factory=dict)

    def take_turn(self, *, set_back: bool = False, dry_run: bool = False) -> Turn:
        """One turn, whatever becomes of it."""
        return take_turn(
            self.book, SlurmScheduler(self.runner), self.wiring, self.cluster.now, since=self.since,
            set_back=set_back, dry_run=dry_run,
        )  # fmt: skip

    def turn(self) -> Turn:
        """One turn in which nothing fails."""
        found = self.take_turn()
        assert found.stopped is None, found.stopped
        assert [one for one in found.done if one.answer is None or one.answer.outcome != "done"] == []
        return found

    def settled(self) -> None:
        """Turns until there is nothing left to do but wait."""
        for _ in range(4):
            if not self.turn().done:
                return
            self.cluster.jump(11)
        raise AssertionError(f"still: {self.turn().done}")

    def actual(self) -> Actual:
        found = SlurmScheduler(self.runner).read()
        assert isinstance(found, Actual), found
        return found

    @property
    def desired(self) -> Desired:
        """What the book says now."""
        found = desired_state(self.book, self.wiring, self.cluster.now())
        assert isinstance(found, Desired), found
        return found

    @property
    def plan(self) -> dict[str, int | None]:
        """GPUs of each claim's account."""
        return {one.name: one.gpus for one in self.desired.accounts}

    def limits(self) -> dict[str, int | None]:
        """The same, as Slurm enforces it."""
        found = self.actual().limits
        return {name: found[name] for name in self.plan}

    @property
    def nodes(self) -> dict[str, tuple[str, ...]]:
        """Nodes of each hold."""
        return {one.name: one.nodes for one in self.desired.holds}

    def submit(self, claim: str, *options: str) -> str:
        """A job of a node that stays until it is told to go; options may say otherwise."""
        gpus = () if any("--gres" in one for one in options) else ("--gres=gpu:8",)
        return self.cluster.submit(
            "trap 'touch warned.$SLURM_JOB_ID' USR1; while :; do read -rt 0.2 <> <(:) || :; done",
            f"--account={claim}", *gpus, "--time=30-0", "--signal=B:USR1@5", *options,
        )  # fmt: skip

    def ended(self) -> None:
        """Wait until no job is left."""
        self.cluster.wait_for(lambda: not self.cluster.say("squeue", "-h").strip(), "all jobs have ended")

    def runs(self, *jobs: str) -> None:
        for job in jobs:
            self.cluster.wait_for(partial(self.is_running, job), f"{job} runs", 40)

    def is_running(self, job: str) -> bool:
        return self.cluster.state(job) == "RUNNING"

    def node(self, job: str) -> str:
        return self.cluster.say("squeue", "-h", "-j", job, "-o", "%N").strip()

    def clean(self) -> None:
        """Evidence that every node that waits to be cleaned is clean."""
        rows = self.book.lake.load((self.book.state.body("assigned", "nodes") or {})["nodes"])
        for first, end, state in zip(rows["first"], rows["end"], rows["state"], strict=True):
            if state == 3:
                now = self.cluster.now()
                nodes = f"{first}-{end - 1}"
                done = record_nodes(
                    self.book, SANITISED, "h100", nodes, at=now, now=now, said={"evidence": f"wiped at {now}"}
                )
                assert not isinstance(done, Refused), done

    def meter(self) -> None:
        """Read in all that has ended."""
        self.cluster.jump(300)
        now = self.cluster.now()

        def read() -> Metered | Refused | None:
            found = meter_turn(self.book, self.runner, self.wiring.nodes, now)
            behind = isinstance(found, Refused) and found.code == "accounting_behind"
            return None if behind else found

        done = self.cluster.wait_for(read, "the accounting is complete")
        assert isinstance(done, Metered), done
        assert (done.unknown, done.findings) == ((), ())


def summed(lab: Lab, window: Interval) -> dict[str, int]:
    """GPU-seconds by claim: rows of sacct added up without any of offtake's rules.

    What began before the window is counted whole; what runs on beyond it, to its end.
    """
    ran = lab.runner.run(sacct_words(window.start, window.end))
    found: dict[str, int] = {}
    claims = {"ot_alpha_main": "alpha/main", "ot_beta_main": "beta/main", "ot_research": "research"}
    for row in csv.DictReader(ran.out.splitlines(), delimiter="|"):
        if row["Account"] == CLOSED:
            continue  # sweepers
        if row["Start"].isdigit() and "gres/gpu=" in row["AllocTRES"]:
            gpus = int(row["AllocTRES"].split("gres/gpu=")[1].split(",")[0])
            claim = claims[row["Account"]]
            end = min(int(row["End"]), window.end) if row["End"].isdigit() else window.end
            found[claim] = found.get(claim, 0) + gpus * (end - int(row["Start"]))
    return found


def taken(lab: Lab, window: Interval, claims: Iterable[str]) -> dict[str, int]:
    """GPU-seconds by claim, as the book has them."""
    found = taken_over_time(lab.book, list(claims), window)
    return {claim: curve.integrate(window) for claim, curve in found.items()}


RIVALS = {
    "demand/own.toml": DEMAND,
    "agreements/alpha.toml": AGREEMENT.format(id="alpha", gpus=8, firmness="firm", more=""),
    "agreements/beta.toml": AGREEMENT.format(id="beta", gpus=16, firmness="recallable", more=RECALL),
}


def lab_of(
    cluster: SlurmCluster, folder: Path, files: Mapping[str, str] = RIVALS, *, fleet: str = FLEET
) -> Lab:
    """A book of these files on a cluster."""
    for name, text in {"offtake.toml": OFFTAKE, "fleet.toml": fleet, **files}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    book = Book(folder / "book", create=True)
    apply_folder(book, load_folder(folder), cluster.now())
    users = (cluster.user,)
    wiring = Wiring(
        nodes={"h100": cluster.nodes},
        users={"alpha/main": users, "beta/main": users, "research": users},
        grace_s=10,
        operator=cluster.user,
    )
    runner = Runner(conf=str(cluster.conf), env=cluster.env, clock=cluster.now)
    return Lab(cluster=cluster, book=book, runner=runner, wiring=wiring)
