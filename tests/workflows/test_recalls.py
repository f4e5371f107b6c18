"""Plans of recalls in a book: issued once, resumed after a crash, watched to the end, given back."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from offtake.agreements.events.recall import RecallNotice, recalled
from offtake.base.curve import Curve
from offtake.base.money import Money
from offtake.base.months import local_midnight
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval
from offtake.formats.folder import load_folder
from offtake.formats.plain import to_plain
from offtake.metering.readings import Readings
from offtake.rating.recall_plan import Need
from offtake.store.fact import Recorded
from offtake.workflows.apply import apply_folder
from offtake.workflows.approve import approve, propose
from offtake.workflows.book import Book
from offtake.workflows.recall_life import PlanNow, Stage, Step, issue_recall, plans_now, return_recall
from offtake.workflows.recall_plan import (
    Likelihood,
    RecallPlan,
    alternatives,
    likelihood,
    plan_from,
    plan_recall,
    plans_of,
)
from offtake.workflows.record import Known, record_event, record_readings
from offtake.workflows.view import agreement_of
from tests.agreements.texts import FEE
from tests.house.project import ROOT
from tests.workflows.test_four_eyes import ONE_PERSON
from tests.workflows.worlds import SETTINGS, ZONE, at, text_of, write_world

RECALL = """
[recall]
tranches = ["main"]
notice_days = 14
granularity_gpus = 64
retained_gpus = 300
minimum_days = 10
"""
CREDIT = "[availability_credit]\nband = [{ below = 0.99, credit = 0.10 }]\n"
HALF = '\n[[tranche]]\nid = "main"\npools = ["p"]\nquantity = 500\nstart = 2026-02-01\nthrough = 2027-01-31\n'
OWN = """
[[demand]]
id = "research"
holder = "lab"
firmness = "internal"
pools = ["p"]
constant_gpus = 80
transfer_price = 1.50
"""
PLANNED, SERVED = at(3, 1, 9), at(3, 6, 9)


def need(gpus: int, **changes: Any) -> Need:
    plain: dict[str, Any] = {
        "gpus": gpus, "by": date(2026, 3, 20), "until": date(2026, 4, 10),
        "hold_until": date(2026, 4, 1), "zone": ZONE,
    }  # fmt: skip
    return Need(**plain | changes)


def book_of(path: Path, settings: str = ONE_PERSON, **agreements: str) -> Book:
    folder = write_world(path / "folder", agreements or {"deal": text_of(FEE, RECALL)}, demand__own__toml=OWN)
    (folder / "offtake.toml").write_text(settings, encoding="utf-8")
    book = Book(path / "book", create=True)
    apply_folder(book, load_folder(folder), at(2, 1))
    return book


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A live book of one agreement that may be recalled; one person decides."""
    book = book_of(tmp_path)
    yield book
    book.close()


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Book]:
    """The same with two agreements."""
    book = book_of(
        tmp_path,
        **{id_: text_of(FEE, RECALL, id_=id_, tranche=HALF) for id_ in ("a", "b")},
    )
    yield book
    book.close()


def planned(book: Book, wanted: Need, now: int = PLANNED) -> RecallPlan:
    found = plan_recall(book, wanted, now)
    assert isinstance(found, RecallPlan), found
    return found


def issued(book: Book, plan: RecallPlan, now: int = SERVED, who: str = "Alice") -> list[str]:
    """What came of each notice: the name of the outcome, or the code of a refusal."""
    found = issue_recall(book, plan, now, who)
    assert isinstance(found, list), found
    return [o.code if isinstance(o, Refused) else type(o).__name__ for _, o in found]


def refused(found: Any) -> Refused:
    assert isinstance(found, Refused), found
    return found


def stage(book: Book, now: int) -> PlanNow:
    (one,) = plans_now(book, now)
    return one


