"""Readings into the lake and onto invoices: each once, whatever happens; late ones by a true-up."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtake.base.errors import BookCorrupt, BookFull
from offtake.base.months import Month
from offtake.base.outcome import Refused
from offtake.formats.folder import load_folder
from offtake.metering.usage import COLUMNS, UsageRules, Verdict
from offtake.workflows.apply import apply_folder
from offtake.workflows.book import Book
from offtake.workflows.settle import draft_of
from offtake.workflows.tick import tick
from offtake.workflows.unbilled import Why, unbilled
from offtake.workflows.usage import Ingested, ingest
from tests.agreements.texts import TRANCHE
from tests.workflows.worlds import CREDIT, World, at, text_of, write_world

FEE = '[monthly_fee]\namount = 1_000_000\nfirst = "2026-02"\nlast = "2026-04"\n'
USE = "[usage_fee]\nrate_per_gpu_h = 2\n"
HOUR = 3_600


def live(path: Path, *sections: str, tranche: str = TRANCHE) -> World:
    """A live book of one agreement, opened on 1 February; nothing is simulated."""
    folder = load_folder(write_world(path / "folder", {"deal": text_of(*sections, tranche=tranche)}))
    book = Book(path / "book", create=True)
    apply_folder(book, folder, at(2, 1))
    return World(book, folder, None)  # type: ignore[arg-type]


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    """A live book that bills use."""
    found = live(tmp_path, USE)
    yield found
    found.book.close()


def reading(id_: str, start: int, seconds: int = HOUR, gpus: int = 8, **more: Any) -> dict[str, Any]:
    return {
        "kind": "allocation", "source": "s", "id": id_, "subject": "deal/main", "pool": "p",
        "start": start, "end": start + seconds, "value": gpus, **more,
    }  # fmt: skip


def table(*readings: Mapping[str, Any]) -> pa.Table:
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in COLUMNS])
    return pa.Table.from_pylist(list(readings), schema=schema)


def taken_in(
    w: World, batch: str, *readings: Mapping[str, Any], now: int | None = None, **more: Any
) -> Ingested:
    outcome = ingest(w.book, table(*readings), batch=batch, now=at(3, 1) if now is None else now, **more)
    assert isinstance(outcome, Ingested), outcome
    return outcome


def counts(found: Ingested) -> dict[str, int]:
    return {str(verdict): count for verdict, count in found.counts.items() if count}


def close_february(w: World) -> None:
    taken_in(w, "close", through={"s": at(3, 1)})
    tick(w.book, at(3, 1))


def test_every_reading_gets_a_verdict(w: World) -> None:
    first = taken_in(w, "one", reading("a", at(2, 5)), reading("b", at(2, 6)))
    assert counts(first) == {"accepted": 2}
    second = taken_in(
        w,
        "two",
        reading("a", at(2, 5)),  # the very same
        reading("b", at(2, 6), gpus=16),  # another value under a known name
        reading("c", at(2, 7)),
        reading("c", at(2, 7)),  # twice in a batch
        reading("c", at(2, 7), gpus=9),
        reading("a", at(2, 5), source="t"),  # another source's a
        reading("d", at(2, 8), seconds=0),
        reading("e", at(2, 8), gpus=0),
        reading("f", at(3, 2)),
        reading("g", at(1, 10)),
        reading("", at(2, 8)),
        reading("h", at(2, 8), kind="steam"),
    )
    assert counts(second) == {"accepted": 2, "duplicate": 2, "conflict": 2, "rejected": 6}
    assert dict(second.reasons) == {
        "end_before_start": 1, "no_quantity": 1, "future": 1, "too_old": 1, "no_id": 1, "unknown_kind": 1,
    }  # fmt: skip
    assert second.verdicts is not None
    said = {row["row"]: (row["verdict"], row["reason"]) for row in second.verdicts.to_pylist()}
    assert said[0] == ("duplicate", None)
    assert said[1] == ("conflict", None)
    assert said[8] == ("rejected", "future")
    assert 2 not in said


def test_the_first_of_two_that_conflict_counts_and_nothing_is_billed_twice(w: World) -> None:
    taken_in(w, "one", reading("a", at(2, 5), gpus=8))
    taken_in(w, "two", reading("a", at(2, 5), gpus=800), reading("a", at(2, 9), gpus=8))
    close_february(w)
    assert w.lines(Month(2026, 2)) == [("usage_fee", 1_600)]


def test_a_batch_said_again_changes_nothing_and_one_that_differs_is_refused(w: World) -> None:
    taken_in(w, "one", reading("a", at(2, 5)))
    head = w.book.state.head
    assert taken_in(w, "one", reading("a", at(2, 5))).again
    assert w.book.state.head == head
    other = ingest(w.book, table(reading("z", at(2, 5))), batch="one", now=at(3, 1))
    assert isinstance(other, Refused)
    assert other.code == "conflict"


def test_a_source_can_t_take_back_how_far_it_is(w: World) -> None:
    taken_in(w, "one", through={"s": at(2, 20)})
    back = ingest(w.book, table(), batch="two", now=at(3, 1), through={"s": at(2, 10)})
    assert isinstance(back, Refused)
    assert back.code == "went_back"


def test_a_month_settles_once_its_sources_have_sent_everything(w: World) -> None:
    taken_in(w, "one", reading("a", at(2, 5), gpus=100), through={"s": at(2, 28)})
    tick(w.book, at(3, 1))
    assert w.invoices() == []
    # it lies across the border of the month: the part of each is charged in its own
    taken_in(w, "two", reading("b", at(3, 1) - HOUR, seconds=2 * HOUR, gpus=10), now=at(3, 1, 1))
    taken_in(w, "three", through={"s": at(3, 1)}, now=at(3, 1, 1))
    tick(w.book, at(3, 1, 1))
    assert w.invoices() == [("2026-02", "invoice", 22_000)]


def test_a_late_reading_of_a_settled_month_is_trued_up_on_a_document_of_its_own(w: World) -> None:
    taken_in(w, "one", reading("a", at(2, 5), gpus=100))
    close_february(w)
    late = taken_in(w, "late", reading("b", at(2, 6), gpus=50), now=at(3, 2))
    assert counts(late) == {"late": 1}
    tick(w.book, at(3, 2))
    assert w.invoices() == [("2026-02", "invoice", 20_000), ("2026-02", "invoice", 10_000)]
    (_, second) = sorted(w.book.items("document").items())[1]
    assert second["corrects"] == ["INV-000001"]
    head = w.book.state.head
    tick(w.book, at(3, 2))
    assert w.book.state.head == head


def test_g46_the_time_of_a_reading_is_rounded_up_where_the_agreement_says_so(tmp_path: Path) -> None:
    """Eight minutes at 5.5 an hour, rounded up to fifteen: 1.375 for each of eight GPUs (FPT)."""
    w = live(tmp_path, "[usage_fee]\nrate_per_gpu_h = 5.5\n\n[metering]\nincrement_minutes = 15\n")
    # a second reading begins in February and ends in March: it is February's, as a whole
    taken_in(
        w,
        "one",
        reading("a", at(2, 5), seconds=480),
        reading("b", at(3, 1) - 60, seconds=16 * 60),
        now=at(3, 1, 1),
    )
    taken_in(w, "close", through={"s": at(3, 1)}, now=at(3, 1, 1))
    tick(w.book, at(3, 1, 1))
    assert w.lines(Month(2026, 2)) == [("usage_fee", 1_100 + 2_200)]
    w.book.close()


def test_days_for_review_take_late_readings_onto_the_invoice(tmp_path: Path) -> None:
    w = live(tmp_path, USE, "[payment]\nreview_days = 5\n")
    taken_in(w, "one", reading("a", at(2, 5), gpus=100), through={"s": at(3, 1)})
    tick(w.book, at(3, 5))
    assert w.invoices() == []
    draft = draft_of(w.book, "deal", Month(2026, 2), at(3, 5))
    assert not isinstance(draft, Refused)
    assert (draft.number, draft.total.minor) == ("DRAFT", 20_000)
    taken_in(w, "late", reading("b", at(2, 6), gpus=50), now=at(3, 5))
    head = w.book.state.head
    grown = draft_of(w.book, "deal", Month(2026, 2), at(3, 5))
    assert not isinstance(grown, Refused)
    assert (grown.total.minor, w.book.state.head) == (30_000, head)
    tick(w.book, at(3, 6))
    assert w.invoices() == [("2026-02", "invoice", 30_000)]
    for month, code in (
        (Month(2026, 2), "settled_already"),
        (Month(2030, 1), "outside_term"),
        (Month(2026, 9), "not_begun"),
    ):
        refused = draft_of(w.book, "deal", month, at(3, 6))
        assert isinstance(refused, Refused)
        assert refused.code == code
    w.book.close()


def test_energy_is_passed_through_from_power_readings(tmp_path: Path) -> None:
    w = live(tmp_path, "[power_pass_through]\ntariff_per_kwh = 0.1\npue = 1.5\n")
    power = reading("p1", at(2, 5), kind="power", subject="deal", gpus=2_000_000)
    taken_in(w, "one", power)
    close_february(w)
    assert w.lines(Month(2026, 2)) == [("power_pass_through", 30_000)]
    w.book.close()


def test_clauses_that_ask_when_get_the_curve(tmp_path: Path) -> None:
    w = live(
        tmp_path,
        '[[metered_fee]]\nof = "peak_gpus"\ntier = [{ rate = 1 }]\n',
        "[burst]\nrate_per_gpu_h = 3\n",
    )
    # 900 and 400 GPUs overlap for an hour: 300 beyond the entitlement of 1,000
    taken_in(
        w,
        "one",
        reading("a", at(2, 5), seconds=3 * HOUR, gpus=900),
        reading("b", at(2, 5, 2), seconds=2 * HOUR, gpus=400),
    )
    close_february(w)
    assert dict(w.lines(Month(2026, 2))) == {"metered_fee[0]": 130_000, "burst": 90_000}
    w.book.close()


def test_what_isn_t_charged_for_is_listed_with_its_reason(w: World) -> None:
    taken_in(
        w,
        "one",
        reading("a", at(2, 5)),
        reading("b", at(2, 6), subject="deal/none"),
        reading("c", at(2, 6), subject="x/y"),
    )
    assert {(one.subject, one.why) for one in unbilled(w.book)} == {
        ("deal/main", Why.OPEN),
        ("deal/none", Why.UNKNOWN_CLAIM),
        ("x/y", Why.UNKNOWN_CLAIM),
    }
    close_february(w)
    (left, other) = unbilled(w.book)
    assert {left.subject, other.subject} == {"deal/none", "x/y"}
    assert (left.gpu_seconds, left.readings) == (8 * HOUR, 1)


def test_take_that_a_flat_fee_covers_says_so(tmp_path: Path) -> None:
    w = live(tmp_path, '[monthly_fee]\namount = 10\nfirst = "2026-02"\nlast = "2027-01"\n')
    taken_in(w, "one", reading("a", at(2, 5)))
    close_february(w)
    (one,) = unbilled(w.book)
    assert (one.month, one.why) == (Month(2026, 2), Why.FLAT)
    w.book.close()


def test_a_changed_file_is_named_and_nothing_is_settled(w: World) -> None:
    taken_in(w, "one", reading("a", at(2, 5)))
    (part,) = w.book.usage.path.rglob("*.parquet")
    part.write_bytes(part.read_bytes()[:-8] + b"garbage!")
    with pytest.raises(BookCorrupt, match="isn't the file that was recorded"):
        close_february(w)
    assert w.invoices() == []
    with pytest.raises(BookCorrupt, match=part.name):
        w.book.verify()


def test_a_full_disk_takes_nothing_in(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    head = w.book.state.head
    with monkeypatch.context() as patched:
        patched.setattr("offtake.store.usage.pq.write_table", full)
        with pytest.raises(BookFull, match="send the batch again"):
            taken_in(w, "one", reading("a", at(2, 5)))
    assert w.book.state.head == head
    assert not list(w.book.usage.path.rglob("*.part"))
    assert counts(taken_in(w, "one", reading("a", at(2, 5)))) == {"accepted": 1}


def test_files_that_no_fact_names_are_harmless(w: World) -> None:
    """As a process that is killed after writing its parts leaves them."""
    w.book.usage.write("orphan", w.book.usage.keyed(table(reading("a", at(2, 5)))))
    assert counts(taken_in(w, "one", reading("a", at(2, 5)))) == {"accepted": 1}
    close_february(w)
    assert w.lines(Month(2026, 2)) == [("usage_fee", 1_600)]


def _deliver(directory: str, rows: list[dict[str, Any]], batch: str, answers: Any) -> None:
    book = Book(Path(directory))
    outcome = ingest(book, table(*rows), batch=batch, now=at(3, 1))
    answers.put(counts(outcome) if isinstance(outcome, Ingested) else outcome.code)
    book.close()


@pytest.mark.parametrize("names", [("same", "same"), ("one", "other")])
def test_two_processes_delivering_the_same_at_once_bill_it_once(w: World, names: tuple[str, str]) -> None:
    rows = [reading(f"r{i}", at(2, 5) + i * 60, seconds=60) for i in range(2_000)]
    answers: Any = multiprocessing.get_context("spawn").Queue()
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=_deliver, args=(str(w.book.directory), rows, name, answers)) for name in names
    ]
    for process in both:
        process.start()
    said = sorted(str(answers.get(timeout=60)) for _ in both)
    for process in both:
        process.join(60)
    assert said == ["{'accepted': 2000}", "{'duplicate': 2000}"]
    w.book._load()
    close_february(w)
    assert w.lines(Month(2026, 2)) == [("usage_fee", 2_000 * 8 * 60 * 200 // 3_600)]


batches = st.lists(
    st.lists(
        st.builds(
            lambda i, v: reading(f"r{i}", at(2, 3) + i * 1_000, seconds=1_000, gpus=v),
            st.integers(0, 9),
            st.integers(1, 2),
        ),
        max_size=6,
    ),
    max_size=4,
)


@settings(max_examples=15, deadline=None)
@given(batches, st.randoms(use_true_random=False))
def test_every_name_counts_once_with_its_first_value(
    tmp_path_factory: pytest.TempPathFactory, sent: list[list[dict[str, Any]]], random: Any
) -> None:
    w = live(tmp_path_factory.mktemp("law"), USE)
    first: dict[str, int] = {}
    for i, rows in enumerate(sent):
        random.shuffle(rows)
        found = taken_in(w, f"b{i}", *rows)
        fresh = 0
        for row in rows:
            fresh += row["id"] not in first
            first.setdefault(row["id"], row["value"])
        assert found.counts[Verdict.ACCEPTED] == fresh
        assert sum(found.counts.values()) == len(rows)
    close_february(w)
    settled = w.book.items("settled")["deal/2026-02"]
    assert settled["taken"] == sum(first.values()) * 1_000
    w.book.close()


def test_parts_are_let_go_once_they_can_t_come_again(tmp_path: Path) -> None:
    w = live(tmp_path, USE)
    taken_in(w, "one", reading("a", at(2, 5)))
    close_february(w)
    assert len(w.book.state.of("usage_part")) == 1
    taken_in(w, "far", through={"s": at(8, 1)}, now=at(8, 1))
    tick(w.book, at(8, 1))
    assert len(w.book.state.of("usage_part")) == 0
    assert len(w.book.kept("old_usage_part")) == 1
    assert w.book.verify()[1] >= 1
    rules = UsageRules()
    assert 2 * rules.late_window_s <= 70 * 86_400
    w.book.close()


def test_readings_of_health_are_outages_and_earn_a_credit(tmp_path: Path) -> None:
    w = live(tmp_path, FEE, CREDIT)
    out: dict[str, Any] = {"kind": "health", "subject": "node-1", "seconds": 4 * 24 * HOUR, "gpus": 500}
    found = taken_in(
        w, "health", reading("a", at(2, 10), **out), reading("b", at(2, 10), **{**out, "pool": "nowhere"})
    )
    assert counts(found) == {"accepted": 1, "rejected": 1}
    assert dict(found.reasons) == {"unknown_pool": 1}
    assert [item.fact.id for item in w.book.database.facts_of(["outage.reported"])] == ["s/a"]
    close_february(w)
    assert {clause for clause, _ in w.lines(Month(2026, 2))} == {"monthly_fee", "availability_credit"}
    late = taken_in(w, "late", reading("c", at(2, 20), **out), now=at(3, 2))
    assert dict(late.reasons) == {"settled": 1}
    assert list(unbilled(w.book)) == []
    w.book.close()
