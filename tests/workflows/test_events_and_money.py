"""What happens under an agreement, from the event to the cent on the invoice and in the ledger."""

from __future__ import annotations

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
from offtake.base.errors import Broken
from offtake.base.money import Money
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, Interval
from offtake.billing.document import Received
from offtake.fleet.model import Outage
from offtake.formats.folder import load_folder
from offtake.metering.readings import Readings
from offtake.store.fact import Fact, Recorded
from offtake.workflows.allocate import held_rows
from offtake.workflows.apply import apply_folder
from offtake.workflows.record import (
    Known,
    record_event,
    record_outage,
    record_payment,
    record_readings,
)
from offtake.workflows.tick import tick
from offtake.workflows.view import agreement_of, claims_in, open_documents
from tests.agreements.texts import FEE, TRANCHE
from tests.house.project import ROOT
from tests.workflows.worlds import (
    ADVANCE,
    CREDIT,
    FLEET,
    NET_400,
    SETTINGS,
    World,
    at,
    outage,
    text_of,
    world,
    write_world,
)

FULL = 31_000_000
LEAVE = "[termination]\nnotice_days = 30\n"
RECALL = '[recall]\ntranches = ["main"]\nnotice_days = 10\n'
DELIVERY = '[delivery]\ndue = 2026-02-20\ngpus = 1_000\nremedies = ["pro_rata_fee", "terminate"]\n'


def held(w: World, instant: int, claim: str = "deal/main") -> int:
    rows = held_rows(w.book.state.of("plan"), w.book.lake, Interval(instant, instant + 1)).of(claim)
    return int(rows.gpus.sum())


def leave(w: World, given: date, now: int) -> None:
    notice = Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=given)
    assert isinstance(record_event(w.book, notice, now), Recorded)


def no_readings() -> Readings:
    none = np.zeros(0, dtype=np.int64)
    return Readings(claims=(), pools=(), ids=(), claim=none, pool=none, start=none, end=none, gpus=none)


def test_a_flat_fee_in_arrears_is_billed_when_its_month_has_ended_and_paid_when_due(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, "[payment]\nnet_days = 10\n").go(at(3, 1) - 1)
    assert w.invoices() == []
    w.go(at(3, 1))
    assert w.invoices() == [("2026-02", "invoice", FULL)]
    assert w.balance("assets.receivable.deal") == FULL
    assert w.balance("income.fees.deal") == -FULL
    w.go(at(3, 11))
    assert (w.balance("assets.cash"), w.balance("assets.receivable.deal")) == (FULL, 0)
    assert open_documents(w.book.state) == []


def test_a_fee_in_advance_is_deferred_until_its_month_has_ended(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, ADVANCE).go(at(2, 10))
    assert w.invoices() == [("2026-02", "invoice", FULL)]
    assert w.balance("liabilities.deferred.deal") == -FULL
    assert w.balance("income.fees.deal") == 0
    w.go(at(3, 1))
    assert w.balance("liabilities.deferred.deal") == 0
    assert w.balance("income.fees.deal") == -FULL
    w.go(at(3, 2))
    assert w.balance("liabilities.deferred.deal") == -FULL
    assert w.invoices() == [("2026-02", "invoice", FULL), ("2026-03", "invoice", FULL)]


