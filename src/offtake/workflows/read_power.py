"""What GPUs drew, and which were out of order, from Prometheus into the usage lake.

Windows follow each other and end on full hours that are long enough ago. Each is taken in once: its
readings, and the fact `power.metered` from which the next one goes on, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from offtake.adapters.dcgm import Asked, WindowOfGpus, read_window
from offtake.adapters.prometheus import Prometheus
from offtake.base.months import months_in
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, HOUR_S, Interval
from offtake.formats.cluster_file import PrometheusTable
from offtake.metering.dcgm import (
    WH_MJ,
    Energy,
    Finding,
    Gpu,
    Held,
    Rules,
    Samples,
    Silent,
    meter_energy,
    names_of,
)
from offtake.metering.gpu_health import FATAL_XIDS, Fault, Health, HealthRules, check_health
from offtake.metering.usage import ReadingKind, UsageRules, Verdict
from offtake.store.fact import Fact
from offtake.store.lake import Columns
from offtake.store.usage import SCHEMA
from offtake.workflows.book import Book
from offtake.workflows.read_cluster import SOURCE as SLURM
from offtake.workflows.state import State
from offtake.workflows.usage import Ingested, ingest
from offtake.workflows.view import agreement_ids, fleet_of, opened_at, signed_agreement

SOURCE = "dcgm"
"""The source of readings, and what its progress is kept under."""

METERED = "power.metered"
"""A fact: a window of power and health was taken in."""

WINDOWS_AT_ONCE = 24
"""How many windows one turn reads at most: what was missed for days mustn't hold up the rest of a turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerMetered:
    """What windows said.

    Attributes:
        windows: how many were taken in.
        through: everything before is in.
        wh: watt-hours by agreement, without what is left over.
        operator_wh: of nodes that no agreement held.
        gauge_wh: what was integrated from power, for want of a counter.
        outages: readings of health.
        findings: what isn't as it should be.
    """

    windows: int
    through: int
    wh: Mapping[str, int]
    operator_wh: int
    gauge_wh: int
    outages: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    """What a window goes on from."""

    through: int
    left_mj: Mapping[str, int]
    silent: Mapping[Gpu, Silent]
    faults: Mapping[Gpu, Fault]
    instances: Mapping[str, tuple[str, ...]]


