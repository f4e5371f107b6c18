"""The cheapest recall equals what trying everything finds, and no notice of it breaches a term."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.clauses.recall import Recall, governing_recall
from offtake.agreements.derive import entitlement
from offtake.agreements.events.recall import RecallNotice, recalled
from offtake.agreements.model import Agreement, after_events
from offtake.base.curve import Curve
from offtake.base.money import Money
from offtake.base.months import local_midnight, plus_days
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.rating import recall_plan
from offtake.rating.quote import quote, term_charges
from offtake.rating.recall_plan import (
    Chosen,
    Need,
    Option,
    callable_gpus,
    cheapest,
    choose,
    cost_of,
    give_back,
    price_of_breach,
)
from offtake.rating.suppose import Supposed
from tests.agreements.texts import FEE, HEADER, TRANCHE, agreement

ZONE = "America/Chicago"
BY = date(2026, 3, 20)
NOW = local_midnight(date(2026, 2, 20), ZONE) + 9 * 3_600


def need(gpus: int, **changes: Any) -> Need:
    plain: dict[str, Any] = {
        "gpus": gpus, "by": BY, "until": date(2026, 4, 10), "hold_until": BY, "zone": ZONE,
    }  # fmt: skip
    return Need(**plain | changes)


def deal(
    *recall: str, id_: str = "deal", tranche: str = TRANCHE, fee: str = FEE, more: str = ""
) -> Agreement:
    clause = "\n".join(("[recall]", 'tranches = ["main"]', "notice_days = 14", *recall))
    return agreement(fee, clause, more, header=HEADER.replace('"deal"', f'"{id_}"'), tranche=tranche)


def chosen(agreements: Sequence[Agreement], wanted: Need, now: int = NOW) -> Chosen:
    return cheapest(agreements, wanted, now, "USD")[0]


def why(one: Agreement, wanted: Need, now: int = NOW) -> str:
    found, (only,) = cheapest([one], wanted, now, "USD")
    assert found.calls == ()
    return only.code


def test_the_price_is_the_raters_own() -> None:
    one = deal("compensation_per_gpu_h = 0.10", "granularity_gpus = 64")
    (call,) = chosen([one], need(200, until=None)).calls
    assert (call.notice.gpus, call.notice.given, call.effective, call.back) == (
        256, date(2026, 3, 6), BY, None,
    )  # fmt: skip
    priced = quote(one, call.notice)
    assert not isinstance(priced, Refused)
    assert call.cost == -priced.change
    # 288 of March's 743 hours, then ten months, of 256 thousandths of 310,000 a month
    assert call.fee == Money(round(Fraction(7_936_000 * 288, 743)) + 10 * 7_936_000, "USD")
    assert call.other == Money.zero("USD")
    assert call.serve_before == local_midnight(date(2026, 3, 7), ZONE)


def test_until_ends_the_price_and_minimum_days_and_holding_move_the_end() -> None:
    (call,) = chosen([deal()], need(100)).calls
    assert call.back == date(2026, 4, 10)
    # 288 of March's 743 hours and 9 of April's 30 days, of a tenth of the fee
    assert call.fee == Money(round(Fraction(3_100_000 * 288, 743)) + 930_000, "USD")
    assert chosen([deal("minimum_days = 60")], need(100)).calls[0].back == date(2026, 5, 19)
    held = need(100, hold_until=date(2026, 6, 1))
    assert chosen([deal()], held).calls[0].back == date(2026, 6, 1)


def test_the_cheapest_tranches_are_called_and_ties_go_to_fewer_gpus_notices_and_names() -> None:
    dear, cheap = (deal(f"compensation_per_gpu_h = {rate}", id_=id_) for rate, id_ in ((2, "a"), (1, "b")))
    assert [call.notice.agreement for call in chosen([dear, cheap], need(1_000)).calls] == ["b"]
    assert [(c.notice.agreement, c.notice.gpus) for c in chosen([dear, cheap], need(1_300)).calls] == [
        ("a", 300), ("b", 1_000),
    ]  # fmt: skip
    free = [
        deal("fee_reduction = 0", f"granularity_gpus = {g}", id_=id_) for g, id_ in ((64, "a"), (40, "b"))
    ]
    assert [(c.notice.agreement, c.notice.gpus) for c in chosen(free, need(100)).calls] == [
        ("a", 64),
        ("b", 40),
    ]
    twins = [deal("fee_reduction = 0", id_=id_) for id_ in ("b", "a", "c")]
    assert [call.notice.agreement for call in chosen(twins, need(100)).calls] == ["a"]


def test_the_notice_is_served_as_late_as_it_may_be_in_the_way_that_is_fastest() -> None:
    ways = """
