"""Power and health from a real Prometheus: scraped of an exporter, or of the past, up to an invoice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from offtake.adapters.prometheus import POINTS_MAX, Prometheus
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S
from offtake.formats.cluster_file import PrometheusTable
from offtake.formats.folder import load_folder
from offtake.metering.dcgm import ENERGY, POWER
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.place import Placed, place
from offtake.workflows.read_power import PowerMetered, power_turn
from offtake.workflows.tick import tick
from tests.agreements.texts import TRANCHE
from tests.live.prometheus_lab import Exporter, PrometheusServer, missing_packages, openmetrics
from tests.workflows.worlds import World, at, text_of, write_world

pytestmark = pytest.mark.slow

NODES = {"p": tuple(f"n{i:03}" for i in range(1, 126))}
PASS_THROUGH = "[power_pass_through]\ntariff_per_kwh = 0.1\npue = 1.5\n"
WH_MJ = 3_600_000


@pytest.fixture(autouse=True)
def packages() -> None:
    missing = missing_packages()
    if missing:
        pytest.skip(f"no Prometheus to test with; install the packages {' '.join(missing)}")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def opened(folder: Path, now: int, tranche: str = TRANCHE) -> World:
    """A live book whose one claim holds every node."""
    loaded = load_folder(write_world(folder / "folder", {"deal": text_of(PASS_THROUGH, tranche=tranche)}))
    book = Book(folder / "book", create=True)
    apply_folder(book, loaded, now)
    tick(book, now)
    assert isinstance(place(book, now), Placed)
    return World(book, loaded, None)  # type: ignore[arg-type]


def turned(book: Book, server: Prometheus, table: PrometheusTable, now: int) -> PowerMetered:
    found = power_turn(book, server, table, NODES, now)
    assert isinstance(found, PowerMetered), found
    return found


@dataclass
class Lab:
    """Two nodes and a Prometheus that scrapes them."""

    prometheus: PrometheusServer
    first: Exporter
    second: Exporter

    def shown(self, metric: str, uuid: str, value: float) -> int:
        """Wait until a GPU has shown a value for three seconds; when that is known at the latest."""
        shown = f'{metric}{{UUID="{uuid}"}}[3s]'
        self.prometheus.wait_for_value(f"min(count_over_time({shown})) > bool 4", 1)
        self.prometheus.wait_for_value(f"max(max_over_time({shown}))", value)
        self.prometheus.wait_for_value(f"min(min_over_time({shown}))", value)
        return int(time.time()) + 1


def begun(tmp_path: Path, stack: ExitStack) -> Lab:
    """A lab that has been scraped; one node shows parts of a GPU, the other no counters."""
    first, second = (stack.enter_context(Exporter(name)) for name in ("n001", "n002"))
    for gpu in second.gpus:
        gpu.counter, gpu.watts = None, 400.5
    first.gpus[1].shares = 3
    prometheus = PrometheusServer(tmp_path, {"n001": first, "n002": second})
    found = Lab(stack.enter_context(prometheus), first, second)
    found.shown(ENERGY, "GPU-n001-7", 0)
    found.shown(POWER, "GPU-n002-7", 400.5)
    return found


def test_what_exporters_show_is_billed_and_faults_are_outages(tmp_path: Path, stack: ExitStack) -> None:
    start = int(time.time())
    year = datetime.fromtimestamp(start, UTC).year
    dates = TRANCHE.replace("2026-02-01", f"{year - 1}-02-01").replace("2027-01-31", f"{year + 2}-01-31")
    w = opened(tmp_path, start, dates)
    lab = begun(tmp_path, stack)
    table = PrometheusTable(
        url=lab.prometheus.url, match='job="dcgm"', step_s=1, gap_s=10, lag_s=11, down_after_s=3,
        max_gpu_w=100_000,
    )  # fmt: skip
    for gpu in lab.first.gpus:
        gpu.counter = 10 * WH_MJ
    moved = lab.shown(ENERGY, "GPU-n001-7", 10 * WH_MJ)
    bad = lab.first.gpus[3]
    bad.xid = 79
    seen = lab.shown("DCGM_FI_DEV_XID_ERRORS", bad.uuid, 79)
    bad.xid = 45  # what follows hides it
    hidden = lab.shown("DCGM_FI_DEV_XID_ERRORS", bad.uuid, 45)
    bad.xid, bad.counter = 0, 1_000
    well = lab.shown(ENERGY, bad.uuid, 1_000)
    lab.second.broken = True
    down = f'max_over_time(up{{instance="{lab.second.target}"}}[8s])'
    lab.prometheus.wait_for_value(down, 0)
    lab.second.broken = False
    lab.prometheus.wait_for_value(f'up{{instance="{lab.second.target}"}}', 1)
    ended = int(time.time()) + 1

    later = (start // HOUR_S + 2) * HOUR_S + table.lag_s
    found = turned(w.book, lab.prometheus.client, table, later)
    facts = [item.fact.body for item in w.log("power.metered")]
    assert found.windows == len(facts) == 2
    mj = sum(body["mj"].get("deal/main", 0) - body["gauge_mj"] for body in facts)
    assert mj == 8 * 10 * WH_MJ + 1_000
    assert 0 < sum(body["gauge_mj"] for body in facts) <= 8 * 400_500 * (ended - start + 1)
    codes = {one.code for one in found.findings}
    assert {"by_gauge", "restart", "gap", "unseen"} <= codes
    assert not codes & {"implausible", "rejected", "changed_hands", "more_gpus", "cleared_without_restart"}

    outages = [one for body in facts for one in body["outages"]]
    one = [outage for outage in outages if outage["node"] == "n001"]
    assert {outage["gpus"] for outage in one} == {1}
    assert all("GPU-n001-3: XID 79 (GPU has fallen off the bus)" in outage["evidence"] for outage in one)
    assert moved - 1 <= min(o["start"] for o in one) <= seen
    assert hidden - 2 <= max(o["end"] for o in one) <= well
    whole = [outage for outage in outages if outage["node"] == "n002"]
    assert {outage["gpus"] for outage in whole} == {8}
    assert 3 <= sum(o["end"] - o["start"] for o in whole) <= ended - well + 1
    assert len(w.log("outage.reported")) == len(outages) == found.outages

    head = w.book.state.head
    assert power_turn(w.book, lab.prometheus.client, table, NODES, later) is None
    assert w.book.state.head == head
    w.book.close()


def test_power_of_a_month_is_on_its_invoice(tmp_path: Path, stack: ExitStack) -> None:
    """Eight GPUs of 700 W for the last four hours of a month, half an hour of them without scrapes."""
    begin, end = at(2, 28, 20), at(3, 1)
    samples = [
        (ENERGY, f'UUID="g{gpu}",gpu="{gpu}",Hostname="n001",job="dcgm"', t, 700_000 * (t - begin + HOUR_S))
        for gpu in range(8)
        for t in range(begin - 600, end + HOUR_S + 60, 60)
        if not begin + 5_400 <= t < begin + 7_200
    ]
    prometheus = PrometheusServer(tmp_path, {}).backfilled(openmetrics(samples))
    stack.enter_context(prometheus)
    table = PrometheusTable(url=prometheus.url)
    w = opened(tmp_path, begin)
    found = turned(w.book, prometheus.client, table, end + HOUR_S + table.lag_s)
    assert (found.windows, found.wh) == (5, {"deal": 5 * 5_600})
    gaps = [one for one in found.findings if one.code == "gap"]
    assert [(one.node, one.seconds) for one in gaps] == [("n001", 1_860)]
    tick(w.book, end + HOUR_S + table.lag_s)
    assert w.lines(Month(2026, 2)) == [("power_pass_through", 336)]  # 22.4 kWh × 1.5 × 0.1
    w.book.close()


def test_long_spans_are_asked_in_pieces_that_prometheus_takes(tmp_path: Path, stack: ExitStack) -> None:
    start = at(2, 1)
    samples = [("m", 'a="b"', t, t) for t in range(start, start + 30_000, 60)]
    prometheus = stack.enter_context(PrometheusServer(tmp_path, {}).backfilled(openmetrics(samples)))
    whole = prometheus.client.query_range("m", start, start + 29_000, 1)
    assert not isinstance(whole, Refused)
    assert [at for at, _ in whole[0].points] == list(range(start, start + 29_001))
    words = {"query": "m", "start": str(start), "end": str(start + POINTS_MAX + 1), "step": "1"}
    refused = prometheus.client._asked("query_range", words, "matrix")
    assert isinstance(refused, Refused)
    assert (refused.code, "11,000 points" in refused.sentence) == ("prometheus_refused", True)
    wrong = prometheus.client.query("max by (", start)
    assert isinstance(wrong, Refused)
    assert "bad_data" in wrong.sentence
