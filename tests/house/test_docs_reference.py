"""The reference says what the code does: generated parts are up to date, hand-written lists are complete."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from offtake.agreements.catalogue import BY_KIND
from offtake.base.errors import OfftakeError
from offtake.formats.folder import load_folder
from offtake.sim.run import Simulation
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import FAILED, RESTORED, SANITISED, Placed, place
from offtake.workflows.state import KINDS
from offtake.workflows.tick import tick
from tests.house.project import ROOT, SRC, project_files, shown

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted(REFERENCE.glob("*.md"))
SCENARIO = """
[[outage]]
id = "cooling"
pool = "h200"
start = "2027-01-08T06:00:00Z"
end = "2027-01-11T18:00:00Z"
gpus = 1_400

[[delivery]]
id = "late"
pool = "h200"
build_out = "second"
known_on = 2027-02-02
step = [{ on = 2027-07-01, nodes = 256 }]

[[recall]]
id = "back"
agreement = "acme"
tranche = "main"
gpus = 64
given = 2027-01-20

[[notice]]
id = "leaves"
agreement = "acme"
by = "offtaker"
given = 2027-03-15
"""
CLAUSES = """
[recall]
tranches = ["main"]
notice_days = 10

[delivery]
due = 2027-01-31
gpus = 1_024
remedies = ["pro_rata_fee"]
"""


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_generate", REFERENCE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert generator().rendered(text) == text, "run `python docs/reference/generate.py`"


def test_an_outdated_page_is_seen() -> None:
    page = "<!-- generated keys offtake.agreements.model:Step -->\nold\n<!-- end generated -->\n"
    assert "| `quantity` | decimal, ≥ 0, " in generator().rendered(page)


def test_a_key_that_nothing_explains_is_refused() -> None:
    @dataclass
    class Dark:
        lantern: int

    with pytest.raises(LookupError, match=r"Dark\.lantern"):
        generator().keys_table(Dark)


def sections_of(text: str) -> dict[str, str]:
    """Text under each third-level heading, by the heading without its backticks."""
    parts = re.split(r"^### `?([^`\n]+)`?$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


FACTS = sections_of((REFERENCE / "facts.md").read_text(encoding="utf-8"))


def test_every_kind_of_fact_is_documented() -> None:
    assert sorted(FACTS) == sorted(KINDS)


def broken_node(book: Book) -> None:
    """Claims are placed on nodes; the first node fails, is cleaned and works again."""
    now = book.state.now
    tick(book, now)
    assert isinstance(place(book, now), Placed)
    for what, said in (
        (FAILED, {"because": "ecc"}),
        (SANITISED, {"evidence": "wiped", "sha256": None}),
        (RESTORED, {}),
    ):
        assert isinstance(record_nodes(book, what, "h200", "0", at=now, now=now, said=said), Recorded)
        place(book, now)


@pytest.fixture(scope="module")
def eventful_book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Book]:
    """Some months of the starter folder, with something of everything."""
    folder = tmp_path_factory.mktemp("reference") / "folder"
    shutil.copytree(SRC / "cli" / "starter", folder)
    (folder / "scenario.toml").write_text(SCENARIO, encoding="utf-8")
    agreement = folder / "agreements" / "acme.toml"
    text = agreement.read_text(encoding="utf-8").replace('"arrears"', '"advance"')
    agreement.write_text(text + CLAUSES, encoding="utf-8")
    loaded = load_folder(folder)
    book = Book(folder / "book", create=True)
    Simulation(book, loaded).run(until=loaded.settings.first.plus(2).interval("America/New_York").end)
    broken_node(book)
    yield book
    book.close()


def test_every_key_of_a_body_is_documented(eventful_book: Book) -> None:
    undocumented = {
        (item.fact.kind, key)
        for item in eventful_book.database.facts_of(KINDS)
        for key in item.fact.body
        if f"`{key}`" not in FACTS[item.fact.kind]
    }
    assert undocumented == set()


def test_the_eventful_book_has_nearly_every_kind(eventful_book: Book) -> None:
    """So that the test above means something. The rest needs a folder applied twice, or a short delivery."""
    kinds = {item.fact.kind for item in eventful_book.database.facts_of(KINDS)}
    second = {"agreement.amended", "demand.withdrawn", "agreement.trued_up", "month.resettled"}
    second |= {"event.proposed", "proposal.decided", "credit.issued", "series.published", "usage.ingested"}
    second |= {"statement.committed", "period.closed", "webhook.sent", "document.sent", "recall.planned"}
    second |= {"cluster.commanded", "usage.reconciled", "power.metered"}
    assert set(KINDS) - kinds - second == set(BY_KIND) - {"notice.given", "recall.noticed"}


def exit_codes(kind: type[OfftakeError]) -> set[int]:
    return {kind.exit_code}.union(*(exit_codes(child) for child in kind.__subclasses__()))


def test_every_exit_code_is_documented() -> None:
    from offtake.cli import main

    rows = re.findall(
        r"^\| (\d+) \|", (REFERENCE / "exit-codes.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    said = re.search(r"Exit codes: (.*?)\n\n", f"{main.__doc__}\n\n", flags=re.DOTALL)
    assert said is not None
    known = {int(code) for code in re.findall(r"\b\d+\b", said[1])}
    assert known > exit_codes(OfftakeError)
    assert sorted(map(int, rows)) == sorted(known)


def linked(page: Path) -> set[Path]:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    return {(page.parent / target).resolve() for target in targets if not re.match(r"[a-z]+:", target)}


def reachable(start: Path) -> set[Path]:
    found, waiting = {start}, [start]
    while waiting:
        new = {page for page in linked(waiting.pop()) if page.suffix == ".md" and page.exists()} - found
        found |= new
        waiting += new
    return found


def test_every_page_can_be_reached_from_the_index() -> None:
    pages = {path for path in project_files() if path.suffix == ".md" and path.is_relative_to(DOCS)}
    pages = {page for page in pages if page.parent != DOCS / "images"}
    assert sorted(map(shown, pages - reachable(DOCS / "index.md"))) == []


def test_every_test_that_a_page_names_exists() -> None:
    absent = [
        f"{shown(page)}: {name}"
        for page in project_files()
        if page.suffix == ".md"
        for name in re.findall(r"`(tests/[\w./-]+)`", page.read_text(encoding="utf-8"))
        if not (ROOT / name).exists()
    ]
    assert absent == []


def test_the_readme_shows_the_totals_that_the_tutorial_is_tested_with() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    totals = re.search(r"^```text\n(SpaceX.*?)^```$", readme, flags=re.MULTILINE | re.DOTALL)
    assert totals is not None
    assert totals[1] in (DOCS / "tutorials" / "colossus.md").read_text(encoding="utf-8")


def test_every_terminal_block_is_one_that_is_run() -> None:
    """The runner looks for blocks at the start of a line; an indented one would never be tried."""
    hidden = [
        shown(page)
        for page in project_files()
        if page.suffix == ".md"
        and re.search(r"^[ \t>]+```console", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert hidden == []
