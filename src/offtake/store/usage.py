"""The usage lake: readings as partitioned Parquet beside the book, each accepted once.

A part is a file of readings of one kind whose `start` lies in one UTC month. Parts are written under another
name, flushed and renamed; they count once a fact of the log names them, so that a crash leaves no half batch
and a file that no fact names is harmless. What was accepted before is found by a 64-bit key of (source, id)
and then compared by the strings themselves.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from offtake.base.errors import BookCorrupt, BookFull
from offtake.metering.usage import COLUMNS

SCHEMA = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS])
"""Columns of readings."""

STORED = SCHEMA.append(pa.field("key", pa.uint64()))
"""What a part holds."""

CONTENT = ("kind", "subject", "pool", "start", "end", "value")
"""What makes a reading the very same."""

ROW_GROUP = 262_144
"""Rows of a row group: what a reader holds in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartManifest:
    """A part of the lake, as the log names it.

    Attributes:
        path: below the lake's directory.
        rows: how many readings.
        sha256: of the file's bytes.
        start: the earliest start.
        end: the latest end.
        kind: of its readings.
    """

    path: str
    rows: int
    sha256: str
    start: int
    end: int
    kind: str


class UsageLake:
    """A directory of parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: duckdb.DuckDBPyConnection | None = None

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """An engine in memory that never touches the network."""
        if self._connection is None:
            config: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": "512MB", "autoinstall_known_extensions": False,
            }  # fmt: skip
            self._connection = duckdb.connect(":memory:", config=config)
            self._connection.execute("SET enable_progress_bar = false")
        return self._connection

    def keyed(self, readings: pa.Table) -> pa.Table:
        """Readings with their keys and their place in the batch (`row`)."""
        self.connection.register("batch", readings.select(["source", "id"]))
        try:
            query = "SELECT md5_number_lower(source || chr(31) || id) AS key FROM batch"
            keys = self.connection.sql(query).to_arrow_table()["key"]
        finally:
            self.connection.unregister("batch")
        rows = pa.array(np.arange(readings.num_rows))
        return readings.append_column("row", rows).append_column("key", keys.cast(pa.uint64()))

    def known(self, keyed: pa.Table, parts: Sequence[PartManifest]) -> pa.Table:
        """Rows of the batch whose (source, id) is in a part, with whether the reading is the very same.

        Returns:
            Columns `row` and `same`.
        """
        none = pa.table({"row": pa.array([], pa.int64()), "same": pa.array([], pa.bool_())})
        paths = [str(self.path / part.path) for part in parts]
        if not paths:
            return none
        engine = self.connection
        engine.register("batch", keyed)
        try:
            engine.register("keys", keyed.select(["key"]))
            files = ", ".join(_quoted(path) for path in paths)
            hits = engine.sql(
                f"SELECT DISTINCT key FROM read_parquet([{files}]) SEMI JOIN keys USING (key)"
            ).to_arrow_table()
            if hits is None or not hits.num_rows:
                return none
            engine.register("hits", hits)
            same = " AND ".join(f'b."{name}" IS NOT DISTINCT FROM o."{name}"' for name in CONTENT)
            return engine.sql(
                f"SELECT b.row AS row, bool_or({same}) AS same FROM "
                f"(SELECT * FROM read_parquet([{files}]) SEMI JOIN hits USING (key)) o "
                "JOIN batch b ON b.key = o.key AND b.source = o.source AND b.id = o.id GROUP BY b.row"
            ).to_arrow_table()
        except duckdb.Error as error:
            raise self._corrupt(parts, error) from error
        finally:
            engine.unregister("batch")

    def write(self, name: str, readings: pa.Table) -> tuple[PartManifest, ...]:
        """Write readings as parts, one for each kind and UTC month of their start.

        Raises:
            BookFull: if the disk refuses; nothing that counts was written.
        """
        if not readings.num_rows:
            return ()
        kinds = readings["kind"].combine_chunks().dictionary_encode()
        months = readings["start"].to_numpy().astype("datetime64[s]").astype("datetime64[M]")
        codes = kinds.indices.to_numpy(zero_copy_only=False).astype(np.int64) * 100_000 + months.astype(
            np.int64
        )
        found = []
        for code in np.unique(codes).tolist():
            chosen = codes == code
            rows = readings if chosen.all() else readings.filter(pa.array(chosen))
            kind, month = kinds.dictionary[code // 100_000].as_py(), np.datetime64(code % 100_000, "M")
            path = f"kind={kind}/month={month}/{name}.parquet"
            found.append(self._write(path, kind, rows.select(STORED.names)))
        return tuple(found)

    def _write(self, path: str, kind: str, rows: pa.Table) -> PartManifest:
        target = self.path / path
        digest = hashlib.sha256()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
            try:
                with os.fdopen(handle, "wb") as file:
                    pq.write_table(
                        rows.combine_chunks(), file, compression="zstd", compression_level=1,
                        row_group_size=ROW_GROUP, use_dictionary=["kind", "source", "subject", "pool"],
                    )  # fmt: skip
                    file.flush()
                    os.fsync(file.fileno())
                with Path(name).open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256")
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            directory = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise BookFull(f"{target}: {error.strerror}; make room and send the batch again") from error
        return PartManifest(
            path=path,
            rows=rows.num_rows,
            sha256=digest.hexdigest(),
            start=pc.min(rows["start"]).as_py(),
            end=pc.max(rows["end"]).as_py(),
            kind=kind,
        )

    def check(self, parts: Iterable[PartManifest]) -> None:
        """Compare parts with what the log says of them.

        Raises:
            BookCorrupt: naming the first file that is missing or differs.
        """
        for part in parts:
            target = self.path / part.path
            try:
                with target.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise BookCorrupt(
                    f"{target} can't be read ({error.strerror}); restore it from a copy"
                ) from error
            if found != part.sha256:
                raise BookCorrupt(f"{target} isn't the file that was recorded; restore it from a copy")

    def _corrupt(self, parts: Sequence[PartManifest], error: Exception) -> BookCorrupt:
        """Which part is to blame; the engine's own error where none is."""
        try:
            self.check(parts)
        except BookCorrupt as named:
            return named
        return BookCorrupt(f"{self.path}: {error}")

    def tables(self, parts: Iterable[PartManifest]) -> tuple[ibis.backends.duckdb.Backend, ibis.Table]:
        """An engine, and parts as one table of it.

        Raises:
            BookCorrupt: for a part that isn't the one that was recorded.
        """
        named = list(parts)
        self.check(named)
        engine = ibis.duckdb.from_connection(self.connection)
        return engine, engine.read_parquet(self.paths(named), table_name="readings")

    def paths(self, parts: Iterable[PartManifest]) -> list[str]:
        """Files of parts."""
        return [str(self.path / part.path) for part in parts]


def _quoted(text: str, mark: str = "'") -> str:
    """A text as SQL writes it."""
    return mark + text.replace(mark, mark * 2) + mark


def part_of(body: Mapping[str, Any]) -> PartManifest:
    """A manifest from its fact."""
    return PartManifest(**{name: body[name] for name in PartManifest.__slots__})
