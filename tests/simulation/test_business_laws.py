"""Whole runs of random fleets and agreements keep what a business must keep.

What is checked is computed here a second time, from the facts and the lake, by other means than the code
under test: plans are replayed from the log, and GPU-seconds are summed segment by segment.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from offtake.fleet.capacity import pool_capacities
from offtake.fleet.model import Delivery, Outage
from offtake.formats.folder import Folder, load_folder
from offtake.formats.plain import from_plain
from offtake.ledger.model import trial_balance
from offtake.sim.run import Simulation
from offtake.sim.world import curve_workload
from offtake.store.fact import Recorded
from offtake.workflows.book import Book
from offtake.workflows.state import balances
from tests.simulation.folders import FILES, write_folder
from tests.store.books import log_of

Ints = NDArray[np.int64]

HEADER = """
[agreement]
id = "{id}"
operator = "Smallfleet"
offtaker = "{id}"
signed = 2026-06-01
currency = "{currency}"
time_zone = "{zone}"
rounding = "{rounding}"

[[tranche]]
id = "main"
pools = {pools}
quantity = {gpus}
start = 2026-{month:02d}-{day:02d}
through = 2026-12-31
firmness = "{firmness}"

[payment]
timing = "{timing}"
net_days = {net_days}

[termination]
notice_days = {notice}

