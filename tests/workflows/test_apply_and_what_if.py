"""Bringing a book in line with a folder, and asking what if without touching it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

import offtake.formats.demand
from offtake.agreements.events.notice import Notice
from offtake.agreements.terms import Side
from offtake.base.curve import Curve
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.formats.folder import load_folder
from offtake.formats.plain import to_plain
from offtake.store.fact import Fact
from offtake.workflows.apply import apply_folder, plan_folder
from offtake.workflows.book import Book, Branch
from offtake.workflows.record import record_event
from offtake.workflows.tick import decide, tick
from tests.agreements.texts import FEE, TRANCHE
from tests.workflows.worlds import (
    ADVANCE,
    NET_400,
    SETTINGS,
    World,
    at,
    text_of,
    world,
    write_world,
)

LEAVE = "[termination]\nnotice_days = 30\n"
DEMAND = """
[[demand]]
id = "work"
holder = "lab"
firmness = "internal"
pools = ["p"]
file = "work.csv"
"""
WORK = "start,gpus\n2026-02-03T00:00:00Z,80\n"
DEMAND_FILES = {"demand__own__toml": DEMAND, "demand__work__csv": WORK}


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def changed(w: World, tmp_path: Path, *sections: str, **files: str) -> World:
    folder = load_folder(write_world(tmp_path / "changed", {"deal": text_of(*sections)}, **files))
    return replace(w, folder=folder)


def test_applying_a_folder_twice_records_it_once(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, **DEMAND_FILES)
    first = [recorded.fact.kind for recorded in apply_folder(w.book, w.folder, at(2, 1))]
    assert first == ["book.opened", "fleet.declared", "agreement.signed", "demand.declared"]
    assert apply_folder(w.book, w.folder, at(2, 5)) == []


def test_an_amendment_counts_from_when_it_is_applied(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, NET_400, **DEMAND_FILES).go(at(4, 10))
    amended = changed(w, tmp_path, FEE.replace("310_000", "620_000"), NET_400)
    facts = apply_folder(amended.book, amended.folder, at(4, 10))
    assert [(r.fact.kind, r.fact.id) for r in facts] == [
        ("agreement.amended", "deal"),
        ("demand.withdrawn", "work"),
    ]
    tick(w.book, at(4, 10))
    assert w.book.state.body("demand", "work") is None
    w.simulation.run(until=at(5, 1))
    assert [amount for _, _, amount in w.invoices()] == [31_000_000, 31_000_000, 62_000_000]
    # the first text is still in the log
    assert len(w.log("agreement.signed", "agreement.amended")) == 2


def test_a_plan_says_what_would_change_and_records_nothing(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, NET_400).go(at(4, 10))
    amended = changed(w, tmp_path, FEE.replace("310_000", "620_000"), NET_400)
    before = files_of(w.book.directory)
    plan = plan_folder(w.book, amended.folder, at(4, 10))
    assert [(fact.kind, fact.id) for fact in plan.facts] == [("agreement.amended", "deal")]
    old, new = plan.values["deal"]
    assert old is not None
    # the text of a month that has ended still holds for it: ten of twelve months double
    assert new.headline.value == old.headline.value + Money(310_000_00 * 10, "USD")
    assert plan.oversold == {}
    assert files_of(w.book.directory) == before


def test_a_plan_names_the_pools_that_would_be_oversold_and_by_how_much(tmp_path: Path) -> None:
    w = world(tmp_path, FEE)
    more = changed(w, tmp_path, FEE, agreements__more__toml=text_of(FEE, id_="more"))
    oversold = plan_folder(w.book, more.folder, at(2, 1)).oversold
    assert {pools: curve.max_over(more.folder.settings.window) for pools, curve in oversold.items()} == {
        ("p",): 1_000
    }


def test_a_what_if_gives_the_state_the_book_would_have_and_leaves_it_alone(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, ADVANCE, LEAVE).go(at(3, 12))
    before = files_of(w.book.directory)
    head, items = w.book.state.head, {kind: dict(found) for kind, found in w.book.state.items.items()}
    branch = Branch(w.book)
    notice = Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 3, 12))
    branch.append(
        [
            Fact(
                kind="notice.given",
                id="n",
                effective_at=at(4, 11),
                recorded_at=at(3, 12),
                body=to_plain(notice),
            )
        ]
    )
    decide(branch, at(3, 12))
    decide(branch, at(4, 2))
    assert len(branch.tail) > 3
    assert (w.book.state.head, w.book.state.items) == (head, items)
    assert files_of(w.book.directory) == before

    record_event(w.book, notice, at(3, 12))
    tick(w.book, at(3, 12))
    tick(w.book, at(4, 2))
    assert branch.state.head == w.book.state.head
    assert branch.state.items == w.book.state.items
    assert branch.state.now == w.book.state.now


def test_a_what_if_reads_the_plans_it_made_itself(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, NET_400).go(at(3, 12))
    branch = Branch(w.book)
    decide(branch, at(5, 12))
    plans = [recorded for recorded in branch.tail if recorded.fact.kind == "allocation.planned"]
    assert plans
    for recorded in plans:
        assert len(branch.lake.load(recorded.fact.body["held"])["gpus"]) > 0


def test_a_state_reopened_is_the_state_that_was_left(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, ADVANCE, LEAVE).go(at(5, 12))
    with closing(Book(w.book.directory)) as again:
        left = {kind: dict(items) for kind, items in w.book.state.items.items() if items}
        assert again.state.items == left
        assert (again.state.head, again.state.now) == (w.book.state.head, w.book.state.now)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"agreements__deal__toml": text_of(FEE, tranche=TRANCHE.replace('["p"]', '["x"]'))},
            "the fleet has no pool 'x'",
        ),
        ({"agreements__two__toml": text_of(FEE)}, "'deal'"),
        ({"fleet__toml": "[[site"}, "fleet.toml"),
        ({"offtake__toml": SETTINGS.replace("America/Chicago", "Memphis")}, "'Memphis'"),
        ({"offtake__toml": SETTINGS.replace('"2026-08"', '"2026-01"')}, "2026-01"),
        ({"demand__own__toml": DEMAND}, "work.csv"),
        ({"demand__own__toml": DEMAND.replace('"p"', '"x"'), "demand__work__csv": WORK}, "no pool 'x'"),
        ({"demand__own__toml": DEMAND, "demand__work__csv": WORK.replace("80", "8.5")}, "work.csv"),
        ({"demand__own__toml": DEMAND, "demand__work__csv": WORK.replace("80", "-8")}, "work.csv"),
        (
            {"demand__own__toml": DEMAND.replace('file = "work.csv"', "")},
            "say where the demand comes from, once",
        ),
        (
            {"scenario__toml": '[[notice]]\nid = "n"\nagreement = "x"\nby = "offtaker"\ngiven = 2026-03-01'},
            "no agreement 'x'",
        ),
        (
            {
                "scenario__toml": '[[outage]]\nid = "o"\npool = "p"\nstart = "2026-03-02T00:00:00Z"\n'
                'end = "2026-03-01T00:00:00Z"\ngpus = 8'
            },
            "isn't after",
        ),
        (
            {
                "scenario__toml": '[[outage]]\nid = "o"\npool = "p"\nstart = "2026-03-02"\n'
                'end = "2026-03-03T00:00:00Z"\ngpus = 8'
            },
            "no time zone",
        ),
        (
            {"demand__take__toml": '[[take]]\nclaim = "deal/x"\nshare = { seed = 1, first = 0, last = 1 }'},
            "deal/x",
        ),
    ],
)
def test_a_folder_with_a_mistake_is_refused_by_name_and_nothing_is_recorded(
    tmp_path: Path, files: dict[str, str], said: str
) -> None:
    write_world(tmp_path, {"deal": text_of(FEE)}, **files)
    with pytest.raises(BadInput) as refused:
        load_folder(tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("ranges", "where"),
    [
        ("gpus = [9, 1], days = [1, 2], gap_days = [1, 2]", "training.gpus"),
        ("gpus = [1, 9], days = [0, 0], gap_days = [0, 0]", "training.days"),
        ("gpus = [1, 9], days = [1, 2], gap_days = [-3, -1]", "training.gap_days"),
    ],
)
def test_a_range_that_can_t_be_drawn_from_is_never_drawn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: str, where: str
) -> None:
    def drawn(*_: object) -> Curve:
        raise AssertionError("it was drawn from: with days of nought it would never end")

    monkeypatch.setattr(offtake.formats.demand, "training_demand", drawn)
    demand = DEMAND.replace('file = "work.csv"', f"training = {{ seed = 1, {ranges} }}")
    write_world(tmp_path, {"deal": text_of(FEE)}, demand__own__toml=demand)
    with pytest.raises(BadInput, match=where):
        load_folder(tmp_path)


def test_mistakes_in_several_files_are_said_together(tmp_path: Path) -> None:
    write_world(
        tmp_path,
        {"deal": text_of(FEE.replace("310_000", "-1")), "other": text_of(FEE, "[nonsense]\n", id_="other")},
        offtake__toml=SETTINGS.replace("USD", "usd"),
        scenario__toml="colour = 1",
    )
    with pytest.raises(BadInput) as refused:
        load_folder(tmp_path)
    wheres = {problem.where for problem in refused.value.problems}
    assert {
        "agreements/deal.toml: monthly_fee.amount",
        "agreements/other.toml: nonsense",
        "offtake.toml: operator.currency",
        "scenario.toml: colour",
    } <= wheres


def test_a_month_is_settled_in_the_agreement_s_own_zone(tmp_path: Path) -> None:
    far = text_of(FEE, NET_400).replace("America/Chicago", "Pacific/Kiritimati")
    w = world(tmp_path, agreements__deal__toml=far).go(at(3, 5))
    (settled,) = w.log("month.settled")
    assert settled.fact.effective_at == Month(2026, 2).interval("Pacific/Kiritimati").end
