"""The report as a file."""

from __future__ import annotations

from pathlib import Path

from offtake.formats.html_report import render_report
from offtake.workflows.report import Report
from offtake.workflows.report_view import report_view


def write_report(known: Report, path: Path) -> None:
    """Write one self-contained HTML file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(render_report(report_view(known)), encoding="utf-8")
    part.replace(path)
