"""The fleet as declared, and the facts that change what of it is available."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from annotated_types import Ge, Gt, Le, MinLen

from offtake.base.declared import Declared


class Cause(StrEnum):
    """Why GPUs that were planned aren't available."""

    POWER_CAP = "power_cap"
    NOT_IN_SERVICE = "not_in_service"
    DERATE = "derate"
    OUTAGE = "outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site(Declared):
    """A place with power.

    Units: `critical_it_mw` is the power that reaches IT equipment, before PUE, in megawatts.
    """

    id: str
    name: str
    critical_it_mw: Annotated[Decimal, Gt(0), Le(10**6)]
    pue: Annotated[Decimal, Ge(1)]
    region: str
    time_zone: str
    source: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOut(Declared):
    """A block of nodes that goes into service on one date.

    Attributes:
        id: name within the pool.
        in_service: planned first day of service, at local midnight of the site.
        nodes: how many nodes.
        retired: last day of service, or None.
    """

    id: str
    in_service: date
    nodes: Annotated[int, Gt(0), Le(10**8)]
    retired: date | None = None
    source: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology(Declared):
    """How a pool's nodes stand together. Nodes are numbered through the blocks in the order of the file.

    Attributes:
        nodes_per_domain: neighbouring nodes that share one NVLink domain, such as 18 of a rack.
        domains_per_unit: neighbouring domains of a scalable unit; left out, the whole pool is one unit.
        units_per_failure_domain: neighbouring units that fail together (a building, a power or cooling
            row); left out, the whole pool is one failure domain.
        spares: nodes held back to replace those that fail, spread over the failure domains. No plan
            promises them.
        cleaning_hours: how long cleaning a node is given before it is called overdue; left out, it never is.
    """

    nodes_per_domain: Annotated[int, Gt(0), Le(10**4)] = 1
    domains_per_unit: Annotated[int, Gt(0), Le(10**6)] | None = None
    units_per_failure_domain: Annotated[int, Gt(0), Le(10**6)] | None = None
    spares: Annotated[int, Ge(0), Le(10**8)] = 0
    cleaning_hours: Annotated[int, Gt(0), Le(10**4)] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Declared):
    """Interchangeable nodes of one GPU model at one site.

    Units: `kw_per_gpu` is the critical-IT power drawn for each GPU with its share of the node, in kW.
    """

    id: str
    site: str
    gpu_model: str
    gpus_per_node: Annotated[int, Gt(0), Le(10**5)]
    kw_per_gpu: Annotated[Decimal, Gt(0), Le(10**4)]
    build_out: Annotated[tuple[BuildOut, ...], MinLen(1)]
    topology: Topology = Topology()
    source: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Derate(Declared):
    """GPUs of a pool that are planned not to be usable (spares, maintenance), on whole local days.

    `through` is the last day included; None means for ever.
    """

    id: str
    pool: str
    start: date
    through: date | None = None
    gpus: Annotated[int, Gt(0), Le(10**9)]
    reason: str = ""
    source: str = ""
    assumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet(Declared):
    """Everything an operator owns, in the order of the file."""

    site: Annotated[tuple[Site, ...], MinLen(1)]
    pool: Annotated[tuple[Pool, ...], MinLen(1)]
    derate: tuple[Derate, ...] = ()

    def pool_of(self, pool_id: str) -> Pool:
        """The pool of that name.

        Raises:
            KeyError: if the fleet has none.
        """
        for pool in self.pool:
            if pool.id == pool_id:
                return pool
        raise KeyError(pool_id)

    def site_of(self, pool: Pool) -> Site:
        """The site a pool stands on."""
        return next(site for site in self.site if site.id == pool.site)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """GPUs of a pool that stopped working unplanned.

    Units: instants in seconds UTC, end exclusive; None while it lasts.
    """

    id: str
    pool: str
    start: int
    end: int | None
    gpus: int
    hypothetical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is known of a build-out block's actual arrival; it replaces the plan for that block.

    Attributes:
        id: what people call it.
        pool: the pool.
        build_out: the block.
        steps: (first instant of service, nodes that arrive then), in order.
    """

    id: str
    pool: str
    build_out: str
    steps: tuple[tuple[int, int], ...]
    hypothetical: bool = False
