"""Service levels, abatement, relief and the liability cap: examples worked by hand, and laws."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.agreements.events.claim import Claim
from offtake.agreements.events.relief import Relief
from offtake.agreements.model import Agreement, Event, after_events
from offtake.base.errors import BadInput
from offtake.base.months import Month
from offtake.base.time import Interval
from offtake.rating.clauses.service_level import failed_windows
from offtake.rating.model import Charge, Kind
from offtake.rating.rate import Rated, rate_term
from offtake.rating.suppose import Supposed, SupposedOutage, supposed_months
from tests.agreements.texts import FEE, HEADER, agreement

UTC = HEADER.replace("America/Chicago", "UTC")
BAND = "band = [{ below = 0.99, credit = 0.10 }, { below = 0.95, credit = 0.30 }]\n"
SECOND = """
[[tranche]]
id = "other"
pools = ["q"]
quantity = 1_000
start = 2026-02-01
through = 2027-01-31
"""


def deal(*sections: str) -> Agreement:
    return agreement(FEE, *sections, header=UTC)


def out(month: int, start_h: float, hours: float, gpus: int = 1_000, **more: str) -> SupposedOutage:
    first = Month(2026, month).interval("UTC").start
    begin = first + int(start_h * 3_600)
    named: dict[str, str] = {"tranche": "main", **more}
    return SupposedOutage(interval=Interval(begin, begin + int(hours * 3_600)), gpus=gpus, **named)


def rated(
    text: Agreement, *outages: SupposedOutage, last: int = 12, events: tuple[Event, ...] = ()
) -> list[Rated]:
    text = after_events(text, events)
    months = supposed_months(text, Supposed(outages=outages), Month(2026, 2), Month(2026, last))
    return [r for _, r in rate_term(text, months)]


def sums(found: list[Rated], clause: str) -> dict[int, int]:
    """Minor units by number of the month, of one clause, where anything is charged."""
    sums_: dict[int, int] = {}
    for month in found:
        for line in month.charges:
            if line.clause == clause:
                sums_[line.month.month] = sums_.get(line.month.month, 0) + line.amount.minor
    return sums_


def test_an_outage_at_the_edge_earns_only_where_edges_are_inclusive() -> None:
    # March has 744 hours: 7.44 hours of everything are exactly one per cent
    at_edge = out(3, 10, 7.44)
    assert sums(rated(deal("[service_level]\n" + BAND), at_edge), "service_level") == {}
    inclusive = deal('[service_level]\nedges = "inclusive"\n' + BAND)
    assert sums(rated(inclusive, at_edge), "service_level") == {3: -3_100_000}
    below = out(3, 10, 7.45)
    assert sums(rated(deal("[service_level]\n" + BAND), below), "service_level") == {3: -3_100_000}


@pytest.mark.parametrize(
    ("measure", "credit"),
    # 500 of 1,000 GPUs for 40 of 744 hours: 2.7 % of capacity, 5.4 % of time with any, no time with all out
    [("capacity", {3: -3_100_000}), ("any", {3: -9_300_000}), ("all", {})],
)
def test_the_same_outage_by_each_measure(measure: str, credit: dict[int, int]) -> None:
    text = deal(f'[service_level]\nmeasure = "{measure}"\n' + BAND)
    assert sums(rated(text, out(3, 10, 40, 500)), "service_level") == credit
    # everything out for 40 hours is 5.4 % by each
    assert sums(rated(text, out(3, 10, 40)), "service_level") == {3: -9_300_000}


def test_outages_shorter_than_the_minimum_don_t_count_and_longer_ones_count_whole() -> None:
    text = deal("[service_level]\nminimum_minutes = 300\n" + BAND)
    short = [out(3, 24 * day, 4.9) for day in range(1, 20)]
    assert sums(rated(text, *short), "service_level") == {}
    assert sums(rated(text, *short, out(3, 24 * 25, 8)), "service_level") == {3: -3_100_000}


def test_a_scope_of_one_pool_or_tranche_looks_at_nothing_else() -> None:
    both = agreement(SECOND, FEE, '[service_level]\ntranches = ["other"]\n' + BAND, header=UTC)
    assert sums(rated(both, out(3, 10, 40)), "service_level") == {}
    # half of the whole agreement's fee is the scope's
    assert sums(rated(both, out(3, 10, 40, tranche="other")), "service_level") == {3: -4_650_000}
    text = deal('[service_level]\npools = ["p"]\n' + BAND)
    assert sums(rated(text, out(3, 10, 40, pool="elsewhere")), "service_level") == {}
    assert sums(rated(text, out(3, 10, 40, pool="p")), "service_level") == {3: -9_300_000}


def test_a_quarter_is_measured_as_a_whole_and_credited_in_its_last_month() -> None:
    text = deal('[service_level]\nwindow = "quarter"\n' + BAND)
    # 40 of the 1,416 hours of February and March; the term begins in February
    assert sums(rated(text, out(2, 10, 40)), "service_level") == {3: -6_200_000}
    # spread thin, no month by itself would do: 5 + 6 of 2,184 hours in the second quarter
    assert sums(rated(text, out(4, 10, 12), out(6, 10, 12)), "service_level") == {6: -9_300_000}


def test_a_credit_may_be_given_later_but_not_after_the_end() -> None:
    text = deal("[service_level]\nlater_months = 2\n" + BAND)
    # February 2027 is no more: December's credit is given in December
    found = rated(text, out(3, 10, 40), out(12, 10, 40))
    assert sums(found, "service_level") == {5: -9_300_000, 12: -9_300_000}
    assert all(not name.endswith("/given") for name in found[-1].carried)


def test_a_credit_that_must_be_claimed_is_given_only_with_its_claim() -> None:
    text = deal("[service_level]\nclaim_days = 14\n" + BAND)
    claim = Claim(
        id="c", agreement="deal", clause="service_level", month=Month(2026, 3), made=date(2026, 4, 9)
    )
    hit = (out(3, 10, 40), out(5, 10, 40))
    assert sums(rated(text, *hit), "service_level") == {}
    assert sums(rated(text, *hit, events=(claim,)), "service_level") == {3: -9_300_000}


def test_failed_windows_are_remembered_as_long_as_they_count() -> None:
    text = deal("[service_level]\nchronic = { below = 0.97, windows = 2, of = 3 }\n" + BAND)
    found = rated(text, out(3, 10, 40), out(5, 10, 40), out(9, 10, 40))
    failed = [tuple(m.month for m in failed_windows(r.carried, "service_level")) for r in found]
    assert failed == [(), (3,), (3,), (3, 5), (5,), (5,), (), (9,), (9,), (9,), ()]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('pools = ["nowhere"]\n' + BAND, "no tranche names pool"),
        ("chronic = { below = 0.9, windows = 4, of = 3 }\n" + BAND, "can't fail"),
        ("band = [{ below = 0.9, credit = 0.1 }, { below = 0.95, credit = 0.3 }]", "credits that rise"),
        ('tranches = ["none"]\n' + BAND, "no tranche 'none'"),
    ],
)
def test_what_a_service_level_can_t_mean_is_refused(said: str, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        deal("[service_level]\n" + said)


def test_what_fails_over_a_month_s_end_is_abated_from_its_own_day() -> None:
    # Thursday, 29 October; Friday and Monday pass; abated from Tuesday, 3 November, to the 6th
    text = deal('[rent_abatement]\nbusiness_days = 2\nplace = "DE"')
    found = sums(rated(text, out(10, 28 * 24 + 9, 24 * 8 - 9, 720)), "rent_abatement")
    assert found == {11: -31_000_000 * 3 * 720 // (30 * 1_000)}


def test_those_out_longest_are_back_first() -> None:
    # 100 GPUs fail on Monday the 9th, 100 more on Wednesday; 100 are back on Thursday at midnight:
    # those of Monday, whose two business days have just run; the others' end on Friday
    text = deal('[rent_abatement]\nbusiness_days = 2\nplace = "DE"')
    first, second = out(3, 8 * 24 + 1, 24 * 2 + 23, 100), out(3, 10 * 24 + 1, 24 * 4 - 1, 100)
    found = sums(rated(text, first, second), "rent_abatement")
    # the second hundred are out until Sunday the 15th, and abated from Saturday the 14th on
    assert found == {3: -31_000_000 * 100 // (31 * 1_000)}


def test_relief_lifts_the_fee_only_while_it_lasts_and_service_levels_don_t_count_it() -> None:
    text = deal("[force_majeure]", "[service_level]\n" + BAND)
    flood = Relief(
        id="f", agreement="deal", given=date(2026, 3, 5), start=date(2026, 3, 3), through=date(2026, 3, 6)
    )
    found = rated(text, out(3, 48, 24 * 6), events=(flood,))  # the 3rd to the 8th
    assert sums(found, "force_majeure") == {3: -31_000_000 * 4 // 31}
    # two of 31 days stay lost: 6.45 %
    left = 31_000_000 - 31_000_000 * 4 // 31
    assert sums(found, "service_level") == {3: -round(left * 0.3)}


outages = st.lists(
    st.builds(
        out,
        month=st.integers(2, 6),
        start_h=st.floats(0, 600, allow_nan=False),
        hours=st.floats(0.1, 120, allow_nan=False),
        gpus=st.integers(1, 1_500),
    ),
    max_size=5,
)


@settings(max_examples=40, deadline=None)
@given(outages, st.sampled_from(["capacity", "any", "all"]), st.sampled_from(["month", "quarter"]))
def test_credits_never_exceed_their_cap(hits: list[SupposedOutage], measure: str, window: str) -> None:
    text = deal(
        f'[service_level]\nmeasure = "{measure}"\nwindow = "{window}"\ncap = 0.25\n'
        "band = [{ below = 0.999, credit = 0.05 }, { below = 0.9, credit = 1 }]"
    )
    found = rated(text, *hits, last=6)
    months = 3 if window == "quarter" else 1
    for minor in sums(found, "service_level").values():
        assert 0 >= minor >= -Fraction(1, 4) * months * 31_000_000


@settings(max_examples=40, deadline=None)
@given(outages)
def test_what_is_abated_is_never_more_than_what_was_out(hits: list[SupposedOutage]) -> None:
    text = deal('[rent_abatement]\nbusiness_days = 1\nplace = "DE"')
    months = list(supposed_months(text, Supposed(outages=tuple(hits)), Month(2026, 2), Month(2026, 7)))
    abated = sums([r for _, r in rate_term(text, months)], "rent_abatement")
    for facts in months:
        share = Fraction(facts.lost.get("outage", 0), facts.entitled)
        assert 0 >= abated.get(facts.month.month, 0) >= -share * 31_000_000 - 1


@settings(max_examples=40, deadline=None)
@given(outages, st.integers(1, 400_000), st.sampled_from(["month", "quarter", "contract_year"]))
def test_the_operator_never_owes_more_than_the_cap(hits: list[SupposedOutage], cap: int, period: str) -> None:
    text = deal(
        "[service_level]\n" + BAND,
        "[availability_credit]\nband = [{ below = 0.999, credit = 0.2 }]",
        f'[liability_cap]\namount = {cap}\nperiod = "{period}"',
    )
    found = rated(text, *hits, last=6)
    owed = [-_owed(month.charges) for month in found]
    assert all(part >= 0 for part in owed)
    groups = {"month": [[p] for p in owed], "quarter": [owed[:2], owed[2:]], "contract_year": [owed]}[period]
    assert all(sum(group) <= cap * 100 for group in groups)
    uncapped = rated(
        deal("[service_level]\n" + BAND, "[availability_credit]\nband = [{ below = 0.999, credit = 0.2 }]"),
        *hits,
        last=6,
    )
    assert all(part <= -_owed(month.charges) for part, month in zip(owed, uncapped, strict=True))


def _owed(charges: tuple[Charge, ...]) -> int:
    return sum(c.amount.minor for c in charges if c.kind in (Kind.CREDIT, Kind.DAMAGES))
