"""Slurm's records as text: findings, outages, reservations and sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtake.base.errors import BadInput
from offtake.metering.sacct import COLUMNS, Accounting, Run, parse_sacct, parse_span, parts_of
from offtake.metering.slurm_records import (
    idle_gpu_seconds,
    parse_control,
    parse_events,
    parse_reservations,
    parse_runaways,
    reconcile,
)

T = 1_800_000_000


def row(index: int, *, job: str = "7", state: str = "COMPLETED", account: str = "a", **more: object) -> str:
    cells: dict[str, object] = {
        "JobIDRaw": job, "DBIndex": index, "Cluster": "c", "Account": account, "State": state, "Submit": T,
        "Start": T, "End": T + 10, "Suspended": "00:00:00", "AllocTRES": "cpu=1,gres/gpu=2",
    }  # fmt: skip
    return "|".join(str((cells | more).get(name, "")) for name in COLUMNS)


def parsed(*rows: str) -> Accounting:
    return parse_sacct("\n".join(["|".join(COLUMNS), *rows]), "listing")


def indexes(runs: tuple[Run, ...]) -> list[str]:
    return [run.index for run in runs]


def test_a_row_that_a_newer_one_overtook_is_a_finding_and_costs_nothing() -> None:
    found = parsed(
        row(1, state="RUNNING", End="Unknown"),
        row(2, Submit=T + 20, Start=T + 20, End=T + 30),
        row(3, job="8"),
        row(4, job="8", Submit=T + 9, Start=T + 9, End=T + 30),
        row(5, job="9"),
        row(6, job="9", Submit=T + 10, Start=T, End=T + 30),
    )
    assert indexes(found.runs) == ["2", "4", "5", "6"]
    assert [(finding.code, finding.index) for finding in found.findings] == [
        ("superseded", "1"),
        ("superseded", "3"),
    ]
    assert found.left_out == {"superseded": 2}
    assert found.unfinished == ()


def test_one_of_several_newer_rows_is_enough() -> None:
    found = parsed(row(1, End=T + 50), row(2, Start=T + 60, End=T + 70), row(3, Start=T + 40, End=T + 45))
    # the middle row is right by itself; the newest, which began first, shows that both older ones aren't
    assert [finding.index for finding in found.findings] == ["1", "2"]


def test_a_pending_row_with_a_start_is_a_finding() -> None:
    found = parsed(
        row(1, state="PENDING", End="Unknown"), row(2, state="PENDING", Start="Unknown", End="Unknown")
    )
    assert [finding.code for finding in found.findings] == ["pending_started"]
    assert found.left_out == {"pending": 2}
    assert "row 1" in found.findings[0].sentence


def test_a_run_without_an_end_waits_whatever_its_state() -> None:
    found = parsed(row(1, End="Unknown"), row(2, job="8", state="RUNNING", End="Unknown"))
    assert indexes(found.unfinished) == ["1", "2"]
    assert found.runs == ()


def test_steps_say_how_long_gpus_stayed_held() -> None:
    found = parsed(row(1), row(1, job="7.batch", End=T + 15), row(1, job="7.0", End="Unknown"))
    (run,) = found.runs
    assert (run.end, run.held_until) == (T + 10, T + 15)


def test_every_bad_row_is_named() -> None:
    with pytest.raises(BadInput) as caught:
        parsed(row(1, End="noon"), row(2), row(3, AllocTRES="gres/gpu=x"), row(4, Suspended="soon"))
    assert [(problem.where, problem.code) for problem in caught.value.problems] == [
        ("listing: row 2", "bad_instant"),
        ("listing: row 4", "bad_tres"),
        ("listing: row 5", "bad_span"),
    ]


@pytest.mark.parametrize(
    ("text", "seconds"), [("05:00", 300), ("01:00:01", 3601), ("2-00:00:03", 172_803), ("00:01.250", 1)]
)
def test_spans(text: str, seconds: int) -> None:
    assert parse_span(text) == seconds


def test_outages_keep_their_reason_whatever_is_in_it() -> None:
    text = (
        "Cluster|NodeName|TimeStart|TimeEnd|State|Reason|User\n"
        f"c||{T}|Unknown||Cluster Registered TRES|\n"
        f"c|n02|{T}|Unknown|DRAIN|a|b c|root(0)\n"
        f"c|n03|{T}|{T + 5}|DOWN*|Not responding|slurm(64030)\n"
    )
    drained, down = parse_events(text)
    assert (drained.node, drained.end, drained.reason, drained.who) == ("n02", None, "a|b c", "root(0)")
    assert (down.start, down.end, down.state) == (T, T + 5, "DOWN*")
    with pytest.raises(BadInput, match="no line Cluster"):
        parse_events("sacctmgr: nothing")


def test_idle_time_is_what_no_run_of_the_reservation_held() -> None:
    text = (
        "Cluster|Name|ID|TimeStart|TimeEnd|TRES|UnusedWall\n"
        f"c|lease|3|{T}|{T + 100}|cpu=128|98.437500\n"
        f"c|lease|3|{T + 100}|{T + 200}|cpu=64|100.000000\n"
    )
    parts = parse_reservations(text)
    assert parts[0].unused_s == Fraction("98.4375")
    held = parsed(
        row(1, Start=T + 50, End=T + 150, AllocTRES="gres/gpu=8", ReservationId="3"),
        row(2, job="8", Start=T, End=T + 150, AllocTRES="gres/gpu=8"),
    ).runs
    idle = idle_gpu_seconds(parts, [*held, *held], cpus_per_node=64, gpus_per_node=8)
    assert idle == 16 * 100 + 8 * 100 - 8 * 100
    with pytest.raises(BadInput, match="whole nodes"):
        idle_gpu_seconds(parts, held, cpus_per_node=48, gpus_per_node=8)


def test_sums_differ_by_what_a_resize_overlaps_and_nothing_else() -> None:
    text = (
        "-----\nCluster/Account/User Utilization\n-----\n"
        "Cluster|Account|Login|Proper Name|TRES Name|Used\n"
        "c|root|||gres/gpu|999\nc|a|||gres/gpu|168\n"
        "c|a|x|X|gres/gpu|100\nc|a|y|Y|gres/gpu|68\nc|b|z|Z|gres/gpu|5\n"
    )
    control = parse_control(text)
    assert control == {"a": 168, "b": 5}
    found = parsed(
        row(1, state="RESIZING", End=T + 4, AllocTRES="gres/gpu=16"),
        row(2, Submit=T + 4, Start=T, End=T + 7, AllocTRES="gres/gpu=8"),
        row(3, job="8", Start=T, End=T + 6, AllocTRES="gres/gpu=8", Suspended="00:00:03"),
        row(4, job="9", account="d", End="Unknown", state="RUNNING"),
    )
    runs = (*found.runs, *found.unfinished)
    a, b, d = reconcile(runs, control, start=T - 3600, end=T + 3600)
    assert (a.ours, a.theirs, a.overlap, a.suspended, a.unexplained) == (136, 168, 32, 24, 0)
    assert (b.ours, b.theirs, b.unexplained) == (0, 5, 5)
    assert (d.ours, d.unfinished, d.unexplained) == (7200, 7200, -7200)
    (a, *_) = reconcile(runs, control, start=T + 2, end=T + 5)
    assert (a.ours, a.overlap) == (16 * 2 + 8 * 1 + 8 * 3, 8 * 2)


def test_runaways_are_named() -> None:
    assert parse_runaways("Runaway Jobs: No runaway jobs found on cluster c\n") == ()
    text = (
        "NOTE: Runaway jobs are jobs that don't exist in the controller\n"
        "ID|Name|Partition|Cluster|State|TimeSubmit|TimeStart|TimeEnd\n"
        f"31|sbatch|gpu|c|RUNNING|{T}|{T}|Unknown\n\nWould you like to fix these runaway jobs?\n(N/y): \n"
    )
    assert parse_runaways(text) == ("31",)


def held(parts: Iterable[dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Spans by name: a name is taken in once, the first time that it is read."""
    found: dict[str, tuple[int, int]] = {}
    for part in parts:
        found.setdefault(part["id"], (part["start"], part["end"]))
    return found