def test_a_plan_survives_being_written_and_is_the_same_when_made_again(book: Book) -> None:
    plan = planned(book, need(100))
    assert plan_from(json.loads(json.dumps(to_plain(plan)))) == plan
    assert planned(book, need(100)) == plan
    assert planned(book, need(200)).id != plan.id
    assert (plan.gpus, plan.short, plan.calls[0].notice.gpus) == (100, 0, 128)
    assert refused(plan_recall(book, need(1), at(3, 20, 9))).code == "in_the_past"


def test_issuing_serves_the_notice_on_its_day_and_again_adds_nothing(book: Book) -> None:
    plan = planned(book, need(100))
    assert issued(book, plan, PLANNED) == ["not_yet"]
    assert stage(book, PLANNED).stage is Stage.ISSUED
    assert issued(book, plan) == ["Recorded"]
    head = book.state.head
    assert issued(book, plan) == ["Known"]
    assert issued(book, plan, at(3, 25)) == ["Known"]
    assert book.state.head == head
    ((event, effective),) = agreement_of(book.state, "deal").happened
    assert (event, effective) == (plan.calls[0].notice, date(2026, 3, 20))
    assert stage(book, SERVED).stage is Stage.DRAINING
    assert stage(book, at(3, 20)).stage is Stage.COMPLETED
    other = replace(plan, calls=(replace(plan.calls[0], back=None),))
    assert refused(issue_recall(book, other, SERVED, "Bob")).code == "other_plan"


def test_what_can_t_be_issued_says_why_and_records_nothing(book: Book) -> None:
    plan, head = planned(book, need(100)), book.state.head
    assert refused(issue_recall(book, plan, SERVED, " ")).code == "who"
    assert refused(issue_recall(book, plan, at(3, 7), "Alice")).code == "too_late"
    dearer = replace(plan.calls[0], fee=Money(1, "USD"))
    changed = refused(issue_recall(book, replace(plan, calls=(dearer,)), SERVED, "Alice"))
    assert changed.code == "changed"
    assert "0.01 USD" in changed.sentence
    euros = replace(plan.calls[0], fee=Money(1, "EUR"), compensation=Money(0, "EUR"), other=Money(0, "EUR"))
    foreign = replace(plan, calls=(euros,))
    elsewhere = replace(plan, need=replace(plan.need, zone="UTC"))
    for odd in (foreign, elsewhere):
        assert refused(issue_recall(book, odd, SERVED, "Alice")).code == "changed"
    other_day = replace(plan.calls[0], effective=date(2026, 3, 21))
    moved = refused(issue_recall(book, replace(plan, calls=(other_day,)), SERVED, "Alice"))
    assert (moved.code, "2026-03-20" in moved.sentence) == ("changed", True)
    much = planned(book, need(2_000))
    assert (much.gpus, much.short) == (640, 1_360)
    assert refused(issue_recall(book, much, SERVED, "Alice")).code == "short"
    nobodys = replace(plan.calls[0], notice=replace(plan.calls[0].notice, agreement="nobody"))
    unknown = refused(issue_recall(book, replace(plan, calls=(nobodys,)), SERVED, "Alice"))
    assert unknown.code == "unknown_agreement"
    assert book.state.head == head


def test_a_day_that_goes_by_is_missed_and_its_gpus_are_free_for_another_plan(book: Book) -> None:
    plan = planned(book, need(600))
    issued(book, plan, PLANNED)
    assert planned(book, need(600)).gpus == 0
    assert issued(book, plan, at(3, 7)) == ["too_late"]
    assert stage(book, at(3, 7)).calls[0].step is Step.MISSED
    assert planned(book, need(600, by=date(2026, 4, 1), until=None), at(3, 7)).gpus == 600


