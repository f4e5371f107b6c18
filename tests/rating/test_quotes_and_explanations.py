"""Prices of decisions against two whole ratings; explanations whose parts sum to the figure."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.clauses.delivery import Remedy
from offtake.agreements.derive import values
from offtake.agreements.events.election import Election
from offtake.agreements.events.exercise import Exercise
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.recall import RecallNotice
from offtake.agreements.model import Agreement, after_events
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Side
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.months import Month, plus_days
from offtake.base.outcome import Refused
from offtake.formats.agreement import parse_agreement
from offtake.rating.explain import FIGURES, Explained, explain_month, explain_value
from offtake.rating.quote import Quote, exits, quote
from offtake.rating.rate import rate_term
from offtake.rating.suppose import Supposed, supposed_months
from tests.agreements.texts import FEE, agreement, example
from tests.house.project import ROOT

DEALS = sorted((ROOT / "examples" / "deals").glob("*.toml"))
EXIT = "[termination]\nnotice_days = 30\nlock_in_months = 3\nfee_months = 1\n"


def priced(deal: Agreement, event: object) -> Quote:
    found = quote(deal, event)  # type: ignore[arg-type]
    assert isinstance(found, Quote), found
    return found


def notice(given: date, side: Side = Side.OFFTAKER) -> Notice:
    return Notice(id="n", agreement="deal", by=side, given=given)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 200))
def test_a_notice_costs_what_two_schedules_differ_by(days: int) -> None:
    deal = agreement(FEE, EXIT)
    given_on = plus_days(date(2026, 4, 10), days)
    found = priced(deal, notice(given_on))
    ended = after_events(deal, [notice(given_on)])
    assert found.change == fee_schedule(ended).total - fee_schedule(deal).total
    assert sum(m.after.minor - m.before.minor for m in found.months) == found.change.minor
    assert found.ends == plus_days(given_on, 30)
    assert found.holds_through == given_on


def test_what_survives_and_what_is_named() -> None:
    deal = agreement(FEE, EXIT, '[credit_support]\nform = "deposit"\nprovider = "Bank"')
    found = priced(deal, notice(date(2026, 4, 10)))
    assert found.clauses == ("monthly_fee", "termination")
    assert found.survives == (
        "Termination fee for 2026-05: 310,000.00 USD",
        "invoices issued by 2026-05-10 are owed within 30 days",
        "deposit of Bank",
    )
    # 9 of May's 31 days are covered; the fee for leaving is a month's
    assert (found.months[0].month.month, found.months[0].after.minor) == (5, 9_000_000 + 31_000_000)


def test_a_decision_that_doesn_t_count_is_refused_with_its_reason() -> None:
    found = quote(agreement(FEE, EXIT), notice(date(2026, 4, 9)))
    assert isinstance(found, Refused)
    assert found.code == "locked_in"


def test_a_recall_an_option_and_a_short_delivery_have_prices_too() -> None:
    deal = agreement(
        FEE,
        '[recall]\ntranches = ["main"]\nnotice_days = 14\ncompensation_per_gpu_h = 0.5',
        "[renewal]\nmonths = 12\nnotice_days = 30",
        '[delivery]\ndue = 2026-05-31\ngpus = 1_000\nremedies = ["pro_rata_fee"]',
    )
    recall = RecallNotice(id="r", agreement="deal", tranche="main", gpus=100, given=date(2026, 12, 18))
    found = priced(deal, recall)  # January 2027: 744 hours
    assert found.effective == date(2027, 1, 1)
    assert found.change == Money(-3_100_000 - 100 * 744 * 50, "USD")
    option = priced(deal, Exercise(id="x", agreement="deal", option="renewal", given=date(2026, 3, 1)))
    assert option.change == Money(12 * 31_000_000, "USD")
    assert option.holds_through == date(2027, 1, 1)
    short = Election(id="e", agreement="deal", choice=Remedy.PRO_RATA_FEE, made=date(2026, 6, 2), gpus=750)
    chosen = priced(deal, short)
    assert chosen.change == Money(-8 * 7_750_000, "USD")
    assert chosen.holds_through == date(2026, 6, 30)


def test_ways_out_name_who_when_and_what_is_owed() -> None:
    text = (
        '[delivery]\ndue = 2026-05-31\ngpus = 1_000\ngrace_months = 1\nremedies = ["terminate"]',
        (
            "[service_level]\nband = [{ below = 0.9, credit = 0.1 }]\n"
            "chronic = { below = 0.9, windows = 2, of = 3 }"
        ),
        "[force_majeure]\nleave_after_days = 90",
        "[default]",
    )
    deal = agreement(FEE, EXIT, *text)
    found = exits(deal, date(2026, 3, 15))
    assert [(way.side.value, way.clause, way.first_day) for way in found] == [
        ("offtaker", "termination", date(2026, 4, 10)),
        ("operator", "termination", date(2026, 4, 10)),
        ("offtaker", "delivery", date(2026, 7, 1)),
        ("operator", "default", None),
        ("offtaker", "force_majeure", None),
        ("operator", "force_majeure", None),
        ("offtaker", "service_level", None),
    ]
    leaving = found[0]
    assert leaving.costs == Money(31_000_000, "USD")
    # March and April, 9 of May's 31 days, and the fee
    assert leaving.owed == Money(2 * 31_000_000 + 9_000_000 + 31_000_000, "USD")
    assert leaving.falls_away == Money((12 - 3) * 31_000_000 - 9_000_000 - 31_000_000, "USD")
    assert exits(deal.ending(date(2026, 5, 1)), date(2026, 3, 15))[0].clause == "delivery"
    late = exits(deal, date(2026, 8, 1))
    assert late[0].first_day is not None


def sums_hold(part: Explained) -> None:
    if part.parts:
        assert sum(p.amount.minor for p in part.parts) == part.amount.minor, part.what
    for inner in part.parts:
        sums_hold(inner)


@pytest.mark.parametrize("path", DEALS, ids=lambda p: p.stem)
def test_parts_of_every_figure_sum_to_it_in_every_deal(path: Path) -> None:
    deal = parse_agreement(path.read_text(encoding="utf-8"), path.name)
    found = values(deal)
    for name in FIGURES:
        part = explain_value(deal, name)
        sums_hold(part)
        if name in ("headline", "firm", "cancellable", "with_options"):
            assert part.amount == getattr(found, name).value


def test_a_figure_leads_to_terms_with_their_sources() -> None:
    part = explain_value(example("anthropic"), "firm")
    assert "notice on 2026-08-03" in part.what
    assert {term.path for term in part.terms} >= {"termination.notice_days", "termination.lock_in_months"}
    ramp = next(p for p in part.parts if p.what == "ramp")
    (share,) = [t for t in ramp.parts[0].terms if t.path == "ramp.fee_share"]
    assert (share.value, share.assumed) == ("0.5", True)
    assert "the amount isn't public" in share.source


def test_a_month_is_explained_by_its_charges_and_what_was_measured() -> None:
    deal = after_events(
        agreement(FEE, '[recall]\ntranches = ["main"]\nnotice_days = 14'),
        [RecallNotice(id="r", agreement="deal", tranche="main", gpus=100, given=date(2026, 2, 15))],
    )
    months = supposed_months(deal, Supposed(), Month(2026, 3), Month(2026, 3))
    ((facts, rated),) = rate_term(deal, months)
    part = explain_month(deal, facts, rated.charges)
    sums_hold(part)
    # the clocks go forward in March: 743 hours
    assert part.facts[0] == "entitled 743,000.00 GPU-hours"
    assert any(fact.startswith("recall r of 2026-02-15") for fact in part.facts)
    only = explain_month(deal, facts, rated.charges, "recall")
    assert only.amount.minor < 0


def test_an_unknown_figure_names_those_there_are() -> None:
    with pytest.raises(BadInput, match="figures are headline"):
        explain_value(agreement(FEE), "headlin")
