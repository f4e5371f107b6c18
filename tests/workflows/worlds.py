"""One pool, one agreement, one clock that tests turn by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from offtake.base.months import Month, local_midnight
from offtake.fleet.model import Outage
from offtake.formats.folder import Folder, load_folder
from offtake.sim.run import Simulation
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.state import month_key
from tests.agreements.texts import HEADER, TRANCHE

ZONE = "America/Chicago"

SETTINGS = """
[operator]
name = "Owner"
time_zone = "America/Chicago"
currency = "USD"

[run]
first = "2026-02"
last = "2026-08"
"""

FLEET = """
[[site]]
id = "s"
name = "S"
critical_it_mw = 10
pue = 1.2
region = "US"
time_zone = "America/Chicago"

[[pool]]
id = "p"
site = "s"
gpu_model = "G"
gpus_per_node = 8
kw_per_gpu = 1

[[pool.build_out]]
id = "built"
in_service = 2026-01-01
nodes = 125
"""

CREDIT = """
[availability_credit]
band = [{ below = 0.99, credit = 0.10 }]
"""

ADVANCE = '[payment]\ntiming = "advance"\nnet_days = 15\n'
NET_400 = "[payment]\nnet_days = 400\n"


def text_of(*sections: str, id_: str = "deal", tranche: str = TRANCHE) -> str:
    """An agreement's file."""
    return "\n".join((HEADER.replace('"deal"', f'"{id_}"'), tranche, *sections))


def at(month: int, day: int, hour: int = 0) -> int:
    """An hour of 2026 in the operator's time zone."""
    return local_midnight(date(2026, month, day), ZONE) + hour * 3_600


def outage(gpus: int, start: int, end: int | None, id_: str = "o") -> Outage:
    """An outage of the pool."""
    return Outage(id=id_, pool="p", start=start, end=end, gpus=gpus)


@dataclass(frozen=True)
class World:
    """A book and what turns its clock."""

    book: Book
    folder: Folder
    simulation: Simulation

    def go(self, until: int) -> World:
        """Everything up to an instant happens, offtakers paying what is due."""
        refused = self.simulation.run(until=until).refused
        assert refused == []
        return self

    def log(self, *kinds: str) -> list[Recorded]:
        """Facts of some kinds, in order."""
        return self.book.database.facts_of(kinds)

    def invoices(self, agreement: str = "deal") -> list[tuple[str, str, int]]:
        """(service month, kind, total in cents) of every document, in order of number."""
        return [
            (str(month_key(doc["month"])), doc["kind"], doc["total"]["minor"])
            for _, doc in sorted(self.book.items("document").items())
            if doc["agreement"] == agreement
        ]

    def lines(self, month: Month, agreement: str = "deal") -> list[tuple[str, int]]:
        """(clause, cents) of every line for a service month."""
        return [
            (line["clause"], line["amount"]["minor"])
            for _, doc in sorted(self.book.items("document").items())
            if doc["agreement"] == agreement and month_key(doc["month"]) == month
            for line in doc["lines"]
        ]

    def balance(self, account: str) -> int:
        """Cents on an account."""
        body = self.book.state.body("balance", f"{account}|USD")
        return int(body["minor"]) if body else 0


def write_world(path: Path, agreements: Mapping[str, str], **files: str) -> Path:
    """A folder of one pool and some agreements; ``demand__own__toml`` names demand/own.toml."""
    texts = {"offtake.toml": SETTINGS, "fleet.toml": FLEET}
    texts |= {f"agreements/{name}.toml": text for name, text in agreements.items()}
    for name, text in files.items():
        stem, _, suffix = name.rpartition("__")
        texts[f"{stem.replace('__', '/')}.{suffix}"] = text
    for name, text in texts.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text, encoding="utf-8")
    return path


def world(path: Path, *sections: str, **files: str) -> World:
    """A new book for one agreement of some sections, and what other files say."""
    folder = load_folder(write_world(path / "folder", {"deal": text_of(*sections)}, **files))
    book = Book(path / "book", create=True)
    return World(book, folder, Simulation(book, folder))


def reopened(path: Path) -> World:
    """A world that was written before, or a copy of it."""
    folder = load_folder(path / "folder")
    book = Book(path / "book")
    return World(book, folder, Simulation(book, folder))
