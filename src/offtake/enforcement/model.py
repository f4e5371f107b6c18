"""What a scheduler enforces: accounts with limits, holds on nodes, and the jobs that run under them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from offtake.claims.model import Firmness

PREFIX = "ot_"
"""Names that begin so are offtake's own; whatever else there is on a cluster is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one claim's jobs are accounted to.

    Attributes:
        name: on the scheduler, in lower case.
        claim: whose jobs run there.
        holder: who that is.
        gpus: how many its jobs may hold at once.
        pools: of these GPUs, how many are of each pool; pools of which it has none are left out.
        firmness: the claim's; None for an account of which no claim is known.
        users: who may submit; others are left as they are.
    """

    name: str
    claim: str
    holder: str
    gpus: int
    pools: tuple[tuple[str, int], ...] = ()
    firmness: Firmness | None = None
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Whole nodes that only one account's jobs may use.

    Attributes:
        name: on the scheduler.
        account: whose.
        nodes: names of nodes, in order.
        end: instant at which it ends by itself, should nobody be there to end it.
    """

    name: str
    account: str
    nodes: tuple[str, ...]
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that holds GPUs now, and the nodes that it is on."""

    id: str
    account: str
    gpus: int
    start: int
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What should be so now."""

    accounts: tuple[Account, ...]
    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What is so now.

    Attributes:
        limits: GPUs that each account may hold at once; None where there is no limit.
        users: who may submit to each account.
        holds: by name, those that are offtake's.
        foreign: nodes that others have reserved, by their reservation's name.
        jobs: those that hold GPUs.
    """

    limits: Mapping[str, int | None]
    users: Mapping[str, frozenset[str]]
    holds: Mapping[str, Hold]
    foreign: Mapping[str, tuple[str, ...]]
    jobs: tuple[Job, ...]


class Kind(StrEnum):
    """What a step does."""

    LIMIT = "limit"
    WARN = "warn"
    STOP = "stop"
    DROP_HOLD = "drop_hold"
    CHANGE_HOLD = "change_hold"
    MAKE_ACCOUNT = "make_account"
    ADD_USER = "add_user"
    MAKE_HOLD = "make_hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do on a scheduler.

    Attributes:
        kind: what.
        target: name of the account, hold or job.
        why: in plain English.
        account: for steps on accounts, as it should be.
        hold: for steps on holds, as it should be.
        user: for `ADD_USER`.
    """

    kind: Kind
    target: str
    why: str
    account: Account | None = None
    hold: Hold | None = None
    user: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What isn't as it should be and isn't offtake's to change."""

    code: str
    sentence: str
