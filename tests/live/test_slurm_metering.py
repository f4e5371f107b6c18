"""What a real Slurm's accounting says of jobs that wrote down their true times, and what is billed.

One cluster serves the whole file. Jobs that disturb nobody run together, across the end of a month; then the
controller, its accounting and nodes are taken down, one after the other.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from offtake.adapters.slurm.accounting import (
    LAG_S,
    Read,
    dbd_queue,
    read_control,
    read_outages,
    read_reservations,
    read_runaways,
    read_runs,
    sacct_words,
)
from offtake.adapters.slurm.runner import Outcome, Runner
from offtake.base.outcome import Refused
from offtake.metering.sacct import Accounting, Run, billed_seconds, parse_sacct
from offtake.metering.slurm_records import idle_gpu_seconds, reconcile
from tests.live.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slow

BEGIN = int(datetime(2027, 1, 31, 23, 10, tzinfo=UTC).timestamp())
HOUR = BEGIN - BEGIN % 3600
MONTH_END = HOUR + 3600
FAR = MONTH_END + 86_400

# Writes down when it begins and, some times a second, that it is still there; a jump of the clock doesn't end
# it. (bash's own $EPOCHREALTIME shows the real time, whatever is preloaded.) It ends after so many beats of
# its first run, or of its others, or when it is told to.
JOB = """
me=$SLURM_JOB_ID.${{SLURM_RESTART_COUNT:-0}}
date +%s.%N > $me.start
[ -p $me.pipe ] || mkfifo $me.pipe
exec 9<> $me.pipe
beats={first}; [ ${{SLURM_RESTART_COUNT:-0}} = 0 ] || beats={again}
{extra}
for ((i = 0; i < beats; i++)); do
  [ -e $SLURM_JOB_ID.stop ] && break
  date +%s.%N >> $me.end
  read -rt 0.25 -u 9
done
exit 0
"""


@dataclass(frozen=True, slots=True)
class Lab:
    cluster: SlurmCluster
    runner: Runner

    def submit(self, *options: str, seconds: float = 2, again: float = 1, extra: str = "") -> str:
        script = JOB.format(first=int(seconds * 4), again=int(again * 4), extra=extra)
        return self.cluster.submit(script, "--account=a", "--time=30-0", *options)

    def run(self, *argv: str) -> None:
        ran = self.runner.run(argv)
        assert ran.outcome is Outcome.DONE, ran.why

    def passes(self, seconds: int) -> None:
        """Let the cluster's clock go on."""
        then = self.cluster.now() + seconds
        self.cluster.wait_for(lambda: self.cluster.now() >= then, f"{seconds} s have passed")

    def asked(self, start: int, end: int, *options: str, columns: str) -> list[list[str]]:
        """Rows of our query, narrowed down, with other columns."""
        words = [word for word in sacct_words(start, end) if not word.startswith("--format")]
        ran = self.runner.run([*words, *options, "--noheader", f"--format={columns}"])
        assert ran.outcome is Outcome.DONE, ran.why
        return [line.split("|") for line in ran.out.splitlines()]

    def stop(self, job: str) -> None:
        (self.cluster.folder / "work" / f"{job}.stop").touch()

    def until(self, job: str, *states: str, seconds: float = 40) -> None:
        self.cluster.wait_for(lambda: self.cluster.state(job) in states, f"job {job} is {states}", seconds)

    def has_begun(self, job: str, restart: int = 0) -> None:
        path = self.cluster.folder / "work" / f"{job}.{restart}.end"
        self.cluster.wait_for(lambda: path.is_file() and path.read_text(), f"job {job} has begun")

    def beats_on(self, job: str) -> None:
        path = self.cluster.folder / "work" / f"{job}.0.end"
        before = path.stat().st_size
        self.cluster.wait_for(lambda: path.stat().st_size > before, f"job {job} goes on")

    def instants(self, job: str, restart: int = 0) -> tuple[float, float]:
        folder = self.cluster.folder / "work"
        # a line that was cut off as the job was killed doesn't count
        start, end = (
            [
                x
                for x in (folder / f"{job}.{restart}.{name}").read_text().splitlines(keepends=True)
                if x[-1] == "\n"
            ]
            for name in ("start", "end")
        )
        return float(start[-1]), float(end[-1])

    def truth(self, job: str, restart: int = 0) -> float:
        start, end = self.instants(job, restart)
        return end - start

    def listed(self, *, steps: bool = False) -> Accounting:
        """Everything up to now, without waiting for a window to close."""
        ran = self.runner.run(sacct_words(BEGIN - 60, self.cluster.now() + 60, steps=steps))
        assert ran.outcome is Outcome.DONE, ran.why
        return parse_sacct(ran.out, "sacct")

    def runs(self, job: str, *, steps: bool = False) -> list[Run]:
        return [run for run in self.listed(steps=steps).runs if run.job == job]

    def ended(self, job: str, count: int = 1) -> list[Run]:
        self.cluster.wait_for(lambda: len(self.runs(job)) >= count, f"{count} runs of job {job} ended")
        return self.runs(job)


