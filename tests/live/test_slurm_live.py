"""A book of two rivals and an own team on a real Slurm: leases, a recall, give-back, the month's invoice."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial

import pytest

from offtake.adapters.slurm.accounting import Read, read_outages, read_runs, sacct_words
from offtake.adapters.slurm.runner import Runner
from offtake.adapters.slurm.scheduler import SlurmScheduler
from offtake.agreements.events.recall import GiveBack, RecallNotice
from offtake.base.months import month_of
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, Interval, format_instant
from offtake.enforcement.model import Actual, Kind
from offtake.formats.folder import load_folder
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.enforce import Turn, Wiring, accounts_of, take_turn
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import SANITISED
from offtake.workflows.read_cluster import first_position, note_outages, take_in
from offtake.workflows.record import record_event
from offtake.workflows.settle import taken_over_time
from offtake.workflows.tick import tick
from offtake.workflows.view import open_documents
from tests.live.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slow

BEGIN = int(datetime(2027, 1, 10, 12, tzinfo=UTC).timestamp())

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
    warned: dict[str, int] = field(default_factory=dict)

    def turn(self) -> Turn:
        found = take_turn(
            self.book, SlurmScheduler(self.runner), self.wiring, self.cluster.now, warned=self.warned
        )
        assert found.stopped is None, found.stopped
        assert [one for one in found.done if one.answer is None or one.answer.outcome != "done"] == []
        return found

    def settled(self) -> None:
        """Turns until there is nothing left to do but wait."""
        for _ in range(4):
            if not self.turn().done:
                return
        raise AssertionError(f"still: {self.turn().done}")

    def actual(self) -> Actual:
        found = SlurmScheduler(self.runner).read()
        assert isinstance(found, Actual), found
        return found

    def submit(self, claim: str) -> str:
        return self.cluster.submit(
            "trap : USR1; while :; do read -rt 0.2 <> <(:) || :; done", f"--account={claim}", "--gres=gpu:8",
            "--time=30-0",
        )  # fmt: skip

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
        found: list[Read] = []

        def complete() -> bool:
            answer = read_runs(self.runner, first_position(self.book), now)
            if isinstance(answer, Read):
                found.append(answer)
            return bool(found)

        self.cluster.wait_for(complete, "the accounting is complete")
        (read,) = found
        done = take_in(
            self.book, read.accounting, through=read.through, accounts=accounts_of(self.book),
            nodes=self.wiring.nodes, now=now,
        )  # fmt: skip
        assert not isinstance(done, Refused), done
        assert (done.unknown, done.findings) == ((), ())


@pytest.fixture(scope="module")
def lab(slurm_clusters: Callable[..., SlurmCluster], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    cluster = slurm_clusters(nodes=4, at=BEGIN)
    folder = tmp_path_factory.mktemp("lab")
    (folder / "agreements").mkdir()
    (folder / "demand").mkdir()
    files = {
        "offtake.toml": OFFTAKE,
        "fleet.toml": FLEET,
        "demand/own.toml": DEMAND,
        "agreements/alpha.toml": AGREEMENT.format(id="alpha", gpus=8, firmness="firm", more=""),
        "agreements/beta.toml": AGREEMENT.format(id="beta", gpus=16, firmness="recallable", more=RECALL),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    book = Book(folder / "book", create=True)
    apply_folder(book, load_folder(folder), cluster.now())
    users = (cluster.user,)
    wiring = Wiring(
        nodes={"h100": cluster.nodes},
        users={"alpha/main": users, "beta/main": users, "research": users},
        grace_s=30,
    )
    runner = Runner(conf=str(cluster.conf), env=cluster.env, clock=cluster.now)
    return Lab(cluster=cluster, book=book, runner=runner, wiring=wiring)


def test_leases_recall_give_back_and_invoice(lab: Lab) -> None:
    cluster, book = lab.cluster, lab.book
    first = lab.turn()
    kinds = [one.step.kind for one in first.done]
    assert kinds.count(Kind.MAKE_ACCOUNT) == 3
    assert kinds.count(Kind.MAKE_HOLD) == 2
    assert lab.turn().done == (), "a second turn finds nothing to do"
    assert lab.actual().limits["ot_alpha_main"] == 8
    assert (lab.actual().limits["ot_beta_main"], lab.actual().limits["ot_research"]) == (16, 8)

    alpha, beta = lab.submit("ot_alpha_main"), [lab.submit("ot_beta_main") for _ in range(2)]
    own = [lab.submit("ot_research") for _ in range(2)]
    lab.runs(alpha, *beta, own[0])
    nodes = [lab.node(job) for job in (alpha, *beta, own[0])]
    assert len(set(nodes)) == 4, "nobody shares a node"
    held = lab.actual().holds
    assert held["ot_alpha_main"].nodes == (nodes[0],)
    assert set(held["ot_beta_main"].nodes) == set(nodes[1:3])
    assert cluster.state(own[1]) == "PENDING"

    given = date.fromisoformat(format_instant(cluster.now())[:10])
    notice = RecallNotice(id="r1", agreement="beta", tranche="main", gpus=8, given=given)
    assert not isinstance(record_event(book, notice, cluster.now()), Refused)
    assert lab.turn().done == (), "the notice runs; nothing is taken before"
    cluster.jump(7 * DAY_S + 60)
    taken = lab.turn()
    assert {one.step.kind for one in taken.done} == {Kind.LIMIT, Kind.WARN, Kind.CHANGE_HOLD}
    (warned,) = lab.warned
    assert warned in beta
    (stays,) = set(beta) - {warned}
    cluster.jump(31)
    assert Kind.STOP in [one.step.kind for one in lab.turn().done]
    cluster.wait_for(lambda: cluster.state(warned) == "PENDING", "it was requeued")
    assert cluster.state(stays) == cluster.state(alpha) == "RUNNING", "nobody else was touched"
    assert lab.actual().limits["ot_research"] == 8, (
        "a node that a rival had isn't given on before it is clean"
    )
    lab.clean()
    lab.settled()
    assert lab.actual().limits["ot_research"] == 16
    lab.runs(own[1])

    back = date.fromisoformat(format_instant(cluster.now())[:10])
    assert not isinstance(
        record_event(
            book, GiveBack(id="g1", agreement="beta", tranche="main", gpus=8, given=back), cluster.now()
        ),
        Refused,
    )
    lab.turn()
    cluster.jump(31)
    lab.turn()
    lab.clean()
    lab.settled()
    lab.runs(warned)

    cluster.run(["scancel", "--full", alpha, *beta, *own])
    cluster.wait_for(lambda: not cluster.say("squeue", "-h").strip(), "all jobs have ended")
    lab.meter()
    month = month_of(BEGIN, "UTC").interval("UTC")
    cluster.jump(month.end - cluster.now() + DAY_S)
    lab.meter()
    tick(book, cluster.now())
    truth = summed(lab, month)
    taken_ = taken_over_time(book, list(truth), month)
    assert {claim: curve.integrate(month) for claim, curve in taken_.items()} == truth
    invoices = {item.agreement: item.left for item in open_documents(book.state)}
    for agreement in ("alpha", "beta"):
        assert invoices[agreement].minor == truth[f"{agreement}/main"], "a cent for each GPU-second"


def test_a_dead_node_is_an_outage_and_its_lease_gets_another(lab: Lab) -> None:
    cluster, book = lab.cluster, lab.book
    lab.clean()
    lab.settled()
    (node,) = lab.actual().holds["ot_alpha_main"].nodes
    cluster.kill_node(node)
    cluster.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=burnt"])

    def noted() -> bool:
        found = read_outages(lab.runner, cluster.now() - DAY_S, cluster.now())
        assert not isinstance(found, Refused)
        assert note_outages(book, found, lab.wiring.nodes, cluster.now()) == ()
        return any(one.node == node for one in found)

    cluster.wait_for(noted, "the outage is known")
    head = book.state.head
    assert noted()
    assert book.state.head == head, "noted once"
    (outage,) = [item.body for item in book.state.of("outage").values()]
    assert (outage["pool"], outage["gpus"], outage["end"]) == ("h100", 8, None)
    lab.turn()
    lab.clean()
    lab.settled()
    (other,) = lab.actual().holds["ot_alpha_main"].nodes
    assert other != node
    assert lab.actual().limits["ot_alpha_main"] == 8


def test_what_can_t_be_reached_is_left_and_a_hand_s_change_is_set_back(lab: Lab) -> None:
    cluster, book = lab.cluster, lab.book
    lab.settled()
    cluster.accounting("modify account ot_alpha_main set GrpTRES=gres/gpu=64")
    cluster.kill("slurmdbd")
    lost = take_turn(book, SlurmScheduler(lab.runner), lab.wiring, cluster.now, warned=lab.warned)
    assert lost.stopped is not None
    assert (lost.stopped.code, lost.done) == ("slurm_unreached", ())
    cluster.start("slurmdbd")
    cluster.wait_for(lambda: not isinstance(SlurmScheduler(lab.runner).read(), Refused), "it is back")
    planned = take_turn(
        book, SlurmScheduler(lab.runner), lab.wiring, cluster.now, warned=lab.warned, dry_run=True
    )
    assert [(one.step.kind, one.step.target, one.answer) for one in planned.done] == [
        (Kind.LIMIT, "ot_alpha_main", None)
    ]
    (back,) = lab.turn().done
    assert back.step.why == "alpha/main holds 8 GPUs now; the limit was 64"
    assert lab.actual().limits["ot_alpha_main"] == 8
    told = [item.body for item in book.kept("commanded").values()]
    assert {one["outcome"] for one in told} == {"done"}
    assert ["sacctmgr", "-i", "modify", "account", "ot_alpha_main", "set", "GrpTRES=gres/gpu=8"] in [
        one["words"] for one in told
    ]
    cluster.accounting("modify account ot_alpha_main set GrpTRES=gres/gpu=0")
    kept = lab.turn()
    assert (kept.done, [one.code for one in kept.findings]) == ((), ["lowered_by_hand"])
    raised = take_turn(
        book, SlurmScheduler(lab.runner), lab.wiring, cluster.now, warned=lab.warned, set_back=True
    )
    assert [one.step.target for one in raised.done] == ["ot_alpha_main"]
    cluster.run(
        ["scontrol", "create", "reservation", "ReservationName=weekend", "StartTime=now", "Duration=60",
         f"Nodes={lab.cluster.nodes[0]}", "Users=root", "Flags=IGNORE_JOBS,OVERLAP"]
    )  # fmt: skip
    (found,) = lab.turn().findings
    assert "weekend isn't offtake's" in found.sentence


def summed(lab: Lab, month: Interval) -> dict[str, int]:
    """GPU-seconds by claim: rows of sacct added up without any of offtake's rules."""
    ran = lab.runner.run(sacct_words(month.start, month.end))
    found: dict[str, int] = {}
    claims = {"ot_alpha_main": "alpha/main", "ot_beta_main": "beta/main", "ot_research": "research"}
    for row in csv.DictReader(ran.out.splitlines(), delimiter="|"):
        if row["Start"].isdigit() and "gres/gpu=" in row["AllocTRES"]:
            gpus = int(row["AllocTRES"].split("gres/gpu=")[1].split(",")[0])
            claim = claims[row["Account"]]
            found[claim] = found.get(claim, 0) + gpus * (int(row["End"]) - int(row["Start"]))
    return found
