"""What a scheduler enforces: accounts with limits, holds on nodes, and the jobs that run under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from offtake.claims.model import Firmness

PREFIX = "ot_"
"""Names that begin so are offtake's own; whatever else there is on a cluster is left alone."""

CLOSED = PREFIX + "closed"
"""The account of nodes that nobody may use, and of the jobs that sweep others off them."""

SWEEPER = PREFIX + "sweeper"
"""The QOS of jobs that sweep others off closed nodes: nobody has it outside a hold that closes nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Qos:
    """How the jobs of a firmness rank.

    Attributes:
        name: on the scheduler.
        priority: higher goes first.
        preempts: names, sorted, of those whose jobs make room for these.
        grace_s: seconds from the warning of a job that makes room to its end.
        in_holds_only: whether a job may have it only in a hold.
    """

    name: str
    priority: int
    preempts: tuple[str, ...]
    grace_s: int
    in_holds_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What jobs are accounted to: those of one claim, or of no claim where it only groups others.

    Attributes:
        name: on the scheduler, in lower case.
        claim: whose jobs run there; empty for a group.
        holder: who that is.
        gpus: how many its jobs may hold at once; None for no limit of its own.
        pools: of these GPUs, how many are of each pool; pools of which it has none are left out.
        types: of these GPUs, how many are of each type that the scheduler knows.
        firmness: the claim's; None for a group.
        parent: the account above it; empty for the scheduler's own root.
        qos: the only one that its jobs have; empty for whatever the scheduler gives.
        users: who may submit; others are left as they are.
    """

    name: str
    claim: str
    holder: str
    gpus: int | None
    pools: tuple[tuple[str, int], ...] = ()
    types: tuple[tuple[str, int], ...] = ()
    firmness: Firmness | None = None
    parent: str = ""
    qos: str = ""
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Whole nodes that only some accounts' jobs may use.

    Attributes:
        name: on the scheduler.
        accounts: whose, in order; `CLOSED` alone for nodes that nobody may use.
        nodes: names of nodes, in order.
        start: instant from which it holds; None for one that holds already.
        end: instant at which it ends by itself, should nobody be there to end it.
    """

    name: str
    accounts: tuple[str, ...]
    nodes: tuple[str, ...]
    start: int | None = None
    end: int

    @property
    def closes(self) -> bool:
        """Whether nobody may use its nodes: then it may lie over other holds."""
        return self.accounts == (CLOSED,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that holds GPUs now, and the nodes that it is on.

    Attributes:
        id: as the scheduler takes it in commands.
        account: that it runs for.
        gpus: that it holds.
        start: when it began.
        nodes: names.
        requeues: whether it can be put back into the queue; otherwise it is ended.
    """

    id: str
    account: str
    gpus: int
    start: int
    nodes: tuple[str, ...] = ()
    requeues: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A job that waits to take a node in a hold that closes it, and ends at once: what runs there makes room.

    Attributes:
        hold: by name.
        node: by name.
        job: its id; empty for one that isn't there yet.
    """

    hold: str
    node: str
    job: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as a scheduler has it.

    Attributes:
        gpus: that it has.
        cpus: that it has.
        partition: one that it is in; empty for the scheduler's own choice.
        out: why no job starts there, such as ``DRAIN: burnt``; empty where jobs do.
    """

    gpus: int
    cpus: int = 0
    partition: str = ""
    out: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What should be so now.

    Attributes:
        qos: one for each firmness.
        groups: accounts that aren't a claim's: holders, above their claims', and `CLOSED`.
        accounts: one for each claim.
        holds: no node in two, but that one that closes may lie over others.
        nodes: GPUs of every node that the book governs, by name.
    """

    accounts: tuple[Account, ...]
    holds: tuple[Hold, ...]
    qos: tuple[Qos, ...] = ()
    groups: tuple[Account, ...] = ()
    nodes: Mapping[str, int] = field(default_factory=dict)

    @property
    def held(self) -> dict[str, Hold]:
        """The hold of each node that is held now: the one that closes it, if there is one.

        One that closes later changes nothing yet.
        """
        present = sorted((hold for hold in self.holds if hold.start is None), key=lambda one: one.closes)
        return {node: hold for hold in present for node in hold.nodes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What is so now.

    Attributes:
        limits: GPUs that each account may hold at once; None where there is no limit.
        types: limits on types of GPUs, by account and type.
        users: who may submit to each account.
        parents: the account above each.
        qos_of: what jobs of each account may ask for.
        qos: by name.
        holds: by name, those that are offtake's.
        foreign: nodes that others have reserved, by their reservation's name.
        jobs: those that hold GPUs, but for sweepers.
        sweeps: under way or waiting.
        nodes: by name.
    """

    limits: Mapping[str, int | None]
    users: Mapping[str, frozenset[str]]
    holds: Mapping[str, Hold]
    foreign: Mapping[str, tuple[str, ...]]
    jobs: tuple[Job, ...]
    types: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    qos_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    qos: Mapping[str, Qos] = field(default_factory=dict)
    sweeps: tuple[Sweep, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)


class Kind(StrEnum):
    """What a step does."""

    LIMIT = "limit"
    SWEEP = "sweep"
    UNSWEEP = "unsweep"
    STOP = "stop"
    DROP_HOLD = "drop_hold"
    CHANGE_HOLD = "change_hold"
    MAKE_QOS = "make_qos"
    SET_QOS = "set_qos"
    MAKE_ACCOUNT = "make_account"
    SET_ACCOUNT = "set_account"
    ADD_USER = "add_user"
    MAKE_HOLD = "make_hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do on a scheduler.

    Attributes:
        kind: what. `SET_ACCOUNT` sets what is above an account and what its jobs may ask for, `LIMIT` its
            limits alone.
        target: name of the account, hold, QOS or job.
        why: in plain English.
        account: for steps on accounts, as it should be.
        hold: for steps on holds, as it should be.
        qos: for steps on a QOS, as it should be.
        job: for `STOP`.
        sweep: for steps on sweeps.
        partition: for `SWEEP`, one that the node is in.
        user: for `ADD_USER`.
    """

    kind: Kind
    target: str
    why: str
    account: Account | None = None
    hold: Hold | None = None
    qos: Qos | None = None
    job: Job | None = None
    sweep: Sweep | None = None
    partition: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What to do, in order.

    Attributes:
        narrow: what takes from somebody. Where one of these fails, none of the others may be taken.
        widen: what gives.
    """

    narrow: tuple[Step, ...]
    widen: tuple[Step, ...]

    @property
    def all(self) -> tuple[Step, ...]:
        """Both, in order."""
        return (*self.narrow, *self.widen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What isn't as it should be and isn't offtake's to change."""

    code: str
    sentence: str
