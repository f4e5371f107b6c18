"""Webhooks: changes of a book told to other programs, signed, at least once, in order.

Source: the Standard Webhooks specification: headers `webhook-id`, `webhook-timestamp` and `webhook-signature`
(``v1,`` and base64 of HMAC-SHA256 over ``id.timestamp.body``). The id is the same in every attempt, so that a
receiver drops what it has seen.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

WAITS = (1.0, 4.0, 16.0)
"""Seconds between attempts."""

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A change to be told.

    Attributes:
        id: the same in every attempt.
        body: what is told.
    """

    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How far delivery got.

    Attributes:
        sent: how many messages were taken.
        last: id of the last of them, or None.
        failed: why the next one wasn't, or empty.
    """

    sent: int
    last: str | None
    failed: str


def signature(secret: bytes, id_: str, timestamp: int, body: bytes) -> str:
    """What a receiver compares: it knows the secret, too."""
    signed = f"{id_}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def deliver(
    url: str,
    secret: bytes,
    messages: Iterable[Message],
    *,
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> Delivered:
    """Send messages in their order, each again after a failure; stops at the first that isn't taken.

    Args:
        url: of the receiver.
        secret: shared with it.
        messages: in order.
        wait: how to wait, in seconds.
        clock: the present instant.
    """
    sent, last = 0, None
    for message in messages:
        failed = _send(url, secret, message, wait, clock)
        if failed:
            return Delivered(sent=sent, last=last, failed=failed)
        sent, last = sent + 1, message.id
    return Delivered(sent=sent, last=last, failed="")


def _send(
    url: str, secret: bytes, message: Message, wait: Callable[[float], None], clock: Callable[[], float]
) -> str:
    """Why a message wasn't taken after every attempt, or empty."""
    body = json.dumps(message.body, separators=(",", ":"), ensure_ascii=False).encode()
    failed = ""
    for pause in (0.0, *WAITS):
        if pause:
            wait(pause)
        timestamp = int(clock())
        request = urllib.request.Request(  # noqa: S310 - https or http only, checked where it is configured
            url,
            data=body,
            method="POST",
            headers={
                "content-type": "application/json",
                "webhook-id": message.id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(secret, message.id, timestamp, body),
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - as above
                if 200 <= answer.status < 300:
                    return ""
                failed = f"it answered {answer.status}"
        except urllib.error.HTTPError as error:
            failed = f"it answered {error.code}"
        except (urllib.error.URLError, OSError) as error:
            failed = f"it can't be reached: {getattr(error, 'reason', error)}"
    return failed