@pytest.fixture(scope="module")
def lab(slurm_clusters: Callable[..., SlurmCluster]) -> Lab:
    cluster = slurm_clusters(nodes=7, at=BEGIN)
    cluster.accounting("add qos low Priority=1 PreemptMode=requeue")
    cluster.accounting("add qos high Priority=10 Preempt=low")
    cluster.accounting(
        "add account a QOS=normal,low,high DefaultQOS=normal",
        f"add user {cluster.user} account=a",
    )
    return Lab(cluster, Runner(env=cluster.env, clock=cluster.now))


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that ran together, and what a window over them says."""

    jobs: dict[str, str]
    read: Read
    with_steps: Accounting

    def of(self, name: str) -> list[Run]:
        return [run for run in self.read.accounting.runs if run.job == self.jobs[name]]


@pytest.fixture(scope="module")
def batch(lab: Lab) -> Batch:
    jobs = _submitted(lab)
    _disturbed(lab, jobs)
    quick = [name for name in jobs if name not in {"month", "later"}]
    done = {"COMPLETED", "CANCELLED", "NODE_FAIL", "PREEMPTED"}
    for name in quick:
        lab.until(jobs[name], *done)
    lab.cluster.jump(3600)
    lab.stop(jobs["month"])
    lab.until(jobs["month"], "COMPLETED")
    lab.cluster.jump(LAG_S + 60)
    read = read_runs(lab.runner, BEGIN - 60, lab.cluster.now())
    assert isinstance(read, Read), read
    return Batch(jobs, read, lab.listed(steps=True))


def _submitted(lab: Lab) -> dict[str, str]:
    # those that want nodes of their own first
    return {
        "displaced": lab.submit("--gres=gpu:8", "--nodelist=n02", "--qos=low", seconds=60),
        "failed": lab.submit("--gres=gpu:8", "--nodelist=n03", "--no-requeue", seconds=60),
        "resized": lab.submit("--gres=gpu:4", "--nodes=2", "--nodelist=n05,n06", seconds=60),
        "waiting": lab.submit("--gres=gpu:8", "--nodelist=n03"),
        "never": lab.submit("--gres=gpu:8", "--begin=now+1hour"),
        "month": lab.submit("--gres=gpu:h100:4", seconds=600),
        "later": lab.submit("--gres=gpu:2", seconds=600),
        "requeued": lab.submit("--gres=gpu:2", seconds=60),
        "suspended": lab.submit("--gres=gpu:2", seconds=60),
        "stubborn": lab.submit("--gres=gpu:1", seconds=60, extra="trap '' TERM"),
        "array": lab.submit("--gres=gpu:1", "--array=1-3"),
        "het": lab.submit("--gres=gpu:1", ":", "--account=a", "--gres=gpu:2"),
        "steps": lab.submit("--gres=gpu:2", extra="srun -n1 true; srun -n1 true"),
    } | {f"short{i}": lab.submit("--gres=gpu:1", seconds=1 + i / 4) for i in range(6)}


def _disturbed(lab: Lab, jobs: dict[str, str]) -> None:
    """What happens to the jobs while they run."""
    for name in ("requeued", "displaced", "failed", "resized", "suspended", "stubborn", "month", "later"):
        lab.has_begun(jobs[name])
    lab.passes(3)
    lab.run("scancel", jobs["never"], jobs["waiting"])
    lab.run("scontrol", "suspend", jobs["suspended"])
    lab.run("scontrol", "requeue", jobs["requeued"])
    lab.run("scontrol", "update", "nodename=n03", "state=down", "reason=no|power")
    jobs["preemptor"] = lab.submit("--gres=gpu:8", "--nodelist=n02", "--qos=high")
    lab.run("scancel", jobs["stubborn"])
    lab.run("scontrol", "update", f"jobid={jobs['resized']}", "NumNodes=1")
    lab.passes(3)
    lab.run("scontrol", "resume", jobs["suspended"])
    lab.beats_on(jobs["suspended"])
    lab.stop(jobs["suspended"])
    lab.stop(jobs["resized"])


def near(runs: list[Run], seconds: float, gpus: int, *, off: float = 2) -> None:
    """Runs bill so many GPU-seconds, up to whole seconds at either end."""
    billed = sum(billed_seconds(run, 0, FAR) for run in runs)
    assert abs(billed - seconds * gpus) <= off * gpus, (billed, seconds * gpus, runs)


def test_short_jobs_are_billed_without_bias(lab: Lab, batch: Batch) -> None:
    names = [name for name in batch.jobs if name.startswith("short")]
    for name in names:
        near(batch.of(name), lab.truth(batch.jobs[name]), 1)
    total = sum(billed_seconds(run, 0, FAR) for name in names for run in batch.of(name))
    assert abs(total - sum(lab.truth(batch.jobs[name]) for name in names)) <= len(names)


@pytest.mark.parametrize(
    ("name", "state", "gpus"), [("requeued", "REQUEUED", 2), ("displaced", "PREEMPTED", 8)]
)
def test_each_run_of_a_job_is_billed(lab: Lab, batch: Batch, name: str, state: str, gpus: int) -> None:
    first, second = batch.of(name)
    job = batch.jobs[name]
    assert (first.state, second.state) == (state, "COMPLETED")
    assert first.index != second.index
    near([first], lab.truth(job), gpus, off=6 if name == "displaced" else 2)
    near([second], lab.truth(job, 1), gpus)
    # without --duplicates, the first run would be lost from the bill
    words = [word for word in sacct_words(BEGIN - 60, FAR) if word != "--duplicates"]
    shown = parse_sacct(lab.runner.run(words).out, "sacct")
    assert [run.index for run in shown.runs if run.job == job] == [second.index]


def test_a_restart_is_submitted_when_it_is_requeued(lab: Lab, batch: Batch) -> None:
    (_, end), (submit, _) = lab.asked(
        BEGIN - 60, FAR, f"--jobs={batch.jobs['requeued']}", columns="Submit,End"
    )
    assert int(end) <= int(submit) <= int(end) + 2


def test_a_run_ends_with_its_node(lab: Lab, batch: Batch) -> None:
    (run,) = batch.of("failed")
    assert run.state == "NODE_FAIL"
    near([run], lab.truth(batch.jobs["failed"]), 8)
    outages = read_outages(lab.runner, HOUR, FAR)
    assert not isinstance(outages, Refused)
    (outage,) = (o for o in outages if o.node == "n03")
    assert (outage.state, outage.reason) == ("DOWN", "no|power")
    assert outage.who.startswith(lab.cluster.user)
    assert outage.end is not None
    # slurmd registers again at once, and short outages are kept
    assert abs(outage.start - (run.end or 0)) <= 1
    assert 0 <= outage.end - outage.start <= 10


def test_time_before_a_resize_is_billed_once(lab: Lab, batch: Batch) -> None:
    before, after = batch.of("resized")
    assert (before.state, before.gpus, after.gpus) == ("RESIZING", 8, 4)
    assert before.end == after.start
    assert after.overlap_s == after.start - before.start >= 3
    near([after], lab.instants(batch.jobs["resized"])[1] - after.start, 4)
    near([before], after.start - lab.instants(batch.jobs["resized"])[0], 8)


def test_suspended_time_is_billed(lab: Lab, batch: Batch) -> None:
    (run,) = batch.of("suspended")
    assert run.suspended_s >= 2
    near([run], lab.truth(batch.jobs["suspended"]), 2)


def test_every_task_of_an_array_is_billed(lab: Lab, batch: Batch) -> None:
    own = [row[0] for row in lab.asked(BEGIN, FAR, f"--jobs={batch.jobs['array']}", columns="JobIDRaw")]
    assert len(own) == 3
    assert batch.jobs["array"] in own  # the last task has the array's own id
    billed = [run for run in batch.read.accounting.runs if run.job in own]
    assert len({run.index for run in billed}) == 3
    for run in billed:
        near([run], lab.truth(run.job), 1)


def test_components_of_a_job_are_billed_each(lab: Lab, batch: Batch) -> None:
    (leader,) = batch.of("het")
    second = str(int(batch.jobs["het"]) + 1)
    (other,) = (run for run in batch.read.accounting.runs if run.job == second)
    assert (leader.gpus, other.gpus) == (1, 2)
    near([leader, other], lab.truth(batch.jobs["het"]), 3)


def test_steps_add_nothing(batch: Batch) -> None:
    (run,) = batch.of("steps")
    (same,) = (r for r in batch.with_steps.runs if r.job == batch.jobs["steps"])
    assert batch.with_steps.left_out["step"] >= 3
    assert (same.index, same.start, same.end, same.gpus) == (run.index, run.start, run.end, run.gpus)


def test_what_was_cancelled_while_pending_costs_nothing(lab: Lab, batch: Batch) -> None:
    jobs = [batch.jobs[name] for name in ("never", "waiting")]
    rows = lab.asked(BEGIN - 60, FAR, f"--jobs={','.join(jobs)}", columns="JobIDRaw,State")
    assert {job for job, _ in rows} == set(jobs)
    assert all(state.startswith("CANCELLED") for _, state in rows)
    assert batch.of("never") == batch.of("waiting") == []


def test_gpus_stay_held_after_the_decision_to_end(lab: Lab, batch: Batch) -> None:
    (run,) = batch.of("stubborn")
    (same,) = (r for r in batch.with_steps.runs if r.job == batch.jobs["stubborn"])
    assert run.held_until == run.end is not None
    # KillWait is three seconds
    assert 2 <= (same.held_until or 0) - run.end <= 15
    assert abs(lab.instants(batch.jobs["stubborn"])[1] - (same.held_until or 0)) <= 2


def test_a_job_across_the_end_of_a_month_is_cut_exactly(lab: Lab, batch: Batch) -> None:
    (run,) = batch.of("month")
    january, february = billed_seconds(run, 0, MONTH_END), billed_seconds(run, MONTH_END, FAR)
    assert january + february == 4 * ((run.end or 0) - run.start)
    start, end = lab.instants(batch.jobs["month"])
    assert abs(january - 4 * (MONTH_END - start)) <= 8
    assert abs(february - 4 * (end - MONTH_END)) <= 8
    for since, until, ours in ((HOUR, MONTH_END, january), (MONTH_END, MONTH_END + 3600, february)):
        (row,) = lab.asked(since, until, "--truncate", f"--jobs={batch.jobs['month']}", columns="ElapsedRaw")
        assert 4 * int(row[0]) == ours


def test_what_is_running_is_listed_whatever_its_state(lab: Lab, batch: Batch) -> None:
    assert [run.job for run in batch.read.accounting.unfinished] == [batch.jobs["later"]]
    # with states, sacct lists only what ended in the window: not what ended after it
    words = sacct_words(HOUR, MONTH_END)
    month = batch.jobs["month"]
    assert month in {run.job for run in parse_sacct(lab.runner.run(words).out, "sacct").runs}
    stated = parse_sacct(lab.runner.run([*words, "--state=COMPLETED"]).out, "sacct")
    assert stated.runs
    assert month not in {run.job for run in stated.runs}


def test_slurms_own_sums_agree(lab: Lab, batch: Batch) -> None:
    lab.run("sacctmgr", "-i", "roll")
    control = read_control(lab.runner, HOUR, MONTH_END)
    assert not isinstance(control, Refused)
    found = batch.read.accounting
    (line,) = reconcile((*found.runs, *found.unfinished), control, start=HOUR, end=MONTH_END)
    (_, resized), (suspended,) = batch.of("resized"), batch.of("suspended")
    assert line.theirs > 0
    assert line.unexplained == 0
    assert line.overlap == 4 * resized.overlap_s
    assert line.suspended == 2 * suspended.suspended_s
    assert line.unfinished == 2 * (MONTH_END - found.unfinished[0].start)
    assert read_control(lab.runner, HOUR + 1, MONTH_END) == Refused(
        code="not_full_hours",
        sentence="Slurm sums usage by full hours.",
        facts={"start": str(HOUR + 1), "end": str(MONTH_END)},
    )


def test_the_next_window_adds_only_what_is_new(lab: Lab, batch: Batch) -> None:
    assert read_runs(lab.runner, batch.read.through, batch.read.through + LAG_S) == Refused(
        code="nothing_new", sentence="All up to the closing lag has been read."
    )
    lab.stop(batch.jobs["later"])
    lab.until(batch.jobs["later"], "COMPLETED")
    lab.cluster.jump(LAG_S + 5)
    read = read_runs(lab.runner, batch.read.through, lab.cluster.now(), overlap_s=0)
    assert isinstance(read, Read)
    assert [run.job for run in read.accounting.runs] == [batch.jobs["later"]]
    assert read.through > batch.read.through
    again = read_runs(lab.runner, batch.read.through, lab.cluster.now())
    assert isinstance(again, Read)
    assert {run.index for run in batch.read.accounting.runs} < {run.index for run in again.accounting.runs}


def test_what_is_reserved_and_idle_is_counted(lab: Lab) -> None:
    start = lab.cluster.now()
    terms = "ReservationName=lease Accounts=a Nodes=n05,n06 StartTime=now Duration=40-0"
    lab.run("scontrol", "create", "reservation", *terms.split())
    lab.passes(2)  # until slurmdbd knows of it, too
    job = lab.submit("--gres=gpu:8", "--reservation=lease", "--nodelist=n05", seconds=2)
    lab.until(job, "COMPLETED")
    lab.passes(2)
    lab.run("scontrol", "delete", "reservation=lease")
    lab.cluster.jump(3600)
    lab.run("sacctmgr", "-i", "roll")
    parts = read_reservations(lab.runner, start - 60, lab.cluster.now())
    assert not isinstance(parts, Refused)
    (part,) = parts
    (run,) = lab.ended(job)
    assert (part.name, part.cpus, part.id) == ("lease", 128, run.reservation)
    idle = idle_gpu_seconds(parts, [run], cpus_per_node=64, gpus_per_node=8)
    assert abs(idle - (16 * (part.end - part.start) - 8 * lab.truth(job))) <= 16
    # one CPU of 128 was used, and half of the GPUs
    assert 16 * part.unused_s > idle


def test_an_end_is_written_down_soon(lab: Lab) -> None:
    job = lab.submit("--gres=gpu:1", seconds=1)
    lab.until(job, "COMPLETED")
    (run,) = lab.ended(job)
    assert lab.cluster.now() - (run.end or 0) <= LAG_S / 10


def test_a_restarted_controller_keeps_its_runs(lab: Lab) -> None:
    job = lab.submit("--gres=gpu:2", seconds=60)
    lab.has_begun(job)
    lab.cluster.terminate("slurmctld")
    lab.cluster.start("slurmctld")
    lab.stop(job)
    lab.until(job, "COMPLETED")
    near(lab.ended(job), lab.truth(job), 2)


def test_nothing_is_lost_while_slurmdbd_is_down(lab: Lab) -> None:
    position = lab.cluster.now()
    lab.cluster.kill("slurmdbd")
    job = lab.submit("--gres=gpu:2", seconds=1)
    lab.until(job, "COMPLETED")
    waiting = dbd_queue(lab.runner)
    assert isinstance(waiting, int)
    assert waiting > 0
    behind = read_runs(lab.runner, position, lab.cluster.now() + LAG_S)
    assert isinstance(behind, Refused)
    assert behind.code == "accounting_behind"
    down = lab.runner.run(sacct_words(HOUR, FAR))
    assert down.outcome is Outcome.UNREACHED
    lab.cluster.start("slurmdbd")
    lab.cluster.wait_for(lambda: dbd_queue(lab.runner) == 0, "the controller has told all")
    near(lab.ended(job), lab.truth(job), 2)


def test_a_job_that_ends_without_slurmd_ends_in_time(lab: Lab) -> None:
    job = lab.submit("--gres=gpu:4", "--nodelist=n04", seconds=60)
    lab.has_begun(job)
    lab.passes(2)
    lab.cluster.kill("n04")
    lab.stop(job)
    lab.cluster.wait_for(
        lambda: lab.cluster.leftovers("n04") == [] or lab.cluster.state(job) == "COMPLETED", "it ended"
    )
    lab.cluster.start("n04")
    lab.until(job, "COMPLETED")
    near(lab.ended(job), lab.truth(job), 4, off=4)


def test_a_node_that_dies_is_billed_until_it_is_missed(lab: Lab) -> None:
    job = lab.submit("--gres=gpu:8", "--nodelist=n07", "--no-requeue", seconds=600)
    lab.has_begun(job)
    lab.cluster.node_timeout(6)
    lab.cluster.kill_node("n07")
    lab.until(job, "NODE_FAIL", seconds=60)
    lab.cluster.node_timeout(0)
    lab.cluster.start("n07")
    (run,) = lab.ended(job)
    died = lab.instants(job)[1]
    outages = read_outages(lab.runner, run.start - 60, lab.cluster.now() + 60)
    assert not isinstance(outages, Refused)
    (outage,) = (o for o in outages if o.node == "n07")
    assert outage.reason == "Not responding"
    # neither the run's end nor the outage's start is when the node died: both are when it was missed
    assert abs(outage.start - (run.end or 0)) <= 1
    assert 2 <= (run.end or 0) - died <= 40


def test_a_job_that_ends_without_a_controller_is_billed_until_it_is_back(lab: Lab) -> None:
    job = lab.submit("--gres=gpu:2", seconds=60)
    lab.has_begun(job)
    lab.passes(2)
    lab.cluster.terminate("slurmctld")
    lab.stop(job)
    lab.passes(4)
    unread = read_runs(lab.runner, BEGIN, lab.cluster.now() + LAG_S)
    back = lab.cluster.now()
    lab.cluster.start("slurmctld")
    lab.until(job, "COMPLETED")
    (run,) = lab.ended(job)
    true_end = lab.instants(job)[1]
    assert isinstance(unread, Refused)
    assert unread.code == "slurm_unreached"
    assert (run.end or 0) >= back - 1
    assert (run.end or 0) - true_end >= 4


def test_a_job_that_the_controller_forgot_is_a_finding(lab: Lab) -> None:
    state = lab.cluster.folder / "state"
    lab.cluster.terminate("slurmctld")
    shutil.copytree(state, state.with_suffix(".saved"))
    lab.cluster.start("slurmctld")
    job = lab.submit("--gres=gpu:2", "--nodelist=n06", seconds=60)
    lab.has_begun(job)
    lab.cluster.kill("slurmctld")
    shutil.rmtree(state)
    state.with_suffix(".saved").rename(state)
    lab.cluster.start("slurmctld")
    again = lab.submit("--gres=gpu:4", "--nodelist=n05", seconds=2)
    assert again == job  # the id is used again
    lab.until(again, "COMPLETED")
    (run,) = lab.ended(again)
    assert run.gpus == 4
    assert read_runaways(lab.runner) == (job,)
    # what the first one used is lost, and nobody pays for it; somebody is told
    listed = lab.listed()
    (finding,) = listed.findings
    assert (finding.code, finding.job, finding.account) == ("superseded", job, "a")
    assert int(finding.index) < int(run.index)
    assert job not in {unfinished.job for unfinished in listed.unfinished}
    lab.stop(job)
