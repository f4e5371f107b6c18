"""The report in a real browser: every chart is drawn, and the console stays silent."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from offtake.formats.html_report import render_report, report_charts
from tests.formats.report_sample import short_colossus

# Nothing of the browser's own may use the network either.
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--enable-logging=stderr",
)


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip("no Chromium to open the report with; install the package chromium")


def opened(chromium: str, page: Path, profile: Path, width: int) -> tuple[str, list[str]]:
    """The document after its scripts have run, and what they wrote to the console."""
    ran = subprocess.run(
        [
            chromium,
            *QUIET,
            f"--user-data-dir={profile}",
            f"--window-size={width},3000",
            "--virtual-time-budget=10000",
            "--dump-dom",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    console = [text for text in ran.stderr.decode(errors="replace").splitlines() if "CONSOLE" in text]
    return ran.stdout.decode(), console


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("chromium")
    view = short_colossus(folder).view
    page = folder / "report.html"
    page.write_text(render_report(view), encoding="utf-8")
    return page, len(report_charts(view))


@pytest.mark.parametrize("width", [1400, 420])
def test_every_chart_is_drawn_without_a_word_on_the_console(
    chromium: str, report: tuple[Path, int], tmp_path: Path, width: int
) -> None:
    page, charts = report
    dom, console = opened(chromium, page, tmp_path / "profile", width)
    assert console == []
    assert f'data-charts="{charts}"' in dom
    body = re.sub(r"<script\b.*?</script>", "", dom, flags=re.DOTALL)
    drawn = re.findall(r"<svg[^>]* class=\"marks\".*?</svg>", body, flags=re.DOTALL)
    assert len(drawn) == charts
    # A chart without data has axes and no marks.
    assert all(re.search(r"mark-(area|line|rect)[^>]*>\s*<path[^>]* d=\"[^\"]{10,}", svg) for svg in drawn)


def test_a_chart_that_cant_be_drawn_is_told_on_the_page(
    chromium: str, report: tuple[Path, int], tmp_path: Path
) -> None:
    page = tmp_path / "broken.html"
    page.write_text(
        report[0].read_text(encoding="utf-8").replace('"type":"area"', '"type":"no-such-mark"'),
        encoding="utf-8",
    )
    dom, console = opened(chromium, page, tmp_path / "profile", 1400)
    assert console
    assert "A chart could not be drawn" in re.sub(r"<script\b.*?</script>", "", dom, flags=re.DOTALL)