[notices]
way = [{ how = "courier", days = 2, business = true }, { how = "email", days = 1, business = true }]
"""
    (call,) = chosen([deal(more=ways)], need(100)).calls
    # received on Friday 6 March, sent on Thursday
    assert (call.notice.how, call.notice.given, call.effective) == ("email", date(2026, 3, 5), BY)
    # a Sunday can't be received on: the notice that takes effect before it is the last
    (call,) = chosen([deal(more=ways)], need(100, by=date(2026, 3, 22))).calls
    assert (call.notice.given, call.effective) == (date(2026, 3, 5), BY)
    (call,) = chosen([deal("blackout = [{ first = 2026-03-15, through = 2026-03-31 }]")], need(100)).calls
    assert call.effective == date(2026, 3, 14)


def test_days_count_where_the_agreement_is_and_the_need_where_the_operator_is() -> None:
    (call,) = chosen([deal()], need(100, zone="America/New_York")).calls
    # midnight of the 20th in New York is still the 19th in Chicago
    assert call.effective == date(2026, 3, 19)
    assert call.back == date(2026, 4, 10)


def test_what_can_t_be_called_says_why() -> None:
    assert why(deal(), need(10), local_midnight(date(2026, 3, 7), ZONE)) == "too_late"
    assert why(deal("not_before = 2026-03-10"), need(10)) == "too_early"
    assert why(deal("retained_gpus = 1000"), need(10)) == "retained"
    assert why(deal("blackout = [{ first = 2026-01-01, through = 2026-12-31 }]"), need(10)) == "blacked_out"
    assert why(deal("granularity_gpus = 1024"), need(10)) == "nothing_to_call"
    assert why(deal(), need(10, by=date(2027, 3, 1), until=None)) == "nothing_to_call"
    once = deal("times_per_year = 1")
    notice = RecallNotice(id="r", agreement="deal", tranche="main", gpus=10, given=date(2026, 2, 10))
    assert why(after_events(once, [notice]), need(10)) == "too_often"
    found, passed = cheapest([deal()], need(10, pools=("q",)), NOW, "USD")
    assert (found.calls, passed) == ((), ())
    assert cheapest([deal()], need(10), NOW, "EUR")[1][0].code == "other_currency"


def test_more_than_is_recallable_says_how_far_it_gets() -> None:
    found = chosen([deal("retained_gpus = 300", "granularity_gpus = 64")], need(5_000))
    assert (found.reach, found.calls[0].notice.gpus) == (640, 640)
    nothing = chosen([], need(5))
    assert (nothing.reach, nothing.calls, nothing.cost) == (0, (), Money.zero("USD"))


def test_too_many_counts_are_tried_from_coarse_to_fine_with_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    agreements = [
        deal(f"compensation_per_gpu_h = {rate}", f"retained_gpus = {kept}", id_=id_)
        for rate, kept, id_ in ((1, 963, "a"), (2, 0, "b"), (3, 0, "c"))
    ]
    fine = chosen(agreements, need(90))
    monkeypatch.setattr(recall_plan, "PRICES", 9)
    coarse = chosen(agreements, need(90))
    assert fine.least == fine.cost == coarse.cost
    assert [call.notice.gpus for call in coarse.calls] == [37, 53]
    assert coarse.least < coarse.cost


def test_breaking_a_firm_claim_owes_what_its_clauses_say() -> None:
    credit = "[availability_credit]\nband = [{ below = 0.99, credit = 0.10 }]\n"
    one = agreement(FEE, credit)
    march = Interval(local_midnight(date(2026, 3, 1), ZONE), local_midnight(date(2026, 4, 1), ZONE))
    assert price_of_breach(one, "main", 500, march) == Money(3_100_000, "USD")


COUNTS = st.integers(0, 60)
TWO = """
[[tranche]]
id = "main"
pools = ["p"]
quantity = {0}
additive = true
start = 2026-02-01
through = 2026-08-31

