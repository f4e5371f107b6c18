"""Readings in, months out, and a statement that the offtaker checks alone; each by the command line."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock

CSV = """id,subject,pool,start,end,value
r1,acme/main,h200,2027-01-05T00:00:00Z,2027-01-05T10:00:00Z,100
r2,acme/main,h200,2027-01-06T00:00:00Z,2027-01-06T10:00:00Z,50
r3,acme/none,h200,2027-01-06T00:00:00Z,2027-01-06T10:00:00Z,50
r4,acme/main,h200,2027-01-06T10:00:00Z,2027-01-06T10:00:00Z,50
"""
OWN = """id,subject,pool,start,end,value
o1,our-training,h200,2027-01-07T00:00:00Z,2027-01-07T10:00:00Z,64
"""


@pytest.fixture
def metered(tmp_path: Path, clock: WallClock) -> Path:
    """A live folder that bills use, with January's readings beside it, on 1 February."""
    folder = tmp_path / "metered"
    succeeded("init", folder)
    edited(
        folder / "agreements" / "acme.toml",
        ("[monthly_fee]", "[usage_fee]\nrate_per_gpu_h = 2\n\n[monthly_fee]"),
    )
    succeeded("apply", folder)
    (folder / "january.csv").write_text(CSV, encoding="utf-8")
    clock.set("2027-02-01T06:00:00Z")
    return folder


def take_in(folder: Path) -> Any:
    words = ("--source", "slurm", "--kind", "allocation", "--through", "slurm=2027-02-01T05:00:00Z")
    return succeeded("usage", "ingest", folder, folder / "january.csv", *words)


def test_readings_are_taken_in_once_and_billed(metered: Path, tmp_path: Path) -> None:
    (batch,) = take_in(metered)["batches"]
    assert batch["counts"]["accepted"] == 3
    assert batch["reasons"] == {"end_before_start": 1}
    assert take_in(metered)["batches"][0]["again"]
    said = offtake(
        "usage", "ingest", metered, metered / "january.csv", "--source", "slurm", "--kind", "allocation",
        "--verdicts", tmp_path / "v.csv",
    )  # fmt: skip
    assert "was taken in before" in said.said
    succeeded("tick", metered)
    (document,) = succeeded("invoice", "list", metered)["documents"]
    shown = succeeded("invoice", "show", metered, document["number"])
    assert {line["clause"]: line["amount"]["minor"] for line in shown["lines"]}["usage_fee"] == 300_000
    (left,) = succeeded("usage", "unbilled", metered)["unbilled"]
    assert (left["claim"], left["why"]) == ("acme/none", "unknown_claim")
    assert "no such agreement and tranche" in offtake("usage", "unbilled", metered).said


def test_a_draft_shows_what_would_be_billed(metered: Path) -> None:
    take_in(metered)
    draft = succeeded("invoice", "draft", metered, "acme", "2027-01")
    assert {line["clause"] for line in draft["lines"]} == {"usage_fee", "monthly_fee"}
    assert "nothing was recorded" in offtake("invoice", "draft", metered, "acme", "2027-01").said
    assert succeeded("invoice", "list", metered)["documents"] == []
    assert refused(6, "invoice", "draft", metered, "acme", "2027-03")["error"] == "not_begun"
    assert refused(3, "invoice", "draft", metered, "acme", "x")["problems"][0]["code"] == "bad_month"
    succeeded("tick", metered)
    (document,) = succeeded("invoice", "list", metered)["documents"]
    assert document["total"] == draft["total"]


def test_the_readings_behind_a_month_can_be_seen(metered: Path) -> None:
    take_in(metered)
    shown = succeeded("usage", "show", metered, "acme/main", "2027-01", "--most", "1")
    assert (shown["readings"], shown["gpu_seconds"]) == (2, 1_500 * 3_600)
    assert [row["id"] for row in shown["rows"]] == ["r1"]
    assert "2 readings, 1,500.00 GPU-hours" in offtake("usage", "show", metered, "acme/main", "2027-01").said
    assert (
        refused(3, "usage", "show", metered, "none/x", "2027-01")["problems"][0]["code"]
        == "unknown_agreement"
    )
    assert refused(3, "usage", "show", metered, "acme/main", "x")["problems"][0]["code"] == "bad_month"


RATES = """
[[published]]
series = "USD/EUR"
on = 2027-01-15
value = 0.8
"""


