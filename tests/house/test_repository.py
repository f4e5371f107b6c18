"""The files around the code."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from tests.house import checks
from tests.house.project import ROOT, project_files, shown


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def declared_requirements() -> list[str]:
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    return [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]


def test_makefile_has_four_public_targets() -> None:
    assert checks.public_targets(text_of("Makefile")) == {"run", "test", "check", "bench"}


def test_ci_checks_then_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert [line for line in lines if line.startswith("make")] == ["make check", "make test"]


def test_changelog_has_an_unreleased_section() -> None:
    assert re.search(r"^## Unreleased$", text_of("CHANGELOG.md"), flags=re.MULTILINE)


def test_licence_is_apache_2_in_full() -> None:
    licence = text_of("LICENSE")
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert all(f"\n   {clause}. " in licence for clause in range(1, 10))


def test_constraints_hold_pins_only() -> None:
    pins, bad = checks.parse_pins(text_of("constraints.txt"))
    assert bad == []
    assert list(pins) == sorted(pins)


def test_everything_declared_is_pinned() -> None:
    pins, _ = checks.parse_pins(text_of("constraints.txt"))
    assert checks.unpinned(declared_requirements(), pins) == []


def machine_paths() -> list[str]:
    """This checkout, this home, and folders that only one machine has; short paths would match too much."""
    own = [str(path) for path in (ROOT, Path.home()) if len(path.parts) > 2]
    return [*own, *("/" + "/".join(parts) for parts in (("root",), ("work", "main"), ("work", "shared")))]


def test_no_registry_host_and_no_path_of_a_machine() -> None:
    wrong = []
    for path in project_files():
        content = path.read_bytes()
        if b"\0" not in content:
            text = content.decode("utf-8", errors="replace")
            wrong += [f"{shown(path)}:{found}" for found in checks.forbidden_places(text, machine_paths())]
    assert wrong == []


def test_no_large_or_generated_file_is_kept() -> None:
    generated = re.compile(r"\.(pyc|parquet|sqlite|sqlite-wal|db|pdf|whl|so)$")
    wrong = [shown(path) for path in project_files() if generated.search(path.name)]
    assert wrong == []
