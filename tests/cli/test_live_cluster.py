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


def test_a_rehearsal_goes_on_where_it_stopped_and_a_second_turn_does_nothing(
    live: Path, clock: WallClock
) -> None:
    (live / "cluster.toml").write_text(CLUSTER.replace('"slurm"', '"simulated"'), encoding="utf-8")
    first = offtake("live", live, "--once", "--json").plain
    kinds = [step["step"] for step in first["steps"]]
    assert {step["outcome"] for step in first["steps"]} == {"done"}
    assert kinds.index("make_account") < kinds.index("make_hold") < kinds.index("limit")
    assert offtake("live", live, "--once", "--json").plain["steps"] == []
    checked = offtake("cluster", "check", live, "--json")
    assert (checked.code, checked.plain["steps"], checked.plain["findings"]) == (0, [], [])


def test_a_check_names_what_differs_and_a_repair_sets_it_right(live: Path, clock: WallClock) -> None:
    (live / "cluster.toml").write_text(CLUSTER.replace('"slurm"', '"simulated"'), encoding="utf-8")
    offtake("live", live, "--once")
    rehearsed = live / "cluster.simulated.json"
    told = json.loads(rehearsed.read_bytes())
    told["limits"]["ot_acme_main"] = 8
    del told["holds"]["ot_closed"]
    rehearsed.write_text(json.dumps(told), encoding="utf-8")
    before = rehearsed.read_bytes()
    kept = offtake("live", live, "--once", "--json").plain
    assert kept["steps"] == []
    assert [one["code"] for one in kept["findings"]] == ["lowered_by_hand", "removed_by_hand"]
    checked = offtake("cluster", "check", live, "--json")
    assert checked.code == 6
    assert {(one["step"], one["outcome"]) for one in checked.plain["steps"]} == {
        ("make_hold", None), ("limit", None),
    }  # fmt: skip
    assert rehearsed.read_bytes() == before, "a check changes nothing"
    assert "make_hold ot_closed" in offtake("cluster", "check", live).said
    repaired = offtake("cluster", "check", live, "--repair", "--json")
    assert (repaired.code, {one["outcome"] for one in repaired.plain["steps"]}) == (0, {"done"})
    assert offtake("cluster", "check", live).code == 0


def test_only_limits_are_set_where_no_nodes_are_held(live: Path, clock: WallClock) -> None:
    only = CLUSTER.replace('"slurm"', '"simulated"').replace("[[pool]]", "hold_nodes = false\n[[pool]]", 1)
    (live / "cluster.toml").write_text(only, encoding="utf-8")
    steps = offtake("live", live, "--once", "--json").plain["steps"]
    assert {step["step"] for step in steps} == {"make_qos", "make_account", "add_user", "limit"}


def test_names_that_a_scheduler_would_take_for_more_are_refused(live: Path) -> None:
    bad = CLUSTER.replace('"alice"', '"alice,bob"').replace('id = "h200"', 'id = "h200"\ngpu_type = "h 200"')
    (live / "cluster.toml").write_text(
        bad.replace("[[pool]]", 'operator = "-x"\n[[pool]]', 1), encoding="utf-8"
    )
    problems = refused(3, "live", live, "--once")["problems"]
    assert [problem["where"].split(": ")[-1] for problem in problems] == [
        "operator", "pool[0].gpu_type", "claim[0].users",
    ]  # fmt: skip


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
