"""Which scheduler a fleet runs on, and how its nodes and users are called there: cluster.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Ge, Le, MinLen

from offtake.base.declared import Declared
from offtake.base.errors import BadInput, Problem
from offtake.formats.files import read_text
from offtake.formats.toml import parse_toml, read, unwrap
from offtake.metering.hostlist import expand_nodes

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]*")
"""Names of users and types: nothing that a scheduler would take for more."""

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_MATCHER = LABEL.pattern + r'\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"'
MATCH = re.compile(rf"\s*{_MATCHER}(?:\s*,\s*{_MATCHER})*\s*")
"""Matchers of Prometheus, and nothing that ends them."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")


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
class PrometheusTable(Declared):
    """Where power and health of GPUs are read from: metrics of NVIDIA's DCGM exporter in Prometheus.

    Units: seconds.

    Attributes:
        url: of Prometheus, without ``/api``.
        token_file: holds a bearer token; beside cluster.toml unless it begins with a slash.
        node_label: the label that names the node.
        match: matchers that every series must meet, such as ``job="dcgm"``.
        step_s: how far apart values are read; at least the interval of scrapes.
        lag_s: how long ago what is read must lie.
        gap_s: the longest time between two scrapes that is no gap.
        max_gpu_w: the most that a GPU can draw, in watts; more isn't counted.
        health: whether GPUs that are out of order become outages.
        fatal_xids: XIDs after which a GPU must be restarted; NVIDIA's catalogue says which, when left out.
        ecc_errors: so many uncorrectable errors since the driver was loaded put a GPU out of order; 0 for
            never.
        needs_restart: whether a fault lasts until the GPU was restarted, or only until its gauge is cleared.
        down_after_s: a node whose target is down for longer is out of order.
    """

    url: Annotated[str, MinLen(1)]
    token_file: str = ""
    node_label: str = "Hostname"
    match: str = ""
    step_s: Annotated[int, Ge(1), Le(3_600)] = 60
    lag_s: Annotated[int, Ge(0), Le(86_400)] = 1_200
    gap_s: Annotated[int, Ge(1), Le(21_600)] = 180
    max_gpu_w: Annotated[int, Ge(1), Le(100_000)] = 3_000
    health: bool = True
    fatal_xids: tuple[int, ...] = ()
    ecc_errors: Annotated[int, Ge(0), Le(1_000_000)] = 1
    needs_restart: bool = True
    down_after_s: Annotated[int, Ge(1), Le(86_400)] = 900


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
        prometheus: where power and health are read from; they aren't read when left out.
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
    prometheus: PrometheusTable | None = None

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
    if found.prometheus is not None:
        problems += _check_prometheus(found.prometheus)
    return problems


def _check_prometheus(table: PrometheusTable) -> list[Problem]:
    url, problems = urlsplit(table.url), []
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        message = f"{table.url!r} is no address such as https://prometheus.example:9090"
        problems.append(Problem(where="prometheus.url", code="bad_url", message=message))
    elif url.username or url.password:
        message = "a password in an address would be shown; put a token into a file"
        problems.append(
            Problem(where="prometheus.url", code="secret_in_url", message=message, remedy="use token_file")
        )
    elif table.token_file and url.scheme == "http" and url.hostname not in LOOPBACK:
        message = "the token would go over the network in the clear"
        problems.append(
            Problem(where="prometheus.url", code="token_in_clear", message=message, remedy="use https")
        )
    if not LABEL.fullmatch(table.node_label):
        message = f"{table.node_label!r} is no label"
        problems.append(Problem(where="prometheus.node_label", code="bad_name", message=message))
    if table.match and not MATCH.fullmatch(table.match):
        message = f'{table.match!r} are no matchers, such as job="dcgm", cluster=~"a|b"'
        problems.append(Problem(where="prometheus.match", code="bad_match", message=message))
    if table.gap_s < table.step_s:
        message = f"every pair of values would be a gap: they are {table.step_s} s apart"
        problems.append(
            Problem(where="prometheus.gap_s", code="too_short", message=message, remedy="raise gap_s")
        )
    least = max(table.gap_s + table.step_s, table.down_after_s if table.health else 0)
    if table.lag_s < least:
        message = f"what happened at the end of a window is known {least} s later"
        remedy = f"write at least {least}, which is the larger of gap_s + step_s and down_after_s"
        problems.append(Problem(where="prometheus.lag_s", code="too_short", message=message, remedy=remedy))
    return problems
