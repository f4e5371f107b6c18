"""Every clause file is in every table, and each clause says what it should."""

from __future__ import annotations

import pkgutil
from datetime import date
from decimal import Decimal
from importlib import import_module

import pytest

import offtake.agreements.clauses
import offtake.agreements.events
import offtake.rating.clauses
from offtake.agreements.catalogue import BY_KIND, CLAUSES, EVENTS
from offtake.agreements.clauses.availability_credit import AvailabilityCredit, Band
from offtake.agreements.clauses.delivery import Delivery, Remedy
from offtake.agreements.clauses.termination import Termination
from offtake.agreements.derive import deadlines, entitlement, values
from offtake.agreements.events.election import Election
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.recall import RecallNotice, recalled
from offtake.agreements.model import Event, after_events
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Side
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.rating.clauses import RATERS, none_fixed, none_settled
from tests.agreements.texts import FEE, HEADER, TRANCHE, agreement, example


def modules_of(package: object) -> set[str]:
    return {module.name for module in pkgutil.iter_modules(package.__path__)}  # type: ignore[attr-defined]


def test_every_clause_file_is_in_every_table() -> None:
    files = modules_of(offtake.agreements.clauses)
    assert len(files) >= 46
    for table in (CLAUSES, RATERS):
        assert set(table) == files
    assert [name for name in files if name != CLAUSES[name].NAME] == []


def test_every_clause_has_its_charge_under_the_same_name_or_says_why_it_has_none() -> None:
    files = modules_of(offtake.rating.clauses)
    assert files == {name for name, raters in RATERS.items() if not raters.why_none}
    for name, raters in RATERS.items():
        used = {
            rater.__module__.rpartition(".")[2]
            for rater in (raters.fixed, raters.settled)
            if rater not in (none_fixed, none_settled)
        }
        assert used == (set() if raters.why_none else {name}), name


def test_every_event_is_in_the_table_under_a_section_and_a_kind_of_its_own() -> None:
    found = {
        kind
        for name in modules_of(offtake.agreements.events)
        for kind in vars(import_module(f"offtake.agreements.events.{name}")).values()
        if isinstance(kind, type) and issubclass(kind, Event) and hasattr(kind, "SECTION")
    }
    assert set(EVENTS.values()) == found
    assert len(BY_KIND) == len(EVENTS) == len(found)


DELIVERY = """
[delivery]
due = 2026-05-31
gpus = 1_000
grace_months = 1
remedies = ["pro_rata_fee"]
"""


def notice(given: date, by: Side = Side.OFFTAKER) -> Notice:
    return Notice(id="n", agreement="deal", by=by, given=given)


def code(outcome: object) -> str:
    assert isinstance(outcome, Refused)
    return outcome.code


def test_a_notice_counts_from_its_first_day_on() -> None:
    google = example("google")
    refused = notice(date(2026, 12, 31)).check(google)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.facts) == ("locked_in", {"first_notice": "2027-01-01"})
    assert notice(date(2027, 1, 1)).check(google) == date(2027, 4, 1)
    assert notice(date(2027, 1, 1), Side.OPERATOR).check(google) == date(2027, 4, 1)


def test_a_side_without_a_right_can_t_leave_and_that_comes_before_too_early() -> None:
    one_sided = agreement(FEE, '[termination]\nby = ["operator"]\nnotice_days = 30\nlock_in_months = 6')
    assert code(notice(date(2026, 1, 1)).check(one_sided)) == "no_right"
    assert code(notice(date(2026, 1, 1), Side.OPERATOR).check(one_sided)) == "locked_in"
    assert code(notice(date(2026, 9, 1)).check(agreement(FEE))) == "no_right"


def test_of_several_ways_out_the_earliest_end_counts() -> None:
    two = agreement(
        FEE,
        "[[termination]]\nnotice_days = 90\nlock_in_months = 1",
        "[[termination]]\nnotice_days = 10\nlock_in_months = 6",
    )
    assert notice(date(2026, 3, 1)).check(two) == date(2026, 5, 30)
    assert notice(date(2026, 8, 1)).check(two) == date(2026, 8, 11)
    assert values(two).firm_end == date(2026, 5, 11)


