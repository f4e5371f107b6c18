"""Bulk rows beside the book: Parquet files named by the hash of their canonical rows.

The log holds only manifests. A file is written under another name, flushed, and renamed, so that a
crash leaves no half batch; a file that no manifest names is harmless.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from offtake.base.canonical import rows_digest
from offtake.base.errors import BookCorrupt, BookFull

Columns = Mapping[str, NDArray[np.int64] | list[str]]


def manifest_of(columns: Columns) -> dict[str, Any]:
    """Hash of a table's canonical rows, and their number."""
    return {"sha256": rows_digest(list(columns.items())), "rows": len(next(iter(columns.values())))}


class Lake:
    """A directory of tables by content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._latest: dict[str, Columns] = {}

    def save(self, columns: Columns) -> dict[str, Any]:
        """Write a table; its manifest, with the hash of its canonical rows and their number.

        Raises:
            BookFull: if the disk refuses.
        """
        manifest = manifest_of(columns)
        key = manifest["sha256"]
        target = self.path / f"{key}.parquet"
        if not target.exists():
            try:
                self._write(target, columns)
            except OSError as error:
                raise BookFull(
                    f"{target}: {error.strerror}; make room and run the same command again"
                ) from error
        self._remember(key, columns)
        return manifest

    def _write(self, target: Path, columns: Columns) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        table = pa.table(
            {
                name: pa.array(column, pa.string()).dictionary_encode()
                if isinstance(column, list)
                else pa.array(column)
                for name, column in columns.items()
            }
        )
        handle, name = tempfile.mkstemp(dir=self.path, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def load(self, manifest: Mapping[str, Any]) -> Columns:
        """Read a table and verify that its rows are the ones that were recorded.

        Raises:
            BookCorrupt: if the file is missing or its rows don't hash to the manifest.
        """
        key = str(manifest["sha256"])
        if key in self._latest:
            return self._latest[key]
        target = self.path / f"{key}.parquet"
        try:
            columns = _columns(pq.read_table(target))
            found = rows_digest(list(columns.items()))
        except (OSError, ValueError, TypeError, pa.ArrowException) as error:
            raise BookCorrupt(f"{target} can't be read ({error}); restore it from a copy") from error
        if found != key:
            raise BookCorrupt(
                f"{target}: its rows aren't the ones that were recorded; restore it from a copy"
            )
        self._remember(key, columns)
        return columns

    def _remember(self, key: str, columns: Columns) -> None:
        """Keep the few tables last touched: a month is settled right after it was metered."""
        self._latest[key] = columns
        while len(self._latest) > 8:
            del self._latest[next(iter(self._latest))]


def _columns(table: pa.Table) -> dict[str, NDArray[np.int64] | list[str]]:
    columns: dict[str, NDArray[np.int64] | list[str]] = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):
            columns[name] = column.cast(pa.string()).to_pylist()
        else:
            columns[name] = column.to_numpy()
    return columns


class LakeOverlay(Lake):
    """A lake that keeps what is saved in memory and reads the rest from the one below; for what-ifs."""

    def __init__(self, below: Lake) -> None:
        super().__init__(below.path)
        self._below = below
        self._saved: dict[str, Columns] = {}

    def save(self, columns: Columns) -> dict[str, Any]:
        """Keep a table in memory; its manifest is the one the lake below would give."""
        manifest = manifest_of(columns)
        self._saved[manifest["sha256"]] = columns
        return manifest

    def load(self, manifest: Mapping[str, Any]) -> Columns:
        """A table saved here, or one of the lake below."""
        saved = self._saved.get(str(manifest["sha256"]))
        return self._below.load(manifest) if saved is None else saved
