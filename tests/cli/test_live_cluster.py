"""The live loop by the command line, where there is no cluster to reach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.calls import offtake, refused, succeeded
from tests.cli.conftest import WallClock

CLUSTER = """
backend = "slurm"
conf = "/nowhere/slurm.conf"

[[pool]]
id = "h200"
nodes = "gpu[001-512]"

[[claim]]
id = "acme/main"
users = ["alice"]
"""


@pytest.fixture
def live(tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path / "no-slurm-here"))
    folder = tmp_path / "fleet"
    succeeded("init", folder)
    clock.set("2027-01-05T12:00:00Z")
    succeeded("apply", folder)
    (folder / "cluster.toml").write_text(CLUSTER, encoding="utf-8")
    return folder


def test_what_can_t_be_reached_is_said_and_what_was_decided_stays(live: Path, clock: WallClock) -> None:
    assert "run `offtake place`" in offtake("live", live, "--dry-run").said
    answer = offtake("live", live, "--once", "--json")
    assert answer.code == 1
    said = json.loads(answer.out)
    assert said["stopped"]["code"] == "slurm_unreached"
    assert said["metered"] is None
    assert "acme/main" in offtake("nodes", live).said, "nodes were assigned all the same"
    clock.set("2027-01-05T13:00:00Z")
    assert "Stopped: slurm_unreached" in offtake("live", live, "--meter-only", "--once").said


def test_every_problem_of_cluster_toml_is_named(live: Path) -> None:
    file = live / "cluster.toml"
    more = CLUSTER + '[[pool]]\nid = "h200"\nnodes = "gpu[007-9]"\n[[claim]]\nid = "acme/main"\nusers = []\n'
    file.write_text(more, encoding="utf-8")
    codes = [problem["code"] for problem in refused(3, "live", live, "--once")["problems"]]
    assert codes == ["duplicate", *["duplicate"] * 3, "duplicate"]
    file.write_text(CLUSTER.replace("gpu[001-512]", "gpu[5-1]"), encoding="utf-8")
    assert refused(3, "live", live, "--once")["problems"][0]["code"] == "bad_nodes"
    file.write_text(CLUSTER.replace('"slurm"', '"pbs"'), encoding="utf-8")
    assert "backend" in refused(3, "live", live, "--once")["problems"][0]["where"]
    file.unlink()
    assert refused(3, "live", live, "--once")["problems"][0]["code"] == "unreadable"
    file.write_text(CLUSTER.replace("gpu[001-512]", "gpu[001-002]"), encoding="utf-8")
    answer = offtake("live", live, "--once", "--json")
    assert json.loads(answer.out)["stopped"]["code"] == "too_few_names"
