"""The cluster that live tests stand on: its clock, its daemons, and that nothing is left of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.slurm_cluster import SlurmCluster

pytestmark = pytest.mark.slow

WEEK = 7 * 86_400


@pytest.fixture(scope="module")
def cluster(slurm: SlurmCluster) -> SlurmCluster:
    slurm.accounting("add account tenant_a GrpTRES=gres/gpu=16", f"add user {slurm.user} account=tenant_a")
    return slurm


def test_the_clock_moves_while_a_job_runs(cluster: SlurmCluster) -> None:
    job = cluster.submit(
        "date +%s; sleep 60", "--account=tenant_a", "--gres=gpu:h100:8", "--time=30-0", "--output=began"
    )
    cluster.wait_for(lambda: cluster.state(job) == "RUNNING", "the job runs")
    began = cluster.folder / "work" / "began"
    cluster.wait_for(lambda: began.is_file() and began.read_text(), "the job has said when it began")
    cluster.jump(WEEK)
    cluster.run(["scancel", job])
    cluster.wait_for(lambda: cluster.state(job) == "CANCELLED", "the job is cancelled")
    ran = cluster.now() - int(began.read_text().split()[0])
    assert WEEK <= ran <= WEEK + 30


def test_a_limit_on_gpus_holds(cluster: SlurmCluster) -> None:
    jobs = [cluster.submit("sleep 60", "--account=tenant_a", "--gres=gpu:8") for _ in range(3)]
    cluster.wait_for(lambda: [cluster.state(j) for j in jobs] == ["RUNNING", "RUNNING", "PENDING"], "two run")
    cluster.wait_for(lambda: cluster.say("squeue", "-h", "-j", jobs[2], "-o", "%r") == "AssocGrpGRES", "why")
    cluster.run(["scancel", *jobs])
    cluster.wait_for(lambda: {cluster.state(j) for j in jobs} == {"CANCELLED"}, "the jobs are cancelled")


@pytest.mark.parametrize("name", ["slurmctld", "slurmdbd", "munged", "mariadbd", "n02"])
def test_daemons_come_back(cluster: SlurmCluster, name: str) -> None:
    cluster.kill(name)
    cluster.start(name)
    cluster.wait_for(lambda: cluster.run(["sacct", "-a"], check=False).returncode == 0, "accounting answers")
    job = cluster.submit("true", "--gres=gpu:8", "--nodelist=n02")
    cluster.wait_for(lambda: cluster.state(job) == "COMPLETED", "a job runs")


def test_a_node_without_power_runs_nothing(cluster: SlurmCluster) -> None:
    job = cluster.submit("sleep 60", "--gres=gpu:8", "--nodelist=n03")
    cluster.wait_for(lambda: len(cluster.leftovers("n03")) >= 3, "step daemon, script and sleep run")
    cluster.kill_node("n03")
    assert cluster.leftovers("n03") == []
    cluster.run(["scancel", job])
    cluster.start("n03")


def test_a_test_that_fails_leaves_nothing(slurm_database: Path) -> None:
    def fails() -> None:
        with SlurmCluster(nodes=1, database=slurm_database) as cluster:
            kept.append(cluster)
            cluster.accounting("add account a", f"add user {cluster.user} account=a")
            cluster.submit("trap '' TERM; sleep 600 & sleep 600", "--gres=gpu:8")
            cluster.wait_for(lambda: len(cluster.leftovers()) >= 4, "the job's processes run")
            raise ZeroDivisionError

    kept: list[SlurmCluster] = []
    with pytest.raises(ZeroDivisionError):
        fails()
    assert kept[0].leftovers() == []
    assert not kept[0].folder.exists()


def test_two_clusters_live_side_by_side(slurm_clusters: Callable[..., SlurmCluster]) -> None:
    first, second = slurm_clusters(nodes=1), slurm_clusters(nodes=1, at=2_000_000_000)
    assert 0 <= second.now() - 2_000_000_000 < 60
    assert {c.say("sinfo", "-h", "-o", "%D") for c in (first, second)} == {"1"}
