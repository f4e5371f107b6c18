"""Worked examples that other billing systems publish, from an agreement's text to their figure.

Where a system's quantity isn't GPU-hours, GPU-hours stand for its units. Each row names its source; the
numbers are facts, the texts are ours.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from offtake.base.money import Money, share_of
from offtake.base.months import plus_days, plus_months
from offtake.billing.document import Open, apply_payment
from offtake.metering.tres import Combination, billing_units
from offtake.rating.rate import differences
from offtake.workflows.suppose import charges_of

DEAL = """
[agreement]
id = "deal"
operator = "A"
offtaker = "B"
signed = 2026-01-01
currency = "USD"
time_zone = "UTC"

[[tranche]]
id = "main"
pools = ["p"]
quantity = 1_000_000
start = {start}
through = {through}
"""


def totals(
    sections: str, facts: str, start: str = "2026-01-01", through: str = "2026-12-31"
) -> dict[str, Decimal]:
    """What is owed by month, in major units."""
    owing = charges_of(DEAL.format(start=start, through=through) + sections, "deal.toml", facts, "facts.toml")
    assert owing.refused == ()
    found: dict[str, Decimal] = {}
    for line in owing.charges:
        found[str(line.month)] = found.get(str(line.month), Decimal(0)) + line.amount.major
    return found


def owed(sections: str, quantity: object, fee: str = "metered_fee") -> Decimal:
    """What a month of a quantity costs."""
    facts = f'[[month]]\nmonth = "2026-01"\ntaken_gpu_h = {quantity}\n'
    return totals(sections, facts).get("2026-01", Decimal(0))


def tiers(model: str, *rows: tuple[object, object, object], more: str = "") -> str:
    """A fee in tiers of (up to, rate, flat)."""
    said = ", ".join(
        "{ " + (f"up_to = {up_to}, " if up_to else "") + f"rate = {rate}, flat = {flat} }}"
        for up_to, rate, flat in rows
    )
    return f'[metered_fee]\nmodel = "{model}"\ntier = [{said}]\n{more}'


STRIPE = ((5, 7, 0), (10, 6.5, 0), (None, 6, 0))
OPENMETER = ((5, 0, 100), (10, 0, 150), (15, 10, 0), (None, 5, 0))
KILLBILL = ((10, 1.5, 0), (110, 1, 0), (None, 0.5, 0))
FLEXPRICE = ((10, 50, 0), (20, 40, 0), (None, 30, 0))
ZUPLO = ((1_000, 0.10, 0), (10_000, 0.05, 0), (None, 0.01, 0))
PACKAGE = 'package = {}\npackages = "{}"\n'


@pytest.mark.parametrize(
    ("text", "quantity", "expected"),
    [
        # G1, G2: docs.stripe.com, tiered pricing
        *[(tiers("volume", *STRIPE), q, x) for q, x in ((1, 7), (5, 35), (6, 39), (20, 120), (25, 150))],
        *[(tiers("graduated", *STRIPE), q, x) for q, x in ((5, 35), (6, 41.5), (20, 127.5), (25, 157.5))],
        # G4, G6, G7, G8: Lago's scenarios
        *[(tiers("graduated", (5, 10, 100), (None, 5, 50)), q, x) for q, x in ((3, 130), (8, 215))],
        *[(tiers("volume", (10, 5, 100), (None, 2, 50)), q, x) for q, x in ((5, 125), (15, 80))],
        *[(tiers("package", (None, 100, 0), more=PACKAGE.format(10, "begun")), q, x)
          for q, x in ((3, 100), (15, 200))],
        *[(tiers("package", (None, 100, 0), more=PACKAGE.format(10, "begun") + "free = 5"), q, x)
          for q, x in ((3, 0), (12, 100))],
        # G16, G20: OpenMeter's rating tables
        (tiers("graduated", (5, 0, 100), (10, 0, 50), (15, 5, 0), (None, 1, 0)), 22, 182),
        *[(tiers("volume", *OPENMETER), q, x)
          for q, x in ((0, 100), (5, 100), (14, 140), (15, 150), (16, 80), (100, 500))],
        # G22: Kill Bill's two tier policies
        (tiers("graduated", *KILLBILL), 111, 115.5),
        (tiers("volume", *KILLBILL), 111, 55.5),
        # G27, G28: Flexprice
        *[(tiers("volume", *FLEXPRICE), q, x) for q, x in ((5, 250), (15, 600), (25, 750))],
        *[(tiers("graduated", *FLEXPRICE), q, x) for q, x in ((5, 250), (15, 700), (25, 1_050))],
        *[(tiers("package", (None, 1, 0), more=PACKAGE.format(100, "begun")), q, x)
          for q, x in ((2, 1), (100, 1), (101, 2), (300, 3))],
        (tiers("package", (None, 1, 0), more=PACKAGE.format(100, "full")), 250, 2),
        # G42, G43: Zuplo, Autumn
        (tiers("graduated", *ZUPLO), 15_000, 600),
        (tiers("volume", *ZUPLO), 15_000, 150),
        (tiers("graduated", (1_000, 0.01, 0), (10_000, 0.008, 0), (None, 0.005, 0)), 15_000, 107),
        # G45: Rafay, one rate and two
        ("[usage_fee]\nrate_per_gpu_h = 1\n", 24, 24),
    ],
)  # fmt: skip
def test_tiers_volumes_and_packages(text: str, quantity: object, expected: float) -> None:
    assert owed(text, quantity) == Decimal(str(expected))


def test_the_first_flat_fee_at_zero_is_a_policy() -> None:
    # peers differ: Lago and OpenMeter owe it, Autumn and Zuplo don't
    assert owed(tiers("volume", *OPENMETER, more="flat_at_zero = false"), 0) == 0
    assert owed(tiers("volume", *OPENMETER, more="flat_at_zero = true"), 0) == 100


def test_g8_a_percentage_in_tiers() -> None:
    fee = "[usage_fee]\nrate_per_gpu_h = 1\n\n" + tiers(
        "graduated", (100, 0.05, 0), (None, 0.02, 10), more='of = "charges"\nclauses = ["usage_fee"]'
    )
    assert owed(fee, 150) == 150 + 16


def test_g9_a_time_weighted_sum() -> None:
    """The trap: what was there for part of a month counts for that part, and carries into the next one."""
    fee = '[capacity_fee]\nrate = 1\nper = "gpu_month"\n'
    text = DEAL.format(start="2026-03-05", through="2026-12-31").replace(
        "quantity = 1_000_000",
        "quantity = 300\nfull_from = 2026-04-06\n"
        "steps = [{ start = 2026-03-05, quantity = 2500 }, { start = 2026-04-04, quantity = 500 }]",
    )
    owing = charges_of(text + fee, "deal.toml")
    amounts = [line.amount.major for line in owing.charges][:2]
    assert amounts == [Decimal("2177.42"), Decimal("533.33")]


MINIMUM = """
[minimum_commitment]
period = "month"
amount = 10_000
prorate = "days"
"""


def test_g10_a_minimum_commitment_of_a_month_that_is_covered_in_part() -> None:
    fees = "".join(
        f'[[one_off_fee]]\namount = {amount}\nmonth = "{month}"\n'
        for month, amounts in (("2024-02", (6.9, 10, 10, 10)), ("2024-03", (100, 10)))
        for amount in amounts
    )
    facts = '[[month]]\nmonth = "2024-02"\n\n[[month]]\nmonth = "2024-03"\n'
    found = totals(fees + MINIMUM, facts, start="2024-02-28")
    assert found["2024-02"] - Decimal("36.90") == Decimal("652.76")
    assert found["2024-03"] - 110 == Decimal("9890.00")


def test_g11_a_spending_minimum_ends_with_the_agreement_and_is_taxed() -> None:
    """The trap: the minimum is that of 25 of 28 days, and the tax is on the true-up, too."""
    text = "[usage_fee]\nrate_per_gpu_h = 1\n" + MINIMUM.replace("10_000", "10") + "\n[tax]\nrate = 0.2\n"
    facts = '[[month]]\nmonth = "2026-02"\ntaken_gpu_h = 8\n'
    owing = charges_of(
        DEAL.format(start="2026-02-01", through="2026-02-25") + text, "deal.toml", facts, "facts.toml"
    )
    lines = {line.clause: line.amount.major for line in owing.charges}
    assert lines == {
        "usage_fee": Decimal("8.00"),
        "minimum_commitment": Decimal("0.93"),
        "tax": Decimal("1.79"),  # 1.60 on the use and 0.19 on the true-up
    }


def test_g12_a_quarterly_fee_by_days() -> None:
    assert share_of(Money.from_major(Decimal(910), "USD"), Fraction(32, 91)) == Money.from_major(
        Decimal(320), "USD"
    )


def test_g14_a_prepaid_balance_pays_tax_too() -> None:
    text = "[usage_fee]\nrate_per_gpu_h = 1\n\n[tax]\nrate = 0.24\n\n[wallet]\n"
    facts = (
        '[[top_up]]\nid = "t"\namount = 39\ngiven = 2026-01-02\n\n'
        '[[month]]\nmonth = "2026-01"\ntaken_gpu_h = 14.29\n\n'
        '[[month]]\nmonth = "2026-02"\ntaken_gpu_h = 14.27\n'
    )
    owing = charges_of(DEAL.format(start="2026-01-01", through="2026-12-31") + text, "d", facts, "f")
    drawn = [c for c in owing.charges if c.kind.value == "drawdown"]
    assert [c.amount.major for c in drawn] == [Decimal("-17.72"), Decimal("-17.69")]
    assert ["21.28 USD left" in drawn[0].text, "3.59 USD left" in drawn[1].text] == [True, True]


def test_g16_tiers_count_over_more_than_a_month() -> None:
    fee = tiers("graduated", (5, 0, 100), (10, 0, 50), (15, 5, 0), (None, 1, 0), more='period = "quarter"')
    facts = (
        '[[month]]\nmonth = "2026-01"\ntaken_gpu_h = 12\n\n[[month]]\nmonth = "2026-02"\ntaken_gpu_h = 10\n'
    )
    assert totals(fee, facts) == {"2026-01": 160, "2026-02": 22}


def test_g17_a_minimum_is_billed_once_and_only_at_the_end() -> None:
    text = (
        '[[one_off_fee]]\namount = 100\nmonth = "2026-01"\n\n'
        '[minimum_commitment]\nperiod = "quarter"\namount = 1_000\n'
    )
    facts = '[[month]]\nmonth = "2026-01"\ntaken = 0\n\n[[month]]\nmonth = "2026-03"\ntaken = 0\n'
    assert totals(text, facts) == {"2026-01": 100, "2026-03": 900}


def test_g21_a_late_unit_that_changes_the_tier_nets_out() -> None:
    """The trap: one more unit makes everything cheaper, so that the difference is negative."""
    fee = tiers("volume", (15, 10, 0), (None, 5, 0))
    before, after = (
        charges_of(DEAL.format(start="2026-01-01", through="2026-12-31") + fee, "d",
                   f'[[month]]\nmonth = "2026-01"\ntaken_gpu_h = {q}\n', "f").charges
        for q in (15, 16)
    )  # fmt: skip
    (line,) = differences(after, before, "USD")
    assert line.amount.major == Decimal(-70)
    assert "80.00 USD owed for 2026-01, billed 150.00 USD" in line.text


def test_g25_a_credit_on_the_account_settles_first() -> None:
    def open_(number: str, left: int) -> Open:
        return Open(number=number, agreement="d", issued_at=0, due_at=0, left=Money(left * 100, "USD"))

    applied, rest = apply_payment(Money(0, "USD"), [open_("C", -20), open_("I", 100)])
    assert (dict(applied)["I"], rest) == (Money(2_000, "USD"), Money(0, "USD"))
    # a paid 100 that is adjusted by 10 leaves a credit of 10 and nothing to pay
    applied, rest = apply_payment(Money(0, "USD"), [open_("C", -10)])
    assert rest == Money(1_000, "USD")


def test_g26_whole_periods_count_calendar_months_or_thirty_days() -> None:
    start = date(2012, 7, 16)

    def months(day: date) -> int:
        return max(n for n in range(12) if plus_months(start, n) <= day)

    def thirties(day: date) -> int:
        return max(n for n in range(12) if plus_days(start, 30 * n) <= day)

    assert [months(date(2012, 9, d)) for d in (15, 16)] == [1, 2]
    assert [thirties(date(2012, 9, d)) for d in (13, 14)] == [1, 2]


def test_g29_commitments_by_the_hour() -> None:
    """The trap: an overage factor with no true-up, beside a true-up with no overage."""
    fee = """