[[tranche]]
id = "side"
pools = ["p"]
quantity = {1}
additive = true
start = 2026-02-01
through = 2026-06-30
"""


@st.composite
def agreements(draw: st.DrawFn, id_: str) -> Agreement:
    """A small agreement of two tranches under one clause, or under a clause each."""
    size = st.integers(4, 20)
    day = st.dates(date(2026, 3, 10), date(2026, 3, 25))

    def clause(tranches: str) -> str:
        parts = [
            f"tranches = {tranches}",
            f"notice_days = {draw(st.integers(0, 30))}",
            f"granularity_gpus = {draw(st.integers(2, 5))}",
            f"retained_gpus = {draw(st.integers(0, 12))}",
            f"minimum_days = {draw(st.integers(0, 40))}",
            f"fee_reduction = {draw(st.sampled_from(['0', '0.5', '1']))}",
            f"compensation_per_gpu_h = {draw(st.sampled_from(['0', '0.10', '1.25']))}",
        ]
        if draw(st.booleans()):
            parts.append(f"times_per_year = {draw(st.integers(1, 2))}")
        if draw(st.booleans()):
            first = draw(day)
            parts.append(
                f"blackout = [{{ first = {first}, through = {first + timedelta(days=draw(COUNTS))} }}]"
            )
        return "\n".join(parts)

    if draw(st.booleans()):
        recalls = f'[recall]\n{clause("""["main", "side"]""")}'
    else:
        recalls = f'[[recall]]\n{clause("""["main"]""")}\n[[recall]]\n{clause("""["side"]""")}'
    fees = [
        '[monthly_fee]\namount = 31_007.13\nfirst = "2026-02"\nlast = "2026-08"',
        draw(st.sampled_from(["", '[take_or_pay]\nshare = 0.9\nrate_per_gpu_h = 1.5\nperiod = "month"'])),
    ]
    one = agreement(
        *fees,
        recalls,
        header=HEADER.replace('"deal"', f'"{id_}"'),
        tranche=TWO.format(draw(size), draw(size)),
    )
    earlier = RecallNotice(
        id="r", agreement=id_, tranche=draw(st.sampled_from(["main", "side"])), gpus=draw(st.integers(2, 6)),
        given=date(2026, 2, 5),
    )  # fmt: skip
    return after_events(one, [earlier] if draw(st.booleans()) else [])


def by_trying(agreements: Sequence[Agreement], wanted: Need) -> tuple[int, int]:
    """(reach, cost) of the best of every set of notices that the terms allow, day and way as the plan's."""
    ways = [list(_ways(one, wanted)) for one in agreements]
    best: tuple[int, int] | None = None
    for combination in product(*ways):
        gpus = min(sum(g for g, _ in combination), wanted.gpus)
        cost = sum(c for _, c in combination)
        if best is None or (-gpus, cost) < (-best[0], best[1]):
            best = (gpus, cost)
    assert best is not None
    return best


def _last_day(one: Agreement, tranche: str, granule: int) -> RecallNotice | None:
    """The latest notice of one granule that counts: every day tried, the last first."""
    day = BY
    while day >= date(2026, 2, 20):
        notice = RecallNotice(id="n", agreement=one.id, tranche=tranche, gpus=granule, given=day)
        effective = notice.check(one)
        if not isinstance(effective, Refused) and effective <= BY:
            return notice
        day -= timedelta(days=1)
    return None


