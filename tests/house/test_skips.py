"""A skip is loud everywhere and fails the run in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"

SUITE = """
import pytest

def test_good():
    pass

{skipping}
"""
SKIPPING = """
def test_left_out():
    pytest.skip("no GPU here")
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = shared_data: as in the project\n")
    return pytester


def run(suite: pytest.Pytester, *args: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "no:cacheprovider", *args)


@pytest.mark.parametrize("args", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_skip_fails_in_ci(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    suite.makepyfile(SUITE.format(skipping=SKIPPING))
    monkeypatch.setenv("CI", "true")
    result = run(suite, *args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*SKIPPED, AND CI ALLOWS NO SKIP*", "*test_left_out: no GPU here"])


def test_skip_is_loud_elsewhere(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makepyfile(SUITE.format(skipping=SKIPPING))
    monkeypatch.delenv("CI", raising=False)
    result = run(suite)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*SKIPPED, NOT TESTED*", "*test_left_out: no GPU here"])


def test_a_module_skipped_while_collecting_counts(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(
        test_one=SUITE.format(skipping=""), test_two='import pytest\npytest.importorskip("no_such_thing")'
    )
    monkeypatch.setenv("CI", "true")
    assert run(suite).ret == pytest.ExitCode.TESTS_FAILED


def test_no_skip_no_failure_in_ci(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    xfail = "@pytest.mark.xfail(reason='known')\ndef test_known():\n    assert False"
    suite.makepyfile(SUITE.format(skipping=xfail))
    monkeypatch.setenv("CI", "true")
    assert run(suite).ret == pytest.ExitCode.OK


def test_absent_data_skip_names_the_folder(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makepyfile("def test_reads(shared_data):\n    pass")
    monkeypatch.setenv("CI", "")
    monkeypatch.setenv("OFFTAKE_DATA", str(suite.path / "nowhere"))
    result = run(suite)
    result.stdout.fnmatch_lines(["*test_reads: no data sets at *nowhere; set OFFTAKE_DATA*"])


def test_data_marker_follows_the_fixture(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    suite.makepyfile("def test_reads(shared_data):\n    pass\ndef test_else():\n    pass")
    monkeypatch.setenv("OFFTAKE_DATA", str(suite.path))
    run(suite, "-m", "shared_data").assert_outcomes(passed=1, deselected=1)
