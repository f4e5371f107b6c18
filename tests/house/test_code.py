"""What the house style asks of the code and what no other tool checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.house import checks
from tests.house.project import SRC, modules, rooms, shown


def offences(check: Callable[[str], list[str]], paths: Iterable[Path]) -> list[str]:
    """Everything a check finds in some files, each with its place."""
    return [f"{shown(path)}:{text}" for path in paths for text in check(path.read_text(encoding="utf-8"))]


def test_every_room_has_a_readme_that_says_what_it_owns() -> None:
    assert rooms()
    wrong = []
    for room in rooms():
        readme = SRC / room / "README.md"
        found = (
            checks.missing_headings(readme.read_text(encoding="utf-8")) if readme.is_file() else ["absent"]
        )
        wrong += [f"{shown(readme)}: {text}" for text in found]
    assert wrong == []


def test_the_core_is_there() -> None:
    assert set(checks.CORE) <= set(rooms())


def test_public_names_are_documented() -> None:
    assert offences(checks.without_docstring, modules()) == []


def test_names_say_what_they_mean() -> None:
    assert offences(checks.wrong_words, modules()) == []


def test_no_room_or_module_is_a_drawer_for_leftovers() -> None:
    named = [path for path in SRC.rglob("*") if path.is_dir() or path.suffix == ".py"]
    assert [shown(path) for path in named if checks.VAGUE_WORDS & set(re.split(r"[_.]", path.stem))] == []


def test_functions_are_short() -> None:
    assert offences(checks.long_functions, modules()) == []


def test_no_float_where_money_is_made() -> None:
    assert offences(checks.floats, modules(*checks.EXACT)) == []


def test_the_core_reads_no_clock_and_no_dice() -> None:
    assert offences(checks.impurities, modules(*checks.CORE)) == []
