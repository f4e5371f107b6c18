"""What makes agreements comparable: small agreements worked by hand, and the library's published totals."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.agreements.derive import values
from offtake.agreements.measures import (
    REASONS,
    Measure,
    Measures,
    Span,
    comparable,
    measures,
    refused_beside,
)
from offtake.agreements.model import Agreement
from offtake.agreements.schedule import fee_schedule
from offtake.agreements.terms import Figure, HoursConvention
from offtake.base.money import Money, round_rate
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.formats.agreement import parse_agreement
from tests.agreements.texts import FEE, HEADER, TRANCHE, agreement
from tests.house.project import ROOT

DEALS = sorted((ROOT / "examples" / "deals").glob("*.toml"))
POINT = Fraction(310_000, 1_000)  # the small agreement's fee for one GPU and month

TERM_FEE = '[term_fee]\namount = 1_200_000\nfirst = "2026-02"\nlast = "2027-01"\n'
MEGAWATTS = TRANCHE.replace(
    "quantity = 1_000", 'quantity = 10\ndenominator = "critical_it_mw"\nkw_per_gpu = 2'
)


def covering(what: str) -> str:
    return f'{HEADER}covers = "{what}"\n'


def span(found: object) -> Span:
    assert isinstance(found, Figure), found
    assert isinstance(found.value, Span)
    return found.value


def code(found: object) -> str:
    assert isinstance(found, Refused), found
    assert found.sentence == REASONS[found.code]
    return found.code


def test_a_flat_fee_is_a_price_at_each_hours_convention() -> None:
    found = measures(agreement(FEE))
    assert span(found.fee_per_month) == Span(low=Fraction(310_000), high=Fraction(310_000))
    assert span(found.fee_per_year).low == 12 * 310_000
    assert {hours: span(price).low for hours, price in found.gpu_hour.items()} == {
        HoursConvention.H720: POINT / 720,
        HoursConvention.H730: POINT / 730,
        HoursConvention.CALENDAR: POINT / 730,  # 8,760 / 12
    }
    assert span(found.gpus).low == 1_000
    assert (found.term_months.value, found.start.value) == (12, date(2026, 2, 1))


def test_months_of_a_ramp_count_on_neither_side_of_a_price() -> None:
    fee = FEE.replace('first = "2026-02"', 'first = "2026-04"')
    ramp = '[ramp]\nfirst = "2026-02"\nlast = "2026-03"\nfee_share = { value = 0.5, assumed = true }\n'
    steps = TRANCHE + "steps = [{ start = 2026-02-01, quantity = 100 }]\nfull_from = 2026-04-01\n"
    found = measures(agreement(fee, ramp, tranche=steps))
    assert span(found.gpu_hour[HoursConvention.H720]).low == POINT / 720
    assert isinstance(found.headline, Figure)
    assert found.headline.value == Money.from_major(11 * 310_000, "USD")  # ten full months and two halves
    assert found.headline.assumed == ("ramp.fee_share",)
    assert isinstance(found.fee_per_month, Figure)
    assert found.fee_per_month.assumed == ()


def test_a_range_of_quantities_turns_the_price_round() -> None:
    ranged = TRANCHE + "quantity_low = 500\nquantity_high = 2_000\n"
    price = span(measures(agreement(FEE, tranche=ranged)).gpu_hour[HoursConvention.H730])
    assert price == Span(low=POINT / 2 / 730, high=POINT * 2 / 730)


def test_tranches_that_follow_one_another_share_a_price_and_add_up_to_a_size() -> None:
    second = '[[tranche]]\nid = "second"\nquantity = 3_000\nstart = 2026-08-01\nthrough = 2027-07-31\n'
    fees = (
        '[[term_fee]]\ntranche = "main"\namount = 1_200_000\nfirst = "2026-02"\nlast = "2027-01"\n'
        '[[term_fee]]\ntranche = "second"\namount = 3_600_000\nfirst = "2026-08"\nlast = "2027-07"\n'
    )
    found = measures(agreement(fees, tranche=TRANCHE + second))
    assert span(found.gpu_hour[HoursConvention.H720]).low == Fraction(100, 720)
    assert span(found.gpus).low == 4_000
    assert span(found.fee_per_month).low == 400_000  # both at once, not 4.8 million over 18 months


def test_a_megawatt_has_a_price_and_its_kind_a_name() -> None:
    found = measures(agreement(TERM_FEE, tranche=MEGAWATTS, header=covering("space_and_power")))
    assert span(found.mw_month).low == 10_000
    assert str(found.mw_kind) == "critical_it_mw"
    assert code(found.gpu_hour[HoursConvention.H730]) == "space_and_power"
    assert code(found.gpus) == "space_and_power"


def test_an_escalator_is_in_the_average_but_not_in_what_it_rests_on() -> None:
    rises = '[escalator]\nrate = { value = 0.1, assumed = true }\nfirst = "2027-02"\nclauses = ["term_fee"]\n'
    two_years = TERM_FEE.replace("2027-01", "2028-01").replace("1_200_000", "2_520_000")
    tranche = MEGAWATTS.replace("2027-01-31", "2028-01-31")
    found = measures(agreement(two_years, rises, tranche=tranche, header=covering("space_and_power")))
    assert isinstance(found.mw_month, Figure)
    assert isinstance(found.mw_month_first_year, Figure)
    # 2.52 million = 1.2 million × (1 + 1.1): ten per cent more in the second year
    assert found.mw_month.value.low == 10_500
    assert found.mw_month.assumed == ()
    assert found.mw_month_first_year.value.low == 10_000
    assert found.mw_month_first_year.assumed == ("escalator.rate",)


@pytest.mark.parametrize(
    ("measure", "sections", "tranche", "covers", "expected"),
    [
        (Measure.GPU_HOUR, FEE, 'denominator = "none"', "compute", "no_quantity"),
        (Measure.MW_MONTH, FEE, 'denominator = "none"', "compute", "no_quantity"),
        (Measure.GPU_HOUR, FEE, "quantity = 5", "other_compute", "other_hardware"),
        (Measure.GPU_HOUR, FEE, "quantity = 5", "unsold_capacity", "unsold_capacity"),
        (Measure.MW_MONTH, FEE, "quantity = 5", "compute", "no_conversion"),
        (Measure.HEADLINE, "", "quantity = 5", "compute", "no_price"),
        (Measure.HEADLINE, "[usage_fee]\nrate_per_gpu_h = 2\n", "quantity = 5", "compute", "usage_priced"),
        (Measure.HEADLINE, "", 'denominator = "none"', "unsold_capacity", "unsold_capacity"),
        (Measure.FIRM_SHARE, FEE, "quantity = 5", "compute", "not_public"),
        (Measure.NOTICE_DAYS, FEE, "quantity = 5", "compute", "not_public"),
        (Measure.NOTICE_DAYS, FEE + "[take_or_pay]\n", "quantity = 5", "compute", "no_exit"),
        (Measure.PREPAYMENT_SHARE, FEE, "quantity = 5", "compute", "not_public"),
    ],
)
def test_a_figure_that_isn_t_there_says_why(
    measure: Measure, sections: str, tranche: str, covers: str, expected: str
) -> None:
    text = TRANCHE.replace("quantity = 1_000", tranche)
    found = measures(agreement(sections, tranche=text, header=covering(covers)))
    assert code(found.of(measure)) == expected


def test_megawatts_without_a_conversion_are_no_gpus() -> None:
    power = agreement(FEE, tranche=MEGAWATTS)
    bare = replace(power, tranches=tuple(replace(t, kw_per_gpu=None) for t in power.tranches))
    assert code(measures(bare).gpu_hour[HoursConvention.H730]) == "no_conversion"
    assert span(measures(bare).mw_month).low == 31_000


def test_gpus_become_critical_megawatts_by_what_one_draws() -> None:
    found = measures(agreement(FEE, "[conversion]\nkw_per_rack = 142\ngpus_per_rack = 71\n"))
    assert span(found.megawatts).low == 2
    assert str(found.mw_kind) == "critical_it_mw"


def test_two_kinds_of_megawatt_in_one_agreement_have_no_price() -> None:
    second = (
        '[[tranche]]\nid = "second"\ndenominator = "gross_mw"\nquantity = 5\n'
        "start = 2026-02-01\nthrough = 2027-01-31\n"
    )
    table = "[conversion]\nkw_per_gpu = 2\ngross_mw_per_critical_mw = 1.25\n"
    assert code(measures(agreement(FEE, table, tranche=MEGAWATTS + second)).mw_month) == "gross_not_critical"


def lease(
    id_: str, *, kind: str = "critical_it_mw", covers: str = "space_and_power", currency: str = "USD"
) -> Measures:
    header = covering(covers).replace('"deal"', f'"{id_}"').replace('"USD"', f'"{currency}"')
    tranche = MEGAWATTS.replace("critical_it_mw", kind)
    table = "[conversion]\ngross_mw_per_critical_mw = 1.25\n"
    return measures(agreement(TERM_FEE, table, tranche=tranche, header=header))


def test_what_may_not_be_compared_is_refused_in_the_documented_order() -> None:
    a = lease("a")
    assert comparable(a, lease("b"), Measure.MW_MONTH) is None
    cases = {
        "space_and_power": (a, Measure.GPU_HOUR),  # it has no such figure: before everything else
        "other_currency": (lease("b", currency="EUR", covers="compute", kind="gross_mw"), Measure.MW_MONTH),
        "whole_bundle": (lease("b", covers="compute", kind="gross_mw"), Measure.MW_MONTH),
        "gross_not_critical": (lease("b", kind="gross_mw"), Measure.MW_MONTH),
    }
    for expected, (other, measure) in cases.items():
        assert code(comparable(a, other, measure)) == expected
        assert code(comparable(other, a, measure)) == expected  # whichever comes first


def test_sizes_compare_by_kind_and_shares_always() -> None:
    gross, critical = lease("a", kind="gross_mw"), lease("b")
    assert code(comparable(gross, critical, Measure.MEGAWATTS)) == "gross_not_critical"
    assert comparable(gross, critical, Measure.HEADLINE) is None
    bundle = measures(agreement(FEE, "[take_or_pay]\n"))
    other = measures(agreement(FEE, "[take_or_pay]\n", header=covering("other_compute")))
    assert comparable(bundle, other, Measure.FIRM_SHARE) is None


def test_the_largest_group_of_comparable_agreements_stays() -> None:
    found = [lease("a", kind="gross_mw"), lease("b"), lease("c"), lease("d", covers="compute")]
    refused = [None if no is None else no.code for no in refused_beside(found, Measure.MW_MONTH)]
    assert refused == ["gross_not_critical", None, None, "whole_bundle"]
    assert refused_beside(found[:1], Measure.MW_MONTH) == [None]


@given(amount=st.integers(1, 10**12), months=st.integers(1, 60), gpus=st.integers(1, 10**6))
def test_price_times_capacity_and_time_is_the_headline(amount: int, months: int, gpus: int) -> None:
    last = Month(2026, 2).plus(months - 1)
    tranche = TRANCHE.replace("1_000", str(gpus)).replace("through = 2027-01-31", f"tenor_months = {months}")
    found = measures(
        agreement(f'[term_fee]\namount = {amount}\nfirst = "2026-02"\nlast = "{last}"\n', tranche=tranche)
    )
    assert span(found.gpu_hour[HoursConvention.H720]).low * 720 * gpus * months == amount


# The total itself must come out although its months are cut, raised or extended.


@given(
    amount=st.integers(1, 10**12),
    rate=st.sampled_from(["0", "0.03", "0.1", "-0.02"]),
    first_day=st.integers(1, 28),
    last_day=st.integers(1, 28),
    own=st.booleans(),
)
def test_the_months_of_a_total_sum_to_it(
    amount: int, rate: str, first_day: int, last_day: int, own: bool
) -> None:
    tranche = TRANCHE.replace("2026-02-01", f"2026-02-{first_day:02d}").replace(
        "2027-01-31", f"2029-01-{last_day:02d}"
    )
    fee = f'[term_fee]\namount = {amount}\nfirst = "2026-02"\nlast = "2029-01"\n'
    fee += 'tranche = "main"\n' if own else ""
    rises = f'[escalator]\nrate = {rate}\nfirst = "2027-02"\n'
    renewal = "[renewal]\nmonths = 12\ntimes = 2\n"
    found = agreement(fee, rises, renewal, tranche=tranche)
    assert fee_schedule(found).total == Money.from_major(amount, "USD")
    assert values(found).with_options.value >= Money.from_major(amount, "USD")


def test_an_extension_goes_on_at_the_escalators_pace() -> None:
    fee = '[term_fee]\namount = 2_520_000\nfirst = "2026-02"\nlast = "2028-01"\n'
    rises = '[escalator]\nrate = 0.1\nfirst = "2027-02"\n'
    tranche = TRANCHE.replace("2027-01-31", "2028-01-31")
    found = agreement(fee, rises, "[renewal]\nmonths = 12\n", tranche=tranche)
    # 1.2, 1.32 and then 1.452 million a year
    assert values(found).with_options.value == Money.from_major(2_520_000 + 1_452_000, "USD")


# Every file of the library.


def deal(path: Path) -> Agreement:
    return parse_agreement(path.read_text(encoding="utf-8"), path.name)


PUBLISHED = {
    # Headline and, where published, value with options; in billions. Entered by hand from public documents.
    "spacex-anthropic": ("43.75", None),
    "spacex-google": ("30.36", None),
    "spacex-reflection": ("6.3", None),
    "coreweave-openai": ("22.4", None),
    "coreweave-meta": ("35.2", None),
    "nebius-microsoft": ("17.4", None),
    "nebius-meta-1": ("2.9", None),
    "nebius-meta-2": ("12", None),
    "iren-microsoft": ("9.7", None),
    "oracle-openai": ("300", None),
    "aws-openai": ("38", None),
    "nscale-microsoft-narvik": ("6.2", None),
    "nscale-microsoft-group": ("14", None),
    "sharonai-nvidia": ("4.88", None),
    "terawulf-fluidstack": ("3.7", "8.7"),
    "terawulf-fluidstack-cb5": ("6.7", "16"),
    "hut8-fluidstack": ("7.0", None),  # 17.7 with options, which no plain 3 % reaches: see the file
    "cipher-fluidstack": ("3.0", None),
    "cipher-aws": ("5.5", None),
    "coresci-coreweave": ("8.7", None),
    "applied-coreweave": ("7", None),
    "google-anthropic": ("200", None),
    "azure-anthropic": ("30", None),
    "aws-anthropic": ("100", None),
    "cerebras-openai": ("20", None),
    "terawulf-anthropic": ("19", None),
    "riot-frontier-lab": ("9.1", "16.1"),
    "hpe-soluna": ("0.0340", None),
    "bitdigital-initial": ("0.15", None),
    "coreweave-microsoft": (None, None),
    "coreweave-nvidia": (None, None),
}


def test_the_table_of_published_values_has_every_deal() -> None:
    assert sorted(PUBLISHED) == sorted(path.stem for path in DEALS)


@pytest.mark.parametrize("path", DEALS, ids=lambda path: path.stem)
def test_a_deal_s_sum_is_the_published_one(path: Path) -> None:
    found, (headline, with_options) = measures(deal(path)), PUBLISHED[path.stem]
    assert found.id == path.stem
    if headline is None:
        assert code(found.headline) in ("no_price", "unsold_capacity")
        return
    assert isinstance(found.headline, Figure)
    assert found.headline.value.major == Decimal(headline) * 10**9
    if with_options is not None:
        assert isinstance(found.with_options, Figure)
        places = len(with_options.partition(".")[2])
        assert round_rate(Fraction(found.with_options.value.major) / 10**9, places) == Decimal(with_options)


@pytest.mark.parametrize("path", DEALS, ids=lambda path: path.stem)
def test_a_deal_says_of_each_term_where_it_comes_from_or_why_it_is_assumed(path: Path) -> None:
    found = deal(path)
    sections = [
        *(f"tranche[{i}]" for i in range(len(found.tranches))),
        *(place for place, _ in found.clauses),
    ]
    places = [*sections, *(f"agreement.{key}" for key in ("operator", "offtaker", "signed", "time_zone"))]
    places += [path for path, _ in found.sheet.assumptions()]
    assert [place for place in places if not found.sheet.of(place).source] == []


@pytest.mark.parametrize("path", DEALS, ids=lambda path: path.stem)
def test_a_deal_opens_with_what_it_is_and_what_isn_t_public(path: Path) -> None:
    header = path.read_text(encoding="utf-8").partition("\n\n")[0]
    assert all(line.startswith("# ") for line in header.splitlines())
    assert "# Not public" in header


@pytest.mark.parametrize(
    ("name", "measure", "expected"),
    [
        # comparables of space and power, published or worked from published figures
        ("terawulf-fluidstack", Measure.MW_MONTH, "154"),
        ("hut8-fluidstack", Measure.MW_MONTH_FIRST_YEAR, "128"),
        ("coresci-coreweave", Measure.MW_MONTH, "121"),
        ("iren-microsoft", Measure.MW_MONTH, "808"),
    ],
)
def test_thousands_a_megawatt_month(name: str, measure: Measure, expected: str) -> None:
    (path,) = (path for path in DEALS if path.stem == name)
    assert round_rate(span(measures(deal(path)).of(measure)).low / 1_000, 0) == Decimal(expected)