def test_an_end_by_notice_cuts_the_month_by_its_days_and_the_rest_of_the_fees() -> None:
    open_ = agreement(FEE, "[termination]\nnotice_days = 30")
    left = after_events(open_, [notice(date(2026, 3, 12))])
    assert left.ends == date(2026, 4, 11)
    schedule = fee_schedule(left)
    assert [str(item.month) for item in schedule] == ["2026-02", "2026-03", "2026-04"]
    assert schedule.items[-1].amount == Money(10_333_333, "USD")  # 310,000.00 × 10 / 30 = 103,333.333…
    curve = entitlement(left, left.tranches[0]).value
    assert curve.value_at(left.midnight(date(2026, 4, 11)) - 1) == 1_000
    assert curve.value_at(left.midnight(date(2026, 4, 11))) == 0


def test_a_notice_that_doesn_t_count_changes_nothing_and_a_later_one_can_t_delay() -> None:
    open_ = agreement(FEE, "[termination]\nnotice_days = 30\nlock_in_months = 3")
    assert after_events(open_, [notice(date(2026, 2, 1))]) == open_
    twice = after_events(open_, [notice(date(2026, 5, 1)), notice(date(2026, 6, 1))])
    assert twice.ends == date(2026, 5, 31)


def test_elections_are_refused_in_the_documented_order() -> None:
    def made(day: date, choice: Remedy = Remedy.PRO_RATA_FEE, gpus: int = 500) -> Election:
        return Election(id="e", agreement="deal", choice=choice, made=day, gpus=gpus)

    deal = agreement(FEE, DELIVERY)
    late, early = date(2026, 7, 1), date(2026, 6, 30)
    assert code(made(early, Remedy.TERMINATE, 2_000).check(agreement(FEE))) == "no_clause"
    assert code(made(early, Remedy.TERMINATE, 2_000).check(deal)) == "not_offered"
    assert code(made(early, gpus=2_000).check(deal)) == "in_grace"
    assert code(made(late, gpus=1_001).check(deal)) == "more_than_committed"
    assert made(late, gpus=1_000).check(deal) == late


def test_choosing_to_terminate_ends_the_agreement_with_that_day() -> None:
    google = example("google")
    chosen = Election(id="e", agreement="google", choice=Remedy.TERMINATE, made=date(2026, 11, 4))
    assert after_events(google, [chosen]).ends == date(2026, 11, 5)
    in_grace = Election(id="e", agreement="google", choice=Remedy.TERMINATE, made=date(2026, 10, 30))
    assert after_events(google, [in_grace]).ends == date(2029, 7, 1)


RECALL = """
[recall]
tranches = ["main"]
notice_days = 14
not_before = 2026-03-01
granularity_gpus = 50
retained_gpus = 700
"""


def recall(gpus: int, given: date = date(2026, 3, 10), tranche: str = "main") -> RecallNotice:
    return RecallNotice(id=f"r{gpus}", agreement="deal", tranche=tranche, gpus=gpus, given=given)


def test_recalls_are_refused_in_the_documented_order() -> None:
    deal = agreement(FEE, RECALL)
    early = date(2026, 2, 28)
    assert code(recall(77, early, "other").check(deal)) == "no_right"
    assert code(recall(77, early).check(deal)) == "too_early"
    assert code(recall(1_077).check(deal)) == "granularity"
    assert code(recall(0).check(deal)) == "granularity"
    assert code(recall(350).check(deal)) == "retained"
    assert code(recall(150).check(after_events(deal, [recall(200)]))) == "retained"
    assert recall(100).check(after_events(deal, [recall(200)])) == date(2026, 3, 24)
    assert code(recall(50).check(agreement(FEE))) == "no_right"


