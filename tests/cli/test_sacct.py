"""Slurm's accounting: which rows are billed, from when, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.formats.sacct_file import read_sacct
from offtake.metering.tres import Combination, billing_units, gpus_of, parse_tres
from tests.cli.calls import edited, offtake, refused, succeeded
from tests.cli.conftest import WallClock

HEADER = "JobIDRaw|DBIndex|Cluster|Account|Partition|State|Submit|Start|End|AllocTRES"
T = 1_798_800_000
LISTING = f"""{HEADER}
90|1|c|physics|h200|COMPLETED|{T}|{T}|{T + 100}|billing=17,cpu=8,gres/gpu=4,mem=64G
90.batch|1|c|physics|h200|COMPLETED|{T}|{T}|{T + 100}|cpu=8,gres/gpu=4
91|2|c|physics|h200|PREEMPTED|{T}|{T + 5}|{T + 50}|billing=1,cpu=1,gres/gpu:a=2,gres/gpu:b=1
91|3|c|physics|h200|COMPLETED|{T + 50}|{T + 60}|{T + 90}|cpu=1,gres/gpu=3
92|4|c|physics|h200|RESIZING|{T}|{T + 54}|{T + 57}|gres/gpu=8
92|5|c|physics|h200|COMPLETED|{T + 57}|{T + 54}|{T + 70}|gres/gpu=4
93|6|c|physics|h200|RUNNING|{T}|{T + 54}|Unknown|gres/gpu=4
94|7|c|physics|h200|PENDING|{T}|{T + 54}|Unknown|gres/gpu=4
95|8|c|physics|h200|CANCELLED by 0|{T}|None|{T + 54}|
96|9|c|physics|h200|COMPLETED|{T}|{T}|{T + 54}|cpu=4,mem=8G
97|10|c|physics|h200|CANCELLED by 0|{T}|{T + 9}|{T + 9}|gres/gpu=4
"""


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "january.sacct"
    path.write_text(LISTING, encoding="utf-8")
    return path


def test_each_run_is_billed_once_for_what_it_held(listing: Path) -> None:
    found = read_sacct(listing, {"physics": "acme/main"}, weights="CPU=1,Mem=0.125G")
    rows = [(r["id"], r["start"] - T, r["end"] - T, r["value"]) for r in found.readings.to_pylist()]
    assert rows == [("1", 0, 100, 4), ("2", 5, 50, 3), ("3", 60, 90, 3), ("4", 54, 57, 8), ("5", 57, 70, 4)]
    assert {(r["source"], r["subject"], r["pool"]) for r in found.readings.to_pylist()} == {
        ("slurm/c", "acme/main", "h200")
    }
    assert found.left_out == {"step": 1, "running": 1, "pending": 2, "no_gpus": 1, "no_time": 1}
    assert found.units == 16 * 100 + 45 + 30
    assert found.differs == ("1",)


@given(st.permutations(LISTING.splitlines()[1:]), st.integers(0, 9))
def test_order_and_repetition_of_rows_change_no_name(rows: list[str], again: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *_, **__: "\n".join([HEADER, *rows, rows[again]]))
        found = read_sacct(Path("x"), {"physics": "acme/main"}).readings.to_pylist()
        patch.setattr(Path, "read_text", lambda *_, **__: LISTING)
        plain = read_sacct(Path("x"), {"physics": "acme/main"}).readings.to_pylist()
    assert {tuple(r.values()) for r in found} == {tuple(r.values()) for r in plain}


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("DBIndex|", "", "missing_column"),
        ("90|1|c|physics|", "90|1|c|chemistry|", "unknown_account"),
        (f"|{T + 100}|billing", "|2027-01-01T00:00:00|billing", "bad_instant"),
        ("gres/gpu=4,mem=64G", "gres/gpu=four", "bad_tres"),
        ("|cpu=4,mem=8G", "", "garbled"),
    ],
)
def test_what_can_t_be_understood_names_its_row(listing: Path, old: str, new: str, code: str) -> None:
    edited(listing, (old, new))
    answer = refused(3, "import", "sacct", listing, "--account", "physics=acme/main", "--out", listing)
    assert answer["problems"][0]["code"] == code
    assert listing.read_text(encoding="utf-8").startswith("JobIDRaw")


def test_a_listing_is_taken_in_and_again_changes_nothing(
    listing: Path, tmp_path: Path, clock: WallClock
) -> None:
    fleet, out = tmp_path / "fleet", tmp_path / "january.parquet"
    succeeded("init", fleet)
    succeeded("apply", fleet)
    clock.set("2027-01-02T12:00:00Z")
    words = ("import", "sacct", listing, "--account", "physics=acme/main", "--out", out)
    assert succeeded(*words)["readings"] == pq.read_table(out).num_rows == 5
    assert "still running" in offtake(*words, "--tres-weights", "CPU=1").said
    (batch,) = succeeded("usage", "ingest", fleet, out)["batches"]
    assert batch["counts"]["accepted"] == 5
    longer = tmp_path / "later.parquet"
    edited(
        listing,
        ("RUNNING", "COMPLETED"),
        (f"{T + 54}|Unknown|gres/gpu=4\n94", f"{T + 54}|{T + 80}|gres/gpu=4\n94"),
    )
    succeeded(*words[:-1], longer)
    (batch,) = succeeded("usage", "ingest", fleet, longer)["batches"]
    assert (batch["counts"]["accepted"], batch["counts"]["duplicate"]) == (1, 5)
    assert (
        refused(3, *words[:3], "--account", "physics", "--out", out)["problems"][0]["code"] == "bad_account"
    )


def test_units_of_resources() -> None:
    assert gpus_of(parse_tres("cpu=1,gres/gpu:h100=2,gres/gpu:a100=1")) == 3
    assert billing_units("mem=512M", "Mem=2G") == 1
    assert billing_units("cpu=4,mem=1T,gres/gpu=2", "CPU=1,Mem=0.01G,GRES/gpu=3", Combination.MAX_GRES) == 16
    for wrong, message in (("cpu", "no resource"), ("cpu=1,CPU=2", "named twice"), ("cpu=-1", "no resource")):
        with pytest.raises(ValueError, match=message):
            parse_tres(wrong)