def test_the_operators_own_use_stands_beside_what_is_leased(metered: Path, tmp_path: Path) -> None:
    take_in(metered)
    (metered / "own.csv").write_text(OWN, encoding="utf-8")
    succeeded("usage", "ingest", metered, metered / "own.csv", "--source", "own", "--kind", "allocation",
              "--through", "own=2027-02-01T05:00:00Z")  # fmt: skip
    succeeded("tick", metered)
    shown = succeeded("statement", "take", metered, "--month", "2027-01", "--pdf", tmp_path / "take.pdf")
    lease, team = shown["holders"]
    assert (lease["id"], lease["own"], team["id"], team["own"]) == ("acme", False, "research", True)
    (own,) = team["claims"]
    assert own["used"] == 64 * 10 * 3600
    assert own["entitled"] == own["held"] + sum(own["lost"].values())
    assert Decimal(team["cost"]) == Decimal("1.80") * own["held"] / 3600
    assert lease["claims"][0]["used"] == 1500 * 3600
    (document,) = succeeded("invoice", "list", metered)["documents"]
    assert lease["cost"] == document["total"]
    assert shown["held"] == lease["claims"][0]["held"] + own["held"] <= shown["available"]
    assert (tmp_path / "take.pdf").read_bytes().startswith(b"%PDF")
    assert {row["why"] for row in succeeded("usage", "unbilled", metered)["unbilled"]} == {
        "own", "unknown_claim",
    }  # fmt: skip
    alone = succeeded("statement", "take", metered, "--month", "2027-01", "--holder", "research")
    assert ([one["id"] for one in alone["holders"]], alone["available"]) == (["research"], None)
    assert "idle" in offtake("statement", "take", metered, "--month", "2027-01").said
    nobody = refused(3, "statement", "take", metered, "--month", "2027-01", "--holder", "ghost")
    assert nobody["problems"][0]["code"] == "unknown_holder"
    assert refused(6, "statement", "take", metered, "--month", "2027-09")["error"] == "not_begun"
    assert refused(6, "statement", "take", metered, "--month", "2026-09")["error"] == "before_book"


def test_documents_are_sent_once(metered: Path, tmp_path: Path) -> None:
    take_in(metered)
    succeeded("tick", metered)
    (before,) = succeeded("invoice", "list", metered)["documents"]
    out = tmp_path / "outbox"
    assert succeeded("invoice", "send", metered, "--out", out)["sent"] == [before["number"]]
    name = f"{before['number']}-acme-2027-01"
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.json", f"{name}.pdf"]
    assert succeeded("invoice", "send", metered, "--out", out)["sent"] == []
    assert "sent before" in offtake("invoice", "send", metered, "--out", out).said
    (after,) = succeeded("invoice", "list", metered)["documents"]
    assert (before["sent"], after["sent"]) == (None, "2027-02-01")
    assert "open, sent" in offtake("invoice", "list", metered).said


def test_balances_are_translated_at_a_dated_rate(metered: Path, tmp_path: Path) -> None:
    take_in(metered)
    succeeded("tick", metered)
    assert refused(3, "ledger", "translate", metered, "EUR")["problems"][0]["code"] == "no_rate"
    rates = tmp_path / "rates.toml"
    rates.write_text(RATES, encoding="utf-8")
    succeeded("record", metered, rates)
    found = succeeded("ledger", "translate", metered, "EUR")
    owed = next(row for row in found["accounts"] if row["account"] == "assets.receivable.acme")
    assert Decimal(owed["amount"]) == Decimal(owed["own"]) * Decimal("0.8")
    assert (owed["rate"], owed["dated"], found["left"]) == ("0.8", "2027-01-15", "0.00")
    assert (
        "at rates of 2027-01-31" in offtake("ledger", "translate", metered, "EUR", "--on", "2027-01-31").said
    )
    # before it was published there is none
    early = refused(3, "ledger", "translate", metered, "EUR", "--on", "2027-01-14")
    assert early["problems"][0]["code"] == "no_rate"


def test_a_batch_that_says_something_else_is_refused(metered: Path) -> None:
    take_in(metered)
    (metered / "january.csv").write_text(CSV.replace(",100\n", ",101\n"), encoding="utf-8")
    answer = refused(
        6, "usage", "ingest", metered, metered / "january.csv", "--source", "slurm", "--kind", "allocation"
    )
    assert answer["error"] == "conflict"


def test_a_simulated_book_takes_no_readings(small: Finished, metered: Path) -> None:
    answer = refused(
        6, "usage", "ingest", small.folder, metered / "january.csv", "--source", "s", "--kind", "gauge"
    )
    assert answer["error"] == "simulated_book"


