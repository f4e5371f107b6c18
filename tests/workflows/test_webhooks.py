"""Webhooks against a receiver on this machine: signed, in order, sent again; no secret in the book."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from offtake.adapters.webhooks import WAITS, deliver
from offtake.base.errors import BadInput
from offtake.formats.webhooks_file import Endpoint, read_endpoints
from offtake.workflows.tell import tell
from offtake.workflows.tick import tick
from tests.workflows.test_usage import USE, live, reading, taken_in
from tests.workflows.worlds import World, at

SECRET = b"a secret of some length"


@dataclass
class Receiver:
    """What came in, and what to answer."""

    port: int = 0
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.came.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(found.answers.pop(0) if found.answers else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    found = live(tmp_path, USE)
    taken_in(found, "one", reading("a", at(2, 5)), through={"s": at(3, 1)})
    tick(found.book, at(3, 1))
    yield found
    found.book.close()


def told(w: World, receiver: Receiver, **more: Any) -> Any:
    endpoint = Endpoint(name="erp", url=receiver.url, secret_file="s", **more)
    send = partial(deliver, endpoint.url, SECRET, wait=waits.append)
    return tell(w.book, endpoint, send, at(3, 2))


waits: list[float] = []


@pytest.fixture(autouse=True)
def no_waiting() -> None:
    waits.clear()


def kinds(receiver: Receiver) -> list[str]:
    return [json.loads(body)["type"] for _, body in receiver.came]


def test_changes_are_told_once_in_order_and_signed(w: World, receiver: Receiver) -> None:
    found = told(w, receiver)
    assert (found.failed, found.sent) == ("", len(receiver.came))
    assert kinds(receiver) == ["agreement.signed", "usage.ingested", "month.settled", "document.issued"]
    for headers, body in receiver.came:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
    assert told(w, receiver).sent == 0
    document = json.loads(receiver.came[-1][1])["data"]
    assert (document["number"], document["total"]) == ("INV-000001", {"minor": 1_600, "currency": "USD"})


def test_what_fails_is_sent_again_with_the_same_id_and_later_gone_on_with(
    w: World, receiver: Receiver
) -> None:
    receiver.answers = [204, 500, 503, 204]
    assert told(w, receiver).failed == ""
    ids = [headers["webhook-id"] for headers, _ in receiver.came]
    assert ids[1] == ids[2] == ids[3]
    assert waits == list(WAITS[:2])
    receiver.came.clear()
    # now it stays down: what was taken is known, and the next call begins with what wasn't
    taken_in(w, "two", reading("b", at(2, 6)), now=at(3, 2))
    tick(w.book, at(3, 2))
    receiver.answers = [204, *[500] * 4]
    stopped = told(w, receiver)
    assert (stopped.sent, stopped.failed) == (1, "it answered 500")
    lost = receiver.came[-1][0]["webhook-id"]
    receiver.came.clear()
    assert told(w, receiver).failed == ""
    assert receiver.came[0][0]["webhook-id"] == lost


def test_a_receiver_that_isn_t_there_is_named_and_nothing_is_lost(w: World, receiver: Receiver) -> None:
    endpoint = Endpoint(name="gone", url="http://127.0.0.1:9/hook", secret_file="s")
    found = tell(w.book, endpoint, partial(deliver, endpoint.url, SECRET, wait=waits.append), at(3, 2))
    assert found.sent == 0
    assert "can't be reached" in found.failed
    assert told(w, receiver).sent == 4


def test_a_receiver_may_be_told_less(w: World, receiver: Receiver) -> None:
    told(w, receiver, kinds=("document.issued",), agreement="deal")
    assert kinds(receiver) == ["document.issued"]
    receiver.came.clear()
    endpoint = Endpoint(name="other", url=receiver.url, secret_file="s", agreement="none")
    assert tell(w.book, endpoint, partial(deliver, endpoint.url, SECRET), at(3, 2)).sent == 0


def config(
    path: Path, url: str, *, secret: str = "a secret of some length", mode: int = 0o600, more: str = ""
) -> Path:
    (path / "erp.secret").write_text(secret, encoding="utf-8")
    (path / "erp.secret").chmod(mode)
    file = path / "webhooks.toml"
    file.write_text(
        f'[[endpoint]]\nname = "erp"\nurl = "{url}"\nsecret_file = "erp.secret"\n{more}', encoding="utf-8"
    )
    return file


def test_receivers_are_read_and_the_secret_stays_out_of_the_book(
    w: World, receiver: Receiver, tmp_path: Path
) -> None:
    ((endpoint, secret),) = read_endpoints(config(tmp_path, receiver.url))
    assert (endpoint.name, secret) == ("erp", SECRET)
    tell(w.book, endpoint, partial(deliver, endpoint.url, secret), at(3, 2))
    for file in w.book.directory.rglob("*"):
        assert not file.is_file() or SECRET not in file.read_bytes()


@pytest.mark.parametrize(
    ("url", "more", "code"),
    [
        ("http://example.com/hook", {}, "not_safe"),
        ("ftp://127.0.0.1/hook", {}, "not_safe"),
        ("https://example.com/hook", {"mode": 0o644}, "secret_open"),
        ("https://example.com/hook", {"secret": "short"}, "secret_short"),
        ("https://example.com/hook", {"more": 'kinds = ["entry.posted"]\n'}, "unknown_kind"),
    ],
)
def test_receivers_that_aren_t_safe_are_refused(
    tmp_path: Path, url: str, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(BadInput) as raised:
        read_endpoints(config(tmp_path, url, **more))
    assert raised.value.problems[0].code == code
