"""What people write in files: unknown keys are refused, never ignored."""

from __future__ import annotations

from typing import Any, ClassVar


class Declared:
    """Base of every dataclass that is read from a file.

    The class attribute is a plain dict that the file formats' validator reads, so that the core needs no
    import of it.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}
