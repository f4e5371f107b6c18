"""What every test shares: hypothesis profiles, the shared data sets, and skips that can't pass unseen.

In CI (``CI=true``) a skipped test fails the run: what CI doesn't run, nobody runs. Elsewhere a skip is
printed last, with its reason. An expected failure (xfail) is not a skip.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Timing on a shared machine says nothing about a law, hence no deadline; CI repeats the same examples.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)


def in_ci() -> bool:
    """Whether this run is in continuous integration, by the variable that all its services set."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no"}


settings.load_profile("ci" if in_ci() else "dev")


class SkipLedger:
    """Collects every skip of the run, from workers too: xdist sends their reports to this process."""

    def __init__(self) -> None:
        self.skips: list[tuple[str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skips.append((report.nodeid, reason_of(report)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.skips.append((report.nodeid, reason_of(report)))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        # Before the terminal's own summary, so that its closing line stays the last.
        if self.skips and in_ci() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        return (yield)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.skips:
            return
        verdict = "SKIPPED, AND CI ALLOWS NO SKIP" if in_ci() else "SKIPPED, NOT TESTED"
        terminalreporter.section(verdict, sep="!", red=in_ci(), yellow=not in_ci(), bold=True)
        for nodeid, reason in sorted(self.skips):
            terminalreporter.write_line(f"{nodeid}: {reason}")


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why a test was skipped, in its own words."""
    longrepr = report.longrepr
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SkipLedger(), "offtake-skips")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.shared_data)


def shared_data_path() -> Path:
    """Where the public data sets are: OFFTAKE_DATA, or the folder beside the checkout."""
    return Path(os.environ.get("OFFTAKE_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of public data sets; the test is skipped, loudly, where it is absent."""
    path = shared_data_path()
    if not path.is_dir():
        pytest.skip(f"no data sets at {path}; set OFFTAKE_DATA to their folder")
    return path
