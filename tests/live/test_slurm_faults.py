"""Faults on a real Slurm: what is down, what somebody changed, what came in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pytest

from offtake.adapters.slurm.accounting import dbd_queue
from offtake.adapters.slurm.runner import Ran
from offtake.adapters.slurm.scheduler import SlurmScheduler, parse_associations
from offtake.base.months import month_of
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, HOUR_S, Interval
from offtake.enforcement.model import Actual, Finding, Kind, Step
from offtake.store.usage import SCHEMA
from offtake.workflows.control_cluster import control, control_daily, idle
from offtake.workflows.enforce import Turn, take_turn
from offtake.workflows.read_cluster import SOURCE, meter_turn
from offtake.workflows.tick import tick
from offtake.workflows.usage import ingest
from offtake.workflows.view import open_documents
from tests.live.slurm_cluster import SlurmCluster
from tests.live.slurm_lab import BEGIN, Lab, lab_of, summed, taken

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(slurm_clusters: Callable[..., SlurmCluster], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = lab_of(slurm_clusters(nodes=4, at=BEGIN), tmp_path_factory.mktemp("lab"))
    lab.settled()
    return lab


@pytest.fixture(autouse=True)
def in_order(lab: Lab) -> Iterator[None]:
    """Each test leaves the cluster as it should be."""
    yield
    lab.take_turn(set_back=True)
    lab.settled()


def codes(turn: Turn) -> list[str]:
    """What was found, but that the tests have one user."""
    return [one.code for one in turn.findings if one.code != "user_of_two_holders"]


def test_a_month_closes_with_what_ran_in_it_and_agrees_with_slurm_s_own_sums(lab: Lab) -> None:
    cluster, book = lab.cluster, lab.book
    job = lab.submit("ot_alpha_main")
    lab.runs(job)
    month = month_of(BEGIN, "UTC").interval("UTC")
    cluster.jump(month.end - cluster.now() - HOUR_S)
    cluster.run(["scontrol", "suspend", job])
    cluster.jump(600)
    cluster.run(["scontrol", "resume", job])
    cluster.jump(2 * HOUR_S)
    assert lab.is_running(job)
    lab.meter()
    head = book.state.head
    assert meter_turn(book, lab.runner, lab.wiring.nodes, cluster.now(), every_s=HOUR_S) is None
    assert book.state.head == head, "a turn that has nothing to read is no fact"
    tick(book, cluster.now())
    (invoice,) = [item for item in open_documents(book.state) if item.agreement == "alpha"]
    truth = summed(lab, Interval(BEGIN, month.end))
    assert invoice.left.minor == truth["alpha/main"], "a cent for each GPU-second, and the job runs on"
    assert taken(lab, month, truth) == {claim: gpu_s for claim, gpu_s in truth.items() if gpu_s}
    cluster.run(["scancel", job])
    lab.ended()
    cluster.jump(2 * HOUR_S)
    lab.meter()
    tick(book, cluster.now())
    assert [item.left for item in open_documents(book.state) if item.agreement == "alpha"] == [invoice.left]
    cluster.run(["sacctmgr", "-i", "roll"])
    first = BEGIN // HOUR_S * HOUR_S
    hours = Interval(first, cluster.now() // HOUR_S * HOUR_S - HOUR_S)
    lines = control(book, lab.runner, hours)
    assert not isinstance(lines, Refused)
    assert {line.claim: (line.booked, line.agrees) for line in lines} == {
        claim: (gpu_s, True) for claim, gpu_s in summed(lab, hours).items() if gpu_s
    }
    assert control_daily(book, lab.runner, cluster.now()) == ()
    assert book.state.body("reconciled", SOURCE) is not None
    head = book.state.head
    assert control_daily(book, lab.runner, cluster.now()) == ()
    assert book.state.head == head, "a day is compared once"
    later = Interval(month.end - DAY_S, month.end)
    found = idle(book, lab.runner, later, lab.actual().nodes)
    assert not isinstance(found, Refused)
    assert {one.claim: (one.reserved, one.idle) for one in found} == {
        "alpha/main": (8 * DAY_S, 0), "beta/main": (16 * DAY_S, 16 * DAY_S),
        "research": (8 * DAY_S, 8 * DAY_S),
    }, "beta's and research's nodes stood idle the whole day"  # fmt: skip


def test_accounting_down_for_an_hour_of_cluster_time(lab: Lab) -> None:
    cluster = lab.cluster
    job = lab.submit("ot_alpha_main")
    lab.runs(job)
    cluster.jump(600)
    cluster.accounting("modify account ot_alpha_main set GrpTRES=gres/gpu=64")
    cluster.kill("slurmdbd")
    lost = lab.take_turn()
    assert lost.stopped is not None
    assert (lost.stopped.code, lost.done) == ("slurm_unreached", ())
    cluster.run(["scancel", job])
    cluster.jump(HOUR_S)
    late = lab.submit("ot_alpha_main")
    lab.runs(late)
    cluster.jump(60)
    cluster.run(["scancel", late])
    lab.ended()
    assert lab.take_turn().stopped is not None
    cluster.start("slurmdbd")
    cluster.wait_for(lambda: dbd_queue(lab.runner) == 0, "the controller has told slurmdbd all")
    (back,) = lab.turn().done
    assert back.step.why == "alpha/main holds 8 GPUs now; the limit was 64"
    lab.meter()
    window = Interval(BEGIN, cluster.now())
    truth = summed(lab, window)
    assert truth["alpha/main"] >= 8 * 660
    assert taken(lab, window, truth) == truth, "what ended and what began meanwhile is billed to the second"


def test_a_controller_that_dies_while_it_converges(lab: Lab) -> None:
    cluster = lab.cluster
    cluster.accounting(*(f"modify account {name} set GrpTRES=gres/gpu=64" for name in lab.plan))
    cluster.run(["scontrol", "delete", "reservation=ot_alpha_main"])
    cluster.run(["scontrol", "delete", "reservation=ot_beta_main"])
    dying = KillsController(SlurmScheduler(lab.runner), cluster, after=1)
    turn = take_turn(lab.book, dying, lab.wiring, cluster.now, since=lab.since, set_back=True)
    assert [one.answer.outcome for one in turn.done if one.answer] == ["done"] * 3 + ["unreached"]
    assert codes(turn) == ["held_up"]
    said = cluster.say("sacctmgr", "-nP", "show", "association", "format=account,user,parentname,grptres,qos")
    limits = parse_associations(said).limits
    assert {name: limits[name] for name in lab.plan} == lab.plan, "what is lowered comes first"
    cluster.start("slurmctld")
    cluster.wait_for(lambda: not isinstance(SlurmScheduler(lab.runner).read(), Refused), "it is back")
    again = lab.take_turn(set_back=True)
    assert {one.answer.outcome for one in again.done if one.answer} <= {"done"}, "it may have forgotten less"
    assert lab.take_turn().done == ()
    holds = lab.actual().holds
    assert {name: one.nodes for name, one in holds.items()} == lab.nodes
    assert lab.limits() == lab.plan


def test_munge_that_refuses(lab: Lab) -> None:
    cluster = lab.cluster
    cluster.accounting("modify account ot_beta_main set GrpTRES=gres/gpu=64")
    cluster.kill("munged")
    hasty = SlurmScheduler(replace(lab.runner, timeout_s=5))
    lost = take_turn(lab.book, hasty, lab.wiring, cluster.now, since=lab.since)
    assert lost.stopped is not None
    assert (lost.stopped.code, lost.done) == ("slurm_unreached", ())
    cluster.start("munged")
    cluster.wait_for(lambda: not isinstance(SlurmScheduler(lab.runner).read(), Refused), "it is back", 60)
    assert [one.step.target for one in lab.turn().done] == ["ot_beta_main"]
    assert lab.limits() == lab.plan


def test_a_job_in_the_gap_is_sent_off_the_node_of_another(lab: Lab) -> None:
    cluster = lab.cluster
    cluster.run(["scontrol", "delete", "reservation=ot_alpha_main"])
    (node,) = lab.nodes["ot_alpha_main"]
    intruder = lab.submit("ot_research", f"--nodelist={node}")
    lab.runs(intruder)
    turn = lab.take_turn(set_back=True)
    assert [(one.step.kind, one.step.target) for one in turn.done][:2] == [
        (Kind.MAKE_HOLD, "ot_closed"), (Kind.SWEEP, node),
    ], "the node is closed until it is empty"  # fmt: skip
    cluster.wait_for(lambda: cluster.state(intruder) == "PENDING", "it was requeued", 60)
    lab.settled()
    owner = lab.submit("ot_alpha_main")
    lab.runs(owner)
    assert lab.node(owner) == node
    cluster.run(["scancel", intruder, owner])
    lab.ended()


def test_jobs_that_can_t_be_requeued_and_tasks_of_an_array(lab: Lab) -> None:
    cluster = lab.cluster
    node = lab.nodes["ot_alpha_main"][0]
    cluster.run(["scontrol", "delete", "reservation=ot_alpha_main"])
    stubborn = cluster.submit(
        "sleep 600",
        "--account=ot_research",
        "--gres=gpu:2",
        "--no-requeue",
        f"--nodelist={node}",
        "--time=600",
    )
    array = cluster.submit(
        "sleep 600",
        "--account=ot_research",
        "--gres=gpu:1",
        "--array=1-2",
        f"--nodelist={node}",
        "--time=600",
    )
    cluster.wait_for(lambda: cluster.state(array) == "RUNNING", "all tasks run")
    lab.runs(stubborn)
    owner = lab.submit("ot_alpha_main", "--gres=gpu:1")
    lab.runs(owner)
    lab.take_turn(set_back=True)
    cluster.jump(11)
    stopped = {one.step.target for one in lab.turn().done if one.step.kind is Kind.STOP}
    assert stopped == {stubborn, f"{array}_1", f"{array}_2"}, "its owner runs there, who isn't swept off"
    cluster.wait_for(lambda: cluster.state(array) == "PENDING", "its tasks were requeued")
    assert cluster.state(stubborn) in ("", "CANCELLED", "COMPLETING")
    assert cluster.state(owner) == "RUNNING"
    cluster.run(["scancel", owner])
    cluster.run(["scancel", array])


def test_what_a_hand_changed_is_named_and_kept(lab: Lab) -> None:
    cluster = lab.cluster
    cluster.accounting("modify account ot_alpha_main set GrpTRES=gres/gpu=0")
    (first, *_) = lab.nodes["ot_beta_main"]
    rest = ",".join(lab.nodes["ot_beta_main"][1:])
    cluster.run(["scontrol", "update", "reservation=ot_beta_main", f"Nodes={rest}"])
    for kept in (lab.turn(), lab.turn()):
        assert (kept.done, codes(kept)) == ((), ["lowered_by_hand", "removed_by_hand"])
    assert first in " ".join(one.sentence for one in kept.findings)
    raised = lab.take_turn(set_back=True)
    assert [one.step.target for one in raised.done] == ["ot_beta_main", "ot_alpha_main"]
    assert codes(lab.turn()) == []
    cluster.run(
        ["scontrol", "create", "reservation", "ReservationName=weekend", "StartTime=now", "Duration=60",
         f"Nodes={first}", "Users=root", "Flags=IGNORE_JOBS,OVERLAP"]
    )  # fmt: skip
    cluster.run(["scontrol", "update", f"nodename={first}", "state=drain", "reason=fan"])
    assert codes(lab.turn()) == ["foreign_reservation", "node_out"]
    cluster.run(["scontrol", "delete", "reservation=weekend"])
    cluster.run(["scontrol", "update", f"nodename={first}", "state=resume"])
    said = [item.body for item in lab.book.kept("commanded").values()]
    assert ["sacctmgr", "-i", "modify", "account", "ot_alpha_main", "set", "GrpTRES=gres/gpu=8"] in [
        one["words"] for one in said
    ]


@dataclass
class KillsController:
    """A scheduler whose controller dies after so many batches."""

    scheduler: SlurmScheduler
    cluster: SlurmCluster
    after: int

    def read(self) -> Actual | Refused:
        return self.scheduler.read()

    def settings(self) -> tuple[Finding, ...] | Refused:
        return self.scheduler.settings()

    def command(self, step: Step) -> tuple[str, ...]:
        return self.scheduler.command(step)

    def apply(self, wanted: Sequence[Step]) -> Iterator[Sequence[tuple[Step, Ran]]]:
        for batch in self.scheduler.apply(wanted):
            yield batch
            self.after -= 1
            if not self.after:
                self.cluster.kill("slurmctld")


def test_a_reading_that_is_missing_is_found(lab: Lab) -> None:
    """Slurm has a run that the book hasn't, as if it had been lost on the way."""
    cluster, book = lab.cluster, lab.book
    start = cluster.now() // HOUR_S * HOUR_S + HOUR_S
    cluster.jump(start - cluster.now() + 60)
    job = lab.submit("ot_alpha_main")
    lab.runs(job)
    cluster.jump(600)
    cluster.run(["scancel", job])
    lab.ended()
    cluster.jump(2 * HOUR_S)
    nothing, through = pa.Table.from_pylist([], schema=SCHEMA), cluster.now() - 300
    done = ingest(book, nothing, batch="lost", now=cluster.now(), through={SOURCE: through})
    assert not isinstance(done, Refused)
    cluster.run(["sacctmgr", "-i", "roll"])
    lines = control(book, lab.runner, Interval(start, start + HOUR_S))
    assert not isinstance(lines, Refused)
    (line,) = lines
    assert (line.claim, line.booked, line.agrees) == ("alpha/main", 0, False)
    assert line.expected >= 8 * 600
    assert line.control.unexplained == 0, "Slurm agrees with itself"
