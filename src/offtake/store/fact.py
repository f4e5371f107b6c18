"""Facts: the only thing that lasts. Everything else in the book can be dropped and rebuilt from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from offtake.base.canonical import canonical_bytes, digest

GENESIS = "0" * 64
"""What the first fact chains to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened or was decided.

    Attributes:
        kind: what it is, such as ``outage.reported``.
        id: which one; facts of the same kind and id supersede each other or are refused, by kind.
        effective_at: instant it holds from.
        recorded_at: instant the book learnt it.
        body: plain values; never a float.
        version: of the body's shape; older shapes are upcast when read, never migrated.
    """

    kind: str
    id: str
    effective_at: int
    recorded_at: int
    body: Mapping[str, Any]
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A fact in its place in the chain."""

    seq: int
    fact: Fact
    hash: str


def fact_bytes(fact: Fact, seq: int) -> bytes:
    """The canonical bytes that are stored and hashed.

    Raises:
        TypeError: if the body holds a float or anything else without a single spelling.
    """
    return canonical_bytes(
        {
            "body": dict(fact.body),
            "effective_at": fact.effective_at,
            "id": fact.id,
            "kind": fact.kind,
            "recorded_at": fact.recorded_at,
            "seq": seq,
            "version": fact.version,
        }
    )


def chained(previous: str, data: bytes) -> str:
    """Hash of a fact: of the hash before it and its own bytes."""
    return digest(bytes.fromhex(previous) + data)


Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: Mapping[tuple[str, int], Upcast] = {}
"""(kind, version) → how its body becomes the next version's; empty while every kind is at version 1."""


def fact_of(plain: Mapping[str, Any], upcasts: Mapping[tuple[str, int], Upcast] = UPCASTS) -> Fact:
    """A fact from its stored form, its body brought to the current shape."""
    body, version = dict(plain["body"]), int(plain["version"])
    while (upcast := upcasts.get((plain["kind"], version))) is not None:
        body, version = upcast(body), version + 1
    return Fact(
        kind=plain["kind"],
        id=plain["id"],
        effective_at=plain["effective_at"],
        recorded_at=plain["recorded_at"],
        body=body,
        version=version,
    )
