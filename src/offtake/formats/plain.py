"""Domain objects as plain values for facts and JSON, and back."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


@lru_cache(maxsize=256)
def adapter(kind: Any) -> TypeAdapter[Any]:
    """The validator of a type, built once."""
    return TypeAdapter(kind)


def to_plain(value: Any) -> Any:
    """Dataclasses, dates, decimals and enums as strings, whole numbers, lists and dicts."""
    kind: Any = type(value)
    return adapter(kind).dump_python(value, mode="json")


def from_plain(kind: type[T], plain: Any) -> T:
    """The object a plain value came from.

    Raises:
        pydantic.ValidationError: if the value doesn't have the shape.
    """
    shape: Any = kind
    result: T = adapter(shape).validate_python(plain)
    return result
