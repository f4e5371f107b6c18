"""Stages and transitions: the table of the documentation, examples, and what random histories keep to."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.events.assignment import AssignmentNotice
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.suspension import SuspensionNotice
from offtake.agreements.lifecycle import TRANSITIONS, Stage, Step, history, stage_on
from offtake.agreements.model import Agreement, Event, after_events
from offtake.agreements.terms import Side
from tests.agreements.texts import FEE, agreement
from tests.house.project import ROOT

DEAL = agreement(
    FEE,
    "[termination]\nnotice_days = 30\nlock_in_months = 1",
    "[suspension]\nnotice_days = 0",
    "[assignment]\nconsent = false",
)


def test_the_documented_table_is_the_one_that_runs() -> None:
    text = (ROOT / "docs/explanation/lifecycle.md").read_text(encoding="utf-8")
    head, _, *rows = text.partition("<!-- transitions -->\n")[2].split("\n\n")[0].splitlines()
    steps = [cell.strip() for cell in head.strip("|").split("|")][1:]
    assert steps == [step.value for step in Step]
    documented = {}
    for row in rows:
        stage, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        for step, cell in zip(steps, cells, strict=True):
            if cell:
                documented[Stage(stage.replace(" ", "_")), Step(step)] = Stage(cell.replace(" ", "_"))
    assert documented == dict(TRANSITIONS)


def stages(deal: Agreement) -> list[tuple[str, str]]:
    return [(turn.step.value, turn.stage.value) for turn in history(deal)]


def notice(given: date) -> Notice:
    return Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=given)


def stop(given: date, lifted: date | None = None) -> SuspensionNotice:
    return SuspensionNotice(id=f"s{given}", agreement="deal", given=given, lifted=lifted)


def test_an_agreement_that_runs_its_term_expires() -> None:
    assert stages(DEAL) == [("begins", "in_force"), ("ends", "expired")]
    days = (date(2026, 1, 31), date(2026, 2, 1), date(2027, 1, 31), date(2027, 2, 1))
    assert [stage_on(DEAL, day).value for day in days] == ["signed", "in_force", "in_force", "expired"]


def test_a_notice_makes_it_end_and_what_comes_after_the_end_is_passed_over() -> None:
    events: list[Event] = [
        stop(date(2026, 3, 1), date(2026, 3, 10)),
        notice(date(2026, 5, 1)),
        stop(date(2026, 9, 1)),
    ]
    deal = after_events(DEAL, events)
    assert stages(deal) == [
        ("begins", "in_force"),
        ("suspended", "suspended"),
        ("lifted", "in_force"),
        ("notice", "ending"),
        ("ends", "terminated"),
    ]
    assert stage_on(deal, date(2026, 5, 31)) is Stage.TERMINATED
    assert stage_on(deal, date(2026, 5, 30)) is Stage.ENDING


def test_a_notice_before_the_first_day_is_known_from_its_day_on() -> None:
    deal = after_events(agreement(FEE, "[termination]\nnotice_days = 60"), [notice(date(2026, 1, 20))])
    assert stages(deal) == [("notice", "ending"), ("begins", "ending"), ("ends", "terminated")]


days = st.integers(0, 400).map(lambda offset: date(2026, 1, 10) + timedelta(days=offset))
events = st.lists(
    st.one_of(
        st.builds(notice, days),
        st.builds(stop, days, st.none()),
        st.builds(lambda a, b: stop(min(a, b), max(a, b)), days, days),
        st.builds(
            lambda day: AssignmentNotice(id=f"a{day}", agreement="deal", by=Side.OFFTAKER, to="B", given=day),
            days,
        ),
    ),
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(events)
def test_every_history_follows_the_table_and_ends_once(said: list[Event]) -> None:
    deal = after_events(DEAL, said)
    turns = history(deal)
    stage = Stage.SIGNED
    for turn in turns:
        assert TRANSITIONS[stage, turn.step] is turn.stage
        stage = turn.stage
    assert all(a.on <= b.on for a, b in pairwise(turns))
    assert turns[-1].step is Step.ENDS
    assert turns[-1].on == deal.ends
    assert (stage is Stage.TERMINATED) == (deal.ends < deal.term_end)
