"""Which scheduler a fleet runs on, and how its nodes and users are called there: cluster.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.formats.files import read_text
from offtake.formats.toml import parse_toml, read, unwrap
from offtake.metering.hostlist import expand_nodes

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
"""Names of users and types: nothing that a scheduler would take for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolNodes(Declared):
    """How a pool's nodes are called.

    Attributes:
        id: of the pool.
        nodes: names in the order of the pool's numbers, in Slurm's shorthand, such as ``n[01-08]``.
        gpu_type: what the scheduler calls its GPUs, such as ``h100``, where a fleet has several types.
    """

    id: str
    nodes: Annotated[str, MinLen(1)]
    gpu_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimUsers(Declared):
    """Who may submit jobs for a claim.

    Attributes:
        id: of the claim: an agreement's tranche, such as ``acme/main``, or a demand of the operator's own.
        users: their names on the cluster.
    """

    id: str
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFile(Declared):
    """What cluster.toml says.

    Attributes:
        backend: the kind of scheduler; the simulated one is a rehearsal, which does what it is told and runs
            nothing.
        conf: path of slurm.conf where the commands run; the system's own when left out.
        host: where the commands run, by ssh; here when left out.
        grace_s: seconds that a job has to end by itself once it must make room.
        lag_s: how long ago the accounting must lie to be read.
        meter_every_s: how often the accounting is read: each time is a fact of the book.
        operator: the user that offtake runs as where the commands run; it submits jobs that sweep others off
            closed nodes.
        hold_nodes: whether nodes are reserved; otherwise only limits are set.
        pool: names of nodes.
        claim: who may submit.
    """

    backend: Literal["slurm", "simulated"]
    conf: str = ""
    host: str = ""
    grace_s: Annotated[int, Ge(0), Le(86_400)] = 60
    lag_s: Annotated[int, Ge(0), Le(86_400)] = 120
    meter_every_s: Annotated[int, Ge(0), Le(86_400)] = 3_600
    operator: str = "root"
    hold_nodes: bool = True
    pool: Annotated[tuple[PoolNodes, ...], MinLen(1)]
    claim: tuple[ClaimUsers, ...] = ()

    @property
    def nodes(self) -> Mapping[str, tuple[str, ...]]:
        """Names of nodes by pool, in the order of their numbers."""
        return {one.id: tuple(expand_nodes(one.nodes)) for one in self.pool}

    @property
    def types(self) -> Mapping[str, str]:
        """What the scheduler calls the GPUs of each pool that has a type."""
        return {one.id: one.gpu_type for one in self.pool if one.gpu_type}

    @property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """Who may submit, by claim."""
        return {one.id: one.users for one in self.claim}


def read_cluster(path: Path) -> ClusterFile:
    """Read cluster.toml.

    Raises:
        BadInput: with every problem.
    """
    text = read_text(path)
    problems: list[Problem] = []
    found = read(ClusterFile, unwrap(parse_toml(text, str(path)), "", {}, problems), "", problems)
    if found is not None:
        problems += _check(found)
    if found is None or problems:
        raise BadInput([problem.within(str(path)) for problem in problems])
    return found


def _check(found: ClusterFile) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    if not NAME.fullmatch(found.operator):
        message = f"{found.operator!r} is no user name"
        problems.append(Problem(where="operator", code="bad_name", message=message))
    for i, pool in enumerate(found.pool):
        at = f"pool[{i}]"
        if pool.id in [other.id for other in found.pool[:i]]:
            problems.append(Problem(where=f"{at}.id", code="duplicate", message=f"{pool.id!r} appears twice"))
        if pool.gpu_type and not NAME.fullmatch(pool.gpu_type):
            message = f"{pool.gpu_type!r} is no type of GPU"
            problems.append(Problem(where=f"{at}.gpu_type", code="bad_name", message=message))
        try:
            names = expand_nodes(pool.nodes)
        except ValueError as error:
            problems.append(Problem(where=f"{at}.nodes", code="bad_nodes", message=str(error)))
            continue
        for name in names:
            if name in seen:
                message = f"{name} is a node of {seen[name]} already"
                problems.append(Problem(where=f"{at}.nodes", code="duplicate", message=message))
            seen[name] = pool.id
    for i, claim in enumerate(found.claim):
        if claim.id in [other.id for other in found.claim[:i]]:
            message = f"{claim.id!r} appears twice"
            problems.append(Problem(where=f"claim[{i}].id", code="duplicate", message=message))
        problems += [
            Problem(where=f"claim[{i}].users", code="bad_name", message=f"{name!r} is no user name")
            for name in claim.users
            if not NAME.fullmatch(name)
        ]
    return problems
