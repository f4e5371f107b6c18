"""Record what happens to nodes: they fail, they work again, they are known to be clean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from offtake.base.canonical import digest
from offtake.base.errors import BadInput, Problem
from offtake.base.outcome import Refused
from offtake.base.time import format_instant
from offtake.fleet.capacity import unknown_pool
from offtake.fleet.model import Pool
from offtake.placement.model import NONE, Ints, Nodes
from offtake.placement.ranges import format_nodes, parse_nodes
from offtake.store.fact import Fact
from offtake.workflows.book import Book
from offtake.workflows.place import FAILED, SANITISED, nodes_of
from offtake.workflows.record import Known, Outcome, record
from offtake.workflows.view import fleet_of


def record_nodes(
    book: Book, what: str, pool: str, nodes: str, *, at: int, now: int, said: Mapping[str, Any]
) -> Outcome:
    """Record that nodes failed, work again or were cleaned.

    Args:
        book: written to.
        what: kind of the fact.
        pool: their pool.
        nodes: their numbers, such as ``0-17,36``.
        at: when it was so.
        now: the present instant.
        said: what else the fact says: why, or the evidence.

    Refusals: `in_the_future`; `failed_already`, `not_failed`; for cleaning `held`, `clean_already`,
    `too_early` where the last holder left later, `used_evidence` where the same evidence was given for an
    earlier cleaning.

    Raises:
        BadInput: if there is no such pool or node.
    """
    with book.writing():
        owner, numbers = _named(book, pool, nodes)
        if at > now:
            return Refused(
                code="in_the_future",
                sentence=f"{format_instant(at)} lies ahead; it is {format_instant(now)}",
            )
        fact = _fact(what, pool, format_nodes(numbers), at=at, now=now, said=said)
        known = nodes_of(book, owner, now)
        old = book.find(what, fact.id)
        if old is not None:
            return _again(old, known, numbers)
        return _refused(what, known, numbers, pool, at) or record(book, fact)


def _named(book: Book, pool: str, nodes: str) -> tuple[Pool, Ints]:
    pools = {one.id: one for one in fleet_of(book.state).pool}
    if pool not in pools:
        raise BadInput([unknown_pool("POOL", pool, sorted(pools))])
    count = len(nodes_of(book, pools[pool], book.state.now).claim)
    try:
        return pools[pool], parse_nodes(nodes, count)
    except ValueError as error:
        problem = Problem(
            where="NODES", code="bad_nodes", message=str(error), remedy="write numbers such as 0-17,36"
        )
        raise BadInput([problem]) from error


def _fact(what: str, pool: str, nodes: str, *, at: int, now: int, said: Mapping[str, Any]) -> Fact:
    """Cleaning is known by its evidence, which can't be given twice; the rest by its instant."""
    which = nodes if len(nodes) <= 60 else digest(nodes.encode())[:16]
    mark = digest(repr(sorted(said.items())).encode())[:12] if what == SANITISED else format_instant(at)
    body = {"pool": pool, "nodes": nodes, "at": at, **said}
    return Fact(kind=what, id=f"{pool}[{which}]/{mark}", effective_at=at, recorded_at=now, body=body)


def _again(old: Fact, nodes: Nodes, numbers: Ints) -> Outcome:
    """The same was said before; of cleaning, it may no longer be enough."""
    left = int(nodes.since[numbers].max(initial=0))
    waiting = bool((nodes.holder[numbers] != NONE).any())
    if old.kind == SANITISED and waiting and left > int(old.body["at"]):
        return Refused(
            code="used_evidence",
            sentence=f"this evidence was given for a cleaning at {format_instant(int(old.body['at']))}; "
            f"the nodes were held until {format_instant(left)}, so give evidence of a later one",
        )
    return Known(old)


def _refused(what: str, nodes: Nodes, numbers: Ints, pool: str, at: int) -> Refused | None:
    failed = nodes.failed[numbers]
    if what == FAILED:
        return _some(failed, numbers, pool, "failed_already", "known to have failed")
    if what != SANITISED:
        return _some(~failed, numbers, pool, "not_failed", "not known to have failed")
    return (
        _some(nodes.claim[numbers] != NONE, numbers, pool, "held", "held by a claim; it must leave first")
        or _some(nodes.holder[numbers] == NONE, numbers, pool, "clean_already", "clean already")
        or _some(
            nodes.since[numbers] > at,
            numbers,
            pool,
            "too_early",
            f"left by the last holder only after {format_instant(at)}",
        )
    )


def _some(wrong: Any, numbers: Ints, pool: str, code: str, what: str) -> Refused | None:
    if not wrong.any():
        return None
    which = f"{pool}[{format_nodes(numbers[np.asarray(wrong)])}]"
    return Refused(code=code, sentence=f"{which}: {what}; nothing was recorded", facts={"nodes": which})
