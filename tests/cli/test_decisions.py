"""Commands that answer questions of an agreement, and those by which two people decide."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.cli.calls import offtake, refused, succeeded
from tests.cli.conftest import Finished, WallClock
from tests.house.project import ROOT

ANTHROPIC = ROOT / "examples" / "colossus" / "agreements" / "anthropic.toml"
GOOGLE = ROOT / "examples" / "colossus" / "agreements" / "google.toml"


def test_ways_out_of_a_file_as_seen_on_a_day() -> None:
    found = succeeded("agreement", "exits", ANTHROPIC, "--on", "2026-06-15")
    first = found["exits"][0]
    assert (first["first_day"], first["ends"], first["clause"]) == ("2026-08-03", "2026-11-01", "termination")
    # June to October
    assert first["owed"] == "5625000000.00"
    said = offtake("agreement", "exits", ANTHROPIC, "--on", "2026-06-15").said
    assert "offtaker termination 2026-08-03 2026-11-01 $5.625B – $38.75B" in said
    assert "nobody can leave" in offtake("agreement", "exits", ANTHROPIC, "--on", "2029-05-30").said


def test_a_quote_is_made_from_words_and_refused_with_its_reason() -> None:
    words = ("agreement", "quote", ANTHROPIC, "notice", "by=offtaker", "given=2026-12-01")
    found = succeeded(*words)
    assert (found["change"], found["ends"], found["holds_through"]) == (
        "-33750000000.00",
        "2027-03-01",
        "2026-12-01",
    )
    assert "33,750,000,000.00 USD less is paid over its term" in offtake(*words).said
    early = ("agreement", "quote", ANTHROPIC, "notice", "by=offtaker", "given=2026-05-05")
    assert refused(6, *early)["error"] == "locked_in"
    for wrong, problem in (
        (("notise", "given=2026-12-01"), "unknown_event"),
        (("notice", "given"), "no_value"),
        (("notice", "by=offtaker", "giwen=2026-12-01"), "unknown_key"),
    ):
        answer = refused(3, "agreement", "quote", ANTHROPIC, *wrong)
        assert problem in {found["code"] for found in answer["problems"]}


def test_differences_of_files_and_of_texts(small: Finished) -> None:
    found = succeeded("agreement", "diff", ANTHROPIC, GOOGLE)
    paths = {term["path"]: term for term in found["versions"][0]["terms"]}
    assert paths["agreement.offtaker"] == {
        "path": "agreement.offtaker",
        "before": "Anthropic",
        "after": "Google",
    }
    said = offtake("agreement", "diff", ANTHROPIC, GOOGLE).said
    assert "Headline $45B* → $31.74B*" in said
    assert succeeded("agreement", "diff", "aster", "--book", small.folder)["versions"] == []
    assert "nothing was amended" in offtake("agreement", "diff", "aster", "--book", small.folder).said
    assert refused(3, "agreement", "diff", ANTHROPIC)["problems"][0]["code"] == "needs_two"
    assert "no term differs" in offtake("agreement", "diff", ANTHROPIC, ANTHROPIC).said


def test_figures_are_explained_from_files_and_books(small: Finished) -> None:
    assert succeeded("agreement", "explain", "firm", ANTHROPIC)["amount"] == "6250000000.00"
    said = offtake("agreement", "explain", "firm", ANTHROPIC).said
    assert "ramp.fee_share = 0.5* [assumed: S-1" in said
    month = succeeded("agreement", "explain", "2026-05/ramp", ANTHROPIC)
    assert (month["amount"], len(month["parts"])) == ("625000000.00", 1)
    number = succeeded("invoice", "list", small.folder)["documents"][0]
    whole = succeeded("agreement", "explain", number["number"], "--book", small.folder)
    assert whole["amount"] == number["total"]
    billed = succeeded("agreement", "explain", "2026-10", "aster", "--book", small.folder)
    assert Decimal(billed["amount"]) == Decimal("720000.01")
    assert any(part["what"].count("Pro-rata fee") for part in billed["parts"])
    assert refused(3, "agreement", "explain", "firm")["problems"][0]["code"] == "whose"
    unknown = refused(3, "agreement", "explain", "furm", ANTHROPIC)["problems"][0]
    assert unknown["code"] == "unknown_figure"


def test_value_by_maturity_and_offtaker_of_files_and_of_a_book(small: Finished) -> None:
    found = succeeded("agreement", "value", ANTHROPIC, GOOGLE, "--after", "2026-10")
    assert [a["remaining"] for a in found["agreements"]] == ["38750000000.00", "29440000000.00"]
    assert sum(Decimal(o["share"]) for o in found["offtakers"]) == 1
    said = offtake("agreement", "value", ANTHROPIC, GOOGLE, "--after", "2026-10").said
    assert "1–12 months" in said
    assert "RPO is firm value, as no judgement is recorded" in said
    book = succeeded("agreement", "value", "--book", small.folder, "--after", "2026-12")
    assert {a["agreement"] for a in book["agreements"]} == {"aster", "birch", "cedar"}
    aster = book["realised"]["aster"]
    assert Decimal(aster["earned"]) < Decimal(aster["scheduled"])
    assert refused(3, "agreement", "value")["problems"][0]["code"] == "nothing"
    assert refused(3, "agreement", "value", ANTHROPIC, "--after", "x")["problems"][0]["code"] == "bad_month"


def test_where_an_agreement_stands(small: Finished) -> None:
    found = succeeded("agreement", "history", ANTHROPIC, "--on", "2026-06-01")
    assert found["stage"] == "in_force"
    birch = succeeded("agreement", "history", "birch", "--book", small.folder, "--on", "2026-12-30")
    assert birch["stage"] == "terminated"
    assert [turn["step"] for turn in birch["history"]] == ["begins", "notice", "ends"]
    assert (
        "birch is terminated"
        in offtake("agreement", "history", "birch", "--book", small.folder, "--on", "2026-12-30").said
    )


RECALL = """
[recall]
tranches = ["main"]
notice_days = 7
"""

RECALLED = """
hypothetical = false

