"""Where a book's changes are told: webhooks.toml."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import MinLen

from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.formats.files import read_text
from offtake.formats.positions import locating
from offtake.formats.toml import parse_toml, read, unwrap

TOLD = (
    "document.issued", "document.sent", "payment.received", "document.disputed", "document.written_off",
    "credit.granted", "month.settled", "month.resettled", "notice.given", "recall.planned", "recall.noticed",
    "recall.ended", "agreement.signed", "agreement.amended", "event.proposed", "proposal.decided",
    "statement.committed", "period.closed", "outage.reported", "delivery.tested", "usage.ingested",
)  # fmt: skip
"""Kinds of fact that can be told; the others are the book's own bookkeeping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Declared):
    """A receiver.

    Attributes:
        name: of the receiver.
        url: where it listens; https, or http on this machine.
        secret_file: file beside this one that holds the shared secret; nobody else may read it.
        kinds: kinds of fact it is told; all that can be told when left out.
        agreement: only what is of this agreement.
    """

    name: Annotated[str, MinLen(1)]
    url: str
    secret_file: str
    kinds: tuple[str, ...] = ()
    agreement: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _File(Declared):
    endpoint: Annotated[tuple[Endpoint, ...], MinLen(1)]


def read_endpoints(path: Path) -> tuple[tuple[Endpoint, bytes], ...]:
    """Every receiver with its secret.

    Raises:
        BadInput: with every problem; a secret that others may read is one.
    """
    text = read_text(path)
    problems: list[Problem] = []
    with locating(text, str(path)):
        node = unwrap(parse_toml(text, str(path)), "", {}, problems)
        found = read(_File, node, "", problems)
        if found is not None:
            for i, endpoint in enumerate(found.endpoint):
                problems += _check(endpoint, f"endpoint[{i}]", found.endpoint[:i])
        if found is None or problems:
            raise BadInput([problem.within(str(path)) for problem in problems])
    return tuple((endpoint, read_secret(path.parent / endpoint.secret_file)) for endpoint in found.endpoint)


def _check(endpoint: Endpoint, where: str, earlier: tuple[Endpoint, ...]) -> list[Problem]:
    found = []
    local = endpoint.url.startswith(("http://127.0.0.1:", "http://localhost:", "http://[::1]:"))
    if not endpoint.url.startswith("https://") and not local:
        message = f"{endpoint.url!r} is neither https nor on this machine"
        found.append(Problem(where=f"{where}.url", code="not_safe", message=message))
    if endpoint.name in {other.name for other in earlier}:
        found.append(
            Problem(where=f"{where}.name", code="duplicate", message=f"{endpoint.name!r} appears twice")
        )
    for i, kind in enumerate(endpoint.kinds):
        if kind not in TOLD:
            found.append(
                Problem(
                    where=f"{where}.kinds[{i}]",
                    code="unknown_kind",
                    message=f"{kind!r} isn't told",
                    remedy=f"kinds are {', '.join(TOLD)}",
                )
            )
    return found


def read_secret(path: Path) -> bytes:
    """A secret from a file of its own.

    Raises:
        BadInput: if it can't be read, others may read it, or it is too short.
    """
    try:
        mode = path.stat().st_mode
        secret = path.read_bytes().strip()
    except OSError as error:
        raise BadInput([Problem(where=str(path), code="unreadable", message=str(error))]) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        message = f"others may read the secret (mode {stat.S_IMODE(mode):04o})"
        raise BadInput(
            [Problem(where=str(path), code="secret_open", message=message, remedy=f"chmod 600 {path}")]
        )
    if len(secret) < 16:
        message = "a secret has at least 16 characters"
        raise BadInput([Problem(where=str(path), code="secret_short", message=message)])
    return secret