[hourly_fee]
band = [
  { name = "day", from_hour = 8, until_hour = 10, rate_per_gpu_h = 2, commitment = 5, overage_factor = 2 },
  { name = "night", rate_per_gpu_h = 1, commitment = 10, true_up = true },
]
"""
    hours = "".join(
        f'[[hour]]\nat = "2026-01-05T{hour:02d}:00:00Z"\ngpus = {gpus}\n\n'
        for hour, gpus in ((8, 10), (9, 1), (10, 3))
    )
    deal = DEAL.format(start="2026-01-05", through="2026-01-05") + fee
    lines = {
        c.text.split()[4]: c
        for c in charges_of(deal, "d", hours + '[[month]]\nmonth = "2026-01"\n', "f").charges
    }
    assert lines["day"].amount.major == 35 + 2
    # the agreement's one day has 22 hours of night, and each owes its commitment of 10
    nights = 22
    assert lines["night"].amount.major == 10 * nights
    # the published hour of the night: 3 used and 7 to reach the commitment
    assert lines["night"].amount.major - 10 * (nights - 1) == 10


def test_g30_rounding_each_line_or_once_is_a_policy_and_ours_is_each_line() -> None:
    new, old = (Money(minor, "USD") for minor in (2_000, 1_000))
    left = Fraction(17, 31)
    assert share_of(new, left) - share_of(old, left) == Money(549, "USD")
    assert share_of(new - old, left) == Money(548, "USD")


def test_g32_a_yearly_spend_agreement_ends_with_what_is_missing() -> None:
    text = '[usage_fee]\nrate_per_gpu_h = 1\n\n[minimum_commitment]\nperiod = "year"\namount = 1_200\n'
    facts = "".join(
        f'[[month]]\nmonth = "2026-{m:02d}"\ntaken_gpu_h = {q}\n\n'
        for m, q in enumerate((48, 120, 60, *(0,) * 9), start=1)
    )
    found = totals(text, facts)
    assert found["2026-12"] == 972
    assert sum(found.values()) == 1_200


def test_g38_a_prepaid_balance_is_drawn_by_what_was_used() -> None:
    text = (
        '[[metered_fee]]\ntier = [{ rate = 4 }]\ntranche = "main"\n\n'
        "[[metered_fee]]\ntier = [{ rate = 20 }]\n"
        'tranche = "more"\n\n[wallet]\n\n[[tranche]]\nid = "more"\npools = ["q"]\nquantity = 10\n'
        "start = 2026-01-01\nthrough = 2026-12-31\n"
    )
    facts = (
        '[[top_up]]\nid = "t"\namount = 500_000\ngiven = 2026-01-02\n\n'
        '[[month]]\nmonth = "2026-01"\ntranche = "main"\ntaken_gpu_h = 5\n\n'
        '[[month]]\nmonth = "2026-01"\ntranche = "more"\ntaken_gpu_h = 1.5\n'
    )
    found = charges_of(DEAL.format(start="2026-01-01", through="2026-12-31") + text, "d", facts, "f").charges
    assert [c.amount.major for c in found] == [20, 30, 500_000, -50]
    assert "499,950.00 USD left" in found[-1].text


UPTIME = [("0.9999", 0), ("0.9998", 10), ("0.99", 10), ("0.9899", 30), ("0.95", 30), ("0.9499", 100)]


@pytest.mark.parametrize(
    ("held", "combination", "units"),
    [
        ("cpu=1,mem=8G", Combination.SUM, 3),
        ("cpu=1,mem=8G,license/a=1", Combination.SUM, 4),
        ("cpu=1,mem=8G", Combination.MAX, 2),
    ],
)
def test_g39_weighted_resources(held: str, combination: Combination, units: int) -> None:
    weights = "CPU=1.0,Mem=0.25G,GRES/gpu=2.0,license/a=1.5"
    assert billing_units(held, weights, combination) == units


@pytest.mark.parametrize(("uptime", "credit"), UPTIME)
def test_g41_the_region_ladder(uptime: str, credit: int) -> None:
    """The trap: the edge belongs to the better band."""
    ladder = """