def test_a_statement_is_made_and_checked(metered: Path, tmp_path: Path) -> None:
    take_in(metered)
    succeeded("tick", metered)
    assert refused(3, "statement", "commit", metered)["problems"][0]["code"] == "no_key"
    public = succeeded("statement", "key", metered)["public"]
    assert succeeded("statement", "commit", metered)["run"]["number"] == 1
    assert "Nothing was settled" in offtake("statement", "commit", metered).said
    published = tmp_path / "runs.json"
    published.write_text(offtake("statement", "runs", metered, "--json").out, encoding="utf-8")
    assert "1 " in offtake("statement", "runs", metered).said
    statement = tmp_path / "acme.json"
    assert succeeded("statement", "bundle", metered, "acme", "--out", statement)["readings"] == 2
    # the offtaker has the file and nothing of the operator's
    words = ("verify", statement, "--key", public, "--runs", published)
    checks = succeeded(*words)["checks"]
    assert [check["name"] for check in checks if not check["holds"]] == []
    assert "holds lines: 1 months" in offtake(*words).said
    own = tmp_path / "own.csv"
    rows = ["kind,source,id,subject,pool,start,end,value"]
    rows += [f"allocation,slurm,{line}" for line in CSV.splitlines()[1:3]]
    own.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert succeeded(*words, "--own", own)["checks"][-1]["holds"]
    own.write_text("\n".join(rows).replace(",50", ",51") + "\n", encoding="utf-8")
    broken = offtake(*words, "--own", own)
    assert broken.code == 6
    assert "reading 'r2' of slurm: value 50 instead of your 51" in broken.said
    forged = json.loads(statement.read_text(encoding="utf-8"))
    forged["readings"][0]["value"] = 1
    statement.write_text(json.dumps(forged), encoding="utf-8")
    answer = offtake("verify", statement, "--json")
    assert answer.code == 6
    assert {c["name"] for c in answer.plain["checks"] if not c["holds"]} >= {"readings", "lines"}
    assert refused(6, "statement", "bundle", metered, "acme", "--out", statement, "--run", "7")["error"] == (
        "nothing_committed"
    )


def test_what_is_no_statement_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("[]", encoding="utf-8")
    assert refused(3, "verify", path)["problems"][0]["code"] == "no_statement"
    path.write_text("{", encoding="utf-8")
    assert refused(3, "verify", path)["problems"][0]["code"] == "unreadable"


def test_what_is_open_is_aged_matched_and_told(metered: Path, tmp_path: Path, clock: WallClock) -> None:
    take_in(metered)
    succeeded("tick", metered)
    (document,) = succeeded("invoice", "list", metered)["documents"]
    aged = succeeded("invoice", "ageing", metered, "--on", "2027-04-01")
    assert aged["documents"][0]["number"] == document["number"]
    assert aged["documents"][0]["step"] in ("first reminder", "second reminder")
    assert "days overdue" in offtake("invoice", "ageing", metered, "--on", "2027-04-01").said
    bank = tmp_path / "bank.csv"
    bank.write_text(
        f"date,amount,currency,text\n2027-02-01,{document['total']},USD,{document['number']}\n",
        encoding="utf-8",
    )
    (line,) = succeeded("invoice", "match", metered, bank)["lines"]
    assert (line["agreement"], line["outcome"]) == ("acme", None)
    assert "its text names the document" in offtake("invoice", "match", metered, bank, "--apply").said
    succeeded("tick", metered)
    assert succeeded("invoice", "ageing", metered)["documents"] == []
    assert "Nothing is open" in offtake("invoice", "ageing", metered).said
    assert succeeded("ledger", "close", metered, "2027-01")["closed"] == "2027-01"
    assert refused(6, "ledger", "close", metered, "2027-01")["error"] == "closed_already"
    assert refused(3, "ledger", "close", metered, "soon")["problems"][0]["code"] == "bad_month"


def test_a_simulated_book_is_neither_closed_nor_matched_nor_told(small: Finished, tmp_path: Path) -> None:
    bank = tmp_path / "bank.csv"
    bank.write_text("date,amount,currency,text\n", encoding="utf-8")
    (tmp_path / "s").write_text("a secret of some length", encoding="utf-8")
    (tmp_path / "s").chmod(0o600)
    hooks = tmp_path / "webhooks.toml"
    hooks.write_text(
        '[[endpoint]]\nname = "a"\nurl = "https://example.com"\nsecret_file = "s"\n', encoding="utf-8"
    )
    for words in (
        ("ledger", "close", small.folder, "2026-07"),
        ("invoice", "match", small.folder, bank),
        ("tell", small.folder, "--config", hooks),
        ("invoice", "send", small.folder, "--out", tmp_path / "outbox"),
    ):
        assert refused(6, *words)["error"] == "simulated_book"
    assert succeeded("invoice", "ageing", small.folder)["documents"]
