"""Power in the live loop by the command line, and what cluster.toml says of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from offtake.base.time import parse_instant
from offtake.formats.cluster_file import read_cluster
from offtake.metering.dcgm import ENERGY
from tests.cli.calls import offtake, refused, succeeded
from tests.cli.conftest import WallClock

CLUSTER = """
backend = "simulated"

[prometheus]
url = "{url}"
{more}

[[pool]]
id = "h200"
nodes = "gpu[001-512]"
"""


def write(folder: Path, url: str, *more: str) -> None:
    (folder / "cluster.toml").write_text(CLUSTER.format(url=url, more="\n".join(more)), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, clock: WallClock) -> Path:
    found = tmp_path / "fleet"
    succeeded("init", found)
    clock.set("2027-01-05T12:00:00Z")
    succeeded("apply", found)
    return found


@pytest.fixture
def prometheus() -> Iterator[str]:
    """A server that knows one GPU, of 720 W, on the first node."""
    gpu = {"Hostname": "gpu001", "UUID": "GPU-1"}
    begin = parse_instant("2027-01-05T11:00:00Z")

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = {
                k: v[0]
                for k, v in parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()).items()
            }
            result = []
            if asked["query"].startswith("max by (Hostname, UUID) (") and " unless " not in asked["query"]:
                times = range(int(asked["start"]), int(asked["end"]) + 1, int(asked["step"]))
                stamps = "timestamp" in asked["query"]
                values = [[t, str(t if stamps else 720_000 * (t - begin))] for t in times if t >= begin]
                result = [{"metric": gpu, "values": values}] if ENERGY in asked["query"] else []
            kind = "matrix" if self.path.endswith("query_range") else "vector"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
            )

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_turn_takes_in_the_hours_that_are_complete(folder: Path, clock: WallClock, prometheus: str) -> None:
    write(folder, prometheus)
    clock.set("2027-01-05T12:30:00Z")
    assert offtake("live", folder, "--once", "--json").plain["power"] is None, "no hour is complete yet"
    clock.set("2027-01-05T14:30:00Z")
    dry = json.loads(offtake("live", folder, "--dry-run", "--json").out)
    assert dry["power"] is None
    power = offtake("live", folder, "--once", "--json").plain["power"]
    assert (power["windows"], power["through"]) == (2, "2027-01-05T14:00:00Z")
    assert sum(power["wh"].values()) + power["operator_wh"] == 2 * 720
    assert (power["gauge_wh"], power["outages"]) == (0, 0)
    assert {one["code"] for one in power["findings"]} == {"unseen", "fewer_gpus"}
    clock.set("2027-01-05T15:30:00Z")
    said = offtake("live", folder, "--meter-only", "--once").said
    assert "Power through 2027-01-05T15:00:00Z: " in said
    assert "0.720 kWh" in said
    assert "Look into it: fewer_gpus: gpu001 shows 1 of its 8 GPUs" in said


def test_what_can_t_be_reached_is_said_and_the_rest_of_the_turn_stands(
    folder: Path, clock: WallClock
) -> None:
    write(folder, "http://127.0.0.1:1")
    clock.set("2027-01-05T14:30:00Z")
    answer = offtake("live", folder, "--once", "--json")
    assert answer.code == 1
    said = json.loads(answer.out)
    assert said["stopped"]["code"] == "prometheus_unreached"
    assert {step["outcome"] for step in said["steps"]} == {"done"}
    assert "Stopped: prometheus_unreached" in offtake("live", folder, "--once").said


def test_a_token_is_read_from_beside_cluster_toml(folder: Path, clock: WallClock, prometheus: str) -> None:
    write(folder, prometheus, 'token_file = "token"')
    clock.set("2027-01-05T13:30:00Z")
    assert (
        json.loads(offtake("live", folder, "--once", "--json").out)["stopped"]["code"]
        == "prometheus_no_token"
    )
    (folder / "token").write_text("secret", encoding="utf-8")
    assert offtake("live", folder, "--once", "--json").plain["power"]["windows"] == 1


@pytest.mark.parametrize(
    ("url", "more", "codes"),
    [
        ("ftp://x", "", ["prometheus.url bad_url"]),
        ("https://me:secret@x", "", ["prometheus.url secret_in_url"]),
        ("http://x:9090", 'token_file = "t"', ["prometheus.url token_in_clear"]),
        ("http://x:9090", 'node_label = "a b"', ["prometheus.node_label bad_name"]),
        ("http://x:9090", "match = 'job=\"a\"} or up{'", ["prometheus.match bad_match"]),
        ("http://x:9090", 'match = \'job="dcgm", cluster=~"a|b"\'', []),
        ("https://x", 'token_file = "t"\nnode_label = "node"', []),
        (
            "http://x:9090",
            "gap_s = 30\nlag_s = 60",
            ["prometheus.gap_s too_short", "prometheus.lag_s too_short"],
        ),
        ("http://x:9090", "lag_s = 240\nhealth = false", []),
        ("http://x:9090", "down_after_s = 3_600", ["prometheus.lag_s too_short"]),
    ],
)
def test_problems_of_the_table_are_named(folder: Path, url: str, more: str, codes: list[str]) -> None:
    write(folder, url, more)
    if codes:
        problems = refused(3, "live", folder, "--once")["problems"]
        assert [f"{one['where'].split(': ')[-1]} {one['code']}" for one in problems] == codes
        assert not any("secret" in one["message"] for one in problems)
    else:
        assert read_cluster(folder / "cluster.toml").prometheus is not None
