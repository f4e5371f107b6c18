"""Power and health in the book: whose energy it is, what an outage is, and that each window counts once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from offtake.adapters.dcgm import WindowOfGpus
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval
from offtake.fleet.model import Outage
from offtake.formats.cluster_file import PrometheusTable
from offtake.formats.folder import load_folder
from offtake.metering.dcgm import Gpu, Samples, Scraped
from offtake.metering.gpu_health import Signs
from offtake.store.fact import Recorded
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.nodes import record_nodes
from offtake.workflows.place import FAILED, Placed, place
from offtake.workflows.read_power import METERED, SOURCE, PowerMetered, take_in_power
from offtake.workflows.record import record_outage
from offtake.workflows.tick import tick
from offtake.workflows.usage import ingest
from tests.agreements.texts import TRANCHE
from tests.workflows.test_usage import reading, table
from tests.workflows.worlds import World, at, text_of, write_world

NODES = {"p": tuple(f"n{i:03}" for i in range(125))}
TABLE = PrometheusTable(url="http://127.0.0.1:1")
BEGIN = at(2, 10)
PASS_THROUGH = "[power_pass_through]\ntariff_per_kwh = 0.1\n"


def opened(path: Path, **agreements: str) -> World:
    folder = load_folder(write_world(path / "folder", agreements))
    book = Book(path / "book", create=True)
    apply_folder(book, folder, BEGIN)
    tick(book, BEGIN)
    assert isinstance(place(book, BEGIN), Placed)
    return World(book, folder, None)  # type: ignore[arg-type]


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    """Nodes n000 to n049 are held, the rest is nobody's."""
    tranche = TRANCHE.replace("1_000", "400")
    found = opened(tmp_path, deal=text_of(PASS_THROUGH, tranche=tranche))
    yield found
    found.book.close()


def steady(watts: int, start: int, end: int) -> Samples:
    return tuple((t * 1000, watts * 1000 * (t - start)) for t in range(start, end + 1, 60))


def scraped(*nodes: str, start: int, end: int, **more: Any) -> WindowOfGpus:
    """A GPU on each node that draws 600 W."""
    counter = steady(600, start - 240, end + 240)
    gpus = {Gpu(node, f"g-{node}"): Scraped(counter=counter) for node in nodes}
    return WindowOfGpus(gpus=gpus, instances={node: (f"{node}:9400",) for node in nodes}, **more)


def taken(w: World, read: WindowOfGpus, start: int, end: int, now: int | None = None) -> PowerMetered:
    found = take_in_power(
        w.book, read, Interval(start, end), table=TABLE, nodes=NODES, now=now or end + 1_200
    )
    assert isinstance(found, PowerMetered), found
    return found


def bodies(w: World) -> list[Mapping[str, Any]]:
    return [item.fact.body for item in w.log(METERED)]


def test_energy_is_of_who_held_the_node_and_what_nobody_held_is_the_operators(w: World) -> None:
    read = scraped("n000", "n001.dc.example", "n124:9400", "x9", start=BEGIN, end=BEGIN + HOUR_S)
    found = taken(w, read, BEGIN, BEGIN + HOUR_S)
    assert (dict(found.wh), found.operator_wh, found.gauge_wh) == ({"deal": 1_200}, 600, 0)
    said = {one.code: one.sentence for one in found.findings}
    assert said["unknown_node"] == "cluster.toml doesn't know 1 nodes that metrics name: x9"
    assert said["fewer_gpus"] == "n124 shows 1 of its 8 GPUs"
    assert said["unseen"].startswith("122 nodes of p have no metrics: n002, n003")
    assert bodies(w)[0]["mj"] == {"": 600 * 3_600_000, "deal/main": 1_200 * 3_600_000}


def test_a_node_that_is_given_to_another_claim_takes_its_energy_along(w: World) -> None:
    """n000 fails half way; another node stands in, which was nobody's before."""
    half = BEGIN + HOUR_S // 2
    assert isinstance(
        record_nodes(w.book, FAILED, "p", "0", at=half, now=half, said={"because": "ecc"}), Recorded
    )
    assert isinstance(place(w.book, half), Placed)
    rows = w.book.lake.load(w.log("nodes.assigned")[-1].fact.body["nodes"])
    spans = zip(rows["first"], rows["end"], rows["claim"], strict=True)
    held = {n for first, end, claim in spans if claim for n in range(first, end)}
    (stand_in,) = held - set(range(50))
    read = scraped("n000", NODES["p"][stand_in], start=BEGIN, end=BEGIN + HOUR_S)
    found = taken(w, read, BEGIN, BEGIN + HOUR_S)
    assert (dict(found.wh), found.operator_wh) == ({"deal": 600}, 600)


def test_windows_go_on_from_each_other_and_the_book_verifies(w: World) -> None:
    first = scraped("n000", start=BEGIN, end=BEGIN + 1_800)
    taken(w, first, BEGIN, BEGIN + HOUR_S)
    state = w.book.state.body("power", SOURCE)
    assert state is not None
    assert [one["node"] for one in state["silent"]] == ["n000"]
    assert state["instances"] == {"n000": ["n000:9400"]}
    counter = tuple((t * 1000, 600_000 * (t - BEGIN + 240)) for t in range(BEGIN + 5_400, BEGIN + 8_000, 60))
    back = WindowOfGpus(gpus={Gpu("n000", "g-n000"): Scraped(counter=counter)})
    found = taken(w, back, BEGIN + HOUR_S, BEGIN + 2 * HOUR_S)
    assert sum(body["wh"].get("deal", 0) for body in bodies(w)) == 1_200
    assert "caught_up" in {one.code for one in found.findings}
    assert w.book.state.body("power", SOURCE)["silent"] == []  # type: ignore[index]
    before = dict(w.book.state.of("power"))
    w.book.verify()
    w.book.rebuild()
    assert {id_: item.body for id_, item in w.book.state.of("power").items()} == {
        id_: item.body for id_, item in before.items()
    }


