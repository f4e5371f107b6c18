"""Books that the tests of this room read and never write; what writes works on a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from offtake.base.time import parse_instant
from offtake.cli import options
from tests.cli.calls import edited, succeeded
from tests.simulation.folders import write_folder

EVENTS = """
hypothetical = false

[[outage]]
id = "fire"
pool = "h200"
start = "2027-01-02T00:00:00Z"
gpus = 800

[[payment]]
id = "wire-1"
agreement = "acme"
amount = 650_000.50
received = 2027-01-02
"""


@dataclass(frozen=True)
class Finished:
    """A folder that was run to its end into ``folder/out``, and what the run said."""

    folder: Path
    totals: Any

    @property
    def out(self) -> Path:
        """The book's directory."""
        return self.folder / "out"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The small business with every kind of event, with PDF and report."""
    folder = write_folder(tmp_path_factory.mktemp("small") / "folder")
    return Finished(folder, succeeded("run", folder))


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """What `offtake init` writes, run without PDF and report."""
    folder = tmp_path_factory.mktemp("starter") / "folder"
    succeeded("init", folder)
    return Finished(folder, succeeded("run", folder, "--no-pdf", "--no-report"))


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Finished], Finished]:
    """Copies a finished folder, to be changed or damaged."""
    return lambda whole: Finished(Path(shutil.copytree(whole.folder, tmp_path / "copy")), whole.totals)


class WallClock:
    """The clock of live commands, set by hand."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        """Turn it, in either direction."""
        self._now = parse_instant(text)

    def time(self) -> int:
        """The present instant, as `time.time` gives it."""
        return self._now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    """A wall clock that stands at 20 December 2026, noon UTC."""
    made = WallClock("2026-12-20T12:00:00Z")
    monkeypatch.setattr(options, "time", made)
    return made


@pytest.fixture
def live(tmp_path: Path, clock: WallClock) -> Path:
    """A folder with a live book that has billed January 2027 in advance, as of 2 January, noon UTC."""
    folder = tmp_path / "live"
    succeeded("init", folder)
    edited(folder / "agreements" / "acme.toml", ('"arrears"', '"advance"'))
    (folder / "events.toml").write_text(EVENTS, encoding="utf-8")
    succeeded("apply", folder)
    clock.set("2027-01-02T12:00:00Z")
    succeeded("tick", folder)
    return folder
