"""Facts from outside: said twice they change nothing, said otherwise they supersede or are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from offtake.agreements.clauses.delivery import Remedy
from offtake.agreements.events.election import Election
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.terms import Side
from offtake.base.errors import BadInput, ClockBackwards
from offtake.base.money import Money
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, Interval
from offtake.billing.document import Received
from offtake.fleet.model import Delivery, Outage
from offtake.metering.readings import Readings
from offtake.store.fact import Fact, Recorded
from offtake.workflows.record import (
    Known,
    Outcome,
    record,
    record_delivery,
    record_event,
    record_outage,
    record_payment,
    record_readings,
)
from offtake.workflows.tick import tick
from tests.agreements.texts import FEE
from tests.workflows.worlds import (
    World,
    at,
    outage,
    reopened,
    world,
)

NOW = at(4, 10)
RIGHTS = """
[recall]
tranches = ["main"]
notice_days = 10
[termination]
notice_days = 30
[delivery]
due = 2026-02-20
gpus = 1_000
grace_months = 1
remedies = ["pro_rata_fee", "terminate"]
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("begun")
    world(path, FEE, RIGHTS).go(NOW - 1).book.close()
    return path


@pytest.fixture
def open_world(begun: Path, tmp_path: Path) -> Iterator[World]:
    opened = reopened(shutil.copytree(begun, tmp_path / "copy"))
    yield opened
    opened.book.close()


def readings(gpus: int) -> Readings:
    one = np.ones(1, dtype=np.int64)
    return Readings(
        claims=("deal/main",),
        pools=("p",),
        ids=("r",),
        claim=one * 0,
        pool=one * 0,
        start=one * (NOW - 60),
        end=one * NOW,
        gpus=one * gpus,
    )


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.code


def received(amount: Money, agreement: str = "deal", name: str = "p") -> Received:
    return Received(id=name, agreement=agreement, amount=amount, received_at=NOW)


def pay(w: World, dollars: int, name: str = "p1", now: int = NOW) -> Outcome:
    return record_payment(w.book, received(Money(dollars * 100, "USD"), name=name), now)


def meter(w: World, gpus: int, now: int = NOW) -> Outcome:
    window = Interval(NOW - 60, NOW)
    return record_readings(w.book, readings(gpus), batch="b", source="s2", window=window, now=now)


SAYINGS: dict[str, Callable[[World, int], Outcome]] = {
    "outage": lambda w, now: record_outage(w.book, outage(80, NOW - DAY_S, None), now),
    "delivery": lambda w, now: record_delivery(
        w.book, Delivery(id="d", pool="p", build_out="built", steps=((NOW, 100),)), now
    ),
    "notice": lambda w, now: record_event(
        w.book, Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 4, 10)), now
    ),
    "recall": lambda w, now: record_event(
        w.book, RecallNotice(id="r", agreement="deal", tranche="main", gpus=80, given=date(2026, 4, 10)), now
    ),
    "payment": lambda w, now: pay(w, 500, now=now),
    "readings": lambda w, now: meter(w, 8, now),
}


@pytest.mark.parametrize("what", SAYINGS)
def test_saying_the_same_twice_changes_nothing(open_world: World, what: str) -> None:
    first = SAYINGS[what](open_world, NOW)
    assert isinstance(first, Recorded)
    head = open_world.book.state.head
    again = SAYINGS[what](open_world, NOW + 999)
    assert again == Known(first.fact)
    assert open_world.book.state.head == open_world.book.database.head() == head


@pytest.mark.parametrize("what", SAYINGS)
def test_nothing_is_recorded_before_what_the_book_knows(open_world: World, what: str) -> None:
    tick(open_world.book, NOW)
    with pytest.raises(ClockBackwards, match=r"already knows 2026-04-0.*nothing was recorded"):
        SAYINGS[what](open_world, at(3, 1))
    with pytest.raises(ClockBackwards):
        tick(open_world.book, at(3, 1))


def test_another_body_under_the_same_id_is_refused_where_it_can_t_be_superseded(open_world: World) -> None:
    pay(open_world, 500)
    meter(open_world, 8)
    head = open_world.book.state.head
    for refused in (pay(open_world, 501), meter(open_world, 16)):
        assert code(refused) == "conflict"
        assert "says something else" in refused.sentence  # type: ignore[union-attr]
    assert open_world.book.state.head == head


def test_a_later_report_supersedes_an_earlier_one(open_world: World) -> None:
    versions = [
        outage(80, NOW - 9, None),
        outage(80, NOW - 9, NOW),
        outage(88, NOW - 9, NOW),
        outage(80, NOW - 9, NOW),
    ]
    for now, version in enumerate(versions, start=NOW):
        assert isinstance(record_outage(open_world.book, version, now), Recorded)
        body = open_world.book.state.body("outage", "o")
        assert body is not None
        assert (body["gpus"], body["end"]) == (version.gpus, version.end)
    assert len(open_world.log("outage.reported")) == 4


