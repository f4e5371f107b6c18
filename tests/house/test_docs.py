"""The documentation holds together: links lead somewhere, the index of decisions is complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.project import ROOT, SRC, project_files, shown

DECISIONS = ROOT / "docs" / "decisions"
PAGES = [path for path in project_files() if path.suffix == ".md"]


def slug(heading: str) -> str:
    """The anchor that a heading gets, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower()).replace(" ", "-")


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def broken_links(page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of it."""
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            broken.append(target)
        elif anchor and file.suffix == ".md":
            headings = re.findall(
                r"^#+[ \t]+(.+?)[ \t]*$", file.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
            if anchor not in map(slug, headings):
                broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page) == []


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One two\n[a](#one-two) [b](#three) [c](no.md) [d](page.md#one-two)\n", encoding="utf-8"
    )
    assert broken_links(page) == ["#three", "no.md"]


def decision_index() -> list[str]:
    """The lines that the index of decisions should hold, from the records themselves."""
    lines = []
    for record in sorted(DECISIONS.glob("[0-9][0-9][0-9][0-9]-*.md")):
        title = record.read_text(encoding="utf-8").splitlines()[0].lstrip("# ").strip()
        lines.append(f"- [{title}]({record.name})")
    return lines


def test_the_index_of_decisions_is_complete() -> None:
    index = (DECISIONS / "README.md").read_text(encoding="utf-8").splitlines()
    wanted = decision_index()
    listed = [line for line in index if line.startswith("- [")]
    assert listed == wanted, "the list in docs/decisions/README.md should read:\n" + "\n".join(wanted)


def test_every_room_is_on_the_map() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    absent = [
        room.name
        for room in SRC.iterdir()
        if (room / "__init__.py").is_file() and f"`{room.name}`" not in page
    ]
    assert absent == []
