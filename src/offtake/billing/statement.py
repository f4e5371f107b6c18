"""What an operator commits to when months are settled, so that each offtaker can check its own part alone.

A run commits to every reading that it settled: a tree over the readings of each holder, and a tree over the
holders, whose names are blinded. Runs are chained and signed. A holder is shown its own readings and the path
from its tree to the root; of the others it sees hashes only.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from offtake.metering.merkle import leaf, root

GENESIS = "0" * 64
"""What the first run is chained to."""

LEAST_HOLDERS = 16
"""Leaves that the tree over holders has at least."""

FIELDS = ("source", "id", "subject", "pool", "start", "end", "value")
"""What of a reading its leaf holds, in this order, after its kind and salt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderTree:
    """What a run says of one holder.

    Units: `total` in GPU-seconds within the months that were settled.

    Attributes:
        holder: its blinded name.
        months: the months that were settled, such as ``2027-01``.
        count: how many readings.
        total: what they add up to.
        root: of the tree over its readings, in hex.
        terms: hash of the agreement's texts and events that the months were rated on, in hex.
    """

    holder: str
    months: tuple[str, ...]
    count: int
    total: int
    root: str
    terms: str

    @property
    def content(self) -> bytes:
        """What is hashed as the holder's leaf."""
        plain = [self.holder, list(self.months), self.count, self.total, self.root, self.terms]
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A settlement run as it is published: nothing in it tells one holder of another.

    Attributes:
        number: 1, 2, 3, …
        operator: who settles.
        at: the instant of the run.
        root: of the tree over holders, in hex.
        previous: hash of the run before, or `GENESIS`.
        key: the operator's public key, in hex.
        signature: Ed25519 over `signed_bytes`, in hex.
    """

    number: int
    operator: str
    at: int
    root: str
    previous: str
    key: str
    signature: str = ""

    @property
    def signed_bytes(self) -> bytes:
        """What is signed."""
        plain = [
            "offtake run 1",
            self.number,
            self.operator,
            self.at,
            self.root,
            self.previous,
            self.key,
        ]
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=True).encode()

    @property
    def hash(self) -> str:
        """What the next run is chained to: of what is signed, and the signature."""
        return hashlib.sha256(self.signed_bytes + bytes.fromhex(self.signature)).hexdigest()


def salt_of(secret: bytes, number: int, label: str) -> str:
    """A salt that only the operator can make: for a reading or a holder of a run."""
    return hmac.new(secret, f"{number}\x1f{label}".encode(), hashlib.sha256).hexdigest()[:32]


def blinded(salt: str, holder: str) -> str:
    """A holder's name, for those who know its salt."""
    return hashlib.sha256(f"holder\x1f{salt}\x1f{holder}".encode()).hexdigest()


def reading_leaf(salt: str, reading: Mapping[str, Any]) -> bytes:
    """A reading as a leaf of its holder's tree."""
    words = [salt, str(reading["kind"]), *(str(reading[name]) for name in FIELDS)]
    return leaf("\x1f".join(words).encode())


def holder_root(salted: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """The root over a holder's readings, each with its salt, in order of source and id."""
    return root(reading_leaf(salt, reading) for salt, reading in salted).hex()


def holder_leaves(trees: Iterable[HolderTree], secret: bytes, number: int) -> list[bytes]:
    """Leaves of the tree over holders, in an order that tells nothing of who they are.

    Leaves of nobody fill it up to a power of two, so that a path doesn't tell how many holders there are.
    """
    leaves = [leaf(tree.content) for tree in trees]
    size = LEAST_HOLDERS
    while size < len(leaves):
        size *= 2
    nobody = (leaf(f"{salt_of(secret, number, f'nobody {i}')}".encode()) for i in range(size - len(leaves)))
    return sorted([*leaves, *nobody])


def terms_hash(texts: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> str:
    """Of an agreement's recorded texts and of what happened under it."""
    plain = {"texts": list(texts), "events": list(events)}
    words = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(words.encode()).hexdigest()


def secret_words(secret: bytes) -> bytes:
    """The key of salts, from the private key's bytes."""
    return hashlib.sha256(b"offtake salts" + secret).digest()