def _ways(one: Agreement, wanted: Need) -> Any:
    """(GPUs, cost) of every set of notices of one agreement that counts."""
    ladders: list[list[Any]] = []
    for tranche in one.tranches:
        governing = governing_recall(one, tranche.id)
        assert governing is not None
        granule = governing[1].granularity_gpus
        first = _last_day(one, tranche.id, granule)
        back = recalled(one).get(tranche.id, Curve.zero())
        window = Interval(wanted.start, local_midnight(date(2026, 4, 10), ZONE))
        free = (entitlement(one, tranche).value - back).min_over(window)
        ladders.append([(None, None)])
        if first is not None:
            least = plus_days(_effect(one, first), governing[1].minimum_days)
            ladders[-1] += [
                (replace(first, gpus=gpus), max(date(2026, 4, 10), least))
                for gpus in range(granule, min(free, wanted.gpus + granule - 1) + 1, granule)
            ]
    for notices in product(*ladders):
        after, counts, calls = one, True, []
        for tranche, (notice, back_on) in zip(one.tranches, notices, strict=True):
            if notice is None:
                continue
            counts = counts and not isinstance(notice.check(after), Refused)
            after = after_events(after, [notice])
            if back_on <= tranche.through:
                giving = give_back(notice, back_on)
                counts = counts and not isinstance(giving.check(after), Refused)
                after = after_events(after, [giving])
            calls.append(notice)
        if counts:
            before, then = (sum(c.amount.minor for c in term_charges(a, Supposed())) for a in (one, after))
            yield sum(n.gpus for n in calls), before - then


def _effect(one: Agreement, notice: RecallNotice) -> date:
    effective = notice.check(one)
    assert isinstance(effective, date)
    return effective


@given(st.data())
def test_a_plan_equals_trying_everything_and_breaches_no_term(data: st.DataObject) -> None:
    few = [data.draw(agreements(id_)) for id_ in ("a", "b")[: data.draw(st.integers(1, 2))]]
    wanted = need(data.draw(st.integers(1, 30)))
    found = chosen(few, wanted)
    assert (found.reach, found.cost.minor) == by_trying(few, wanted)
    assert found.least == found.cost
    for one in few:
        after = one
        own = [call for call in found.calls if call.notice.agreement == one.id]
        assert cost_of(one, own) == sum((call.cost for call in own), Money.zero("USD"))
        for call in own:
            assert call.notice.check(after) == call.effective
            assert call.effective <= BY
            after = after_events(after, [call.notice])
        for path, clause in one.all_of(Recall):
            held = sum(int(t.quantity or 0) for t in one.tranches if t.id in clause.tranches)
            back = sum(
                n.gpus for n, _ in after.events_of(RecallNotice)
                if (governing_recall(one, n.tranche) or ("",))[0] == path
            )  # fmt: skip
            assert not own or held - back >= min(clause.retained_gpus, held)


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 12), st.integers(-3, 9)), max_size=5), min_size=1, max_size=4),
    st.integers(1, 40),
)
def test_the_table_finds_the_least_of_any_prices(prices: list[list[tuple[int, int]]], gpus: int) -> None:
    groups = {
        str(i): (Option(calls=()), *(_priced_option(*pair) for pair in own)) for i, own in enumerate(prices)
    }
    sums = [
        (min(sum(o.gpus for o in pick), gpus), sum(o.minor for o in pick))
        for pick in product(*groups.values())
    ]
    reach = max(r for r, _ in sums)
    found = choose(groups, gpus, "USD")
    assert (found.reach, found.cost.minor) == (reach, min(c for r, c in sums if r == reach))


@settings(max_examples=30)
@given(st.data())
def test_what_no_plan_undercuts_is_below_the_best_and_the_plan_is_found_near_it(data: st.DataObject) -> None:
    few = [data.draw(agreements(id_)) for id_ in ("a", "b")]
    wanted = need(data.draw(st.integers(1, 30)))
    best = chosen(few, wanted)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recall_plan, "PRICES", 4)
        coarse = chosen(few, wanted)
    assert coarse.reach <= best.reach
    if coarse.reach == best.reach:
        assert coarse.least <= best.cost <= coarse.cost


def _priced_option(gpus: int, minor: int) -> Option:
    notice = RecallNotice(id="n", agreement="a", tranche="t", gpus=gpus, given=BY)
    call = recall_plan.Call(
        notice=notice, effective=BY, serve_before=0, back=None, fee=Money(minor, "USD"),
        compensation=Money.zero("USD"), other=Money.zero("USD"),
    )  # fmt: skip
    return Option(calls=(call,))


def test_how_much_is_left_of_a_notice() -> None:
    one = deal("granularity_gpus = 64", "retained_gpus = 300")
    notice = RecallNotice(id="n", agreement="deal", tranche="main", gpus=960, given=date(2026, 3, 1))
    assert callable_gpus(one, notice, 960) == 640
    assert callable_gpus(one, replace(notice, tranche="other"), 960) == 0