@given(
    st.integers(0, 400),
    st.integers(1, 1_000),
    st.lists(st.integers(1, 1_500), max_size=4, unique=True).map(sorted),
    st.lists(st.integers(0, 1_600), max_size=6).map(sorted),
)
def test_any_windows_give_the_same_time_as_one_reading_at_the_end(
    start: int, length: int, borders: list[int], windows: list[int]
) -> None:
    (run,) = parsed(row(1, Submit=T, Start=T, End=T + 1)).runs
    end = start + length
    run = replace(run, start=start, end=end)
    read: list[dict[str, Any]] = []
    for through in windows:
        if start >= through:
            continue
        now = run if end <= through else replace(run, end=None)
        read += parts_of(now, "x", borders, through)
        month = max((border for border in borders if border <= through), default=0)
        known = [min(last, month) - begin for begin, last in held(read).values() if begin < month]
        assert sum(known) == max(0, min(end, month) - start), "a month has its own when it closes"
    read += parts_of(run, "x", borders, 2_000)
    spans = sorted(held(read).values())
    assert (spans[0][0], spans[-1][1]) == (start, end)
    assert all(a[1] == b[0] for a, b in pairwise(spans)), "no gap, and nothing twice"
    assert len(spans) == 1 + sum(start < border < end for border in borders)


def test_an_end_that_turns_out_to_be_earlier_isn_t_billed_twice() -> None:
    (run,) = parsed(row(1, Submit=T, Start=T, End=T + 50)).runs
    first = parts_of(replace(run, end=None), "x", [T + 100], T + 120)
    assert held([*first, *parts_of(run, "x", [T + 100], T + 200)]) == {"1": (T, T + 100)}, (
        "the first reading counts; the other is a conflict"
    )
