"""Every command: it succeeds, ``--json`` is one document, and people read the figure that matters."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from offtake.cli.main import app
from tests.cli.calls import offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock

# What `small` owes, from its texts: five full months of 1,000,000.01, four of them at 72 % after a short
# delivery that was accepted, half of the ramp month, four months of Birch with notice on 10 September.
ASTER_INVOICED = Decimal("500000.00") + Decimal("1000000.01") + 4 * Decimal("720000.01")

READING: list[tuple[tuple[str, ...], str, str]] = [
    (("status",), "n72 2,880 2,880 2,016", "pools"),
    (("shortfall",), "aster/main not_in_service 685,440.00 560", "shortfalls"),
    (
        ("invoice", "list"),
        "INV-000001 invoice birch 2026-07 2026-07-01 2026-07-16 310,000.00 USD",
        "documents",
    ),
    (("ledger", "balance"), "assets.receivable.aster USD 720,000.01", "accounts"),
    (("verify",), "verify; head", "head"),
]


def test_every_command_of_the_program_is_called_in_these_tests() -> None:
    named = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert named == {
        "apply", "approve", "forecast", "headroom", "horizon", "init", "live", "nodes", "place", "plan",
        "proposed", "rebuild", "record", "report", "run", "sellable", "shortfall", "status", "stress", "tell",
        "tick", "verify", "whatif",
    }  # fmt: skip
    groups = {
        "agreement", "cluster", "deals", "import", "invoice", "ledger", "node", "quote", "recall",
        "statement", "usage",
    }  # fmt: skip
    assert {group.name for group in app.registered_groups} == groups


@pytest.mark.parametrize(
    ("words", "figure", "key"), READING, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_a_command_that_reads_prints_one_document_or_a_table(
    small: Finished, words: tuple[str, ...], figure: str, key: str
) -> None:
    assert key in succeeded(*words, small.folder)
    for_people = offtake(*words, small.out)
    assert (for_people.code, for_people.err) == (0, "")
    assert figure in for_people.said


def test_init_writes_a_folder_that_runs_as_it_is(tmp_path: Path) -> None:
    assert "offtake run" in offtake("init", tmp_path / "one").said
    files = succeeded("init", tmp_path / "two")["files"]
    assert files == ["agreements/acme.toml", "demand/internal.toml", "fleet.toml", "offtake.toml"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert succeeded("agreement", "check", tmp_path / "one" / "agreements" / "acme.toml")["problems"] == []


def test_run_prints_the_totals_and_where_everything_is(small: Finished) -> None:
    again = offtake("run", small.folder, "--no-pdf")
    assert again.code == 0
    assert "cedar – – – ≈€4.216M – ≈€4.216M" in again.said
    for name in ("report.html", "invoices", "book.sqlite"):
        assert (small.out / name).exists()
    # the rest of a line after a long path may be on the next one
    assert f"Report {small.out / 'report.html'}" in again.said
    assert f"head {small.totals['head'][:16]}" in again.said


def test_totals_are_the_same_in_the_run_the_report_and_the_documents(small: Finished) -> None:
    report = succeeded("report", small.folder)
    assert report["agreements"] == small.totals["agreements"]
    assert Path(report["report"]).read_text(encoding="utf-8").startswith("<!")
    documents = succeeded("invoice", "list", small.folder)["documents"]
    invoiced: Counter[str] = Counter()
    for document in documents:
        invoiced[document["agreement"]] += int(Decimal(document["total"]) * 100)
    for line in small.totals["agreements"]:
        assert Decimal(invoiced[line["agreement"]]) / 100 == Decimal(line["invoiced"])
    assert Decimal(invoiced["aster"]) / 100 == ASTER_INVOICED


def test_the_ledger_agrees_with_the_documents_and_balances(small: Finished) -> None:
    ledger = succeeded("ledger", "balance", small.folder)
    assert ledger["trial_balance_minor"] == {"EUR": 0, "USD": 0}
    documents = succeeded("invoice", "list", small.folder)["documents"]
    for currency in ("EUR", "USD"):
        legs = {row["account"]: row["minor"] for row in ledger["accounts"] if row["currency"] == currency}
        asked = [document for document in documents if document["currency"] == currency]
        receivable = sum(minor for account, minor in legs.items() if account.startswith("assets.receivable."))
        assert receivable == sum(document["left_minor"] for document in asked)
        assert receivable + legs["assets.cash"] == sum(int(Decimal(d["total"]) * 100) for d in asked)


def test_each_document_can_be_shown_and_its_lines_are_its_total(small: Finished, tmp_path: Path) -> None:
    for listed in succeeded("invoice", "list", small.folder)["documents"]:
        shown = succeeded("invoice", "show", small.folder, listed["number"])
        assert shown["total"]["major"] == listed["total"]
        assert sum(line["amount"]["minor"] for line in shown["lines"]) == shown["total"]["minor"]
        stem = f"{listed['number']}-{listed['agreement']}-{listed['month']}"
        written = small.out / "invoices" / f"{stem}.json"
        assert json.loads(written.read_text(encoding="utf-8")) == shown
        assert written.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    pdf = tmp_path / "two.pdf"
    for_people = offtake("invoice", "show", small.folder, "INV-000002", "--pdf", pdf)
    assert for_people.code == 0
    assert "Total 693,193.70" in for_people.said
    assert "231,482.00 GPU-hours taken in 2026-07 at 2.357 EUR per GPU-hour" in for_people.said
    assert pdf.read_bytes().startswith(b"%PDF-")


def test_lists_can_be_narrowed_to_an_agreement(small: Finished) -> None:
    documents = succeeded("invoice", "list", small.folder, "--agreement", "cedar")["documents"]
    assert {document["agreement"] for document in documents} == {"cedar"}
    assert len(documents) == 6
    short = succeeded("shortfall", small.folder, "--agreement", "aster")["shortfalls"]
    assert {row["claim"] for row in short} == {"aster/main"}
    # 560 GPUs from 15 August to 5 October, both at local midnight: 51 days
    assert sum(row["gpu_seconds"] for row in short) == 560 * 51 * 86_400


def test_an_agreement_is_the_same_from_its_file_and_from_the_book(small: Finished) -> None:
    path = small.folder / "agreements" / "aster.toml"
    of_file, of_book = (
        succeeded("agreement", "show", path),
        succeeded("agreement", "show", "aster", "--book", small.folder),
    )
    assert of_file == of_book
    assert of_file["values"]["headline"] == {"amount": "11500000.11", "assumed": ["ramp.fee_share"]}
    assert sum(Decimal(fee["amount"]) for fee in of_file["fees"]) == Decimal("11500000.11")
    said = offtake("agreement", "show", path).said
    assert "2026-08 2027-06 11 ≈$1.000M" in said
    assert "Assumptions (*)" in said
    assert "ramp.fee_share" in said
    checked = offtake("agreement", "check", path, path)
    assert checked.code == 0
    assert checked.said.count("aster is sound") == 2


def test_plan_says_what_apply_would_record_and_records_nothing(small: Finished) -> None:
    for_people = offtake("plan", small.folder)
    assert for_people.code == 0
    assert "8 facts would be recorded" in for_people.said
    assert "agreement.signed aster" in for_people.said
    assert not (small.folder / "book").exists()
    planned = succeeded("plan", small.folder)
    assert planned["values"]["aster"]["after"]["headline"]["minor"] == 1_150_000_011
    against = succeeded("plan", small.folder, "--book", small.out)
    assert against["facts"] == []
    assert against["values"]["aster"]["before"] == against["values"]["aster"]["after"]


def test_rebuild_gives_the_same_book(small: Finished, copied: Callable[[Finished], Finished]) -> None:
    book = copied(small)
    asked = [("status",), ("invoice", "list"), ("ledger", "balance"), ("shortfall",)]
    before = [succeeded(*words, book.folder) for words in asked]
    assert succeeded("rebuild", book.folder)["head"] == small.totals["head"]
    assert f"Rebuilt from {small.totals['facts']} facts" in offtake("rebuild", book.folder).said
    assert [succeeded(*words, book.folder) for words in asked] == before


def test_a_run_in_parts_is_the_run_in_one_go(small: Finished, tmp_path: Path) -> None:
    quick = ("--no-pdf", "--no-report")
    for month in ("2026-08", "2026-11"):
        part = succeeded("run", small.folder, "--out", tmp_path, "--through", month, *quick)
        assert part["head"] != small.totals["head"]
    assert succeeded("run", small.folder, "--out", tmp_path, *quick)["head"] == small.totals["head"]
    fresh = succeeded("run", small.folder, "--out", tmp_path, "--fresh", "--through", "2026-07", *quick)
    assert fresh["facts"] < small.totals["facts"]
    assert len(list((tmp_path / "invoices").glob("*.json"))) == 5


# --- the two verbs that write ---------------------------------------------------------------------------


def test_apply_records_once(tmp_path: Path, clock: WallClock) -> None:
    folder = tmp_path / "folder"
    succeeded("init", folder)
    first = succeeded("apply", folder)
    assert first["recorded"][:3] == ["book.opened book", "fleet.declared fleet", "agreement.signed acme"]
    clock.set("2026-12-20T12:00:01Z")
    assert "already in line" in offtake("apply", folder).said
    assert succeeded("apply", folder)["recorded"] == []
    assert "nothing would change" in offtake("plan", folder).said
    other = tmp_path / "other"
    assert f"facts recorded in {other}" in offtake("apply", folder, "--book", other).said


def test_tick_decides_what_is_due_once(live: Path, clock: WallClock) -> None:
    assert [row["number"] for row in succeeded("invoice", "list", live)["documents"]] == ["INV-000001"]
    assert succeeded("tick", live)["decisions"] == []
    assert "Nothing was due" in offtake("tick", live).said
    clock.set("2027-02-01T12:00:00Z")
    assert "document.issued INV-000002" in offtake("tick", live).said


def test_record_takes_facts_once_and_the_next_tick_acts_on_them(live: Path) -> None:
    events = live / "events.toml"
    assert "outage fire begins recorded" in offtake("record", live, events).said
    assert [row["outcome"] for row in succeeded("record", live, events)["facts"]] == ["known", "known"]
    decided = [f"{row['kind']} {row['id']}" for row in succeeded("tick", live)["decisions"]]
    assert "entry.posted wire-1/received" in decided
    pool = succeeded("status", live)["pools"][0]
    assert (pool["nameplate"], pool["available"]) == (2_048, 1_248)
    ledger = {row["account"]: row["minor"] for row in succeeded("ledger", "balance", live)["accounts"]}
    assert ledger["assets.cash"] == 65_000_050
    assert ledger["assets.receivable.acme"] == 165_000_000 - 65_000_050
    report = succeeded("report", live, "--out", live / "r.html")
    assert report["agreements"][0]["outstanding"] == "999999.50"
    assert (live / "r.html").stat().st_size > 10_000


def test_record_without_facts_says_so(live: Path) -> None:
    (live / "none.toml").write_text("hypothetical = false\n", encoding="utf-8")
    assert "holds no facts" in offtake("record", live, live / "none.toml").said
    assert succeeded("record", live, live / "none.toml") == {"facts": []}


# --- traces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trace", "source", "agreements"),
    [("philly", "jobs_philly_2017", 13), ("helios", "usage_helios_earth_2020", 11)],
)
def test_a_trace_becomes_a_folder_that_plans(
    shared_data: Path, tmp_path: Path, trace: str, source: str, agreements: int
) -> None:
    folder = tmp_path / trace
    assert succeeded("import", trace, shared_data / source, folder) == {"folder": str(folder)}
    assert len(succeeded("plan", folder)["values"]) == agreements
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    twice = refused(3, "import", trace, shared_data / source, folder)
    assert {problem["code"] for problem in twice["problems"]} == {"not_empty"}
    assert {path: path.read_bytes() for path in before} == before


def test_helios_is_imported_run_and_invoiced(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "helios"
    imported = offtake("import", "helios", shared_data / "usage_helios_earth_2020", folder)
    assert imported.code == 0
    assert f"Next: offtake run {folder}" in imported.said
    totals = succeeded("run", folder, "--no-pdf", "--no-report")
    taken = sum(line["gpu_seconds"]["taken"] for line in totals["agreements"])
    assert taken == 17_762_450 * 60


# --- exit codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Usage: offtake"),
        (("nosuch",), "No such command 'nosuch'"),
        (("run",), "Missing argument"),
        (("run", "--nope", "x"), "No such option: --nope"),
        (("run", "--through"), "requires an argument"),
        (("invoice", "show", "book"), "Missing argument"),
        (("agreement", "check"), "Missing argument"),
        (("agreement",), "Usage: offtake agreement"),
        (("import", "other", "a", "b"), "No such command 'other'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_2(words: tuple[str, ...], said: str) -> None:
    answer = offtake(*words)
    assert answer.code == 2
    assert said in answer.said


@pytest.mark.parametrize(
    "words", [("--version",), ("--help",), ("run", "--help"), ("ledger", "balance", "--help")]
)
def test_asking_for_help_is_0(words: tuple[str, ...]) -> None:
    answer = offtake(*words)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        (("plan", "{nowhere}"), 3, "`offtake init` writes a folder"),
        (("run", "{nowhere}"), 3, "`offtake init` writes a folder"),
        (("apply", "{nowhere}"), 3, "`offtake init` writes a folder"),
        (("init", "{folder}"), 3, "choose a new one"),
        (("run", "{folder}", "--through", "2030-01"), 3, "2026-07 to 2026-12"),
        (("run", "{folder}", "--through", "soon"), 3, "write it like 2026-07"),
        (("agreement", "check", "{nowhere}"), 3, "No such file"),
        (("agreement", "show", "nobody", "--book", "{folder}"), 3, "agreements are aster, birch, cedar"),
        (("invoice", "show", "{folder}", "INV-9"), 3, "the last is INV-000020"),
        (("record", "{folder}", "{nowhere}"), 3, "No such file"),
        (("import", "philly", "{nowhere}", "{nowhere}-2"), 3, ""),
        (("import", "helios", "{nowhere}", "{nowhere}-2"), 3, ""),
        *(((*words, "{nowhere}"), 4, "`offtake apply` or `offtake run` makes one")
          for words in (("status",), ("report",), ("verify",), ("rebuild",), ("shortfall",), ("tick",),
                        ("invoice", "list"), ("ledger", "balance"))),
        (("record", "{nowhere}", "{folder}/scenario.toml"), 4, "makes one"),
        (("apply", "{folder}", "--book", "{folder}/out"), 6, "choose another --book"),
        (("tick", "{folder}"), 6, "made by a simulation"),
        (("record", "{folder}", "{folder}/scenario.toml"), 6, "made by a simulation"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_failure_has_its_exit_code_its_place_and_its_remedy(
    small: Finished, tmp_path: Path, words: tuple[str, ...], code: int, remedy: str
) -> None:
    named = [word.format(nowhere=tmp_path / "nowhere", folder=small.folder) for word in words]
    for_people, for_programs = offtake(*named), offtake(*named, "--json")
    assert (for_people.code, for_programs.code) == (code, code)
    assert for_people.out == ""
    assert "error" in for_programs.plain
    for text in (for_people.said, " ".join(json.dumps(for_programs.plain).split())):
        assert remedy in text
        assert any(
            word in text for word in named if word.startswith(("--", str(tmp_path), str(small.folder)))
        )
    assert list(tmp_path.iterdir()) == []
    assert succeeded("verify", small.folder)["head"] == small.totals["head"]


def test_a_live_book_isn_t_simulated_in_nor_removed(live: Path) -> None:
    head = succeeded("verify", live)["head"]
    for more in ((), ("--fresh",)):
        assert refused(6, "run", live, "--out", live / "book", *more)["error"] == "live_book"
    assert succeeded("verify", live)["head"] == head


def test_a_folder_that_changed_since_its_run_began_is_refused(
    starter: Finished, copied: Callable[[Finished], Finished]
) -> None:
    changed = copied(starter)
    path = changed.folder / "demand" / "internal.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("seed = 7", "seed = 8"), encoding="utf-8")
    answer = refused(6, "run", changed.folder)
    assert answer["error"] == "folder_changed"
    assert "--fresh" in answer["message"]
    assert succeeded("verify", changed.folder)["head"] == starter.totals["head"]
    again = succeeded("run", changed.folder, "--fresh", "--no-pdf", "--no-report")
    assert again["head"] != starter.totals["head"]


def test_refused_facts_are_6_and_say_why_and_the_others_are_kept(live: Path) -> None:
    events = live / "more.toml"
    events.write_text(
        "hypothetical = false\n[[election]]\nid = 'e'\nagreement = 'acme'\nchoice = 'terminate'\n"
        "made = 2027-01-01\n[[payment]]\nid = 'wire-2'\nagreement = 'acme'\namount = 1\n"
        "received = 2027-01-02\n",
        encoding="utf-8",
    )
    rows: list[Any] = refused(6, "record", live, events)["facts"]
    assert [row["outcome"] for row in rows] == ["refused", "recorded"]
    assert rows[0]["why"]
    assert offtake("record", live, events).code == 6
    assert succeeded("verify", live)["facts"] > 0


def test_a_fact_of_tomorrow_is_refused_whole(live: Path) -> None:
    events = live / "events.toml"
    text = events.read_text(encoding="utf-8")
    events.write_text(text.replace("received = 2027-01-02", "received = 2027-01-03"), encoding="utf-8")
    before = succeeded("verify", live)
    answer = refused(6, "record", live, events)
    assert answer["error"] == "in_the_future"
    assert "nothing of the file was recorded" in answer["message"]
    assert succeeded("verify", live) == before


# --- names that a terminal could take for its own ------------------------------------------------------


@pytest.mark.parametrize("name", ["x[old]y", "x[/b]y"])
def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    made = offtake("init", folder)
    assert made.code == 0
    assert f"Wrote {folder}" in made.said
    assert offtake("status", folder).code == 4
    assert str(folder) in offtake("status", folder).said


def test_names_in_agreements_are_printed_as_they_are(starter: Finished, tmp_path: Path) -> None:
    path = tmp_path / "acme.toml"
    shutil.copy(starter.folder / "agreements" / "acme.toml", path)
    path.write_text(path.read_text(encoding="utf-8").replace("Acme AI", "Acme [eu] AI"), encoding="utf-8")
    assert "My Compute → Acme [eu] AI" in offtake("agreement", "show", path).said


def test_only_sums_that_rest_on_an_assumption_are_starred(small: Finished) -> None:
    said = offtake("run", small.folder, "--no-pdf", "--no-report").said
    assert "≈$5.229M*" in said
    assert "≈€4.216M*" not in said


def test_a_rounded_figure_never_shows_a_thousand_of_its_unit(live: Path) -> None:
    succeeded("record", live, live / "events.toml")
    succeeded("tick", live)
    assert "≈$1.000M" in offtake("status", live).said  # 999,999.50 is left


@pytest.mark.parametrize(
    ("typed", "at", "offered"),
    [
        ("offtake inv", 1, "invoice"),
        ("offtake ledger ba", 2, "balance"),
        ("offtake run --thr", 2, "--through"),
    ],
)
def test_a_shell_is_told_how_words_go_on(
    monkeypatch: pytest.MonkeyPatch, typed: str, at: int, offered: str
) -> None:
    monkeypatch.setenv("_OFFTAKE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(at))
    answer = offtake()
    assert (answer.code, answer.out.split()) == (0, [offered])
