"""What parties do: why it doesn't count, in the documented order, and what it changes when it does."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from offtake.agreements.clauses.acceptance import NEVER, unaccepted_unpaid
from offtake.agreements.clauses.delivery import Remedy
from offtake.agreements.derive import deadlines, entitlement
from offtake.agreements.events.acceptance import Answer, Tender
from offtake.agreements.events.assignment import AssignmentNotice, StepIn
from offtake.agreements.events.cause import CauseNotice, DefaultNotice
from offtake.agreements.events.claim import Claim
from offtake.agreements.events.credit import Credit, WriteOff
from offtake.agreements.events.election import Election
from offtake.agreements.events.exercise import Exercise
from offtake.agreements.events.notice import Notice
from offtake.agreements.events.offer import Offer
from offtake.agreements.events.recall import GiveBack, RecallNotice, recalled
from offtake.agreements.events.relief import MaintenanceWindow, Relief, excused, excused_days
from offtake.agreements.events.substitution import SubstitutionNotice
from offtake.agreements.events.suspension import SuspensionNotice, suspended
from offtake.agreements.events.transfer import Transfer, transferred
from offtake.agreements.model import Agreement, Event, after_events
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Side
from offtake.base.errors import BadInput
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S
from tests.agreements.texts import FEE, TRANCHE, agreement

OWN_FEE = FEE + 'tranche = "main"\n'


def code(outcome: object) -> str:
    assert isinstance(outcome, Refused), outcome
    return outcome.code


def told(**more: Any) -> dict[str, Any]:
    return {"id": "e", "agreement": "deal", **more}


def checked(deal: Agreement, event: Event) -> object:
    outcome = event.check(deal)
    return outcome.code if isinstance(outcome, Refused) else outcome


# acceptance


def tender(day: date) -> Tender:
    return Tender(id=f"t{day}", agreement="deal", tranche="main", given=day)


def answer(day: date, accepted: bool = True) -> Answer:
    return Answer(id=f"a{day}", agreement="deal", tranche="main", made=day, accepted=accepted)


def test_silence_through_the_days_for_testing_is_acceptance_where_it_is_deemed() -> None:
    deal = agreement(OWN_FEE, "[acceptance]\ndays = 10")
    assert fee_schedule(unaccepted_unpaid(deal)).total == Money.zero("USD")
    tendered = after_events(deal, [tender(date(2026, 2, 5))])
    assert tendered.accepted == {"main": date(2026, 2, 16)}
    # 13 of 28 days, then eleven whole months
    owed = fee_schedule(unaccepted_unpaid(tendered))
    assert [item.amount.minor for item in owed][:2] == [31_000_000 * 13 // 28, 31_000_000]
    silent = agreement(OWN_FEE, "[acceptance]\ndays = 10\ndeemed = false")
    waits = unaccepted_unpaid(after_events(silent, [tender(date(2026, 2, 5))]))
    assert waits.accepted == {"main": NEVER}


def test_a_rejected_tranche_waits_for_the_next_tender_and_fees_never_begin_before_it() -> None:
    deal = agreement(OWN_FEE, "[acceptance]\ndays = 10")
    said = [tender(date(2026, 1, 20)), answer(date(2026, 1, 25), accepted=False)]
    assert after_events(deal, said).accepted == {}
    said += [tender(date(2026, 1, 28)), answer(date(2026, 1, 29))]
    assert after_events(deal, said).accepted == {"main": date(2026, 2, 1)}


def test_tenders_and_answers_are_refused_in_the_documented_order() -> None:
    deal = agreement(OWN_FEE, "[acceptance]\ndays = 10")
    assert checked(agreement(FEE), tender(date(2026, 2, 5))) == "no_clause"
    assert checked(agreement(FEE), answer(date(2026, 2, 5))) == "no_clause"
    assert checked(deal, answer(date(2026, 2, 5))) == "not_tendered"
    tendered = after_events(deal, [tender(date(2026, 2, 5))])
    assert checked(tendered, answer(date(2026, 2, 4))) == "not_tendered"
    assert checked(tendered, answer(date(2026, 2, 16))) == "too_late"
    assert checked(tendered, answer(date(2026, 2, 15))) == date(2026, 2, 15)
    assert checked(tendered, tender(date(2026, 3, 1))) == "already_accepted"


def test_acceptance_needs_a_fee_that_hangs_on_the_tranche() -> None:
    with pytest.raises(BadInput, match="no fee of its own"):
        agreement(FEE, "[acceptance]\ndays = 10")


# delivery


def test_a_tranche_can_end_alone_or_move_with_its_value_kept() -> None:
    second = TRANCHE + TRANCHE.replace('"main"', '"more"').replace('"p"', '"q"')
    fee = '[capacity_fee]\nrate = 2\nper = "gpu_month"\n'
    clause = '[delivery]\ndue = 2026-03-01\ngpus = 1_000\ntranche = "more"\nremedies = {}\n'
    ends = agreement(fee, clause.format('["terminate_tranche"]'), tranche=second)
    chosen = Election(**told(choice=Remedy.TERMINATE_TRANCHE, made=date(2026, 3, 15), tranche="more"))
    left = after_events(ends, [chosen])
    assert left.tranche_of("more").through == date(2026, 3, 15)
    assert left.ends == ends.ends
    assert (
        checked(ends, Election(**told(choice=Remedy.TERMINATE_TRANCHE, made=date(2026, 3, 15))))
        == "no_clause"
    )
    moves = agreement(fee, clause.format('["shift_dates"]'), tranche=second)
    shifted = Election(**told(choice=Remedy.SHIFT_DATES, made=date(2026, 3, 15), tranche="more", days=59))
    later = after_events(moves, [shifted])
    assert (later.tranche_of("more").start, later.tranche_of("more").through) == (
        date(2026, 4, 1),
        date(2027, 3, 31),
    )
    assert fee_schedule(later).total == fee_schedule(moves).total
    assert (
        checked(moves, Election(**told(choice=Remedy.SHIFT_DATES, made=date(2026, 3, 15), tranche="more")))
        == "no_days"
    )


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('remedies = ["discounted_fee"]', "discount"),
        ('remedies = ["terminate"]\ndiscount = 0.1', "discount"),
        ('remedies = ["shift_dates"]', "tranche"),
        ('remedies = ["shift_dates"]\ntranche = "main"', "names its months"),
    ],
)
def test_a_remedy_must_have_what_it_needs(said: str, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        agreement(OWN_FEE, f"[delivery]\ndue = 2026-03-01\ngpus = 10\n{said}")


# recall and giving back

RECALL = """
[recall]
tranches = ["main"]
notice_days = 10
granularity_gpus = 50
retained_gpus = 500
times_per_year = 2
minimum_days = 20
blackout = [{ first = 2026-06-01, through = 2026-06-30 }]
"""


def recall(day: date, gpus: int = 100) -> RecallNotice:
    return RecallNotice(id=f"r{day}", agreement="deal", tranche="main", gpus=gpus, given=day)


def back(day: date, gpus: int = 100) -> GiveBack:
    return GiveBack(id=f"b{day}", agreement="deal", tranche="main", gpus=gpus, given=day)


def test_recalls_keep_to_their_number_and_to_blackouts() -> None:
    deal = agreement(FEE, RECALL)
    assert checked(deal, recall(date(2026, 5, 25))) == "blacked_out"
    assert checked(deal, recall(date(2026, 6, 21))) == date(2026, 7, 1)
    twice = after_events(deal, [recall(date(2026, 3, 1)), recall(date(2026, 4, 1))])
    assert checked(twice, recall(date(2026, 9, 1))) == "too_often"
    # the sooner rule comes first
    assert checked(twice, recall(date(2026, 5, 25))) == "too_often"


def test_what_is_given_back_is_held_again_and_may_be_recalled_again() -> None:
    deal = agreement(FEE, RECALL)
    once = after_events(deal, [recall(date(2026, 3, 1), 500)])  # effective 11 March
    assert checked(once, back(date(2026, 3, 30), 77)) == "granularity"
    assert checked(once, back(date(2026, 3, 31), 550)) == "not_recalled"
    assert checked(once, back(date(2026, 3, 30), 100)) == "too_soon"
    assert checked(agreement(FEE), back(date(2026, 3, 31))) == "no_right"
    assert checked(once, recall(date(2026, 4, 1), 50)) == "retained"
    again = after_events(once, [back(date(2026, 3, 31), 200)])
    curve = recalled(again)["main"]
    days = (date(2026, 3, 10), date(2026, 3, 11), date(2026, 3, 30), date(2026, 3, 31))
    assert [curve.value_at(deal.midnight(day)) for day in days] == [0, 500, 500, 300]
    assert checked(again, recall(date(2026, 4, 1), 200)) == date(2026, 4, 11)
    assert checked(again, recall(date(2026, 4, 1), 250)) == "retained"


# notices

NOTICES = '[notices]\nway = [{ how = "hand" }, { how = "email", days = 1, business = true }]\n'


def test_a_notice_counts_when_its_way_says_and_not_at_all_in_another_way() -> None:
    deal = agreement(FEE, NOTICES, "[termination]\nnotice_days = 30\nlock_in_months = 2")
    friday = date(2026, 3, 6)  # lock-in ends on 10 March

    def sent(day: date, how: str | None) -> Notice:
        return Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=day, how=how)

    assert checked(deal, sent(date(2026, 3, 9), "email")) == date(2026, 4, 9)
    assert checked(deal, sent(friday, "email")) == "locked_in"  # counts on Monday, the 9th
    assert checked(deal, sent(date(2026, 3, 10), "fax")) == "not_served"
    assert checked(deal, sent(date(2026, 3, 10), "hand")) == date(2026, 4, 9)
    assert checked(deal, sent(date(2026, 3, 10), None)) == date(2026, 4, 9)
    plain = agreement(FEE, "[termination]\nnotice_days = 30\nlock_in_months = 2")
    assert checked(plain, sent(date(2026, 3, 10), "email")) == "not_served"
    ended = after_events(deal, [sent(date(2026, 3, 9), "email")])
    assert ended.ends == date(2026, 4, 9)


# relief and maintenance


def window(start: str, end: str, announced: str = "2026-03-01T00:00:00Z") -> MaintenanceWindow:
    return MaintenanceWindow(id=start, agreement="deal", announced=announced, start=start, end=end)


def test_maintenance_excuses_what_was_announced_in_time_up_to_the_month_s_hours() -> None:
    deal = agreement(FEE, "[maintenance]\nnotice_hours = 48\nhours_per_month = 5")
    assert checked(agreement(FEE), window("2026-03-10T00:00:00Z", "2026-03-10T04:00:00Z")) == "no_clause"
    assert checked(deal, window("2026-03-10T00:00:00Z", "2026-03-10T00:00:00Z")) == "end_before_start"
    assert checked(deal, window("2026-03-02T23:59:59Z", "2026-03-10T00:00:00Z")) == "short_notice"
    said = [
        window("2026-03-20T00:00:00Z", "2026-03-20T04:00:00Z"),
        window("2026-03-10T00:00:00Z", "2026-03-10T04:00:00Z"),
    ]
    found = excused(after_events(deal, said), "main", Month(2026, 3))
    assert [interval.seconds // HOUR_S for interval in found] == [4, 1]  # the earlier one first
    assert excused(after_events(deal, said), "main", Month(2026, 4)) == ()


def test_relief_must_be_claimed_in_time_and_lets_either_side_leave_when_it_lasts() -> None:
    deal = agreement(FEE, "[force_majeure]\nnotice_days = 5\nleave_after_days = 30")

    def relief(given: date, through: date | None = None) -> Relief:
        return Relief(id="f", agreement="deal", given=given, start=date(2026, 3, 1), through=through)

    assert checked(agreement(FEE), relief(date(2026, 3, 2))) == "no_clause"
    assert checked(deal, relief(date(2026, 3, 2), date(2026, 2, 1))) == "end_before_start"
    assert checked(deal, relief(date(2026, 3, 7))) == "too_late"
    lasting = after_events(deal, [relief(date(2026, 3, 6))])
    assert excused_days(lasting, "main", date(2026, 3, 10), date(2026, 3, 15)) == 5

    def leave(day: date, side: Side = Side.OPERATOR) -> CauseNotice:
        return CauseNotice(id="c", agreement="deal", by=side, clause="force_majeure", given=day)

    assert checked(lasting, leave(date(2026, 3, 30))) == "not_yet"  # the thirtieth day
    assert checked(lasting, leave(date(2026, 3, 31))) == date(2026, 4, 1)
    short = after_events(deal, [relief(date(2026, 3, 6), date(2026, 3, 20))])
    assert checked(short, leave(date(2026, 4, 30))) == "not_yet"
    assert checked(agreement(FEE), leave(date(2026, 3, 31))) == "no_right"
    assert after_events(lasting, [leave(date(2026, 4, 9), Side.OFFTAKER)]).ended_by == "force_majeure"


# suspension, default


def test_while_delivery_is_suspended_nothing_is_entitled() -> None:
    deal = agreement(FEE, "[suspension]\nnotice_days = 10")
    notice = SuspensionNotice(**told(given=date(2026, 3, 1), lifted=date(2026, 3, 20)))
    assert checked(agreement(FEE), notice) == "no_right"
    stopped = after_events(deal, [notice])
    curve = entitlement(stopped, stopped.tranches[0]).value
    days = (date(2026, 3, 10), date(2026, 3, 11), date(2026, 3, 19), date(2026, 3, 20))
    assert [curve.value_at(deal.midnight(day)) for day in days] == [1_000, 0, 0, 1_000]
    early = SuspensionNotice(**told(given=date(2026, 3, 1), lifted=date(2026, 3, 5)))
    assert suspended(after_events(deal, [early])) == ()
    wrong = SuspensionNotice(**told(given=date(2026, 3, 1), lifted=date(2026, 2, 5)))
    assert checked(deal, wrong) == "lifted_before"


def test_a_default_ends_the_agreement_unless_it_is_cured_in_time() -> None:
    deal = agreement(FEE, "[default]\ncure_days = 30")

    def default(cured: date | None = None) -> DefaultNotice:
        return DefaultNotice(id="d", agreement="deal", given=date(2026, 3, 1), cured=cured)

    assert checked(agreement(FEE), default()) == "no_clause"
    ended = after_events(deal, [default()])
    assert (ended.ends, ended.ended_by) == (date(2026, 4, 1), "default")
    assert after_events(deal, [default(date(2026, 3, 31))]).ends == deal.ends
    assert after_events(deal, [default(date(2026, 4, 1))]).ends == date(2026, 4, 1)


# options


def test_options_are_exercised_in_time_as_often_as_they_may() -> None:
    deal = agreement(
        FEE,
        "[renewal]\ntimes = 1\nmonths = 12\nnotice_days = 60",
        '[expansion]\ntranche = "main"\nquantity = 500\nlast_day = 2026-05-31\nstart = 2026-07-01',
    )

    def exercise(option: str, day: date, side: Side = Side.OFFTAKER) -> Exercise:
        return Exercise(id=option, agreement="deal", option=option, by=side, given=day)

    assert checked(deal, exercise("monthly_fee", date(2026, 3, 1))) == "no_option"
    assert checked(deal, exercise("renewal", date(2026, 3, 1), Side.OPERATOR)) == "no_right"
    assert checked(deal, exercise("renewal", date(2026, 12, 3))) == "too_late"
    assert checked(deal, exercise("renewal", date(2026, 12, 2))) == date(2026, 12, 2)
    assert checked(deal, exercise("expansion", date(2026, 6, 1))) == "too_late"
    done = after_events(
        deal, [exercise("renewal", date(2026, 3, 1)), exercise("expansion", date(2026, 3, 1))]
    )
    assert done.ends == date(2028, 2, 1)
    assert [(t.id, t.quantity, t.through) for t in done.tranches] == [
        ("main", Decimal(1_000), date(2028, 1, 31)),
        ("main-more", Decimal(500), date(2028, 1, 31)),
    ]
    assert checked(done, exercise("renewal", date(2026, 4, 1))) == "used_up"
    assert checked(done, exercise("expansion", date(2026, 4, 1))) == "used_up"
    ended = deal.ending(date(2026, 5, 1))
    assert checked(ended, exercise("renewal", date(2026, 4, 1))) == "ended"
    whats = [deadline.what for deadline in deadlines(deal)]
    assert any("may add 500 to main" in what for what in whats)
    assert not any("may add" in what for what in [d.what for d in deadlines(done)])


# the rest


def test_a_claim_is_made_in_time_for_a_window_that_ends() -> None:
    text = '[service_level]\nwindow = "quarter"\nclaim_days = 14\nband = [{ below = 0.99, credit = 0.1 }]'
    deal = agreement(FEE, text)

    def claim(month: Month, made: date, clause: str = "service_level") -> Claim:
        return Claim(id="c", agreement="deal", clause=clause, month=month, made=made)

    assert checked(deal, claim(Month(2026, 3), date(2026, 4, 1), "monthly_fee")) == "no_clause"
    assert checked(deal, claim(Month(2026, 4), date(2026, 5, 1))) == "no_window"
    assert checked(deal, claim(Month(2026, 3), date(2026, 4, 15))) == "too_late"
    assert checked(deal, claim(Month(2026, 3), date(2026, 4, 14))) == date(2026, 3, 31)
    free = agreement(FEE, text.replace("claim_days = 14\n", ""))
    assert checked(free, claim(Month(2026, 3), date(2026, 4, 1))) == "no_claim_needed"


def test_an_assignment_needs_the_right_and_the_consent_and_a_step_in_its_business_days() -> None:
    deal = agreement(FEE, '[assignment]\nby = ["offtaker"]\nnotice_days = 5\nstep_in_business_days = 2')

    def assign(side: Side, consent: bool) -> AssignmentNotice:
        return AssignmentNotice(
            id="a", agreement="deal", by=side, to="New Co", given=date(2026, 3, 1), consent=consent
        )

    assert checked(deal, assign(Side.OPERATOR, True)) == "no_right"
    assert checked(deal, assign(Side.OFFTAKER, False)) == "no_consent"
    assert checked(deal, assign(Side.OFFTAKER, True)) == date(2026, 3, 6)
    assert after_events(deal, [assign(Side.OFFTAKER, True)]).offtaker == "New Co"
    friday = StepIn(**told(to="Other Cloud", given=date(2026, 2, 13), because="insolvency"))
    assert checked(deal, friday) == date(2026, 2, 18)  # Monday is a holiday
    assert after_events(deal, [friday]).operator == "Other Cloud"
    assert checked(agreement(FEE), friday) == "no_right"


def test_transfers_keep_to_their_granularity_notice_and_what_is_retained() -> None:
    deal = agreement(FEE, "[resale]\ngranularity_gpus = 8\nretained_gpus = 600\nnotice_days = 5")

    def transfer(
        gpus: int, start: date = date(2026, 3, 10), id_: str = "x", tranche: str = "main"
    ) -> Transfer:
        return Transfer(
            id=id_, agreement="deal", tranche=tranche, gpus=gpus, to="B", given=date(2026, 3, 5),
            start=start, through=date(2026, 3, 20),
        )  # fmt: skip

    assert checked(agreement(FEE), transfer(8)) == "no_right"
    assert checked(deal, transfer(8, tranche="other")) == "unknown_tranche"
    assert checked(deal, transfer(8, date(2026, 1, 1))) == "outside_term"
    assert checked(deal, transfer(9)) == "granularity"
    assert checked(deal, transfer(8, date(2026, 3, 9))) == "short_notice"
    assert checked(deal, transfer(408)) == "retained"
    one = after_events(deal, [transfer(200)])
    assert checked(one, transfer(208, id_="y")) == "retained"
    two = after_events(one, [transfer(200, id_="y")])
    assert transferred(two)["main"].value_at(deal.midnight(date(2026, 3, 15))) == 400
    assert transferred(two)["main"].value_at(deal.midnight(date(2026, 3, 21))) == 0


def test_offers_and_substitutions_need_their_clauses() -> None:
    offer = Offer(**told(quantity=Decimal(10), given=date(2026, 3, 1)))
    assert checked(agreement(FEE), offer) == "no_clause"
    deal = agreement(FEE, '[first_offer]\nwhat = "next door"\nanswer_days = 20')
    assert checked(deal, offer) == date(2026, 3, 21)
    swap = SubstitutionNotice(**told(tranche="main", pool="q", given=date(2026, 3, 1)))
    assert checked(agreement(FEE), swap) == "no_right"
    same = agreement(FEE, '[substitution]\ntranche = "main"\npools = ["q"]\nnotice_days = 3')
    other = SubstitutionNotice(**told(tranche="main", pool="z", given=date(2026, 3, 1)))
    assert checked(same, other) == "not_equivalent"
    assert checked(same, swap) == date(2026, 3, 4)
    assert after_events(same, [swap]).tranches[0].pools == ("q", "p")


def test_what_is_given_away_is_whole_and_within_the_term() -> None:
    deal = agreement(FEE)

    def credit(month: Month, amount: str) -> Credit:
        return Credit(
            id="k", agreement="deal", month=month, amount=Decimal(amount), given=date(2026, 4, 1), because="-"
        )

    assert checked(deal, credit(Month(2025, 1), "5")) == "outside_term"
    assert checked(deal, credit(Month(2026, 3), "0.001")) == "too_fine"
    assert checked(deal, credit(Month(2026, 3), "5")) == date(2026, 4, 1)
    off = WriteOff(
        **told(document="INV-000001", amount=Decimal("0.001"), given=date(2026, 4, 1), because="-")
    )
    assert checked(deal, off) == "too_fine"


@pytest.mark.parametrize(
    ("event", "operator_s"),
    [
        (recall(date(2026, 3, 1)), True),
        (Notice(id="n", agreement="deal", by=Side.OPERATOR, given=date(2026, 3, 1)), True),
        (Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 3, 1)), False),
        (answer(date(2026, 3, 1)), False),
        (tender(date(2026, 3, 1)), False),
    ],
    ids=["recall", "operator's notice", "offtaker's notice", "answer", "tender"],
)
def test_what_the_operator_does_is_known_as_its_own(event: Event, operator_s: bool) -> None:
    assert event.by_operator is operator_s
