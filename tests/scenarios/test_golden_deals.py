"""Golden cases: from a TOML file through the public API to a figure that somebody else published.

Numbered as our sources number them; the trap that each catches is in its name or docstring. G1 to G5 and G23
also go through the book in test_golden_colossus.py.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from offtake.agreements.clauses.delivery import Remedy
from offtake.agreements.derive import entitlement, implied_rate, values
from offtake.agreements.events.election import Election
from offtake.agreements.measures import Measures, Span, measures
from offtake.agreements.model import Agreement, after_events
from offtake.agreements.schedule import fee_schedule, prepayment_schedule
from offtake.agreements.terms import Figure, HoursConvention
from offtake.base.money import round_rate, share_of, total
from offtake.base.months import Month, local_midnight
from offtake.formats.agreement import parse_agreement
from offtake.rating.model import Kind
from offtake.rating.rate import rate_fixed, rate_term
from offtake.rating.suppose import Supposed, supposed_months
from offtake.workflows.suppose import charges_of
from tests.house.project import ROOT

DEALS = ROOT / "examples" / "deals"
MILLION = 10**6
BILLION = 10**9

HEADER = """
[agreement]
id = "deal"
operator = "Operator"
offtaker = "Offtaker"
signed = 2026-01-01
currency = "USD"
time_zone = "UTC"
"""


def deal(name: str) -> Agreement:
    return parse_agreement((DEALS / f"{name}.toml").read_text(encoding="utf-8"), name)


def written(*sections: str) -> Agreement:
    return parse_agreement("\n".join((HEADER, *sections)), "deal.toml")


def tranche(gpus: int, start: str, through: str, id_: str = "main", more: str = "") -> str:
    return f'[[tranche]]\nid = "{id_}"\nquantity = {gpus}\nstart = {start}\nthrough = {through}\n{more}\n'


def span(found: object) -> Span:
    assert isinstance(found, Figure)
    assert isinstance(found.value, Span)
    return found.value


def shown(value: Fraction, places: int = 2) -> Decimal:
    return round_rate(value, places)


def per_gpu_hour(of: Measures, hours: HoursConvention) -> tuple[Decimal, Decimal]:
    price = span(of.gpu_hour[hours])
    return shown(price.low), shown(price.high)


def test_g1_reflection_counts_both_the_first_and_the_last_month() -> None:
    schedule = fee_schedule(deal("spacex-reflection"))
    assert len(schedule) == 42
    assert schedule.total.major == Decimal("6.3") * BILLION


def test_g2_google_has_33_months_where_a_newspaper_says_32() -> None:
    full = [item for item in fee_schedule(deal("spacex-google")) if item.amount.major == 920 * MILLION]
    assert (len(full), full[0].month, full[-1].month) == (33, Month(2026, 10), Month(2029, 6))
    assert total((item.amount for item in full), "USD").major == Decimal("30.36") * BILLION


def test_g3_anthropic_is_5_27_a_gpu_hour_on_325_000_not_7_78_on_220_000() -> None:
    anthropic = deal("spacex-anthropic")
    assert per_gpu_hour(measures(anthropic), HoursConvention.H730) == (Decimal("5.27"), Decimal("5.27"))
    only_colossus_1 = parse_agreement(
        (DEALS / "spacex-anthropic.toml").read_text(encoding="utf-8").replace("325_000", "220_000"), "wrong"
    )
    assert per_gpu_hour(measures(only_colossus_1), HoursConvention.H730)[0] == Decimal("7.78")


def test_g4_google_is_11_62_at_720_hours_and_11_46_at_730_from_the_same_inputs() -> None:
    google = measures(deal("spacex-google"))
    assert shown(span(google.gpu_hour[HoursConvention.H720]).low * 720) == Decimal("8363.64")
    assert per_gpu_hour(google, HoursConvention.H720)[0] == Decimal("11.62")
    assert per_gpu_hour(google, HoursConvention.H730)[0] == Decimal("11.46")  # printed as 11.45 where cut


def test_g5_google_pays_2_2_times_anthropics_price_by_one_denominator_for_both() -> None:
    google, anthropic = (
        span(measures(deal(name)).gpu_hour[HoursConvention.H730]).low
        for name in ("spacex-google", "spacex-anthropic")
    )
    assert shown(google / anthropic) == Decimal("2.17")
    assert shown(google / anthropic, 1) == Decimal("2.2")


def test_g6_narvik_is_2_72_with_every_input_disclosed() -> None:
    price = per_gpu_hour(measures(deal("nscale-microsoft-narvik")), HoursConvention.CALENDAR)
    assert price == (Decimal("2.72"), Decimal("2.72"))


def test_g8_a_range_of_gpus_gives_a_range_of_prices() -> None:
    price = per_gpu_hour(measures(deal("aws-openai")), HoursConvention.CALENDAR)
    assert price == (Decimal("1.24"), Decimal("3.10"))


def test_g9_iren_is_808_thousand_per_critical_megawatt_and_2_18_over_the_rack_bridge() -> None:
    found = measures(deal("iren-microsoft"))
    assert shown(span(found.mw_month).low / 1000, 0) == Decimal(808)
    assert shown(span(found.fee_per_year).low / BILLION) == Decimal("1.94")
    assert 101_000 <= span(found.gpus).low <= 102_000
    assert per_gpu_hour(found, HoursConvention.H730)[0] == Decimal("2.18")


def test_g11_a_prepayment_is_cash_and_no_revenue_until_month_25() -> None:
    iren = deal("iren-microsoft")
    paid = prepayment_schedule(iren)
    assert paid.total.major == Decimal("1.94") * BILLION
    assert shown(Fraction(paid.total.major) / (Fraction("5.8") * BILLION), 2) == Decimal("0.33")
    assert Decimal("5.8") * BILLION - paid.total.major == Decimal("3.86") * BILLION
    months = rate_term(iren, supposed_months(iren, Supposed(), Month(2026, 3), Month(2031, 11)))
    drawn = [c for _, rated in months for c in rated.charges if c.kind is Kind.DRAWDOWN]
    assert min(c.month for c in drawn if c.clause == "prepayment[0]") == Month(2028, 3)  # the 25th month
    assert -total((c.amount for c in drawn), "USD") == paid.total
    assert fee_schedule(iren).total.major == Decimal("9.7") * BILLION  # the prepayment isn't a second fee


@pytest.mark.parametrize(
    ("name", "base", "model", "published"),
    [("terawulf-fluidstack", "3.7", "8.67", "8.7"), ("terawulf-fluidstack-cb5", "6.7", "15.70", "16")],
)
def test_g12_an_inferred_escalator_compounds_into_the_options(
    name: str, base: str, model: str, published: str
) -> None:
    worth = values(deal(name))
    assert worth.headline.value.major == Decimal(base) * BILLION
    extended = Fraction(worth.with_options.value.major) / BILLION
    assert shown(extended) == Decimal(model)
    assert shown(extended, len(published.partition(".")[2])) == Decimal(published)
    assert any("escalator" in path for path in worth.with_options.assumed)  # inferred, not disclosed


def test_g14_riot_reaches_16_1_billion_with_ten_more_years_at_3_percent() -> None:
    worth = values(deal("riot-frontier-lab"))
    assert worth.headline.value.major == Decimal("9.1") * BILLION
    assert shown(Fraction(worth.with_options.value.major) / BILLION, 1) == Decimal("16.1")


def test_g15_a_year_of_terawulf_at_85_percent_is_about_315_million() -> None:
    terawulf = deal("terawulf-fluidstack")
    year = fee_schedule(terawulf).total.split([1] * 10)[0]
    assert shown(Fraction(share_of(year, Fraction(85, 100)).major) / MILLION, 0) in (
        Decimal(314),
        Decimal(315),
    )
    assert shown(span(measures(terawulf).fee_per_year).low * Fraction(85, 100) / (5 * MILLION), 0) * 5 == 315


@pytest.mark.parametrize(("rate", "expected"), [("1.84", "5426380.80"), ("2.00", "5898240")])
def test_g16_clustermax_counts_720_hours_a_month(rate: str, expected: str) -> None:
    fee = f'[capacity_fee]\nrate = {rate}\nhours = "720"\n'
    cluster = written(tranche(4_096, "2026-01-01", "2026-12-31"), fee)
    (line,) = rate_fixed(cluster, Month(2026, 1))
    assert line.amount.major == Decimal(expected)
    (february,) = rate_fixed(cluster, Month(2026, 2))
    assert february.amount == line.amount  # whatever the calendar says


def test_g18_one_off_costs_are_spread_over_36_months() -> None:
    fees = "".join(
        f'[[monthly_fee]]\namount = {amount}\nfirst = "2026-01"\nlast = "2028-12"\nwhat = "{what}"\n'
        for amount, what in (
            ("6_423_183", "compute"), ("1_856", "storage"), ("82", "network"), ("3_318", "control plane"),
            ("131_804", "goodput"), ("16_667", "other"),
        )
    )  # fmt: skip
    support = ", ".join(f'"monthly_fee[{i}]"' for i in range(4))
    text = "\n".join(
        (
            HEADER,
            tranche(4_096, "2026-01-01", "2028-12-31"),
            fees,
            f'[percentage_fee]\nshare = 0.05\nclauses = [{support}]\nwhat = "Support"\n',
            '[one_off_fee]\namount = 3_278_258\nmonth = "2026-01"\nover_months = 36\n',
        )
    )
    owing = charges_of(text, "deal.toml", months=(Month(2026, 1), Month(2026, 1)))
    support_fee = next(c.amount for c in owing.charges if c.clause == "percentage_fee")
    assert shown(Fraction(support_fee.major), 0) == Decimal(321_422)
    assert shown(Fraction(total((c.amount for c in owing.charges), "USD").major), 0) == Decimal(6_989_395)


def test_g20_voltage_park_bills_two_whole_days_in_advance() -> None:
    fee = '[capacity_fee]\nrate = 3.00\n\n[payment]\ntiming = "advance"\n'
    booked = written(tranche(8, "2026-03-10", "2026-03-11"), fee)
    assert fee_schedule(booked).total.major == Decimal("1152.00")


@pytest.mark.parametrize(("lost_of_10_000", "credit"), [(1, 0), (100, 10), (500, 30), (501, 100)])
def test_g22_exactly_on_an_edge_the_better_band_holds(lost_of_10_000: int, credit: int) -> None:
    """99.99, 99.0 and 95.0 % earn 0, 10 and 30 %: the edges are exclusive."""
    ladder = (
        "[availability_credit]\nband = [{ below = 0.9999, credit = 0.10 }, "
        "{ below = 0.99, credit = 0.30 }, { below = 0.95, credit = 1 }]\n"
    )
    fee = '[monthly_fee]\namount = 1_000_000\nfirst = "2026-04"\nlast = "2026-04"\n'
    text = "\n".join((HEADER, tranche(10_000, "2026-04-01", "2026-04-30"), fee, ladder))
    facts = (
        f'[[outage]]\nid = "o"\nstart = "2026-04-01T00:00:00Z"\nend = "2026-05-01T00:00:00Z"\n'
        f"gpus = {lost_of_10_000}\n"
    )
    owing = charges_of(text, "deal.toml", facts, "facts.toml")
    given = total((c.amount for c in owing.charges if c.kind is Kind.CREDIT), "USD")
    assert given.major == -credit * 10_000


def test_g23_accepting_99_000_of_110_000_costs_828_million_a_month() -> None:
    """That "proportional" means delivered over committed is our reading."""
    google = parse_agreement(
        (ROOT / "examples/colossus/agreements/google.toml").read_text(encoding="utf-8"), "google.toml"
    )
    accepts = Election(
        id="e", agreement="google", choice=Remedy.PRO_RATA_FEE, made=date(2026, 11, 1), gpus=99_000
    )
    google = after_events(google, [accepts])
    (december,) = rate_term(google, supposed_months(google, Supposed(), Month(2026, 12), Month(2026, 12)))
    assert total((c.amount for c in december[1].charges), "USD").major == 828 * MILLION


def test_g24_capacity_blocks_that_overlap_add_up() -> None:
    """60 GPUs 1-31 January, 72 from 26 January to 15 February, 150 from 20 February to 31 March."""
    blocks = written(
        tranche(60, "2026-01-01", "2026-01-31", "a", 'pools = ["p"]'),
        tranche(72, "2026-01-26", "2026-02-15", "b", 'pools = ["p"]\nadditive = true'),
        tranche(150, "2026-02-20", "2026-03-31", "c", 'pools = ["p"]\nadditive = true'),
    )

    def held(day: date) -> int:
        at = local_midnight(day, "UTC")
        return sum(entitlement(blocks, block).value.value_at(at) for block in blocks.tranches)

    days = (date(2026, 1, 25), date(2026, 1, 26), date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 16))
    assert [held(day) for day in days] == [60, 132, 132, 72, 0]
    assert [held(date(2026, 2, day)) for day in (19, 20)] == [0, 150]


def test_every_deal_of_the_library_is_sound_and_says_where_each_term_comes_from() -> None:
    files = sorted(DEALS.glob("*.toml"))
    assert len(files) >= 20
    for path in files:
        found = parse_agreement(path.read_text(encoding="utf-8"), path.name)
        unsourced = [
            place
            for place in [clause_path for clause_path, _ in found.clauses]
            + [f"tranche[{i}]" for i in range(len(found.tranches))]
            if not (found.sheet.of(place).source or found.sheet.of(place).assumed)
        ]
        assert unsourced == [], path.name


def test_an_implied_rate_of_the_example_agrees_with_the_library() -> None:
    example = parse_agreement(
        (ROOT / "examples/colossus/agreements/anthropic.toml").read_text(encoding="utf-8"), "anthropic.toml"
    )
    rate = implied_rate(example, HoursConvention.H730, places=2)
    assert rate is not None
    assert rate.value == per_gpu_hour(measures(deal("spacex-anthropic")), HoursConvention.H730)[0]