[[recall]]
id = "need"
agreement = "acme"
tranche = "main"
gpus = 64
given = 2027-01-02

[[credit]]
id = "sorry"
agreement = "acme"
month = "2027-01"
amount = 10
given = 2027-01-02
because = "a bad day"
"""


def test_what_the_operator_does_waits_for_a_second_person(live: Path, clock: WallClock) -> None:
    agreement = live / "agreements" / "acme.toml"
    agreement.write_text(agreement.read_text(encoding="utf-8") + RECALL, encoding="utf-8")
    succeeded("apply", live)
    facts = live / "recall.toml"
    facts.write_text(RECALLED, encoding="utf-8")
    nobody = refused(6, "record", live, facts)
    assert {row["code"] for row in nobody["facts"]} == {"who"}
    said = offtake("record", live, facts, "--as", "alice").said
    assert "recall need proposed; somebody else: offtake approve BOOK recall.noticed/need --as NAME" in said
    waiting = succeeded("proposed", live)["proposals"]
    assert [one["id"] for one in waiting] == ["recall.noticed/need", "credit.granted/sorry"]
    assert "effective 2027-01-09" in waiting[0]["effect"]
    assert waiting[1]["effect"] == "10.00 USD given up: a bad day"
    assert "by alice" in offtake("proposed", live).said
    assert refused(6, "approve", live, "recall.noticed/need", "--as", "alice")["error"] == "same_person"
    assert "approved" in offtake("approve", live, "recall.noticed/need", "--as", "bob").said
    assert (
        succeeded("approve", live, "credit.granted/sorry", "--as", "bob", "--reject")["outcome"] == "rejected"
    )
    assert "Nothing waits" in offtake("proposed", live).said
    # said again, the recall is known; the credit that was rejected may be proposed anew
    again = succeeded("record", live, facts, "--as", "alice")["facts"]
    assert [row["outcome"] for row in again] == ["known", "proposed"]
    (left,) = succeeded("proposed", live)["proposals"]
    assert left["id"] == "credit.granted/sorry"
