"""The command line on a real Slurm, as the how-to goes: meter, check, limits, nodes, undo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offtake.base.time import HOUR_S, format_instant
from tests.cli.calls import offtake, refused
from tests.live.slurm_cluster import SlurmCluster
from tests.live.slurm_lab import AGREEMENT, DEMAND, FLEET, OFFTAKE

pytestmark = pytest.mark.slow

CLUSTER = """
backend = "slurm"
conf = "{conf}"
operator = "{user}"
lag_s = 0
hold_nodes = false

[[pool]]
id = "h100"
nodes = "n[01-04]"
gpu_type = "h100"

[[claim]]
id = "alpha/main"
users = ["{user}"]
"""


@pytest.fixture
def cluster(slurm_clusters: Callable[..., SlurmCluster], monkeypatch: pytest.MonkeyPatch) -> SlurmCluster:
    """A cluster in real time; commands need nothing but the path of its slurm.conf."""
    cluster = slurm_clusters(nodes=4)
    monkeypatch.setenv("PATH", cluster.env["PATH"])
    return cluster


@pytest.fixture
def folder(cluster: SlurmCluster, tmp_path: Path) -> Path:
    """A lease of a node and own work, for some years."""
    files = {
        "offtake.toml": OFFTAKE.replace("2027-01", "2026-01").replace("2027-12", "2035-12"),
        "fleet.toml": FLEET.replace("2027-01-01", "2026-01-01"),
        "demand/own.toml": DEMAND,
        "agreements/alpha.toml": AGREEMENT.format(id="alpha", gpus=8, firmness="firm", more="")
        .replace("2027-01-01", "2026-01-01")
        .replace("2027-12-31", "2035-12-31"),
        "cluster.toml": CLUSTER.format(conf=cluster.conf, user=cluster.user),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert offtake("apply", tmp_path).code == 0
    return tmp_path


def steps(answer: Any) -> list[tuple[str, str]]:
    return [(step["step"], step["target"]) for step in answer["steps"]]


def test_from_metering_to_nodes_and_back(cluster: SlurmCluster, folder: Path) -> None:
    cluster.accounting("add account physics", f"add user {cluster.user} account=physics")
    job = cluster.submit("sleep 1", "--account=physics", "--gres=gpu:8", "--time=10")
    cluster.wait_for(lambda: cluster.state(job) == "COMPLETED", "a job of nobody's has ended")

    def metered() -> bool:
        answer = offtake("live", folder, "--meter-only", "--once", "--json")
        assert answer.plain["steps"] == []
        found = answer.plain["metered"]  # nothing while the accounting is behind
        return found is not None and found["unknown_accounts"] == ["physics"]

    cluster.wait_for(metered, "it is named, and not billed")
    assert "ot_" not in cluster.say("sacctmgr", "-nP", "show", "account"), (
        "nothing on the cluster has changed"
    )

    assert offtake("tick", folder).code == 0
    assert offtake("place", folder).code == 0
    checked = offtake("cluster", "check", folder, "--json")
    assert checked.code == 6
    assert {kind for kind, _ in steps(checked.plain)} == {"make_qos", "make_account", "add_user", "limit"}
    assert checked.plain["findings"] == [], "of Slurm's own settings nothing stands in the way"
    assert "sacctmgr -i add account" in offtake("cluster", "check", folder).said
    assert "ot_" not in cluster.say("sacctmgr", "-nP", "show", "account")

    limited = offtake("live", folder, "--once", "--json").plain
    assert {step["outcome"] for step in limited["steps"]} == {"done"}
    assert offtake("cluster", "check", folder).code == 0
    shown = cluster.say("sacctmgr", "-nP", "show", "association", "format=account,grptres", "where", "user=")
    assert "ot_alpha_main|gres/gpu:h100=8,gres/gpu=8" in shown.splitlines()

    file = folder / "cluster.toml"
    file.write_text(file.read_text().replace("hold_nodes = false", "hold_nodes = true"))
    held = offtake("live", folder, "--once", "--json").plain
    assert {kind for kind, _ in steps(held)} == {"make_hold"}
    assert offtake("cluster", "check", folder, "--json").plain["steps"] == []
    start, now = cluster.now() // HOUR_S * HOUR_S - HOUR_S, cluster.now() // HOUR_S * HOUR_S + HOUR_S
    span = ("--start", format_instant(start), "--end", format_instant(now))
    assert refused(6, "cluster", "reconcile", folder, *span)["error"] == "not_read_yet"
    idle = offtake("cluster", "idle", folder, *span, "--json")
    assert (idle.code, {one["claim"] for one in idle.plain["claims"]}) == (0, {"alpha/main", "research"})
    assert all(one["idle_gpu_s"] == one["reserved_gpu_s"] for one in idle.plain["claims"])
    assert "alpha/main" in offtake("cluster", "idle", folder, *span).said

    cluster.accounting("modify account ot_alpha_main set GrpTRES=gres/gpu=0")
    cluster.run(["scontrol", "delete", "reservation=ot_research"])
    kept = offtake("live", folder, "--once", "--json").plain
    assert (kept["steps"], [one["code"] for one in kept["findings"]]) == (
        [], ["lowered_by_hand", "removed_by_hand"],
    )  # fmt: skip
    repaired = offtake("cluster", "check", folder, "--repair", "--json")
    assert steps(repaired.plain) == [("make_hold", "ot_research"), ("limit", "ot_alpha_main")]
    assert offtake("cluster", "check", folder).code == 0

    file.write_text(file.read_text().replace("hold_nodes = true", "hold_nodes = false"))
    undone = offtake("live", folder, "--once", "--json").plain
    assert {kind for kind, _ in steps(undone)} == {"drop_hold"}
    assert "No reservations" in cluster.say("scontrol", "show", "reservation")


def test_settings_that_stand_in_the_way_are_named(
    slurm_clusters: Callable[..., SlurmCluster], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = slurm_clusters(nodes=4, extra_conf="PrivateData=jobs\nPreemptType=preempt/none\nPreemptMode=OFF")
    file = folder / "cluster.toml"
    file.write_text(CLUSTER.format(conf=open_.conf, user=open_.user))
    for command in ("tick", "place"):
        assert offtake(command, folder).code == 0
    findings = offtake("cluster", "check", folder, "--json").plain["findings"]
    assert [one["code"] for one in findings] == ["tenants_see_each_other", "no_preemption"]
    assert "slurm.conf lets users see others' accounts, events" in findings[0]["sentence"]
