"""Readings in and out of the lake."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offtake.base.time import Interval
from offtake.metering.readings import Readings
from offtake.store.lake import Columns, Lake
from offtake.workflows.state import Item


def columns_of(readings: Readings) -> Columns:
    """A batch as the columns the lake keeps."""
    claims, pools = np.asarray(readings.claims, dtype=object), np.asarray(readings.pools, dtype=object)
    return {
        "id": list(readings.ids),
        "claim": claims[readings.claim].tolist() if len(readings) else [],
        "pool": pools[readings.pool].tolist() if len(readings) else [],
        "start": readings.start,
        "end": readings.end,
        "gpus": readings.gpus,
    }


def readings_of(columns: Columns) -> Readings:
    """A batch from the columns the lake keeps."""
    claims, claim = np.unique(np.asarray(columns["claim"], dtype=str), return_inverse=True)
    pools, pool = np.unique(np.asarray(columns["pool"], dtype=str), return_inverse=True)
    return Readings(
        claims=tuple(claims.tolist()),
        pools=tuple(pools.tolist()),
        ids=tuple(columns["id"]),
        claim=claim.astype(np.int64),
        pool=pool.astype(np.int64),
        start=np.asarray(columns["start"]),
        end=np.asarray(columns["end"]),
        gpus=np.asarray(columns["gpus"]),
    )


def readings_in(batches: Mapping[str, Item], lake: Lake, period: Interval) -> list[Readings]:
    """Batches that touch a period, in the order they were recorded."""
    return [
        readings_of(lake.load(item.body["rows"]))
        for item in sorted(batches.values(), key=lambda item: item.seq)
        if int(item.body["start"]) < period.end and int(item.body["end"]) > period.start
    ]
