"""The nodes of a pool by number: how they stand together, and which of them are in service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offtake.base.months import local_midnight, plus_days
from offtake.fleet.model import Delivery, Fleet, Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The numbering of a pool's nodes: neighbours share a domain, neighbouring domains a unit, and so on.

    Attributes:
        nodes: how many there are, in service or not; they are numbered from 0.
        per_domain: nodes of an NVLink domain.
        per_unit: nodes of a scalable unit, a multiple of `per_domain`.
        per_failure_domain: nodes of a failure domain, a multiple of `per_unit`.
    """

    nodes: int
    per_domain: int = 1
    per_unit: int | None = None
    per_failure_domain: int | None = None

    def sizes(self) -> tuple[int, int, int]:
        """Nodes of a domain, a unit and a failure domain; the whole pool is one where none is declared."""
        domain = self.per_domain
        whole = max(1, -(-self.nodes // domain)) * domain
        unit = self.per_unit or whole
        failure = self.per_failure_domain or -(-whole // unit) * unit
        return domain, unit, failure


def blocks_of(pool: Pool, deliveries: Sequence[Delivery] = ()) -> tuple[tuple[str, int], ...]:
    """Each block with the numbers it takes: as many as planned, or as came if those are more.

    More that came are rounded up to whole domains, so that the next block begins a domain of its own.
    """
    came = {d.build_out: sum(nodes for _, nodes in d.steps) for d in deliveries if d.pool == pool.id}
    per = pool.topology.nodes_per_domain
    return tuple(
        (block.id, -(-max(block.nodes, came.get(block.id, 0)) // per) * per) for block in pool.build_out
    )


def layout_of(pool: Pool, deliveries: Sequence[Delivery] = ()) -> Layout:
    """The numbering of a pool's nodes."""
    topology = pool.topology
    unit = topology.domains_per_unit and topology.domains_per_unit * topology.nodes_per_domain
    failure = unit and topology.units_per_failure_domain and topology.units_per_failure_domain * unit
    nodes = sum(count for _, count in blocks_of(pool, deliveries))
    return Layout(
        nodes=nodes, per_domain=topology.nodes_per_domain, per_unit=unit, per_failure_domain=failure
    )


def in_service(fleet: Fleet, pool: Pool, deliveries: Sequence[Delivery], at: int) -> NDArray[np.bool_]:
    """Which nodes are installed at an instant: of each block the first so many, until it is retired.

    Shapes: bool[nodes of the layout].
    """
    zone = fleet.site_of(pool).time_zone
    actual = {d.build_out: d for d in deliveries if d.pool == pool.id}
    parts = []
    for block, (_, numbers) in zip(pool.build_out, blocks_of(pool, deliveries), strict=True):
        delivery = actual.get(block.id)
        steps = delivery.steps if delivery else ((local_midnight(block.in_service, zone), block.nodes),)
        there = sum(nodes for start, nodes in steps if start <= at)
        if block.retired is not None and at >= local_midnight(plus_days(block.retired, 1), zone):
            there = 0
        parts.append(np.arange(numbers) < there)
    return np.concatenate(parts)