def begun(book: Book, plan: RecallPlan, *words: str) -> subprocess.Popen[str]:
    """Another process that is ready to issue a plan."""
    file = book.directory.parent / f"{plan.id}.json"
    file.write_text(json.dumps(to_plain(plan)), encoding="utf-8")
    run = subprocess.Popen(
        [
            sys.executable, "-m", "tests.workflows.recall_racer", str(book.directory), str(file), str(SERVED),
            *words,
        ],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    return run


def test_a_process_killed_between_notices_resumes(two: Book) -> None:
    plan = planned(two, need(300))
    first, second = (call.notice.id for call in plan.calls)
    run = begun(two, plan, "Alice", second)
    run.communicate("go\n")
    assert run.returncode == -signal.SIGKILL
    again = Book(two.directory)
    assert [(one.call.notice.id, one.step) for one in stage(again, SERVED).calls] == [
        (first, Step.RUNS), (second, Step.WAITS),
    ]  # fmt: skip
    assert issued(again, plan) == ["Known", "Recorded"]
    assert stage(again, SERVED).stage is Stage.DRAINING
    again.verify()
    again.close()


def test_two_people_must_agree_and_a_no_is_seen(tmp_path: Path) -> None:
    book = book_of(tmp_path, SETTINGS)
    plan = planned(book, need(100))
    assert issued(book, plan) == ["Recorded"]
    assert agreement_of(book.state, "deal").happened == ()
    assert stage(book, SERVED).calls[0].step is Step.PROPOSED
    head = book.state.head
    assert issued(book, plan, who="Bob") == ["Known"]
    assert book.state.head == head
    name = f"recall.noticed/{plan.calls[0].notice.id}"
    assert refused(approve(book, name, SERVED, "alice")).code == "same_person"
    assert isinstance(approve(book, name, SERVED, "Bob"), Recorded)
    assert stage(book, SERVED).stage is Stage.DRAINING
    second = planned(book, need(200))
    assert issued(book, second) == ["Recorded"]
    assert isinstance(
        approve(book, f"recall.noticed/{second.calls[0].notice.id}", SERVED, "Bob", approved=False), Recorded
    )
    assert plans_now(book, SERVED)[1].calls[0].step is Step.REJECTED
    assert issued(book, second) == ["rejected"]
    book.close()


def test_what_others_have_proposed_is_spoken_for(tmp_path: Path) -> None:
    book = book_of(tmp_path, SETTINGS)
    first = planned(book, need(600))
    second = planned(book, need(128))
    assert issued(book, first) == ["Recorded"]
    over = refused(issue_recall(book, second, SERVED, "Carol"))
    assert over.code == "retained"
    assert over.sentence.endswith("; 0 of the 128 GPUs may still be called")
    assert planned(book, need(128)).gpus == 0
    by_hand = RecallNotice(id="x", agreement="deal", tranche="main", gpus=64, given=date(2026, 3, 6))
    assert isinstance(propose(book, by_hand, SERVED, "Dan"), Recorded)
    book.close()


def test_processes_that_call_the_same_tranche_at_once(book: Book) -> None:
    plans = [planned(book, need(gpus)) for gpus in (400, 448, 512)]
    runs = [begun(book, plan, f"person {i}") for i, plan in enumerate(plans)]
    said = [json.loads(run.communicate("go\n")[0]) for run in runs]
    assert sorted(len(one) for one in said) == [1, 2, 2]
    for one in said:
        assert one == ["Recorded"] or one[0] == "retained"
    with_fresh_eyes = Book(book.directory)
    assert len(agreement_of(with_fresh_eyes.state, "deal").happened) == 1
    assert len(plans_of(with_fresh_eyes.state)) == 1
    with_fresh_eyes.verify()
    with_fresh_eyes.close()


def used(book: Book, *levels: tuple[int, int, int]) -> None:
    """Readings of the tranche: (from, to, GPUs) each."""
    start, end, gpus = (np.array(column, dtype=np.int64) for column in zip(*levels, strict=True))
    readings = Readings(
        claims=("deal/main",), pools=("p",), ids=tuple(f"r{i}" for i in range(len(levels))),
        claim=np.zeros(len(levels), dtype=np.int64), pool=np.zeros(len(levels), dtype=np.int64),
        start=start, end=end, gpus=gpus,
    )  # fmt: skip
    window = Interval(levels[0][0], levels[-1][1])
    done = record_readings(book, readings, batch="b", source="s", window=window, now=levels[-1][1])
    assert isinstance(done, Recorded)


def test_readings_say_what_idled_what_was_cut_off_and_what_overran(book: Book) -> None:
    plan = planned(book, need(128))
    issued(book, plan)
    assert stage(book, at(3, 21)).calls[0].drain is None
    # 1,000 until the 16th, 900 until the effect on the 20th; 880 of the 872 that are left for a day more
    used(
        book,
        (at(3, 6), at(3, 16), 1_000),
        (at(3, 16), at(3, 20), 900),
        (at(3, 20), at(3, 21), 880),
        (at(3, 21), at(3, 22), 872),
    )
    late = stage(book, at(3, 21))
    found = late.calls[0].drain
    assert found is not None
    assert late.stage is Stage.OVERRUN
    assert found.idle == 100 * 4 * 24 * HOUR_S
    days = 14 * 24 - 1  # summer time begins on the 8th
    assert found.killed == 28 * days * HOUR_S
    assert (found.overrun, found.still_used) == (8 * 24 * HOUR_S, 8)
    done = stage(book, at(3, 22))
    assert (done.stage, done.calls[0].drain and done.calls[0].drain.still_used) == (Stage.COMPLETED, 0)


def test_giving_back_waits_for_the_hold_and_the_minimum_and_happens_once(book: Book) -> None:
    plan = planned(book, need(128, hold_until=date(2026, 3, 25)))
    assert refused(return_recall(book, plan.id, SERVED)).code == "no_plan"
    issued(book, plan)
    assert refused(return_recall(book, plan.id, at(3, 24))).code == "held"
    soon = return_recall(book, plan.id, at(3, 25))
    assert isinstance(soon, list)
    assert refused(soon[0][1]).code == "too_soon"
    back = return_recall(book, plan.id, at(3, 30))
    assert isinstance(back, list)
    assert isinstance(back[0][1], Recorded)
    again = return_recall(book, plan.id, at(4, 2))
    assert isinstance(again, list)
    assert isinstance(again[0][1], Known)
    assert stage(book, at(4, 2)).stage is Stage.RETURNED
    curve = recalled(agreement_of(book.state, "deal"))["main"]
    assert [curve.value_at(at(3, day)) for day in (19, 20, 29, 30)] == [0, 128, 128, 0]
    assert planned(book, need(600, by=date(2026, 5, 1), until=None), at(4, 2)).gpus == 600


def test_a_plan_that_never_counted_gives_nothing_back(book: Book) -> None:
    plan = planned(book, need(128))
    issued(book, plan, PLANNED)
    back = return_recall(book, plan.id, at(4, 2))
    assert isinstance(back, list)
    assert refused(back[0][1]).code == "not_called"


def test_alternatives_say_what_they_cost_and_why_not(tmp_path: Path) -> None:
    book = book_of(tmp_path, deal=text_of(FEE, RECALL, CREDIT))
    march = need(100, by=date(2026, 3, 2), until=date(2026, 3, 7), hold_until=date(2026, 3, 2))
    market, firm, own = alternatives(book, march, 100, Decimal("2.50"))
    assert market.cost == Money(100 * 120 * 250, "USD")
    # 120 of 743 hours of a tenth of the GPUs: 98.4 % were there, and 10 % is the credit
    assert (firm.what, firm.gpus, firm.cost) == ("break deal/main", 100, Money(3_100_000, "USD"))
    assert (own.what, own.gpus, own.cost) == ("delay research (80)", 80, Money(80 * 120 * 150, "USD"))
    assert [one.cost for one in alternatives(book, replace(march, until=None), 100, None)] == [None] * 3
    unpriced = alternatives(book, march, 100, None)[0]
    assert (unpriced.cost, "--market-price" in unpriced.why) == (None, True)
    called = planned(book, march, at(2, 10)).calls
    beside = alternatives(book, march, 2_000, None, called)[1]
    assert beside.gpus == 1_000 - 128
    book.close()


def test_paths_of_demand_say_how_likely_it_is(book: Book) -> None:
    paths = np.zeros((4, 48), dtype=np.int64)
    # 1,000 GPUs stand and the agreement has all, until 640 are called back on the 20th at midnight
    paths[1, 7], paths[2, 30], paths[3] = 64, 640, 740
    short = need(100, by=date(2026, 3, 19), until=date(2026, 3, 21), hold_until=date(2026, 3, 19))
    assert likelihood(book, short, paths) == Likelihood(paths=4, any=3, all=2)
    issued(book, planned(book, need(640)))
    assert likelihood(book, short, paths) == Likelihood(paths=4, any=2, all=1)


class Recalls(RuleBasedStateMachine):
    """People plan, issue, call by hand and give back as days go by; what is retained is never touched."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.book = book_of(self.path)
        self.day = 0
        self.plans: list[RecallPlan] = []

    def teardown(self) -> None:
        """Close and remove the book; what is on disk says the same."""
        self.book.verify()
        self.book.close()
        shutil.rmtree(self.path)

    @property
    def today(self) -> date:
        """The day it is."""
        return date(2026, 3, 1) + timedelta(days=self.day)

    @property
    def now(self) -> int:
        """Nine in the morning."""
        return local_midnight(self.today, ZONE) + 9 * HOUR_S

    @rule(days=st.integers(1, 12))
    def time_passes(self, days: int) -> None:
        """So many days."""
        self.day += days

    @rule(gpus=st.integers(1, 800), ahead=st.integers(14, 20), hold=st.integers(0, 20))
    def somebody_plans(self, gpus: int, ahead: int, hold: int) -> None:
        """A plan of what can still be called."""
        by = self.today + timedelta(days=ahead)
        wanted = Need(gpus=gpus, by=by, until=None, hold_until=by + timedelta(days=hold), zone=ZONE)
        found = planned(self.book, wanted, self.now)
        if found.short:
            found = planned(self.book, replace(wanted, gpus=max(found.gpus, 1)), self.now)
        self.plans.append(found)

    @precondition(lambda self: self.plans)
    @rule(data=st.data())
    def somebody_issues(self, data: st.DataObject) -> None:
        """One of the plans, perhaps again; the second time nothing is added."""
        plan = data.draw(st.sampled_from(self.plans))
        issue_recall(self.book, plan, self.now, "Alice")
        head = self.book.state.head
        issue_recall(self.book, plan, self.now, "Bob")
        assert self.book.state.head == head

    @precondition(lambda self: self.plans)
    @rule(data=st.data())
    def somebody_gives_back(self, data: st.DataObject) -> None:
        """What one of the plans called."""
        return_recall(self.book, data.draw(st.sampled_from(self.plans)).id, self.now)

    @rule(granules=st.integers(1, 12))
    def somebody_calls_by_hand(self, granules: int) -> None:
        """A notice that no plan made."""
        id_ = f"hand-{self.book.state.head[0]}"
        notice = RecallNotice(id=id_, agreement="deal", tranche="main", gpus=granules * 64, given=self.today)
        record_event(self.book, notice, self.now)

    @invariant()
    def what_is_retained_is_left(self) -> None:
        """And a plan never calls less than nothing."""
        curve = recalled(agreement_of(self.book.state, "deal")).get("main", Curve.zero())
        window = Interval(at(2, 1), at(12, 1))
        assert 0 <= curve.min_over(window) <= curve.max_over(window) <= 700


Recalls.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestRecalls = Recalls.TestCase
