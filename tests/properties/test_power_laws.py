"""Laws of metered energy: nothing is lost or counted twice, whatever restarts, is silent or changes hands."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from offtake.base.time import HOUR_S, Interval
from offtake.metering.dcgm import WH_MJ, Energy, Gpu, Held, Rules, Scraped, agreement_of, meter_energy

RULES = Rules(gap_s=180, max_gpu_w=1_000)
BEGIN = 1_800_000_000 // HOUR_S * HOUR_S
HOURS = 5
AROUND_MS = (RULES.gap_s + 60) * 1000
CLAIMS = ("", "a/main", "a/more", "b/main", "own")


@dataclass(frozen=True)
class Story:
    """A GPU's counter, scrape by scrape, and who held its node."""

    counter: tuple[tuple[int, int], ...]
    held: Held

    def drawn(self) -> int:
        """Millijoules by the counter: its rises, and all of it where it began anew."""
        return sum(b - a if b >= a else b for (_, a), (_, b) in pairwise(self.counter))


@st.composite
def stories(draw: st.DrawFn) -> Story:
    at = BEGIN * 1000 + draw(st.integers(0, 900_000))
    value = draw(st.integers(0, 10**13))
    counter = [(at, value)]
    for _ in range(draw(st.integers(0, 60))):
        seconds = draw(st.one_of(st.integers(5, 180), st.integers(181, 5_000)))
        later = at + seconds * 1000 + draw(st.integers(-400, 0))
        if later > (BEGIN + (HOURS - 1) * HOUR_S) * 1000:
            break
        most = RULES.max_gpu_w * (later - at)
        restarts = draw(st.integers(0, 9)) == 0
        value = min(draw(st.integers(0, most)), value) if restarts else value + draw(st.integers(0, most))
        at = later
        counter.append((at, value))
    times = sorted(draw(st.sets(st.integers(BEGIN - 100, BEGIN + HOURS * HOUR_S), max_size=4)))
    claims = tuple(draw(st.sampled_from(CLAIMS)) for _ in times)
    return Story(tuple(counter), Held(tuple(times), claims))


def metered(fleet: list[Story], ends: list[int]) -> list[Energy]:
    """Windows one after the other, each of which sees only the scrapes around it."""
    found: list[Energy] = []
    start = BEGIN
    for end in ends:
        near = {
            Gpu(f"n{i}", "g"): Scraped(
                counter=tuple(
                    s for s in story.counter if start * 1000 - AROUND_MS <= s[0] <= end * 1000 + AROUND_MS
                )
            )
            for i, story in enumerate(fleet)
        }
        found.append(
            meter_energy(
                {gpu: own for gpu, own in near.items() if own.counter},
                Interval(start, end),
                {f"n{i}": story.held for i, story in enumerate(fleet)},
                silent=found[-1].silent if found else {},
                left_mj=found[-1].left_mj if found else {},
                rules=RULES,
            )
        )
        start = end
    return found


def by_claim(found: list[Energy]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in found:
        total.update(one.mj)
    return +total


HOURLY = [BEGIN + (i + 1) * HOUR_S for i in range(HOURS)]
FLEETS = st.lists(stories(), min_size=1, max_size=3)


@given(FLEETS)
def test_windows_add_up_to_the_counters(fleet: list[Story]) -> None:
    found = metered(fleet, HOURLY)
    assert by_claim(found).total() == sum(story.drawn() for story in fleet)


@given(FLEETS)
def test_watt_hours_and_what_is_left_add_up_to_millijoules_by_agreement(fleet: list[Story]) -> None:
    found = metered(fleet, HOURLY)
    mj: Counter[str] = Counter()
    for claim, own in by_claim(found).items():
        mj[agreement_of(claim)] += own
    wh: Counter[str] = Counter()
    for one in found:
        for row in one.rows:
            wh[row.agreement] += row.wh * WH_MJ
        assert all(0 <= left < WH_MJ for left in one.left_mj.values())
    wh.update(found[-1].left_mj)
    assert +wh == +mj


@given(FLEETS, st.sets(st.sampled_from(HOURLY[:-1])))
def test_it_does_not_matter_how_long_windows_are(fleet: list[Story], some: set[int]) -> None:
    one, other = metered(fleet, HOURLY), metered(fleet, [*sorted(some), HOURLY[-1]])
    assert by_claim(one) == by_claim(other)
    assert one[-1].silent == other[-1].silent


def holder(held: Held, at: int) -> str:
    """Who held a node at an instant, in milliseconds: the last who got it."""
    return ([""] + [claim for t, claim in zip(held.times, held.claims, strict=True) if t * 1000 <= at])[-1]


@given(stories())
def test_a_claim_has_what_was_drawn_while_it_held_the_node(story: Story) -> None:
    """Against exact shares, which are never further off than a millijoule for each cut."""
    expected: Counter[str] = Counter()
    cuts = Counter[str]()
    borders = [BEGIN + i * HOUR_S for i in range(HOURS)]
    for (start, before), (end, after) in pairwise(story.counter):
        mj = after - before if after >= before else after
        inside = [t * 1000 for t in story.held.times if start < t * 1000 < end]
        holders = {holder(story.held, at) for at in (start, *inside)}
        if end - start > RULES.gap_s * 1000 and len(holders) > 1:
            expected[""] += mj
            continue
        points = sorted(
            {start, end, *(t * 1000 for t in (*story.held.times, *borders) if start < t * 1000 < end)}
        )
        for a, b in pairwise(points):
            claim = holder(story.held, a)
            expected[claim] += Fraction(mj * (b - a), end - start)  # type: ignore[assignment]
            cuts[claim] += 1
    for claim in CLAIMS:
        assert abs(by_claim(metered([story], HOURLY))[claim] - expected[claim]) <= cuts[claim]


@given(stories())
def test_every_missing_second_is_named_once(story: Story) -> None:
    found = metered([story], HOURLY)
    missing = sum(b - a for (a, _), (b, _) in pairwise(story.counter) if b - a > RULES.gap_s * 1000)
    missing += HOURLY[-1] * 1000 - story.counter[-1][0]
    gaps = [one for energy in found for one in energy.findings if one.code == "gap"]
    assert 0 <= missing - 1000 * sum(one.seconds for one in gaps) < 1000 * (len(gaps) + 1)
