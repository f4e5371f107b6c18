"""The command line, called in this process, and what it answered."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtake.cli.main import main
from tests.house.project import ROOT

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Answer:
    """Exit code and streams of one command."""

    code: int
    out: str
    err: str

    @property
    def plain(self) -> Any:
        """What ``--json`` printed: exactly one document on stdout, and nothing on stderr."""
        assert self.err == ""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything for people, without colours and line breaks."""
        return " ".join(_COLOUR.sub("", self.out + self.err).split())


def offtake(*words: object) -> Answer:
    """Run one command as a shell would, without its cost."""
    out, err = io.StringIO(), io.StringIO()
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as left:
            code = left.code or 0
    assert isinstance(code, int)
    return Answer(code, out.getvalue(), err.getvalue())


def apart(how: str, count: int, *words: object) -> Answer:
    """Run one command in a process of its own that meets with a misfortune; see `tests.cli.driver`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.driver", how, str(count), *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def succeeded(*words: object) -> Any:
    """The JSON answer of a command that must succeed."""
    answer = offtake(*words, "--json")
    assert answer.code == 0, answer
    return answer.plain


def refused(code: int, *words: object) -> Any:
    """The JSON answer of a command that must fail with an exit code."""
    answer = offtake(*words, "--json")
    assert answer.code == code, answer
    return answer.plain


def edited(path: Path, *changes: tuple[str, str]) -> None:
    """Change a text file; each text to replace must be there."""
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{path} has no {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
