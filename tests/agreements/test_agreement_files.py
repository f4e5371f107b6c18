"""Everything wrong with an agreement's file is said at once: where, what, and what would be right."""

from __future__ import annotations

import pytest

from offtake.agreements.check import check_pools
from offtake.agreements.schedule import fee_schedule
from offtake.base.errors import BadInput, Problem
from offtake.formats.agreement import parse_agreement
from tests.agreements.texts import FEE, HEADER, TRANCHE, agreement, example

TEN_MISTAKES = """
[agreement]
id = "deal"
operator = "Owner"
offtaker = "Taker"
signed = "yesterday"                # 1: no date
currency = "USD"
time_zone = "America/Chicago"
hours = "700"                       # 2: none of the conventions
colour = "red"                      # 3: no such key

[[tranche]]
id = "main"
pools = []                          # 4: no pool
quantity = -5                       # 5: not positive
start = 2026-02-01
through = 2027-01-31
firmness = "solid"                  # 6: no such firmness

[monthly_fee]
amuont = 310_000                    # 7: misspelt (and so amount is missing)
first = "2026-13"                   # 8: no month
last = "2027-01"

[ramp]
first = "2026-02"
last = "2026-02"
fee_share = 1.5                     # 9: more than the whole

[terminaton]                        # 10: no such section
notice_days = 90
"""

EXPECTED_TEN = [
    # path, the offending value, what is expected
    ("agreement.signed", "'yesterday'", "date"),
    ("agreement.hours", "'700'", "'720'"),
    ("agreement.colour", "'colour'", "known keys"),
    ("tranche[0].pools", "()|[]", "at least 1"),
    ("tranche[0].quantity", "-5", "greater than 0"),
    ("tranche[0].firmness", "'solid'", "'recallable'"),
    ("monthly_fee.amuont", "'amuont'", "did you mean 'amount'?"),
    ("monthly_fee.first", "'2026-13'", "month"),
    ("ramp.fee_share", "1.5", "less than or equal to 1"),
    ("terminaton", "'terminaton'", "did you mean 'termination'?"),
]


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(BadInput) as refused:
        parse_agreement(text, "agreements/deal.toml")
    return list(refused.value.problems)


def test_ten_mistakes_are_ten_problems_each_with_path_value_and_remedy() -> None:
    problems = problems_of(TEN_MISTAKES)
    for path, value, expected in EXPECTED_TEN:
        found = [str(p) for p in problems if p.where == f"agreements/deal.toml: {path}"]
        assert len(found) == 1, f"{path}: {found}"
        assert any(text in found[0] for text in value.split("|")), found[0]
        assert expected in found[0]
    # the misspelt amount is also a missing amount; nothing else is said
    assert {p.where.partition(": ")[2] for p in problems} == {path for path, *_ in EXPECTED_TEN} | {
        "monthly_fee.amount"
    }


MIXED_MISTAKES = (
    HEADER.replace('"USD"', '"usd"').replace("America/Chicago", "Chicago")
    + TRANCHE
    + TRANCHE.replace("2026-02-01", "2026-06-01")
    + FEE.replace("310_000", '"much"')
    + "\n[delivery]\ndue = 2030-01-01\ngpus = 1\nremedies = ['terminate']\n[nonsense]\nx = 1\n"
)


def test_mistakes_of_form_don_t_hide_mistakes_of_meaning() -> None:
    wheres = {p.where.partition(": ")[2] for p in problems_of(MIXED_MISTAKES)}
    assert {
        "agreement.currency",
        "agreement.time_zone",
        "tranche[1].id",
        "tranche[1]",
        "monthly_fee.amount",
        "nonsense",
    } <= wheres


def codes(text: str) -> dict[str, str]:
    return {p.where.partition(": ")[2]: p.code for p in problems_of(text)}


