"""Canonical bytes: one value, one sequence of bytes, on every machine.

JSON with sorted keys, no spaces, UTF-8 not escaped, and no floats: a decimal travels as a string.
Source: RFC 8785 (JSON Canonicalization Scheme), restricted to strings, integers, booleans and null,
for which sorted-key JSON is already canonical apart from key order by UTF-16 (keys here are ASCII).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from numpy import ascontiguousarray, int64
from numpy.typing import NDArray

Plain = Any
"""None, bool, int, str, or lists and string-keyed dicts of these; never a float."""


def canonical_bytes(value: Plain) -> bytes:
    """The bytes that are hashed and stored.

    Raises:
        TypeError: for floats, non-string keys and anything else that has no single spelling.
    """
    _check(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: Plain, path: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(item, f"{path}[{i}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not (isinstance(key, str) and key.isascii()):
                raise TypeError(f"{path}: key {key!r} isn't an ASCII string")
            _check(item, f"{path}.{key}")
    else:
        raise TypeError(f"{path}: {value!r} has no canonical form")


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def rows_digest(columns: Iterable[tuple[str, NDArray[int64] | list[str]]]) -> str:
    """Hash of a table's canonical rows: named columns of whole numbers or strings, in row order.

    Whole numbers are hashed as little-endian int64, strings as UTF-8 with their lengths, so that the
    hash doesn't depend on the file format that carries them.
    """
    state = hashlib.sha256()
    for name, column in columns:
        state.update(canonical_bytes([name, len(column)]))
        if isinstance(column, list):
            encoded = [text.encode() for text in column]
            state.update(b"".join(len(text).to_bytes(4, "little") for text in encoded))
            state.update(b"".join(encoded))
        else:
            state.update(ascontiguousarray(column, dtype="<i8").tobytes())
    return state.hexdigest()
