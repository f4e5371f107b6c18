"""What the documentation shows in a terminal, run.

Every ```` ```console ```` block of README.md and docs/ is collected. A line that begins with ``$ `` is run
with `sh` and must exit with 0; the lines after it must appear, in order, among the lines that it prints. A
line ``...`` stands for anything. The commands of one page share one temporary folder that holds a copy of
`examples`; ``$ cd somewhere`` moves the commands after it. Lines that begin with ``$ make`` or
``$ git clone`` are left out, and so is a block with ``<!-- no-run -->`` on the line before it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.house.project import ROOT, project_files, shown

TIMEOUT_S = 300
NOT_RUN = re.compile(r"make(\s|$)|git clone(\s|$)")
BLOCK = re.compile(
    r"(?P<exempt>^<!-- no-run -->[ \t]*\n)?^```console[ \t]*\n(?P<body>.*?)^```[ \t]*$",
    flags=re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of a page and the lines that the page says it prints."""

    line: int
    command: str
    expected: tuple[str, ...]


def steps_of(text: str) -> Iterator[Step]:
    """The commands of a page that are to be run, in order."""
    for block in BLOCK.finditer(text):
        if block["exempt"]:
            continue
        first = text.count("\n", 0, block.start("body")) + 1
        lines = block["body"].splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            command = lines[start].removeprefix("$ ").strip()
            if not NOT_RUN.match(command):
                expected = tuple(line.strip() for line in lines[start + 1 : end])
                yield Step(line=first + start, command=command, expected=expected)


def first_missing(expected: Sequence[str], printed: str) -> str | None:
    """The first expected line that doesn't follow the ones before it, or None when all are there."""
    actual = (line.strip() for line in printed.splitlines())
    for line in expected:
        if line not in {"", "..."} and not any(line == candidate for candidate in actual):
            return line
    return None


def environment(home: Path) -> dict[str, str]:
    """A plain terminal of fixed width, without the settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OFFTAKE_", "PYTEST_"))}
    # Not resolved: the link inside the virtual environment is what makes `offtake` the one under test.
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    plain = {
        "NO_COLOR": "1",
        "TERM": "dumb",
        "COLUMNS": "120",
        "PYTHONUTF8": "1",
        "HOME": str(home),
        "PATH": path,
    }
    return {**kept, **plain}


def failures(text: str, folder: Path) -> list[str]:
    """Run a page's commands in a folder and say what went otherwise than it promises; stop at the first."""
    here = folder
    for step in steps_of(text):
        if step.command.startswith("cd "):
            here = (here / step.command.removeprefix("cd ").strip()).resolve()
            if not here.is_dir():
                return [f"line {step.line}: no folder for `{step.command}`"]
            continue
        done = subprocess.run(
            ["sh", "-c", step.command],
            cwd=here,
            env=environment(folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            return [f"line {step.line}: `{step.command}` exits with {done.returncode}:\n{done.stdout}"]
        missing = first_missing(step.expected, done.stdout)
        if missing is not None:
            return [f"line {step.line}: `{step.command}` doesn't print {missing!r}:\n{done.stdout}"]
    return []


PAGES = [
    path for path in project_files() if path.suffix == ".md" and re.match(r"README\.md$|docs/", shown(path))
]


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if any(steps_of(text)) and (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", tmp_path / "examples")
    assert failures(text, tmp_path) == []


def page(*lines: str, before: str = "") -> str:
    return f"Text.\n\n{before}```console\n" + "\n".join(lines) + "\n```\n\nMore.\n"


def test_promised_lines_are_found_in_order(tmp_path: Path) -> None:
    shows = "$ printf 'one\\ntwo\\nthree\\n'"
    assert failures(page(shows, "one", "...", "three"), tmp_path) == []
    assert failures(page(shows, "three", "one"), tmp_path)[0].startswith("line 4: ")
    assert "'four'" in failures(page(shows, "four"), tmp_path)[0]


def test_a_command_that_fails_is_seen(tmp_path: Path) -> None:
    assert "exits with 7" in failures(page("$ true", "$ echo why; exit 7"), tmp_path)[0]


def test_commands_of_a_page_share_a_folder(tmp_path: Path) -> None:
    assert (
        failures(page("$ mkdir book") + page("$ cd book", "$ echo x > y") + page("$ cat y", "x"), tmp_path)
        == []
    )
    assert (tmp_path / "book" / "y").read_text(encoding="utf-8") == "x\n"
    assert "no folder" in failures(page("$ cd nowhere"), tmp_path)[0]


def test_what_is_not_run(tmp_path: Path) -> None:
    assert failures(page("$ false", before="<!-- no-run -->\n"), tmp_path) == []
    assert failures(page("$ make run", "all done", "$ git clone x"), tmp_path) == []
    assert failures(page("$ makeshift"), tmp_path) != []
    assert failures("```sh\n$ false\n```\n", tmp_path) == []


def test_the_command_line_under_test_is_this_one(tmp_path: Path) -> None:
    assert failures(page("$ python -c 'import sys; print(sys.prefix)'", sys.prefix), tmp_path) == []