def second(**replaced: str) -> str:
    text = TRANCHE.replace('"main"', '"other"')
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("text", "where", "code", "said"),
    [
        (
            HEADER + TRANCHE + second() + FEE,
            "tranche[1]",
            "overlapping_tranches",
            "'other' and 'main' both use p from 2026-02-01 to 2027-01-31",
        ),
        (
            HEADER + TRANCHE + TRANCHE.replace('["p"]', '["q"]') + FEE,
            "tranche[1].id",
            "duplicate",
            "'main' appears twice",
        ),
        (
            HEADER + TRANCHE.replace("2027-01-31", "2026-01-31") + FEE,
            "tranche[0].through",
            "end_before_start",
            "2026-01-31 is before the first 2026-02-01",
        ),
        (
            HEADER + TRANCHE + FEE.replace('"2027-01"', '"2026-01"'),
            "monthly_fee.last",
            "end_before_start",
            "the last month 2026-01 is before the first 2026-02",
        ),
        (
            HEADER + TRANCHE + FEE + 'currency = "EUR"',
            "monthly_fee.currency",
            "other_currency",
            "the fee is in 'EUR', the agreement in 'USD'",
        ),
        (
            HEADER + TRANCHE + '[usage_fee]\nrate_per_gpu_h = 2.5\ncurrency = "EUR"',
            "usage_fee.currency",
            "other_currency",
            "'EUR'",
        ),
        (HEADER.replace('"USD"', '"dollars"') + TRANCHE, "agreement.currency", "bad_currency", "'dollars'"),
        (
            HEADER.replace("America/Chicago", "Memphis") + TRANCHE,
            "agreement.time_zone",
            "unknown_time_zone",
            "'Memphis'",
        ),
        (HEADER.replace('"deal"', '"The Deal"') + TRANCHE, "agreement.id", "bad_name", "'The Deal'"),
        (
            HEADER + TRANCHE.replace("1_000", "1_000.5") + FEE,
            "tranche[0].quantity",
            "fraction",
            "1000.5 GPUs isn't a whole number",
        ),
        (
            HEADER + TRANCHE + 'denominator = "critical_it_mw"' + FEE,
            "tranche[0].kw_per_gpu",
            "missing",
            "needs kw_per_gpu",
        ),
        (
            HEADER + TRANCHE + "steps = [{ start = 2026-02-01, quantity = 5 }]" + FEE,
            "tranche[0].full_from",
            "missing",
            "go together",
        ),
        (
            HEADER + TRANCHE + "steps = [{ start = 2026-03-01, quantity = 5 }]\nfull_from = 2026-02-15" + FEE,
            "tranche[0].steps",
            "steps_order",
            "2026-03-01, 2026-02-15",
        ),
        (
            HEADER + TRANCHE + FEE + '[ramp]\nfirst = "2026-02"\nlast = "2026-03"\nfee_share = 0.5',
            "ramp.last",
            "overlap",
            "through 2026-03 but the full fee begins 2026-02",
        ),
        (
            HEADER + TRANCHE + '[ramp]\nfirst = "2026-02"\nlast = "2026-03"\nfee_share = 0.5',
            "ramp",
            "missing_clause",
            "there is none",
        ),
        (HEADER + TRANCHE + "[take_or_pay]\nshare = 1", "take_or_pay", "missing_clause", "needs a fee"),
        (
            HEADER + TRANCHE + FEE + '[recall]\ntranches = ["mian"]\nnotice_days = 1',
            "recall.tranches[0]",
            "unknown_tranche",
            "'mian'",
        ),
        (
            HEADER
            + TRANCHE
            + FEE
            + "[termination]\nnotice_days = 9\nlock_in_months = 3\nnotice_after = 2026-05-01",
            "termination",
            "contradiction",
            "both lock_in_months and notice_after",
        ),
        (
            HEADER
            + TRANCHE
            + FEE
            + "[availability_credit]\nband = [{ below = 0.9, credit = 0.1 }, { below = 0.95, credit = 0.2 }]",
            "availability_credit.band[1]",
            "ladder_order",
            "below 0.95 earns 0.2, after below 0.9 earns 0.1",
        ),
        (
            HEADER + TRANCHE + FEE + '[delivery]\ndue = 2028-01-01\ngpus = 5\nremedies = ["terminate"]',
            "delivery.due",
            "outside_term",
            "2028-01-01 is outside the term",
        ),
        (
            HEADER + TRANCHE + FEE + 'override = [{ month = "2028-01", amount = 1 }]',
            "monthly_fee.override[0].month",
            "outside_term",
            "2028-01 is outside 2026-02 to 2027-01",
        ),
        (
            HEADER
            + TRANCHE
            + FEE
            + 'override = [{ month = "2026-04", amount = 1 }, { month = "2026-04", amount = 2 }]',
            "monthly_fee.override[1].month",
            "duplicate",
            "2026-04 is overridden twice",
        ),
        (HEADER + FEE, "tranche", "too_short", "at least 1"),
        (TRANCHE + FEE, "agreement.id", "missing", "required"),
        (
            HEADER.replace("[agreement]", "[agreement]\nsource = 5") + TRANCHE + FEE,
            "agreement.source",
            "type",
            "5 is no text",
        ),
        (
            HEADER + TRANCHE + FEE.replace("310_000", '{ value = 5, assumed = "maybe" }'),
            "monthly_fee.amount.assumed",
            "type",
            "'maybe' is neither true nor false",
        ),
    ],
)
def test_one_mistake_is_said_where_it_is(text: str, where: str, code: str, said: str) -> None:
    problems = problems_of(text)
    found = [p for p in problems if p.where == f"agreements/deal.toml: {where}"]
    assert [p.code for p in found] == [code], [str(p) for p in problems]
    assert said in str(found[0])