[recall]
tranches = ["main"]
notice_days = 7
"""

august = st.integers(1, 30).map(lambda day: f"2026-08-{day:02d}")
pool_ids = st.lists(st.sampled_from(["n8", "n72", "e72"]), min_size=1, max_size=3, unique=True)


@st.composite
def agreement_texts(draw: st.DrawFn, id_: str) -> str:
    month = draw(st.integers(7, 8))
    text = HEADER.format(
        id=id_,
        currency=draw(st.sampled_from(["USD", "EUR", "JPY"])),
        zone=draw(st.sampled_from(["America/Chicago", "UTC", "Asia/Kolkata"])),
        rounding=draw(st.sampled_from(["half_even", "half_up"])),
        pools=draw(pool_ids),
        gpus=draw(st.integers(1, 2_500)),
        month=month,
        day=draw(st.integers(1, 28)),
        firmness=draw(st.sampled_from(["firm", "recallable", "interruptible"])),
        timing=draw(st.sampled_from(["advance", "arrears"])),
        net_days=draw(st.integers(0, 40)),
        notice=draw(st.integers(0, 60)),
    )
    clauses = []
    if draw(st.booleans()):
        clauses.append(
            f"[monthly_fee]\namount = {draw(st.integers(0, 10**8))}\n"
            f'first = "2026-{month:02d}"\nlast = "2026-12"\n'
        )
    if not clauses or draw(st.booleans()):
        clauses.append(f"[usage_fee]\nrate_per_gpu_h = {draw(st.decimals('0', '9', places=3))}\n")
    if draw(st.booleans()):
        clauses.append(f"[take_or_pay]\nshare = {draw(st.decimals('0', '1', places=2))}\n")
    if draw(st.booleans()):
        clauses.append(
            "[availability_credit]\nband = [{ below = 1, credit = 0.1 }, { below = 0.9, credit = 0.5 }]\n"
        )
    return text + "".join(clauses)


@st.composite
def folders(draw: st.DrawFn) -> dict[str, str | None]:
    """The small business with other agreements, another fleet, other events; July through September."""
    ids = draw(st.sampled_from([("aa",), ("aa", "bb"), ("aa", "bb", "cc")]))
    files: dict[str, str | None] = {name: None for name in FILES if name.startswith("agreements/")}
    files |= {f"agreements/{id_}.toml": draw(agreement_texts(id_)) for id_ in ids}
    fleet = FILES["fleet.toml"].replace("nodes = 400", f"nodes = {draw(st.integers(1, 400))}")
    fleet = fleet.replace("critical_it_mw = 12", f"critical_it_mw = {draw(st.integers(1, 12))}")
    files["fleet.toml"] = fleet
    files["offtake.toml"] = FILES["offtake.toml"].replace('last = "2026-12"', 'last = "2026-09"')
    demand = FILES["demand/internal.toml"]
    files["demand/internal.toml"] = demand[: demand.index("[[take]]")] + draw(
        st.sampled_from(["", '[[take]]\nclaim = "aa/main"\nshare = { seed = 3, first = 0.4, last = 0.9 }\n'])
    )
    files["scenario.toml"] = draw(scenarios(ids))
    return files


@st.composite
def scenarios(draw: st.DrawFn, ids: tuple[str, ...]) -> str:
    text = ""
    for n in range(draw(st.integers(0, 2))):
        day, length = draw(st.integers(1, 80)), draw(st.integers(1, 9))
        start = np.datetime64("2026-07-01T03:00:00") + np.timedelta64(day * 24 + n, "h")
        end = start + np.timedelta64(length * 24, "h")
        text += (
            f'[[outage]]\nid = "o{n}"\npool = "{draw(st.sampled_from(["n8", "n72", "e72"]))}"\n'
            f'start = "{start}Z"\nend = "{end}Z"\ngpus = {draw(st.integers(1, 3_000))}\n'
        )
    if draw(st.booleans()):
        text += (
            '[[delivery]]\nid = "late"\npool = "n72"\nbuild_out = "second"\nknown_on = 2026-07-15\n'
            f"[[delivery.step]]\non = {draw(august)}\nnodes = {draw(st.integers(1, 20))}\n"
        )
    if draw(st.booleans()):
        text += f'[[notice]]\nid = "n"\nagreement = "{ids[-1]}"\nby = "operator"\ngiven = {draw(august)}\n'
    if draw(st.booleans()):
        text += '[[recall]]\nid = "r"\nagreement = "aa"\ntranche = "main"\ngpus = 1\n'
        text += f"given = {draw(august)}\n"
    return text


@dataclass(frozen=True)
class Held:
    """The rows of one plan."""

    start: int
    end: int
    rows: Mapping[str, Any]


def plan_of(book: Book, recorded: Recorded) -> Held:
    body = recorded.fact.body
    return Held(int(body["start"]), int(body["end"]), book.lake.load(body["held"]))


def gpus_at(times: Ints, start: Ints, end: Ints, gpus: Ints) -> Ints:
    """GPUs on each segment that begins at a time, rectangle by rectangle."""
    result = np.zeros(len(times), dtype=np.int64)
    for a, b, g in zip(start.tolist(), end.tolist(), gpus.tolist(), strict=True):
        result[(times >= a) & (times < b)] += g
    return result


def check_plans_fit(book: Book, folder: Folder, log: list[Recorded]) -> None:
    """No plan gives more of a pool than was known to be available, in whole nodes, at any breakpoint."""
    outages: dict[str, Outage] = {}
    late: dict[str, Delivery] = {}
    for recorded in log:
        fact = recorded.fact
        if fact.kind == "outage.reported":
            outages[fact.id] = from_plain(Outage, fact.body)
        elif fact.kind == "delivery.reported":
            late[fact.id] = from_plain(Delivery, fact.body)
        elif fact.kind == "allocation.planned":
            held = plan_of(book, recorded)
            pools = np.asarray(held.rows["pool"], dtype=object)
            for capacity in pool_capacities(
                folder.fleet, outages=list(outages.values()), deliveries=list(late.values())
            ):
                mine = pools == capacity.pool.id
                start, end, gpus = (held.rows[name][mine] for name in ("start", "end", "gpus"))
                times = np.unique(np.concatenate([start, end, capacity.available.times, [held.start]]))
                times = times[(times >= held.start) & (times < held.end)]
                over = gpus_at(times, start, end, gpus) - capacity.available.at(times)
                assert over.max(initial=0) <= 0, f"{capacity.pool.id} is oversold by {over.max()}"
                assert (gpus % capacity.pool.gpus_per_node == 0).all()


def ran_in(window: tuple[int, int], plans: list[Held], claim: str, times: Ints, wanted: Ints) -> int:
    """GPU-seconds of work that its holder held, over a window: the last plan made rules."""
    holding = np.zeros(len(times), dtype=np.int64)
    for plan in plans:
        mine = np.asarray(plan.rows["claim"], dtype=object) == claim
        rows = (plan.rows[name][mine] for name in ("start", "end", "gpus"))
        ruled = (times >= plan.start) & (times < plan.end)
        holding = np.where(ruled, gpus_at(times, *rows), holding)
    return int((np.minimum(holding, wanted) * np.diff(np.append(times, window[1]))).sum())


def check_metered_is_what_ran(book: Book, folder: Folder, log: list[Recorded]) -> None:
    workload = curve_workload(folder)
    plans: list[Held] = []
    windows = 0
    for recorded in log:
        if recorded.fact.kind == "allocation.planned":
            plans.append(plan_of(book, recorded))
        elif recorded.fact.kind == "readings.received":
            windows += 1
            body = recorded.fact.body
            window = (int(body["start"]), int(body["end"]))
            rows: Mapping[str, Any] = book.lake.load(body["rows"])
            expected = 0
            for claim, curve in workload.wanted.items():
                borders: list[Any] = [curve.times, [window[0]]]
                borders += [plan.rows[name] for plan in plans for name in ("start", "end")]
                borders += [[plan.start, plan.end] for plan in plans]
                times = np.unique(np.concatenate(borders))
                times = times[(times >= window[0]) & (times < window[1])]
                ran = ran_in(window, plans, claim, times, curve.at(times))
                mine = np.asarray(rows["claim"], dtype=object) == claim
                metered = int(((rows["end"] - rows["start"]) * rows["gpus"])[mine].sum())
                assert metered == ran, claim
                expected += ran
            assert int(body["gpu_seconds"]) == expected
    assert windows >= 3


def check_documents(book: Book) -> None:
    billed: dict[str, int] = {}
    for number, doc in book.items("document").items():
        assert sum(line["amount"]["minor"] for line in doc["lines"]) == doc["total"]["minor"], number
        assert doc["lines"], f"{number} has no line"
        billed[doc["agreement"]] = billed.get(doc["agreement"], 0) + doc["total"]["minor"]
    ledger = balances(book.state)
    assert book.rebuild() == book.state.head[0]
    assert balances(book.state) == ledger
    for agreement, amount in billed.items():
        paid = sum(
            int(r.fact.body["amount"]["minor"])
            for r in book.database.facts_of(["payment.received"])
            if r.fact.body["agreement"] == agreement
        )
        receivable = sum(m for (a, _), m in ledger.items() if a == f"assets.receivable.{agreement}")
        over = sum(m for (a, _), m in ledger.items() if a == f"liabilities.unapplied.{agreement}")
        assert amount == paid + receivable + over


@given(folders())
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_of_any_business_keeps_the_laws(files: dict[str, str | None]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        folder = load_folder(write_folder(Path(directory) / "folder", files))
        book = Book(Path(directory) / "book", create=True)
        unbalanced: list[dict[str, int]] = []

        def balance(_: int) -> None:
            found = trial_balance(balances(book.state))
            if any(found.values()):
                unbalanced.append(found)

        Simulation(book, folder).run(on_step=balance)
        log = log_of(book)
        assert unbalanced == []
        assert book.database.verify() == len(log) == book.state.head[0]
        check_plans_fit(book, folder, log)
        check_metered_is_what_ran(book, folder, log)
        check_documents(book)
        book.close()