def test_a_window_that_was_taken_in_otherwise_is_refused_and_nothing_is_recorded(w: World) -> None:
    end = BEGIN + HOUR_S
    ingest(w.book, table(reading("x", BEGIN, kind="power", subject="deal")), batch=f"{SOURCE}/{end}", now=end)
    head = w.book.state.head
    read = scraped("n000", start=BEGIN, end=end)
    found = take_in_power(w.book, read, Interval(BEGIN, end), table=TABLE, nodes=NODES, now=end + 1_200)
    assert isinstance(found, Refused)
    assert (found.code, w.book.state.head) == ("conflict", head)


def test_a_fault_is_an_outage_of_the_pool_with_its_evidence(w: World) -> None:
    xid = tuple((t * 1000, 79 if t >= BEGIN + 600 else 0) for t in range(BEGIN, BEGIN + HOUR_S, 60))
    signs = {Gpu("n000", "g-n000"): Signs(xid=xid, counter=steady(600, BEGIN, BEGIN + HOUR_S))}
    read = scraped("n000", start=BEGIN, end=BEGIN + HOUR_S, signs=signs)
    found = taken(w, read, BEGIN, BEGIN + HOUR_S)
    assert found.outages == 1
    (outage,) = (item.fact.body for item in w.log("outage.reported"))
    assert (outage["pool"], outage["start"], outage["end"], outage["gpus"]) == (
        "p", BEGIN + 600, BEGIN + HOUR_S, 1,
    )  # fmt: skip
    assert "XID 79" in bodies(w)[0]["outages"][0]["evidence"]
    second = taken(
        w, scraped("n000", start=BEGIN, end=BEGIN + 2 * HOUR_S), BEGIN + HOUR_S, BEGIN + 2 * HOUR_S
    )
    assert second.outages == 1, "it goes on until it is seen well"


def test_what_slurm_had_down_is_not_an_outage_twice(w: World) -> None:
    start, end = BEGIN + 600, BEGIN + 2_400
    record_outage(w.book, Outage(id=f"slurm/n000/{start}", pool="p", start=start, end=end, gpus=8), end)
    up = tuple((t * 1000, int(not start <= t < end + 600)) for t in range(BEGIN - 1_200, BEGIN + 4_800, 60))
    read = scraped("n000", start=BEGIN, end=BEGIN + HOUR_S, targets={"n000:9400": up})
    taken(w, read, BEGIN, BEGIN + HOUR_S)
    assert [(one["start"], one["end"], one["gpus"]) for one in bodies(w)[0]["outages"]] == [
        (end, end + 540, 8)
    ]


def test_a_node_that_was_never_scraped_is_known_by_its_targets_name(w: World) -> None:
    up = tuple((t * 1000, 0) for t in range(BEGIN - 1_200, BEGIN + 4_800, 60))
    found = taken(w, WindowOfGpus(targets={"n007.dc.example:9400": up, "other": up}), BEGIN, BEGIN + HOUR_S)
    assert found.outages == 1
    assert bodies(w)[0]["outages"][0]["node"] == "n007"


def test_an_outage_that_reaches_into_a_settled_month_is_named_as_rejected(w: World) -> None:
    ingest(w.book, table(), batch="close", now=at(3, 1), through={"s": at(3, 1)})
    tick(w.book, at(3, 1))
    up = tuple((t * 1000, 0) for t in range(BEGIN - 1_200, BEGIN + 4_800, 60))
    found = taken(w, WindowOfGpus(targets={"n000:9400": up}), BEGIN, BEGIN + HOUR_S, now=at(3, 1))
    assert [one.sentence for one in found.findings if one.code == "rejected"] == [
        "readings weren't accepted: 1 settled"
    ]
    assert w.log("outage.reported") == []


def test_an_hour_is_cut_where_a_month_ends_in_the_time_zone_of_an_agreement(tmp_path: Path) -> None:
    text = text_of(PASS_THROUGH).replace("America/Chicago", "Asia/Kolkata")
    w = opened(tmp_path, deal=text)
    border = at(3, 1, 12) + 1_800  # 18:30 UTC on 28 February
    border -= 86_400
    start = border - 1_800
    taken(w, scraped("n000", start=start, end=start + HOUR_S), start, start + HOUR_S)
    parts = [part for item in w.log("usage.ingested") for part in item.fact.body["parts"]]
    engine, readings = w.book.usage.tables([_part(part) for part in parts])
    rows = engine.to_pyarrow(readings).to_pylist()
    assert sorted((row["start"] - border, row["end"] - border, row["value"]) for row in rows) == [
        (-1_800, 0, 300), (0, 1_800, 300),
    ]  # fmt: skip
    w.book.close()


def _part(plain: Mapping[str, Any]) -> Any:
    from offtake.store.usage import part_of

    return part_of(plain)
