"""The client of Prometheus: an answer counts only when it is whole, and the token is shown nowhere."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.adapters.prometheus import POINTS_MAX, Prometheus, Series, spans
from offtake.base.outcome import Refused

VECTOR = {"status": "success", "data": {"resultType": "vector", "result": []}}


@dataclass
class Fake:
    """A server that answers as it is told."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    asked: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def says(self, answer: object, status: int = 200) -> None:
        self.body, self.status = json.dumps(answer).encode(), status


@contextmanager
def faked() -> Iterator[Fake]:
    fake = Fake()

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            fake.asked.append({name: values[0] for name, values in parse_qs(text).items()})
            fake.paths.append(self.path)
            fake.headers.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(fake.status)
            if fake.status == 302:
                self.send_header("location", "/elsewhere")
            self.end_headers()
            self.wfile.write(fake.body)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def fake() -> Iterator[Fake]:
    with faked() as found:
        found.says(VECTOR)
        yield found


def refused(found: object) -> Refused:
    assert isinstance(found, Refused), found
    return found


def test_an_expression_has_series_with_what_is_finite(fake: Fake) -> None:
    one = {"metric": {"a": "b"}, "value": [1.5, "2.25"]}
    fake.says(
        {"status": "success", "data": {"resultType": "vector", "result": [one, one | {"value": [1, "NaN"]}]}}
    )
    found = Prometheus(url=f"{fake.url}/").query("m", 7)
    assert found == (Series(labels={"a": "b"}, points=((1.5, 2.25),)), Series(labels={"a": "b"}, points=()))
    assert (fake.paths, fake.asked) == (["/api/v1/query"], [{"query": "m", "time": "7"}])


def test_a_long_span_is_asked_in_pieces_and_put_together(fake: Fake) -> None:
    one = {"metric": {"a": "b"}, "values": [[1, "1"]]}
    fake.says({"status": "success", "data": {"resultType": "matrix", "result": [one]}})
    found = Prometheus(url=fake.url).query_range("m", 0, 2 * POINTS_MAX * 15, 15)
    assert found == (Series(labels={"a": "b"}, points=((1, 1), (1, 1), (1, 1))),)
    edges = [(int(asked["start"]), int(asked["end"])) for asked in fake.asked]
    assert edges == [(0, 10_999 * 15), (11_000 * 15, 21_999 * 15), (22_000 * 15, 22_000 * 15)]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 100), st.integers(1, 50))
def test_pieces_ask_for_every_step_once(start: int, length: int, step: int, most: int) -> None:
    length %= 500 * step
    pieces = [list(range(a, b + 1, step)) for a, b in spans(start, start + length, step, most)]
    assert [at for piece in pieces for at in piece] == list(range(start, start + length + 1, step))
    assert all(len(piece) <= most for piece in pieces)


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (200, VECTOR | {"warnings": ["store a is missing"]}, "store a is missing"),
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, "bad_data: parse error"),
        (503, {"status": "error", "errorType": "timeout", "error": "too slow"}, "answered 503: timeout"),
        (401, "no", "answered 401"),
        (302, "", "answered 302"),
        (200, {"status": "success"}, "no data"),
        (200, {"status": "success", "data": {"resultType": "scalar", "result": []}}, "a scalar"),
    ],
)
def test_what_is_not_a_whole_answer_is_refused(fake: Fake, status: int, answer: object, said: str) -> None:
    fake.says(answer, status)
    found = refused(Prometheus(url=fake.url).query("m", 0))
    assert (found.code, said in found.sentence) == ("prometheus_refused", True), found.sentence
    assert len(fake.asked) == 1, "nothing else is asked, such as where it was sent on to"


def test_an_answer_that_breaks_off_is_refused(fake: Fake) -> None:
    fake.body = json.dumps(VECTOR).encode()[:-9]
    assert refused(Prometheus(url=fake.url).query("m", 0)).code == "prometheus_refused"


def test_a_server_that_is_not_there_can_not_be_reached() -> None:
    with faked() as gone:
        pass
    assert refused(Prometheus(url=gone.url).query("m", 0)).code == "prometheus_unreached"
    assert refused(Prometheus(url=gone.url).query_range("m", 0, 9, 1)).code == "prometheus_unreached"


def test_the_token_is_sent_and_shown_nowhere(
    fake: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    file = tmp_path / "token"
    file.write_text("s3cr3t-t0k3n\n", encoding="utf-8")
    server = Prometheus(url=fake.url, token_file=file)
    assert server.query("m", 0) == ()
    assert fake.headers[0]["authorization"] == "Bearer s3cr3t-t0k3n"
    fake.says("no", 403)
    shown = [str(server.query("m", 0)), repr(server), caplog.text]
    for text in ("bad s3cr3t", "s3cr3t\nother: 1", "", "s3cr3t-ü"):
        file.write_text(text, encoding="utf-8")
        found = refused(server.query("m", 0))
        assert found.code == "prometheus_no_token"
        shown.append(found.sentence)
    file.unlink()
    assert "No such file" in refused(server.query("m", 0)).sentence
    assert not any("s3cr3t" in text for text in shown)
    assert len(fake.asked) == 2, "nothing is asked without the token that should be sent"