def test_recalls_that_count_add_up_over_time() -> None:
    deal = agreement(FEE, RECALL)
    notices = [
        recall(100),
        recall(200, date(2026, 4, 1)),
        recall(50, date(2026, 4, 2)),
    ]  # the third is refused
    curve = recalled(after_events(deal, notices))["main"]
    at = [
        curve.value_at(deal.midnight(day))
        for day in (date(2026, 3, 23), date(2026, 3, 24), date(2026, 4, 15))
    ]
    assert at == [0, 100, 300]
    assert curve.value_at(deal.midnight(date(2026, 6, 1))) == 300


@pytest.mark.parametrize(
    ("lost", "rung"),
    [(0, None), (10, None), (11, 0), (50, 0), (51, 1), (1_000, 1)],
)
def test_edges_of_the_ladder_are_exclusive(lost: int, rung: int | None) -> None:
    # G22/G41: exactly at the edge the better band holds
    ladder = AvailabilityCredit(
        band=(
            Band(below=Decimal("0.99"), credit=Decimal("0.10")),
            Band(below=Decimal("0.95"), credit=Decimal("0.30")),
        ),
        cap=Decimal("0.25"),
    )
    expected = {None: None, 0: (0, Decimal("0.10")), 1: (1, Decimal("0.25"))}
    assert ladder.share(lost, 1_000) == expected[rung]


def test_nothing_entitled_reaches_no_rung() -> None:
    ladder = AvailabilityCredit(band=(Band(below=Decimal(1), credit=Decimal(1)),))
    assert ladder.share(0, 0) is None


def test_grace_counts_calendar_months_and_the_lock_in_from_where_it_says() -> None:
    clause = Delivery(due=date(2026, 1, 31), gpus=1, grace_months=1, remedies=(Remedy.TERMINATE,))
    assert clause.grace_ends == date(2026, 2, 28)
    deal = agreement(FEE)
    assert Termination(notice_days=0, lock_in_months=3).first_notice(deal) == date(2026, 4, 10)
    from_service = Termination(notice_days=0, lock_in_months=3, lock_in_from=date(2026, 2, 1))
    assert from_service.first_notice(deal) == date(2026, 5, 1)
    assert Termination(notice_days=5).first_notice(deal) == deal.signed


def test_megawatts_become_gpus_in_the_offtaker_s_favour() -> None:
    # G9: 200 MW at 142 kW a rack of 72
    tranche = TRANCHE.replace(
        "quantity = 1_000", 'quantity = 200\ndenominator = "critical_it_mw"\nkw_per_gpu = 1.9722'
    )
    deal = agreement(FEE, tranche=tranche)
    curve = entitlement(deal, deal.tranches[0])
    assert curve.value.value_at(deal.midnight(date(2026, 6, 1))) == 101_410
    assert "tranche[0].kw_per_gpu" in curve.basis


def test_an_override_is_that_month_s_fee_and_its_own_basis() -> None:
    deal = agreement(FEE + 'override = [{ month = "2026-05", amount = 1.23 }]')
    schedule = fee_schedule(deal)
    may, june = schedule.at(Month(2026, 5)), schedule.at(Month(2026, 6))
    assert may is not None
    assert june is not None
    assert (may.amount, may.basis) == (Money(123, "USD"), ("monthly_fee.override[0].amount",))
    assert (june.amount, june.basis) == (Money(31_000_000, "USD"), ("monthly_fee.amount",))


def test_an_exit_after_the_term_is_no_exit() -> None:
    deal = agreement(FEE, "[termination]\nnotice_days = 400")
    assert values(deal).firm_notice is None
    assert [deadline.on for deadline in deadlines(deal)] == [date(2027, 2, 1)]


def test_fees_of_another_time_zone_are_the_same_fees() -> None:
    here, there = (
        agreement(FEE),
        agreement(FEE, header=HEADER.replace("America/Chicago", "Pacific/Kiritimati")),
    )
    assert fee_schedule(here).total == fee_schedule(there).total
    assert here.month(Month(2026, 5)) != there.month(Month(2026, 5))
