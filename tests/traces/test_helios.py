"""Helios Earth, May 2020: quotas as firm claims, a gauge each minute as the take against them."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from offtake.formats.folder import load_folder
from offtake.formats.traces import Imported, import_helios
from offtake.sim.run import Simulation
from offtake.workflows.book import Book

TAKEN = 17_762_450 * 60
QUOTA = 470_208 * 3600


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Imported, Book]]:
    directory = tmp_path_factory.mktemp("helios")
    imported = import_helios(shared_data / "usage_helios_earth_2020", directory / "folder")
    book = Book(directory / "book", create=True)
    Simulation(book, load_folder(directory / "folder")).run()
    yield imported, book
    book.close()


def test_take_and_quota_are_the_files_to_the_gpu_second(run: tuple[Imported, Book]) -> None:
    imported, book = run
    assert imported.rows == 18_201
    settled = book.items("settled").values()
    assert len(settled) == imported.tenants == 11
    assert sum(body["taken"] for body in settled) == imported.gpu_seconds == TAKEN
    assert sum(body["entitled"] for body in settled) == imported.entitled == QUOTA
    # the claims are firm and the fleet covers them: all of it is delivered
    assert all(body["delivered"] == body["entitled"] and not body["lost"] for body in settled)


def test_each_tenants_take_is_the_sum_of_its_gauge(run: tuple[Imported, Book], shared_data: Path) -> None:
    expected: dict[str, int] = defaultdict(int)
    path = shared_data / "usage_helios_earth_2020" / "vc_minute.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        assert next(rows)[:4] == ["ts", "tenant", "quota_gpus", "running_gpus"]
        for row in rows:
            expected[row[1].lower()] += 60 * int(row[3])
    assert {body["agreement"]: body["taken"] for body in run[1].items("settled").values()} == expected


def test_what_was_not_taken_is_charged_as_deficiency(run: tuple[Imported, Book]) -> None:
    book = run[1]
    documents = {doc["agreement"]: doc for doc in book.items("document").values()}
    assert len(documents) == 11
    for body in book.items("settled").values():
        lines = {line["clause"]: line["amount"]["minor"] for line in documents[body["agreement"]]["lines"]}
        rate = Fraction(200, 3600)
        assert lines == {
            "usage_fee": round(rate * body["taken"]),
            "take_or_pay": round(rate * (body["entitled"] - body["taken"])),
        }
    total = sum(doc["total"]["minor"] for doc in documents.values())
    assert abs(total - 470_208 * 200) <= 11  # two roundings for each tenant
