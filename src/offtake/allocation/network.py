"""Claims and the pools that may serve them, as the network of one segment's transportation problem.

An arc joins a claim to a pool that may serve it. Pools that some claim joins share a *component*. If all
nodes of a component have one size, its unit is a node and everything is a whole number of nodes by itself.
Otherwise its unit is the greatest common divisor of the sizes (8 for nodes of 8 and 72 GPUs) and a node
counts several units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from offtake.allocation.model import Supply
from offtake.claims.model import Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The shape of the problem; equal shapes share one solver model.

    Shapes: C claims by rank, P pools, A arcs by claim and then by its preference.

    Attributes:
        n_claims: C.
        n_pools: P.
        arc_claim: [A] rank of each arc's claim.
        arc_pool: [A] index of each arc's pool.
        node_units: [P] units in one node.
        claim_step: [C] units that the claim's holding is always a multiple of.
        claim_unit: [C] GPUs in one unit of the claim's component.
        mixed: [C] whether the claim's pools have nodes of more than one size.
    """

    n_claims: int
    n_pools: int
    arc_claim: tuple[int, ...]
    arc_pool: tuple[int, ...]
    node_units: tuple[int, ...]
    claim_step: tuple[int, ...]
    claim_unit: tuple[int, ...]
    mixed: tuple[bool, ...]

    def needs(self, demand: NDArray[np.int64]) -> NDArray[np.int64]:
        """Units that serve a demand: rounded up to what the claim's pools can give.

        Shapes: int64[K, C] to int64[K, C].
        """
        step = np.array(self.claim_step, dtype=np.int64)
        grain = step * np.array(self.claim_unit, dtype=np.int64)
        return -(-demand // grain) * step


def network_of(claims: Sequence[Claim], pools: Sequence[Supply]) -> Network:
    """The network of claims, already in the order of precedence."""
    index = {pool.id: p for p, pool in enumerate(pools)}
    eligible = [[index[pool] for pool in claim.pools] for claim in claims]
    sizes = [pool.gpus_per_node for pool in pools]
    units = units_of(eligible, sizes)
    node_units = tuple(size // unit for size, unit in zip(sizes, units, strict=True))
    return Network(
        n_claims=len(claims),
        n_pools=len(pools),
        arc_claim=tuple(c for c, arcs in enumerate(eligible) for _ in arcs),
        arc_pool=tuple(p for arcs in eligible for p in arcs),
        node_units=node_units,
        claim_step=tuple(gcd(*(node_units[p] for p in arcs)) for arcs in eligible),
        claim_unit=tuple(units[arcs[0]] for arcs in eligible),
        mixed=tuple(len({sizes[p] for p in arcs}) > 1 for arcs in eligible),
    )


def units_of(eligible: Sequence[Sequence[int]], sizes: Sequence[int]) -> list[int]:
    """GPUs in one unit, for each pool: the greatest common divisor over the pool's component."""
    component = list(range(len(sizes)))
    for arcs in eligible:
        joined = {component[p] for p in arcs}
        component = [min(joined) if name in joined else name for name in component]
    return [
        gcd(*(size for size, other in zip(sizes, component, strict=True) if other == name))
        for name in component
    ]