@pytest.mark.parametrize(
    "text",
    [
        HEADER + TRANCHE + FEE.replace("310_000", "310_000.123"),
        HEADER + TRANCHE + FEE + 'override = [{ month = "2026-04", amount = 0.001 }]',
        HEADER.replace('"USD"', '"JPY"') + TRANCHE + FEE.replace("310_000", "310_000.5"),
    ],
    ids=["fee", "override", "yen"],
)
def test_an_amount_finer_than_the_currency_is_a_problem_of_the_file(text: str) -> None:
    assert any("decimal places" in str(problem) for problem in problems_of(text))


def test_text_that_isn_t_toml_names_the_line() -> None:
    (problem,) = problems_of(HEADER + "\nid = = 3\n")
    assert problem.code == "not_toml"
    assert "line 10" in problem.message


def test_a_float_in_a_file_is_read_as_it_is_written() -> None:
    deal = agreement(FEE.replace("310_000", "0.1") + 'override = [{ month = "2026-04", amount = 0.2 }]')
    fees = [str(item.amount.major) for item in fee_schedule(deal)]
    assert fees[:3] == ["0.10", "0.10", "0.20"]


def test_tranches_that_share_a_pool_may_follow_each_other_or_add_up() -> None:
    follows = second(**{"2027-01-31": "2027-06-30", "2026-02-01": "2027-02-01"})
    assert len(agreement(follows, FEE).tranches) == 2
    adds = second() + "additive = true\n"
    assert len(agreement(adds, FEE).tranches) == 2


def test_unknown_pools_are_all_named_with_the_known_ones() -> None:
    found = check_pools(example("anthropic"), ["c1-h100", "c2-gb200"], "agreements/anthropic.toml")
    assert [(p.where, p.code) for p in found] == [
        ("agreements/anthropic.toml: tranche[0].pools[1]", "unknown_pool"),
        ("agreements/anthropic.toml: tranche[0].pools[2]", "unknown_pool"),
    ]
    assert "c1-h200" in found[0].message
    assert "c1-h100, c2-gb200" in found[0].remedy


def test_provenance_is_inherited_downwards_and_the_nearest_counts() -> None:
    sheet = example("anthropic").sheet
    assert sheet.of("monthly_fee.amount").source.startswith("S-1")
    assert not sheet.of("monthly_fee.amount").assumed
    assert sheet.of("availability_credit.band[1].credit").assumed
    assert sheet.of("ramp.fee_share").assumed
    assert not sheet.of("ramp.first").assumed
    assert sheet.of("no.such.term").source == ""


def test_a_plain_term_and_a_term_with_its_source_read_the_same() -> None:
    plain = agreement(FEE)
    wrapped = agreement(FEE.replace("310_000", '{ value = 310_000, source = "contract", assumed = true }'))
    assert [clause for _, clause in plain.clauses] == [clause for _, clause in wrapped.clauses]
    assert wrapped.sheet.assumed(("monthly_fee.amount",)) == ("monthly_fee.amount",)


@pytest.mark.parametrize("name", ["anthropic", "google", "reflection"])
def test_every_term_that_money_rests_on_has_a_source(name: str) -> None:
    public = example(name)
    paths = [path for path, _ in public.clauses]
    for i in range(len(public.tranches)):
        paths += [f"tranche[{i}].quantity", f"tranche[{i}].through"]
    assert [path for path in paths if not public.sheet.of(path).source] == []


def test_what_a_file_means_is_checked_in_the_same_go_as_keys_that_mean_nothing() -> None:
    text = "\n".join(
        (
            HEADER + 'colour = "red"',
            TRANCHE.replace("1_000", "10.5").replace("2027-01-31", "2026-01-31"),
            "[service_level]\nminimum_minuts = 5",
            "band = [{ below = 0.9, credit = 0.3, x = 2 }, { below = 0.95, credit = 0.1 }]",
            '[rent_abatement]\nbusiness_days = 2\nplace = "Narnia"',
        )
    )
    with pytest.raises(BadInput) as raised:
        parse_agreement(text, "deal.toml")
    assert {problem.code for problem in raised.value.problems} == {
        "unknown_key",
        "end_before_start",
        "fraction",
        "ladder_order",
        "unknown_place",
    }
    assert all(problem.line for problem in raised.value.problems)
    assert len(raised.value.problems) == 7
