"""Nameplate to available, as curves, with the cause of every cut.

Cuts apply in a fixed order so that no GPU is cut twice: power cap, then derates, then outages, each
limited to what is left. A spare stands in for a whole node that is out, and isn't held back then. A late
delivery isn't a cut of nameplate: those GPUs aren't installed; it is reported beside the cuts because the
plan counted on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from offtake.base.curve import Curve, combine, matrix, maximum, merged_times, minimum
from offtake.base.errors import Problem
from offtake.base.ids import check_name
from offtake.base.months import check_zone, local_midnight, plus_days
from offtake.base.time import Interval
from offtake.fleet.model import Cause, Delivery, Fleet, Outage, Pool, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """GPUs of a pool that one cause takes away."""

    pool: str
    cause: Cause
    reason: str
    gpus: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCapacity:
    """A pool's curves.

    Units: GPUs. Invariant: available = nameplate - sum of the cuts that aren't NOT_IN_SERVICE.
    """

    pool: Pool
    nameplate: Curve
    available: Curve
    cuts: tuple[Cut, ...]


def check_fleet(fleet: Fleet, where: str = "fleet.toml") -> list[Problem]:
    """Everything wrong with a fleet that types can't tell."""
    problems: list[Problem] = []
    sites = [site.id for site in fleet.site]
    pools = {pool.id for pool in fleet.pool}
    for kind, names in (("site", sites), ("pool", [pool.id for pool in fleet.pool])):
        for i, name in enumerate(names):
            problems += _check_id(f"{where}: {kind}[{i}].id", name, names[:i])
    for i, site in enumerate(fleet.site):
        try:
            check_zone(site.time_zone)
        except ValueError as error:
            problems.append(
                Problem(where=f"{where}: site[{i}].time_zone", code="unknown_time_zone", message=str(error))
            )
    for i, pool in enumerate(fleet.pool):
        problems += _check_pool(f"{where}: pool[{i}]", pool, sites)
    for i, derate in enumerate(fleet.derate):
        at = f"{where}: derate[{i}]"
        if derate.pool not in pools:
            problems.append(unknown_pool(f"{at}.pool", derate.pool, sorted(pools)))
        if derate.through is not None and derate.through < derate.start:
            problems.append(
                Problem(
                    where=f"{at}.through",
                    code="end_before_start",
                    message=f"{derate.through} is before the start {derate.start}",
                    remedy="`through` is the last day included",
                )
            )
    return problems


def unknown_pool(where: str, pool: str, known: Sequence[str]) -> Problem:
    """The problem of a pool that the fleet doesn't have."""
    return Problem(
        where=where,
        code="unknown_pool",
        message=f"the fleet has no pool {pool!r}",
        remedy=f"pools are {', '.join(known)}",
    )


def _check_id(where: str, name: str, earlier: Sequence[str]) -> list[Problem]:
    try:
        check_name(name)
    except ValueError as error:
        return [Problem(where=where, code="bad_name", message=str(error))]
    if name in earlier:
        return [
            Problem(
                where=where,
                code="duplicate",
                message=f"{name!r} appears twice",
                remedy="give each its own id",
            )
        ]
    return []


def _check_pool(at: str, pool: Pool, sites: Sequence[str]) -> list[Problem]:
    problems: list[Problem] = []
    if pool.site not in sites:
        problems.append(
            Problem(
                where=f"{at}.site",
                code="unknown_site",
                message=f"there is no site {pool.site!r}",
                remedy=f"sites are {', '.join(sites)}",
            )
        )
    names = [block.id for block in pool.build_out]
    for i, block in enumerate(pool.build_out):
        problems += _check_id(f"{at}.build_out[{i}].id", block.id, names[:i])
        if block.retired is not None and block.retired < block.in_service:
            problems.append(
                Problem(
                    where=f"{at}.build_out[{i}].retired",
                    code="end_before_start",
                    message=f"{block.retired} is before in_service {block.in_service}",
                )
            )
        if block.nodes % pool.topology.nodes_per_domain:
            per = pool.topology.nodes_per_domain
            fewer, more = block.nodes // per * per, (block.nodes // per + 1) * per
            problems.append(
                Problem(
                    where=f"{at}.build_out[{i}].nodes",
                    code="partial_domain",
                    message=f"{block.nodes} nodes aren't whole domains of {per}",
                    remedy=f"write {f'{fewer} or ' if fewer else ''}{more}, or change nodes_per_domain",
                )
            )
    return problems + _check_topology(f"{at}.topology", pool)


def _check_topology(at: str, pool: Pool) -> list[Problem]:
    topology, problems = pool.topology, []
    if topology.units_per_failure_domain is not None and topology.domains_per_unit is None:
        problems.append(
            Problem(
                where=f"{at}.units_per_failure_domain",
                code="no_units",
                message="failure domains are made of units, and the pool has none",
                remedy="say domains_per_unit, too",
            )
        )
    nodes = sum(block.nodes for block in pool.build_out)
    if topology.spares >= nodes:
        problems.append(
            Problem(
                where=f"{at}.spares",
                code="all_spare",
                message=f"{topology.spares} spares of {nodes} nodes leave none to give out",
                remedy="spares are nodes held back, fewer than the pool has",
            )
        )
    return problems


