"""A book of two rivals and an own team on a real Slurm: leases, a recall, give-back, the month's invoice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from offtake.adapters.slurm.accounting import read_control, read_outages
from offtake.agreements.events.recall import GiveBack, RecallNotice
from offtake.base.months import month_of
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, format_instant
from offtake.enforcement.model import Kind
from offtake.metering.slurm_records import NodeOutage
from offtake.workflows.desired import accounts_of
from offtake.workflows.read_cluster import note_outages
from offtake.workflows.record import record_event
from offtake.workflows.tick import tick
from offtake.workflows.view import open_documents
from tests.live.slurm_cluster import SlurmCluster
from tests.live.slurm_lab import (
    AGREEMENT,
    BEGIN,
    BEGIN_OF_DAY,
    FLEET,
    Lab,
    lab_of,
    summed,
    taken,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(slurm_clusters: Callable[..., SlurmCluster], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return lab_of(slurm_clusters(nodes=4, at=BEGIN), tmp_path_factory.mktemp("lab"))


def test_leases_recall_give_back_and_invoice(lab: Lab) -> None:
    cluster, book = lab.cluster, lab.book
    first = lab.turn()
    kinds = [one.step.kind for one in first.done]
    assert kinds.count(Kind.MAKE_ACCOUNT) == 7, "three claims, their holders, and what nobody may use"
    assert kinds.count(Kind.MAKE_HOLD) == 5, "a lease gives its nodes up when it ends"
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
    closing, ending = (one.step for one in lab.turn().done)
    assert (closing.kind, ending.kind) == (Kind.MAKE_HOLD, Kind.CHANGE_HOLD)
    assert closing.hold is not None
    assert ending.hold is not None
    assert (ending.hold.closes, closing.hold.start) == (True, BEGIN_OF_DAY + 7 * DAY_S)
    (given_up,) = closing.hold.nodes
    assert given_up in nodes[1:3], "the notice runs; nothing is taken before"
    assert lab.turn().done == ()
    cluster.jump(6 * DAY_S)
    waits = lab.turn()
    assert [(one.step.kind, one.step.target) for one in waits.done] == [(Kind.SWEEP, given_up)]
    (sweeper,) = lab.actual().sweeps
    assert cluster.state(sweeper.job) == "PENDING"
    cluster.jump(DAY_S + 60)
    (recalled,) = [job for job in beta if lab.node(job) == given_up]
    (stays,) = set(beta) - {recalled}
    cluster.wait_for(
        lambda: cluster.state(recalled) == "PENDING", "Slurm itself preempts and requeues it", 60
    )
    assert "PREEMPTED" in cluster.say("sacct", "-D", "-X", "-n", "-P", "-j", recalled, "-o", "state")
    assert (cluster.folder / "work" / f"warned.{recalled}").exists(), "it got its signal"
    assert cluster.state(stays) == cluster.state(alpha) == "RUNNING", "nobody else was touched"
    turn = lab.turn()
    assert [(one.step.kind, one.step.target[:9]) for one in turn.done] == [
        (Kind.LIMIT, "ot_beta_m"), (Kind.MAKE_HOLD, "ot_closed"), (Kind.CHANGE_HOLD, "ot_beta_m"),
        (Kind.DROP_HOLD, "ot_back_b"),
    ]  # fmt: skip
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
    (leaves,) = lab.since
    assert leaves in own
    cluster.wait_for(lambda: cluster.state(leaves) == "PENDING", "own work makes room", 60)
    lab.clean()
    lab.settled()
    lab.runs(recalled)

    cluster.run(["scancel", "--full", alpha, *beta, *own])
    lab.ended()
    lab.meter()
    month = month_of(BEGIN, "UTC").interval("UTC")
    cluster.jump(month.end - cluster.now() + DAY_S)
    lab.meter()
    tick(book, cluster.now())
    truth = summed(lab, month)
    assert taken(lab, month, truth) == truth
    cluster.run(["sacctmgr", "-i", "roll"])
    control = read_control(lab.runner, month.start, month.end)
    assert not isinstance(control, Refused)
    known = accounts_of(book)
    assert {known[account]: sum_ for account, sum_ in control.items() if account in known} == truth, (
        "Slurm's own sums; there was no resize and nothing was suspended"
    )
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


FEE = """
[monthly_fee]
amount = 74_400
first = "2027-01"
last = "2027-12"

[service_level]
measure = "capacity"
minimum_minutes = 5
band = [{ below = 0.999, credit = 0.1 }]
"""


def test_nodes_die_under_a_firm_lease(slurm_clusters: Callable[..., SlurmCluster], tmp_path: Path) -> None:
    """A spare stands in for the first at once and the job runs on; for the second there is a credit."""
    cluster = slurm_clusters(nodes=3, at=BEGIN)
    agreement = AGREEMENT.format(id="alpha", gpus=16, firmness="firm", more=FEE)
    fleet = FLEET.replace("nodes = 4", "nodes = 3") + "\n[pool.topology]\nspares = 1\n"
    lab = lab_of(cluster, tmp_path, {"agreements/alpha.toml": agreement}, fleet=fleet)
    lab.settled()
    first, second = lab.nodes["ot_alpha_main"]
    (spare,) = lab.nodes["ot_closed"]
    jobs = [lab.submit("ot_alpha_main") for _ in range(2)]
    lab.runs(*jobs)
    (job,) = [job for job in jobs if lab.node(job) == second]
    dies(lab, second)
    lab.turn()
    lab.settled()
    assert lab.nodes["ot_alpha_main"] == tuple(sorted((first, spare))), "no cleaning: nobody was on it"
    assert lab.nodes["ot_closed"] == (second,)
    lab.runs(job)
    assert lab.node(job) == spare, "requeued by Slurm, and it runs on"
    dies(lab, first)
    lab.turn()
    lab.settled()
    assert (lab.nodes["ot_alpha_main"], lab.plan["ot_alpha_main"]) == ((spare,), 8)
    cluster.jump(2 * DAY_S)
    for node in (first, second):
        cluster.start(node)
        cluster.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=False)
    cluster.wait_for(lambda: all(one.end is not None for one in outages(lab)), "both work again")
    lab.turn()
    lab.settled()
    cluster.run(["scancel", *jobs])
    lab.ended()
    month = month_of(BEGIN, "UTC").interval("UTC")
    cluster.jump(month.end - cluster.now() + DAY_S)
    lab.meter()
    tick(lab.book, cluster.now())
    metered = summed(lab, month)["alpha/main"]
    (invoice,) = [item for item in open_documents(lab.book.state) if item.agreement == "alpha"]
    fees = 7_440_000 + metered
    assert invoice.left.minor == fees - round(Fraction(fees, 10)), "10 %, since 96.8 % were available"


def dies(lab: Lab, node: str) -> None:
    """A node goes down, and the book knows."""
    lab.cluster.kill_node(node)
    lab.cluster.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=burnt"])
    lab.cluster.wait_for(lambda: node in [one.node for one in outages(lab)], "the outage is known")


def outages(lab: Lab) -> tuple[NodeOutage, ...]:
    """Outages as Slurm has them, noted in the book."""
    found = read_outages(lab.runner, BEGIN, lab.cluster.now())
    assert not isinstance(found, Refused)
    assert note_outages(lab.book, found, lab.wiring.nodes, lab.cluster.now()) == ()
    return found