@pytest.mark.parametrize(
    ("known", "new", "effective"),
    [
        (None, outage(80, 100, None), 100),
        (None, outage(80, 100, 200), 100),
        (outage(80, 100, None), outage(80, 100, 200), 200),
        (outage(80, 100, 200), outage(80, 100, 150), 150),
        (outage(80, 100, 200), outage(80, 100, 300), 200),
        (outage(80, 100, 200), outage(16, 100, 200), 100),
        (outage(80, 100, 200), outage(80, 90, 200), 90),
        (outage(80, 100, 200), outage(80, 120, 200), 100),
    ],
)
def test_an_outage_takes_effect_from_the_first_instant_it_changes(
    open_world: World, known: Outage | None, new: Outage, effective: int
) -> None:
    def shifted(o: Outage) -> Outage:
        return replace(o, start=NOW + o.start, end=None if o.end is None else NOW + o.end)

    if known is not None:
        record_outage(open_world.book, shifted(known), NOW)
    outcome = record_outage(open_world.book, shifted(new), NOW)
    assert isinstance(outcome, Recorded)
    assert outcome.fact.effective_at - NOW == effective


def notice(given: date, agreement: str = "deal") -> Notice:
    return Notice(id="n", agreement=agreement, by=Side.OFFTAKER, given=given)


def election(made: date, agreement: str = "deal") -> Election:
    return Election(id="e", agreement=agreement, choice=Remedy.PRO_RATA_FEE, made=made, gpus=900)


def recall(gpus: int, agreement: str = "deal", id_: str = "r") -> RecallNotice:
    return RecallNotice(id=id_, agreement=agreement, tranche="main", gpus=gpus, given=date(2026, 4, 10))


REFUSALS: dict[str, tuple[str, Callable[[World], Outcome]]] = {
    "an outage of no pool": (
        "unknown_pool",
        lambda w: record_outage(w.book, replace(outage(8, NOW, None), pool="q"), NOW),
    ),
    "a delivery of no block": (
        "unknown_build_out",
        lambda w: record_delivery(w.book, Delivery(id="d", pool="p", build_out="x", steps=((NOW, 1),)), NOW),
    ),
    "a notice too early": ("locked_in", lambda w: record_event(w.book, notice(date(2026, 1, 1)), NOW)),
    "a notice of no agreement": (
        "unknown_agreement",
        lambda w: record_event(w.book, notice(date(2026, 4, 1), "x"), NOW),
    ),
    "an election in grace": ("in_grace", lambda w: record_event(w.book, election(date(2026, 3, 20)), NOW)),
    "an election after a full delivery": (
        "delivered",
        lambda w: record_event(w.book, election(date(2026, 4, 10)), NOW),
    ),
    "an election of no agreement": (
        "unknown_agreement",
        lambda w: record_event(w.book, election(date(2026, 4, 10), "x"), NOW),
    ),
    "a recall of more than there is": ("more_than_held", lambda w: record_event(w.book, recall(1_001), NOW)),
    "a recall of no agreement": ("unknown_agreement", lambda w: record_event(w.book, recall(8, "x"), NOW)),
    "a payment of no agreement": (
        "unknown_agreement",
        lambda w: record_payment(w.book, received(Money(1, "USD"), "x"), NOW),
    ),
    "a payment in another currency": (
        "other_currency",
        lambda w: record_payment(w.book, received(Money(1, "EUR")), NOW),
    ),
    "a payment of nothing": ("not_positive", lambda w: pay(w, 0)),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_a_no_is_a_value_with_its_reason_and_leaves_the_book_alone(open_world: World, what: str) -> None:
    expected, say = REFUSALS[what]
    head = open_world.book.state.head
    refused = say(open_world)
    assert code(refused) == expected
    assert len(refused.sentence) > 20  # type: ignore[union-attr]
    assert open_world.book.state.head == head
    assert tick(open_world.book, NOW) == []


def test_recalls_are_counted_together_and_one_said_twice_once(open_world: World) -> None:
    assert isinstance(record_event(open_world.book, recall(600), NOW), Recorded)
    assert isinstance(record_event(open_world.book, recall(600), NOW), Known)
    assert code(record_event(open_world.book, recall(408, id_="r2"), NOW)) == "more_than_held"
    assert isinstance(record_event(open_world.book, recall(400, id_="r2"), NOW), Recorded)


def test_a_batch_with_a_bad_row_is_refused_whole(open_world: World) -> None:
    head, tables = open_world.book.state.head, sorted(open_world.book.lake.path.iterdir())
    with pytest.raises(BadInput, match="batch b: row 0: reading 'r': it is for no GPUs"):
        meter(open_world, 0)
    assert open_world.book.state.head == head
    assert sorted(open_world.book.lake.path.iterdir()) == tables


def test_any_fact_can_be_recorded_once(open_world: World) -> None:
    said = Fact(kind="demand.withdrawn", id="x", effective_at=NOW, recorded_at=NOW, body={})
    assert isinstance(record(open_world.book, said), Recorded)
    assert record(open_world.book, said) == Known(said)