def pool_capacities(
    fleet: Fleet, *, outages: Sequence[Outage] = (), deliveries: Sequence[Delivery] = ()
) -> tuple[PoolCapacity, ...]:
    """Every pool's nameplate, available and cuts, in the order of the file."""
    capped = _power_caps(fleet, {pool.id: _nameplate(fleet, pool, deliveries) for pool in fleet.pool})
    return tuple(_pool_capacity(fleet, pool, capped[pool.id], outages) for pool in fleet.pool)


def _pool_capacity(
    fleet: Fleet,
    pool: Pool,
    curves: tuple[Curve, Curve],
    outages: Sequence[Outage],
) -> PoolCapacity:
    nameplate, left = curves
    cuts: list[Cut] = []
    if nameplate != left:
        cuts.append(
            Cut(
                pool=pool.id,
                cause=Cause.POWER_CAP,
                reason="the site's critical IT power",
                gpus=nameplate - left,
            )
        )
    planned = _nameplate(fleet, pool, ())
    late = maximum(planned - nameplate, Curve.zero())
    if late != Curve.zero():
        cuts.append(
            Cut(pool=pool.id, cause=Cause.NOT_IN_SERVICE, reason="build-out not yet in service", gpus=late)
        )
    for cause, reason, wanted in _wanted_cuts(fleet, pool, outages):
        taken = minimum(wanted, left)
        left = left - taken
        cuts.append(Cut(pool=pool.id, cause=cause, reason=reason, gpus=taken))
    return PoolCapacity(pool=pool, nameplate=nameplate, available=left, cuts=tuple(cuts))


def _wanted_cuts(fleet: Fleet, pool: Pool, outages: Sequence[Outage]) -> list[tuple[Cause, str, Curve]]:
    zone = fleet.site_of(pool).time_zone
    derates = [
        (
            Cause.DERATE,
            derate.reason or derate.id,
            _between(local_midnight(derate.start, zone), _after(derate.through, zone), derate.gpus),
        )
        for derate in fleet.derate
        if derate.pool == pool.id
    ]
    own = sorted((o for o in outages if o.pool == pool.id), key=lambda o: (o.start, o.id))
    if pool.topology.spares:
        derates.append((Cause.DERATE, "spares", _idle_spares(pool, own)))
    broken = [(Cause.OUTAGE, outage.id, _between(outage.start, outage.end, outage.gpus)) for outage in own]
    return derates + broken


def _idle_spares(pool: Pool, outages: Sequence[Outage]) -> Curve:
    """GPUs that are held back: those of spares, less one spare for each whole node that is out."""
    size = pool.gpus_per_node
    idle = Curve.constant(pool.topology.spares * size)
    for outage in outages:
        idle = idle - _between(outage.start, outage.end, outage.gpus // size * size)
    return idle.clip(lo=0)


def _after(last: date | None, zone: str) -> int | None:
    """The instant after a last day, or None where there is none."""
    return None if last is None else local_midnight(plus_days(last, 1), zone)


def _between(start: int, end: int | None, gpus: int) -> Curve:
    """GPUs from one instant to another, or for ever."""
    if end is not None and end <= start:
        return Curve.zero()
    return Curve.from_steps([(start, gpus)] if end is None else [(start, gpus), (end, 0)])


def _nameplate(fleet: Fleet, pool: Pool, deliveries: Sequence[Delivery]) -> Curve:
    """GPUs installed: each block from its plan, or from what is known of its delivery."""
    zone = fleet.site_of(pool).time_zone
    actual = {d.build_out: d for d in deliveries if d.pool == pool.id}
    curves = []
    for block in pool.build_out:
        delivery = actual.get(block.id)
        steps = delivery.steps if delivery else ((local_midnight(block.in_service, zone), block.nodes),)
        end = _after(block.retired, zone)
        curves += [_between(start, end, nodes * pool.gpus_per_node) for start, nodes in steps]
    return combine(curves)


def _watts(kilowatts: Decimal) -> int:
    return int((kilowatts * 1000).to_integral_value())


def _power_caps(fleet: Fleet, nameplates: dict[str, Curve]) -> dict[str, tuple[Curve, Curve]]:
    """Nameplate and what the site's critical IT power can feed, in whole nodes.

    Pools of a site draw in the order of the file: the last pools bear a cap first.
    """
    result: dict[str, tuple[Curve, Curve]] = {}
    for site in fleet.site:
        pools = [pool for pool in fleet.pool if pool.site == site.id]
        for pool, fed in zip(pools, _fed(site, pools, nameplates), strict=True):
            result[pool.id] = (nameplates[pool.id], fed)
    return result


def _fed(site: Site, pools: Sequence[Pool], nameplates: dict[str, Curve]) -> list[Curve]:
    curves = [nameplates[pool.id] for pool in pools]
    changes = [int(instant) for curve in curves for instant in curve.times]
    if not changes:
        return curves
    times = merged_times(curves, Interval(min(changes), max(changes) + 1))
    wanted = matrix(curves, times)
    budget = np.full(len(times) - 1, _watts(site.critical_it_mw * 1000), dtype=np.int64)
    fed: list[Curve] = []
    for pool, gpus in zip(pools, wanted, strict=True):
        watts = _watts(pool.kw_per_gpu)
        nodes = np.minimum(gpus, budget // watts) // pool.gpus_per_node
        granted = nodes * pool.gpus_per_node
        budget = budget - granted * watts
        fed.append(Curve.from_arrays(times[:-1], granted))
    return fed