def test_an_outage_in_a_month_billed_in_advance_is_credited_by_a_credit_note(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, CREDIT, ADVANCE).go(at(3, 10))
    record_outage(w.book, outage(400, at(3, 10), at(3, 12)), at(3, 10))
    w.go(at(4, 16))
    assert w.invoices()[1:3] == [("2026-03", "invoice", FULL), ("2026-03", "credit_note", -FULL // 10)]
    assert w.lines(Month(2026, 3)) == [("monthly_fee", FULL), ("availability_credit", -FULL // 10)]
    assert w.balance("income.credits.deal") == FULL // 10
    # the next payment is the next fee less the credit
    paid = [recorded.fact.body["amount"]["minor"] for recorded in w.log("payment.received")]
    assert paid == [FULL, FULL, FULL - FULL // 10]
    assert w.balance("assets.receivable.deal") == 0


def test_an_outage_reported_late_is_replanned_from_its_start(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, CREDIT, NET_400).go(at(4, 20))
    assert held(w, at(4, 11)) == 1_000
    record_outage(w.book, outage(400, at(4, 10), at(4, 12)), at(4, 20))
    (planned,) = [r.fact for r in tick(w.book, at(4, 20)) if r.fact.kind == "allocation.planned"]
    assert planned.body["start"] == at(4, 10)
    assert [held(w, at(4, day)) for day in (9, 10, 11, 12)] == [1_000, 600, 600, 1_000]
    w.go(at(5, 1))
    assert w.lines(Month(2026, 4)) == [("monthly_fee", FULL), ("availability_credit", -FULL // 10)]


def settled_time_stays(w: World, now: int, settled_until: int) -> None:
    """A report about settled time changes nothing there."""
    earlier = {day: held(w, day) for day in range(at(2, 1), settled_until, DAY_S)}
    invoices = w.invoices()
    start = settled_until - 40 * DAY_S
    assert isinstance(record_outage(w.book, outage(400, start, settled_until + DAY_S), now), Recorded)
    (planned,) = [r.fact for r in tick(w.book, now) if r.fact.kind == "allocation.planned"]
    assert planned.body["start"] == settled_until
    assert {day: held(w, day) for day in earlier} == earlier
    assert w.invoices() == invoices
    assert held(w, settled_until) == 600


def test_settled_time_is_never_planned_again(tmp_path: Path) -> None:
    settled_time_stays(world(tmp_path, FEE, NET_400).go(at(5, 10)), at(5, 10), at(5, 1))


SMALL = TRANCHE.replace("1_000", "8").replace('["p"]', '["q"]')
SECOND_POOL = FLEET[FLEET.index("[[pool]]") :].replace('"p"', '"q"')


@pytest.mark.parametrize(
    "tranche",
    [
        SMALL.replace("2027-01-31", "2026-02-28"),
        SMALL.replace("2026-02-01", "2026-07-01"),
    ],
    ids=["one that has ended", "one that hasn't begun"],
)
def test_settled_time_doesn_t_depend_on_an_agreement_that_isn_t_running(tmp_path: Path, tranche: str) -> None:
    other = text_of("[usage_fee]\nrate_per_gpu_h = 1\n", id_="other", tranche=tranche)
    w = world(tmp_path, FEE, NET_400, agreements__other__toml=other, fleet__toml=FLEET + SECOND_POOL)
    settled_time_stays(w.go(at(5, 10)), at(5, 10), at(5, 1))


def test_what_is_settled_leaves_the_state(tmp_path: Path) -> None:
    other = text_of(
        "[usage_fee]\nrate_per_gpu_h = 1\n", id_="other", tranche=SMALL.replace("2027-01-31", "2026-02-28")
    )
    w = world(tmp_path, FEE, NET_400, agreements__other__toml=other, fleet__toml=FLEET + SECOND_POOL)
    record_sizes = []
    for month in (4, 5, 6, 7, 8):
        w.go(at(month, 2))
        state = w.book.state
        record_sizes.append([len(state.of(kind)) for kind in ("batch", "plan", "outage")])
    assert record_sizes[1:] == record_sizes[:-1]


def test_notice_ends_claims_fees_and_invoices_and_prorates_the_last_month(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, LEAVE).go(at(3, 12))
    leave(w, date(2026, 3, 12), at(3, 12))
    w.go(at(8, 31))
    assert agreement_of(w.book.state, "deal").ends == date(2026, 4, 11)
    assert w.invoices() == [
        ("2026-02", "invoice", FULL),
        ("2026-03", "invoice", FULL),
        ("2026-04", "invoice", 10_333_333),
    ]
    assert [held(w, at(4, 11) - 1), held(w, at(4, 11)), held(w, at(8, 1))] == [1_000, 0, 0]
    settled = [recorded.fact.id for recorded in w.log("month.settled")]
    assert settled == ["deal/2026-02", "deal/2026-03", "deal/2026-04"]
    (claim,) = claims_in(w.book.state, w.book.lake)
    assert claim.gpus.value_at(at(4, 11)) == 0


def test_a_month_billed_in_advance_is_corrected_when_the_agreement_ends_inside_it(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, ADVANCE, LEAVE.replace("30", "5")).go(at(3, 12))
    leave(w, date(2026, 3, 12), at(3, 12))  # ends on 17 March; all of March was billed on the 1st
    w.go(at(8, 31))
    march = [amount for _, amount in w.lines(Month(2026, 3))]
    assert (march[0], sum(march)) == (FULL, FULL * 16 // 31)
    assert w.balance("income.fees.deal") == -(FULL + FULL * 16 // 31)
    assert w.balance("liabilities.deferred.deal") == 0
    assert w.lines(Month(2026, 4)) == []


def test_a_correction_doesn_t_depend_on_when_the_meters_are_read(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, ADVANCE, LEAVE.replace("30", "5")).go(at(3, 12))
    leave(w, date(2026, 3, 12), at(3, 12))
    tick(w.book, at(4, 1))  # March has ended and is earned; its readings come a day later
    through = int(w.book.state.of("meter")["simulated-cluster"].body["through"])
    late = record_readings(
        w.book,
        no_readings(),
        batch="late",
        source="simulated-cluster",
        window=Interval(through, at(4, 1)),
        now=at(4, 2),
    )
    assert isinstance(late, Recorded)
    tick(w.book, at(4, 2))
    assert sum(amount for _, amount in w.lines(Month(2026, 3))) == FULL * 16 // 31


def test_choosing_to_terminate_after_a_short_delivery_ends_the_agreement(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, DELIVERY, fleet__toml=FLEET.replace("nodes = 125", "nodes = 100")).go(at(3, 10))
    chosen = Election(id="e", agreement="deal", choice=Remedy.TERMINATE, made=date(2026, 3, 10))
    assert isinstance(record_event(w.book, chosen, at(3, 10)), Recorded)
    w.go(at(8, 1))
    assert w.invoices() == [("2026-02", "invoice", FULL), ("2026-03", "invoice", FULL * 10 // 31)]
    assert [held(w, at(3, 11) - 1), held(w, at(3, 11))] == [800, 0]


def test_an_accepted_short_delivery_lowers_the_fee_of_every_later_month(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, DELIVERY, fleet__toml=FLEET.replace("nodes = 125", "nodes = 100")).go(at(3, 10))
    tests = {r.fact.id: (r.fact.body["delivered"], r.fact.body["short"]) for r in w.log("delivery.tested")}
    assert tests == {"deal/delivery/due": (800, 200), "deal/delivery/grace": (800, 200)}
    chosen = Election(id="e", agreement="deal", choice=Remedy.PRO_RATA_FEE, made=date(2026, 3, 10), gpus=800)
    assert isinstance(record_event(w.book, chosen, at(3, 10)), Recorded)
    w.go(at(5, 1))
    assert [amount for _, _, amount in w.invoices()] == [FULL, FULL * 8 // 10, FULL * 8 // 10]


def test_g23_google_accepts_99_000_of_110_000_and_pays_828_million(tmp_path: Path) -> None:
    example = ROOT / "examples" / "colossus"
    short = '[[delivery]]\nid = "d"\npool = "c2-gb300-b"\nbuild_out = "hall-8"\nknown_on = 2026-09-21\n'
    short += "[[delivery.step]]\non = 2026-09-30\nnodes = 1_097\n"
    short += '[[election]]\nid = "e"\nagreement = "google"\nchoice = "pro_rata_fee"\n'
    short += "made = 2026-10-31\ngpus = 99_000\n"
    w = world(
        tmp_path,
        FEE,
        LEAVE,
        agreements__deal__toml=(example / "agreements" / "google.toml").read_text(encoding="utf-8"),
        fleet__toml=(example / "fleet.toml").read_text(encoding="utf-8"),
        offtake__toml=SETTINGS.replace("2026-02", "2026-07").replace("2026-08", "2026-11"),
        scenario__toml=short,
    ).go(at(12, 1))
    million = 100_000_000
    assert [(month, amount // million) for month, _, amount in w.invoices("google")] == [
        ("2026-07", 460),
        ("2026-08", 460),
        ("2026-09", 460),
        ("2026-10", 828),
        ("2026-11", 828),
    ]
    assert w.lines(Month(2026, 11), "google") == [("monthly_fee", 920 * million), ("delivery", -92 * million)]


def test_a_recall_lowers_the_claim_and_the_fee_by_the_gpu_seconds_taken_back(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, RECALL).go(at(4, 6))
    notice = RecallNotice(id="r", agreement="deal", tranche="main", gpus=248, given=date(2026, 4, 6))
    assert isinstance(record_event(w.book, notice, at(4, 6)), Recorded)
    tick(w.book, at(4, 16))
    assert [held(w, at(4, 16) - 1), held(w, at(4, 16)), held(w, at(4, 30))] == [1_000, 752, 752]
    w.go(at(6, 1))
    # half of April at 24.8 %, all of May
    assert w.lines(Month(2026, 4)) == [("monthly_fee", FULL), ("recall", -FULL * 124 // 1_000)]
    assert w.lines(Month(2026, 5)) == [("monthly_fee", FULL), ("recall", -FULL * 248 // 1_000)]


def test_a_payment_of_less_leaves_the_rest_open_and_one_of_more_is_owed_back(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, NET_400).go(at(4, 1))
    now = at(4, 1)

    def pay(name: str, minor: int) -> None:
        received = Received(id=name, agreement="deal", amount=Money(minor, "USD"), received_at=now)
        assert isinstance(record_payment(w.book, received, now), Recorded)
        tick(w.book, now)

    pay("part", FULL + 5)
    assert [(item.number, item.left.minor) for item in open_documents(w.book.state)] == [
        ("INV-000002", FULL - 5)
    ]
    assert w.balance("assets.receivable.deal") == FULL - 5
    pay("too much", FULL)
    assert open_documents(w.book.state) == []
    assert w.balance("assets.receivable.deal") == 0
    assert w.balance("liabilities.unapplied.deal") == -5
    assert w.balance("assets.cash") == 2 * FULL + 5


def test_a_second_tick_at_any_event_adds_nothing(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, CREDIT, ADVANCE, LEAVE, RECALL)
    added: list[int] = []

    def again(now: int) -> None:
        head = w.book.state.head
        tick(w.book, now)
        added.append(w.book.state.head[0] - head[0])

    w.simulation.run(on_step=again)
    assert len(added) > 20
    assert set(added) == {0}


def test_a_ledger_out_of_balance_stops_the_tick_and_records_nothing(tmp_path: Path) -> None:
    w = world(tmp_path, FEE).go(at(3, 1))
    state = w.book.state
    state.put(("balance", "assets.cash|USD"), state.head[0], {"minor": 1})
    head = state.head
    with pytest.raises(Broken, match="off by 1 minor units of USD"):
        tick(w.book, at(4, 1))
    assert w.book.state.head == w.book.database.head() == head
    assert w.balance("assets.cash") == 0  # the state is again what is on disk


def test_a_fact_of_a_kind_nobody_knows_is_a_bug_not_a_loss(tmp_path: Path) -> None:
    w = world(tmp_path, FEE).go(at(2, 1))
    head = w.book.state.head
    odd = Fact(kind="weather.changed", id="x", effective_at=0, recorded_at=at(2, 1), body={})
    with pytest.raises(Broken, match=r"no projection for facts of kind 'weather\.changed'"), w.book.writing():
        w.book.append([odd])
    assert w.book.state.head == w.book.database.head() == head


def test_an_offtaker_in_lock_in_is_refused_in_a_sentence(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, LEAVE + "lock_in_months = 6\n").go(at(3, 1))
    refused = record_event(
        w.book, Notice(id="n", agreement="deal", by=Side.OFFTAKER, given=date(2026, 3, 1)), at(3, 1)
    )
    assert isinstance(refused, Refused)
    assert "the first day is 2026-07-10" in refused.sentence


def amend(w: World, tmp_path: Path, now: int, *sections: str) -> None:
    folder = load_folder(write_world(tmp_path / f"amended-{now}", {"deal": text_of(*sections)}))
    assert apply_folder(w.book, folder, now)


def close_march(w: World, now: int) -> None:
    through = int(w.book.state.of("meter")["simulated-cluster"].body["through"])
    window = Interval(through, at(4, 1))
    said = record_readings(
        w.book, no_readings(), batch="march", source="simulated-cluster", window=window, now=now
    )
    assert isinstance(said, Recorded)
    tick(w.book, now)


@pytest.mark.parametrize("read_on", [at(4, 1), at(4, 5)])
def test_a_month_is_rated_on_the_text_that_held_at_its_end(tmp_path: Path, read_on: int) -> None:
    w = world(tmp_path, FEE).go(at(3, 12))
    if read_on == at(4, 1):
        close_march(w, read_on)
    amend(w, tmp_path, at(4, 2), FEE.replace("310_000", "620_000"))
    if read_on != at(4, 1):
        close_march(w, read_on)
    assert sum(amount for _, amount in w.lines(Month(2026, 3))) == FULL


def test_changing_when_fees_are_billed_bills_nothing_twice(tmp_path: Path) -> None:
    w = world(tmp_path, FEE).go(at(4, 2))
    amend(w, tmp_path, at(4, 2), FEE, ADVANCE)
    w.go(at(6, 2))
    amend(w, tmp_path, at(6, 2), FEE)
    w.go(at(8, 31))
    for month in (2, 3, 4, 5, 6, 7):
        assert sum(amount for _, amount in w.lines(Month(2026, month))) == FULL, month


def test_a_fee_that_takes_a_ramp_s_place_is_owed_in_full(tmp_path: Path) -> None:
    later = FEE.replace('"2026-02"', '"2026-03"', 1)
    ramp = '[ramp]\nfirst = "2026-02"\nlast = "2026-02"\nfee_share = 0.5\n'
    w = world(tmp_path, later, ramp, ADVANCE).go(at(2, 10))
    assert sum(amount for _, amount in w.lines(Month(2026, 2))) == FULL // 2
    amend(w, tmp_path, at(2, 10), FEE, ADVANCE)
    w.go(at(3, 1))
    assert sum(amount for _, amount in w.lines(Month(2026, 2))) == FULL


def test_an_agreement_that_has_ended_has_no_delivery_to_miss(tmp_path: Path) -> None:
    w = world(tmp_path, FEE, DELIVERY.replace("2026-02-20", "2026-06-30"), LEAVE).go(at(3, 12))
    leave(w, date(2026, 3, 12), at(3, 12))
    w.go(at(8, 1))
    assert not w.book.state.of("tested")


def test_money_received_early_settles_what_comes_later(tmp_path: Path) -> None:
    w = world(tmp_path, FEE).go(at(2, 10))
    money = Received(id="early", agreement="deal", amount=Money(FULL, "USD"), received_at=at(2, 10))
    assert isinstance(record_payment(w.book, money, at(2, 10)), Recorded)
    tick(w.book, at(2, 10))
    assert w.balance("liabilities.unapplied.deal") == -FULL
    w.go(at(3, 1))
    assert (w.balance("liabilities.unapplied.deal"), w.balance("assets.receivable.deal")) == (0, 0)
    assert w.balance("assets.cash") == FULL


@pytest.mark.parametrize(("start", "code"), [(at(3, 5), "gap"), (at(2, 20), "overlap")])
def test_a_source_s_batches_follow_each_other(tmp_path: Path, start: int, code: str) -> None:
    w = world(tmp_path, FEE).go(at(3, 2))
    head = w.book.state.head
    said = record_readings(
        w.book,
        no_readings(),
        batch="odd",
        source="simulated-cluster",
        window=Interval(start, at(3, 6)),
        now=at(3, 6),
    )
    assert isinstance(said, Refused)
    assert (said.code, w.book.state.head) == (code, head)


def test_an_outage_that_has_ended_isn_t_reopened_by_an_old_message(tmp_path: Path) -> None:
    w = world(tmp_path, FEE).go(at(2, 10))
    begun = Outage(id="o", pool="p", start=at(2, 10), end=None, gpus=80)
    assert isinstance(record_outage(w.book, begun, at(2, 10)), Recorded)
    assert isinstance(record_outage(w.book, replace(begun, end=at(2, 11)), at(2, 11)), Recorded)
    head = w.book.state.head
    assert isinstance(record_outage(w.book, begun, at(2, 12)), Known)
    another = record_outage(w.book, replace(begun, gpus=160), at(2, 12))
    assert isinstance(another, Refused)
    assert (another.code, w.book.state.head) == ("already_ended", head)
