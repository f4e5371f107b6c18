"""Readings over HTTP, sent by a client of the standard library to a server on a free loopback port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from offtake.api import usage as api
from tests.cli.calls import refused, succeeded
from tests.cli.conftest import WallClock, clock

__all__ = ["clock"]

TOKEN = "a-token-for-the-meter"
NOW = "2027-02-01T06:00:00Z"


def event(id_: str, *, gpus: int = 64, end: str = "2027-01-05T12:00:00Z") -> dict[str, Any]:
    return {
        "specversion": "1.0", "type": "offtake.usage.allocation", "source": "slurm", "id": id_,
        "subject": "acme/main",
        "data": {"pool": "h200", "start": "2027-01-05T08:00:00Z", "end": end, "gpus": gpus},
    }  # fmt: skip


class Sender:
    """A meter: it sends batches and reads the answers."""

    def __init__(self, port: int) -> None:
        self.port = port

    def post(
        self,
        batch: str,
        body: bytes,
        *,
        token: str = TOKEN,
        kind: str = "application/cloudevents-batch+json",
        query: str = "",
    ) -> tuple[int, Any]:
        line = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            line.request(
                "POST",
                f"/v1/usage/{batch}{query}",
                body,
                {"authorization": f"Bearer {token}", "content-type": kind},
            )
            answer = line.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            line.close()

    def events(self, batch: str, *events: dict[str, Any], query: str = "") -> tuple[int, Any]:
        return self.post(batch, json.dumps(events).encode(), query=query)


@pytest.fixture
def folder(tmp_path: Path, clock: WallClock) -> Path:
    found = tmp_path / "fleet"
    succeeded("init", found)
    succeeded("apply", found)
    clock.set(NOW)
    return found


@pytest.fixture
def meter(folder: Path) -> Iterator[Sender]:
    now = 1_801_461_600  # NOW
    app = api.usage_app(folder / "book", TOKEN, clock=lambda: now)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield Sender(server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join()


def test_a_batch_is_taken_in_and_answered_reading_by_reading(folder: Path, meter: Sender) -> None:
    bad = event("r3", end="2027-01-05T08:00:00Z")
    said, answer = meter.events(
        "b1", event("r1"), event("r1"), bad, event("r2"), query="?through=slurm=2027-02-01T05:00:00Z"
    )
    assert said == 200
    assert [row["verdict"] for row in answer["verdicts"]] == ["accepted", "duplicate", "rejected", "accepted"]
    assert answer["verdicts"][2]["reason"] == "end_before_start"
    assert not answer["again"]
    shown = succeeded("usage", "show", folder, "acme/main", "2027-01")
    assert (shown["readings"], shown["gpu_seconds"]) == (2, 2 * 4 * 3_600 * 64)


def test_a_batch_sent_again_changes_nothing_and_another_of_its_name_is_refused(
    folder: Path, meter: Sender
) -> None:
    assert meter.events("b1", event("r1"))[0] == 200
    said, answer = meter.events("b1", event("r1"))
    assert (said, answer["again"]) == (200, True)
    said, answer = meter.events("b1", event("r1", gpus=65))
    assert said == 409
    assert answer["error"]
    assert succeeded("usage", "show", folder, "acme/main", "2027-01")["readings"] == 1


def test_without_the_token_nothing_is_read(folder: Path, meter: Sender) -> None:
    said, answer = meter.post("b1", b"not even json", token="a-guess")
    assert (said, answer) == (401, {"detail": "a bearer token is needed"})
    assert succeeded("usage", "show", folder, "acme/main", "2027-01")["readings"] == 0


def test_what_cant_be_read_is_said(meter: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    assert meter.post("b1", b"a,b", kind="text/csv")[0] == 415
    assert meter.post("b1", b"\xff\xfe")[0] == 400
    said, answer = meter.post("b1", b"{")
    assert said == 400
    assert answer["error"] == "bad_input"
    assert answer["problems"][0]["where"].startswith("b1")
    assert meter.events("b1", event("r1"), query="?through=slurm=yesterday")[0] == 400
    monkeypatch.setattr(api, "MOST_BYTES", 10)
    assert meter.events("b1", event("r1"))[0] == 413


def test_a_token_that_others_may_read_is_refused(folder: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN, encoding="utf-8")
    token.chmod(0o644)
    found = refused(3, "usage", "serve", folder, "--token-file", token)
    assert found["problems"][0]["code"] == "secret_open"
