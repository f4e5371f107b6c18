"""Every problem has its line, and lines are those a person counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.errors import BadInput
from offtake.formats.agreement import parse_agreement
from offtake.formats.positions import lines_of
from tests.agreements.test_agreement_files import TEN_MISTAKES
from tests.agreements.texts import FEE, HEADER, TRANCHE

TEXT = """# a comment
[agreement]
id = "x"
"quoted key" = 1

[[tranche]]
steps = { value = [
  { start = 2026-05-03, quantity = 1 },
  { start = 2026-06-03, quantity = 2 },
], assumed = true }

[[tranche]]
id = "b"

[availability_credit]
band = [{ below = 0.99, credit = 0.1 }]
"""


def test_paths_have_the_lines_they_stand_on() -> None:
    lines = lines_of(TEXT)
    expected = {
        "agreement": 2,
        "agreement.id": 3,
        "agreement.quoted key": 4,
        "tranche[0]": 6,
        "tranche[0].steps": 7,
        "tranche[0].steps[1]": 9,
        "tranche[0].steps[1].quantity": 9,
        "tranche[1].id": 13,
        "availability_credit.band[0].credit": 16,
    }
    assert {path: lines[path] for path in expected} == expected


def test_each_of_ten_mistakes_names_the_line_it_is_on() -> None:
    with pytest.raises(BadInput) as refused:
        parse_agreement(TEN_MISTAKES, "deal.toml")
    numbered = TEN_MISTAKES.splitlines()
    for problem in refused.value.problems:
        assert problem.line is not None
        last = problem.where.partition(": ")[2].rpartition(".")[2].partition("[")[0]
        line = numbered[problem.line - 1]
        # what is missing stands nowhere: its section's line is named
        assert last in line or (problem.code == "missing" and line.startswith("["))
        assert str(problem).startswith(f"deal.toml:{problem.line}: ")


def test_what_isn_t_toml_has_its_line_too() -> None:
    with pytest.raises(BadInput) as refused:
        parse_agreement(HEADER + "\nid = = 3\n", "deal.toml")
    assert refused.value.problems[0].line == 10


def test_what_only_meaning_tells_has_its_line() -> None:
    with pytest.raises(BadInput) as refused:
        parse_agreement(HEADER + TRANCHE + FEE.replace('"2027-01"', '"2028-01"'), "deal.toml")
    (problem,) = refused.value.problems
    assert problem.line is not None
    assert (HEADER + TRANCHE + FEE).splitlines()[problem.line - 1].startswith("last")


keys = st.from_regex(r"[a-z]{1,6}", fullmatch=True)


@given(
    st.dictionaries(keys, st.lists(st.dictionaries(keys, st.integers(), max_size=4), min_size=1, max_size=3))
)
def test_every_key_of_any_file_is_found_where_it_is(tables: dict[str, list[dict[str, int]]]) -> None:
    text = ""
    paths = {}
    for name, items in tables.items():
        for i, item in enumerate(items):
            text += f"\n[[{name}]]\n"
            paths[f"{name}[{i}]"] = text.count("\n")
            for key, value in item.items():
                text += f"{key} = {value}\n"
                if key != "value":
                    paths[f"{name}[{i}].{key}"] = text.count("\n")
    found = lines_of(text)
    assert {path: found[path] for path in paths} == paths