[usage_fee]
rate_per_gpu_h = 1

[service_level]
measure = "all"
band = [{ below = 0.9999, credit = 0.10 }, { below = 0.99, credit = 0.30 }, { below = 0.95, credit = 1 }]
"""
    # a month of 2,592,000 s; all GPUs out from its first second
    out = int((1 - Decimal(uptime)) * 2_592_000)
    until = plus_days(date(2026, 4, 1), out // 86_400)
    clock = f"{out % 86_400 // 3_600:02d}:{out % 3_600 // 60:02d}:{out % 60:02d}"
    outage = (
        f'[[outage]]\nid = "o"\nstart = "2026-04-01T00:00:00Z"\nend = "{until}T{clock}Z"\ngpus = 1_000_000\n'
        if out
        else ""
    )
    facts = f'[[month]]\nmonth = "2026-04"\ntaken_gpu_h = 1_000\n\n{outage}'
    owing = charges_of(DEAL.format(start="2026-01-01", through="2026-12-31") + ladder, "d", facts, "f")
    given = sum(c.amount.major for c in owing.charges if c.clause == "service_level")
    assert given == -10 * credit


def test_g44_a_minimum_over_a_subscription_and_its_use() -> None:
    text = (
        '[monthly_fee]\namount = 50\nfirst = "2026-01"\nlast = "2026-12"\n\n'
        "[usage_fee]\nrate_per_gpu_h = 10\n\n"
        '[minimum_commitment]\nperiod = "month"\namount = 100\n'
    )
    found = charges_of(DEAL.format(start="2026-01-01", through="2026-12-31") + text, "d",
                       '[[month]]\nmonth = "2026-01"\ntaken_gpu_h = 3\n', "f").charges  # fmt: skip
    assert {c.clause: c.amount.major for c in found} == {
        "monthly_fee": 50,
        "usage_fee": 30,
        "minimum_commitment": 20,
    }


def test_g45_two_rates_for_two_kinds_of_capacity() -> None:
    text = (
        '[[metered_fee]]\ntier = [{ rate = 0.5 }]\ntranche = "main"\n\n'
        "[[metered_fee]]\ntier = [{ rate = 2 }]\n"
        'tranche = "gpus"\n\n[[tranche]]\nid = "gpus"\npools = ["q"]\nquantity = 10\n'
        "start = 2026-01-01\nthrough = 2026-12-31\n"
    )
    facts = (
        '[[month]]\nmonth = "2026-01"\ntranche = "main"\ntaken_gpu_h = 96\n\n'  # 4 CPUs for 24 hours
        '[[month]]\nmonth = "2026-01"\ntranche = "gpus"\ntaken_gpu_h = 48\n'
    )
    assert totals(text, facts) == {"2026-01": 144}


def test_g48_the_colossus_months() -> None:
    text = '[monthly_fee]\namount = 1_250_000_000\nfirst = "2026-07"\nlast = "2029-05"\n'
    owing = charges_of(DEAL.format(start="2026-07-01", through="2029-05-31") + text, "d")
    assert sum(c.amount.major for c in owing.charges) == Decimal("43750000000.00")