def power_turn(
    book: Book, server: Prometheus, table: PrometheusTable, nodes: Mapping[str, tuple[str, ...]], now: int
) -> PowerMetered | Refused | None:
    """Take in the full hours that are complete; None where none is.

    Args:
        book: written to.
        server: where metrics are.
        table: how they are called there, and what counts as what.
        nodes: by pool, names of its nodes in the order of their numbers.
        now: the present instant.

    Refusals: those of Prometheus and of `ingest`. What was taken in before stays.
    """
    found: list[PowerMetered] = []
    while len(found) < WINDOWS_AT_ONCE:
        position = _position(book.state, now)
        end = (position.through // HOUR_S + 1) * HOUR_S
        if end > now - table.lag_s:
            break
        window = Interval(position.through, end)
        read = read_window(
            server, _asked(table), window, suspects=[gpu.uuid for gpu in position.faults],
            least_xid=min(_health_rules(table).fatal_xids) if table.health else None,
        )  # fmt: skip
        if isinstance(read, Refused):
            return read
        done = take_in_power(book, read, window, table=table, nodes=nodes, now=now)
        if isinstance(done, Refused):
            return done
        found.append(done)
    return _together(found) if found else None


def take_in_power(
    book: Book,
    read: WindowOfGpus,
    window: Interval,
    *,
    table: PrometheusTable,
    nodes: Mapping[str, tuple[str, ...]],
    now: int,
) -> PowerMetered | Refused:
    """Take a window in: readings of power and health, and the fact that the next window goes on from.

    Args:
        book: written to.
        read: what was scraped around the window.
        window: from where the last one ended to a full hour.
        table: what counts as what.
        nodes: by pool, names of its nodes in the order of their numbers.
        now: the present instant.

    Refusals: those of `ingest`.
    """
    position = _position(book.state, now)
    names = [name for own in nodes.values() for name in own]
    called = names_of({*_labels(read), *(_host(one) for one in read.targets)}, names)
    read, known = _renamed(read, called), read
    instances = {**{n: i for n, i in position.instances.items() if n not in read.instances}, **read.instances}
    health = _health(book, read, instances, window, position=position, table=table, nodes=nodes)
    energy = meter_energy(
        read.gpus,
        window,
        _held(
            book, nodes, min([window.start, *(s.at // 1000 for s in position.silent.values())]), window.end
        ),
        silent=position.silent,
        left_mj=position.left_mj,
        borders=_month_ends(book.state, window),
        down=health.down,
        rules=Rules(gap_s=table.gap_s, max_gpu_w=table.max_gpu_w),
    )
    findings = (*energy.findings, *health.findings, *_odd(book, known, called, read, nodes))
    with book.writing():
        rows = _rows(energy, health, window, nodes)
        done = ingest(
            book, pa.Table.from_pylist(rows, schema=SCHEMA), batch=f"{SOURCE}/{window.end}", now=now,
            through={SOURCE: window.end},
        )  # fmt: skip
        if isinstance(done, Refused):
            return done
        metered = _metered(energy, health, (*findings, *_rejected(done)), window)
        kept = {gpu.node for gpu in energy.silent}
        body = _body(metered, energy, health, {n: i for n, i in instances.items() if n in kept})
        fact = Fact(
            kind=METERED, id=f"{SOURCE}/{window.end}", effective_at=window.start, recorded_at=now, body=body
        )
        book.append([fact])
    return metered


def _asked(table: PrometheusTable) -> Asked:
    return Asked(
        label=table.node_label, match=table.match, step_s=table.step_s, around_s=table.gap_s + table.step_s,
        targets_around_s=table.lag_s,
    )  # fmt: skip


def _health_rules(table: PrometheusTable) -> HealthRules:
    return HealthRules(
        fatal_xids=frozenset(table.fatal_xids or FATAL_XIDS), ecc_errors=table.ecc_errors,
        needs_restart=table.needs_restart, down_after_s=table.down_after_s,
    )  # fmt: skip


def _position(state: State, now: int) -> _Position:
    """Where the last window ended; at first when the book was opened, or as long ago as is accepted."""
    known = state.body("power", SOURCE)
    if known is None:
        oldest = (now - UsageRules().late_window_s) // HOUR_S * HOUR_S + DAY_S
        return _Position(
            through=max(opened_at(state), oldest), left_mj={}, silent={}, faults={}, instances={}
        )
    return _Position(
        through=int(known["through"]),
        left_mj=known["left_mj"],
        silent={
            Gpu(one["node"], one["uuid"]): Silent(at=one["at"], counter=one["counter"])
            for one in known["silent"]
        },
        faults={
            Gpu(one["node"], one["uuid"]): Fault(
                since=one["since"],
                kinds=tuple(one["kinds"]),
                evidence=one["evidence"],
                restarted=one["restarted"],
            )
            for one in known["faults"]
        },
        instances={node: tuple(own) for node, own in known["instances"].items()},
    )


def _labels(read: WindowOfGpus) -> set[str]:
    return {gpu.node for gpu in (*read.gpus, *read.signs)} | set(read.instances)


def _host(instance: str) -> str:
    return instance.rpartition(":")[0] or instance


def _renamed(read: WindowOfGpus, called: Mapping[str, str]) -> WindowOfGpus:
    """The same with nodes as cluster.toml calls them, without those that it doesn't know."""
    instances: dict[str, tuple[str, ...]] = {}
    for label, own in read.instances.items():
        if label in called:
            instances[called[label]] = (*instances.get(called[label], ()), *own)
    for one in read.targets:  # a node that was never scraped is known by its target's name
        if _host(one) in called and called[_host(one)] not in instances:
            instances[called[_host(one)]] = (one,)
    return replace(
        read,
        gpus={Gpu(called[g.node], g.uuid): own for g, own in read.gpus.items() if g.node in called},
        signs={Gpu(called[g.node], g.uuid): own for g, own in read.signs.items() if g.node in called},
        instances=instances,
    )


def _health(
    book: Book,
    read: WindowOfGpus,
    instances: Mapping[str, tuple[str, ...]],
    window: Interval,
    *,
    position: _Position,
    table: PrometheusTable,
    nodes: Mapping[str, tuple[str, ...]],
) -> Health:
    if not table.health:
        return Health(outings=(), faults={}, down=frozenset(), findings=())
    size = {pool.id: pool.gpus_per_node for pool in fleet_of(book.state).pool}
    return check_health(
        read.signs,
        {node: _reachable([read.targets.get(one, ()) for one in own]) for node, own in instances.items()},
        window,
        faults=position.faults,
        sizes={name: size.get(pool, 1) for pool, names in nodes.items() for name in names},
        known=_slurm_outages(book.state, window),
        rules=_health_rules(table),
    )


def _reachable(targets: Sequence[Samples]) -> Samples:
    """Whether any of a node's targets could be scraped; one that has gone says nothing."""
    merged: dict[int, int] = {}
    for samples in targets:
        for at, value in samples:
            merged[at] = max(value, merged.get(at, 0))
    return tuple(sorted(merged.items()))


def _slurm_outages(state: State, window: Interval) -> dict[str, list[Interval]]:
    """By node, when Slurm had it down, which is recorded already."""
    found: dict[str, list[Interval]] = {}
    for id_, item in state.of("outage").items():
        source, _, rest = id_.partition("/")
        start = int(item.body["start"])
        end = window.end if item.body["end"] is None else int(item.body["end"])
        if source == SLURM and start < end:
            found.setdefault(rest.rpartition("/")[0], []).append(Interval(start, end))
    return found


def _held(book: Book, nodes: Mapping[str, tuple[str, ...]], start: int, end: int) -> dict[str, Held]:
    """By node, who held it from start to end, as nodes were assigned."""
    times: dict[str, list[int]] = {}
    claims: dict[str, list[str]] = {}
    for recorded in book.database.facts_around("nodes.assigned", start, end):
        rows = book.lake.load(recorded.fact.body["nodes"])
        for name, claim in _holders(rows, nodes):
            own = claims.setdefault(name, [])
            if not own or own[-1] != claim:
                own.append(claim)
                times.setdefault(name, []).append(recorded.fact.effective_at)
    return {name: Held(tuple(times[name]), tuple(claims[name])) for name in times}


def _holders(rows: Columns, nodes: Mapping[str, tuple[str, ...]]) -> Iterable[tuple[str, str]]:
    first, end = np.asarray(rows["first"]).tolist(), np.asarray(rows["end"]).tolist()
    for pool, a, b, claim in zip(rows["pool"], first, end, rows["claim"], strict=True):
        for name in nodes.get(str(pool), ())[a:b]:
            yield name, str(claim)


def _month_ends(state: State, window: Interval) -> set[int]:
    """When months begin for somebody: a reading counts in the month in which it begins."""
    zones = {signed_agreement(state, id_).time_zone for id_ in agreement_ids(state)}
    return {month.interval(zone).start for zone in zones for month in months_in(window, zone)}


def _rows(
    energy: Energy, health: Health, window: Interval, nodes: Mapping[str, tuple[str, ...]]
) -> list[dict[str, Any]]:
    """Readings: of each agreement and hour, and of each time that GPUs of a node were out of order."""
    pool_of = {name: pool for pool, names in nodes.items() for name in names}
    power = [
        {
            "kind": str(ReadingKind.POWER), "source": SOURCE,
            "id": f"{row.agreement}/{row.start}/{window.end}", "subject": row.agreement, "pool": "",
            "start": row.start, "end": row.end, "value": row.wh,
        }
        for row in energy.rows
        if row.agreement
    ]  # fmt: skip
    outages = [
        {
            "kind": str(ReadingKind.HEALTH), "source": SOURCE, "id": f"{one.node}/{one.start}",
            "subject": f"{one.node}: {one.evidence}", "pool": pool_of[one.node],
            "start": one.start, "end": one.end, "value": one.gpus,
        }
        for one in health.outings
    ]  # fmt: skip
    return power + outages


def _odd(
    book: Book, known: WindowOfGpus, called: Mapping[str, str], read: WindowOfGpus,
    nodes: Mapping[str, tuple[str, ...]],
) -> list[Finding]:  # fmt: skip
    """Nodes without metrics, metrics without a node, nodes with more or fewer GPUs than they have."""
    size = {pool.id: pool.gpus_per_node for pool in fleet_of(book.state).pool}
    shown: dict[str, int] = {}
    for gpu in read.gpus:
        shown[gpu.node] = shown.get(gpu.node, 0) + 1
    found = []
    for pool, names in nodes.items():
        absent = [name for name in names if name not in shown]
        if absent:
            sentence = f"{len(absent)} nodes of {pool} have no metrics: {_some(absent)}"
            found.append(Finding(code="unseen", node="", sentence=sentence))
        for name in names:
            if name in shown and pool in size and shown[name] != size[pool]:
                code = "fewer_gpus" if shown[name] < size[pool] else "more_gpus"
                sentence = f"{name} shows {shown[name]} of its {size[pool]} GPUs"
                found.append(Finding(code=code, node=name, sentence=sentence))
    strange = sorted({gpu.node for gpu in known.gpus} - set(called))
    if strange:
        sentence = f"cluster.toml doesn't know {len(strange)} nodes that metrics name: {_some(strange)}"
        found.append(Finding(code="unknown_node", node="", sentence=sentence))
    return found


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _rejected(done: Ingested) -> list[Finding]:
    said = [f"{count} {why}" for why, count in sorted(done.reasons.items())]
    said += [f"{done.counts[Verdict.CONFLICT]} conflict"] if done.counts.get(Verdict.CONFLICT) else []
    sentence = f"readings weren't accepted: {', '.join(said)}"
    return [Finding(code="rejected", node="", sentence=sentence)] if said else []


def _metered(energy: Energy, health: Health, findings: tuple[Finding, ...], window: Interval) -> PowerMetered:
    wh: dict[str, int] = {}
    for row in energy.rows:
        wh[row.agreement] = wh.get(row.agreement, 0) + row.wh
    return PowerMetered(
        windows=1,
        through=window.end,
        operator_wh=wh.pop("", 0),
        wh=wh,
        gauge_wh=energy.gauge_mj // WH_MJ,
        outages=len(health.outings),
        findings=findings,
    )


def _body(
    metered: PowerMetered, energy: Energy, health: Health, instances: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    return {
        "source": SOURCE,
        "through": metered.through,
        "wh": dict(metered.wh),
        "operator_wh": metered.operator_wh,
        "mj": dict(energy.mj),
        "gauge_mj": energy.gauge_mj,
        "left_mj": dict(energy.left_mj),
        "outages": [
            {"node": one.node, "start": one.start, "end": one.end, "gpus": one.gpus, "evidence": one.evidence}
            for one in health.outings
        ],
        "findings": [
            {"code": one.code, "node": one.node, "seconds": one.seconds, "sentence": one.sentence}
            for one in metered.findings
        ],
        "silent": [
            {"node": gpu.node, "uuid": gpu.uuid, "at": one.at, "counter": one.counter}
            for gpu, one in energy.silent.items()
        ],
        "faults": [
            {
                "node": gpu.node, "uuid": gpu.uuid, "since": one.since, "kinds": list(one.kinds),
                "evidence": one.evidence, "restarted": one.restarted,
            }
            for gpu, one in health.faults.items()
        ],
        "instances": {node: list(own) for node, own in instances.items()},
    }  # fmt: skip


def _together(found: Sequence[PowerMetered]) -> PowerMetered:
    wh: dict[str, int] = {}
    for one in found:
        for agreement, own in one.wh.items():
            wh[agreement] = wh.get(agreement, 0) + own
    return PowerMetered(
        windows=len(found),
        through=found[-1].through,
        wh=wh,
        operator_wh=sum(one.operator_wh for one in found),
        gauge_wh=sum(one.gauge_wh for one in found),
        outages=sum(one.outages for one in found),
        findings=tuple(finding for one in found for finding in one.findings),
    )
