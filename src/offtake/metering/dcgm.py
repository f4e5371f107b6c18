"""Energy of GPUs from what NVIDIA's DCGM exporter says, for those who held their nodes.

Each GPU counts the millijoules that it drew. The rules:

- Between two scrapes it drew the difference of the counter, evenly: a share of it falls on every part of
  the time. Shares are cut from a running sum that is rounded down, so that they add up to the difference,
  wherever it is cut and by whichever window.
- A counter that fell began anew at nothing: what it shows since is counted. What was drawn between the
  last scrape and the restart is lost, and named.
- Two scrapes further apart than `Rules.gap_s` are a gap. How many seconds are missing is named. The
  counter knows what was drawn all the same: it is added, and named, once the GPU is back, if one claim
  held the node (or nobody did) throughout; otherwise it is the operator's.
- Where a GPU has no counter, its power is integrated (trapezoids), named, and nothing is assumed in a
  gap.
- More than `Rules.max_gpu_w` on average can't be: it isn't counted, and named.
- Energy is its claim's while it held the node, and the operator's otherwise. Each agreement has the
  millijoules of an hour as whole watt-hours, rounded down; the rest goes into its next hour. So its hours
  and what is left over add up to its millijoules.

Source: the default counters of NVIDIA's DCGM exporter (etc/default-counters.csv) for names and units;
NVML's nvmlDeviceGetTotalEnergyConsumption: the counter starts when the driver is loaded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from offtake.base.time import DAY_S, HOUR_S, Interval, format_instant

POWER = "DCGM_FI_DEV_POWER_USAGE"
ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
XID = "DCGM_FI_DEV_XID_ERRORS"
ECC = "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"
REMAP = "DCGM_FI_DEV_ROW_REMAP_FAILURE"

WH_MJ = 3_600_000
"""Millijoules of a watt-hour."""

FORGET_S = 7 * DAY_S
"""A GPU that was silent for so long, and whose node isn't down, was taken away."""

OPERATOR = ""
"""Who has the energy that is nobody's: the operator."""

Samples = tuple[tuple[int, int], ...]
"""Milliseconds since the epoch, rising, and whole values."""

FINDINGS = {
    "gap": "scrapes are missing: seconds of each GPU without a reading",
    "caught_up": "what GPUs drew over a gap, by their counters, is counted now",
    "changed_hands": "a node had several holders during a gap: what it drew then is the operator's",
    "restart": "a counter began anew: what was drawn between the last scrape and the restart isn't known",
    "implausible": "a counter or gauge said more than a GPU can draw: it isn't counted",
    "by_gauge": "GPUs have no energy counter: their power was integrated",
    "gone": "GPUs were silent for a week and their node isn't down: they aren't waited for any longer",
    "unseen": "nodes have no metrics at all",
    "unknown_node": "metrics name nodes that cluster.toml doesn't: they aren't read",
    "fewer_gpus": "a node shows fewer GPUs than it has",
    "more_gpus": "a node shows more GPUs than it has",
    "cleared_without_restart": "a fault is gone from the gauge, but the GPU wasn't restarted: it goes on",
    "rejected": "readings weren't accepted",
}
"""What may be said beside what was metered, by code."""


@dataclass(frozen=True, slots=True, order=True)
class Gpu:
    """A GPU where it is: the name of its node and its own UUID."""

    node: str
    uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that isn't as it should be.

    Attributes:
        code: one of `FINDINGS`.
        node: which it is about, or empty.
        seconds: that are missing, of each GPU; 0 where it isn't about that.
        sentence: in plain English.
    """

    code: str
    node: str
    sentence: str
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What counts as what.

    Attributes:
        gap_s: the longest time between two scrapes that are read as one; longer is a gap.
        max_gpu_w: the most that a GPU can draw on average between two scrapes, in watts.
    """

    gap_s: int = 180
    max_gpu_w: int = 3_000


class How(StrEnum):
    """How the energy of a stretch is known; `LOST`: it isn't."""

    COUNTER = "counter"
    GAUGE = "gauge"
    LOST = "lost"
    IMPLAUSIBLE = "implausible"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a GPU drew between two scrapes.

    Units: milliseconds since the epoch, millijoules.

    Attributes:
        start: the first scrape.
        end: the second.
        mj: drawn.
        how: it is known.
        broken: it is too long to be read as one.
        restarted: the counter began anew in it.
    """

    start: int
    end: int
    mj: int
    how: How
    broken: bool
    restarted: bool = False

    def within(self, start: int, end: int) -> int:
        """Millijoules from start to end; parts that follow each other add up to the whole."""
        return self._before(end) - self._before(start)

    def _before(self, at: int) -> int:
        at = max(self.start, min(self.end, at))
        return self.mj * (at - self.start) // (self.end - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scraped:
    """What was scraped of a GPU around a window.

    Attributes:
        counter: millijoules.
        power: milliwatts, where there is no counter.
    """

    counter: Samples = ()
    power: Samples = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A GPU that wasn't heard of at the end of a window: its last scrape, and its counter if it has one."""

    at: int
    counter: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """Who held a node: from each instant (rising, seconds) a claim, or empty for nobody.

    Before the first instant it was nobody's.
    """

    times: tuple[int, ...] = ()
    claims: tuple[str, ...] = ()

    def parts(self, start: int, end: int) -> Iterator[tuple[int, int, str]]:
        """Who held it from start to end, in milliseconds, part by part."""
        i = bisect_right(self.times, start // 1000)
        while start < end:
            until = min(end, self.times[i] * 1000) if i < len(self.times) else end
            if until > start:
                yield start, until, self.claims[i - 1] if i else OPERATOR
            start, i = until, i + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyRow:
    """Watt-hours of an agreement from start to end; its id is empty for the operator."""

    agreement: str
    start: int
    end: int
    wh: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What a window's scrapes say.

    Attributes:
        rows: watt-hours by agreement and hour, none of nothing.
        mj: millijoules by claim, by nobody's name those of nodes that nobody held: all that was counted.
        gauge_mj: of these, what was integrated from power.
        left_mj: by agreement, what goes into its next hour.
        silent: GPUs that weren't heard of at the end.
        findings: what isn't as it should be.
    """

    rows: tuple[EnergyRow, ...]
    mj: Mapping[str, int]
    gauge_mj: int
    left_mj: Mapping[str, int]
    silent: Mapping[Gpu, Silent]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Sums:
    """What a window adds up to while it is gone through."""

    mj: Counter[tuple[str, int]] = field(default_factory=Counter)
    gauge_mj: int = 0
    silent: dict[Gpu, Silent] = field(default_factory=dict)
    told: dict[tuple[str, str, int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    """By code, node, start and end: a figure for each GPU, such as millijoules."""


def stretches_of(scraped: Scraped, known: Silent | None, rules: Rules) -> list[Stretch]:
    """What a GPU drew from scrape to scrape: by its counter, or by its power where it shows no counter.

    Args:
        scraped: what was scraped.
        known: its last scrape before, where it was silent since.
        rules: what counts as what.
    """
    if scraped.power and not scraped.counter:
        return [_integrated(*pair, rules) for pair in pairwise(scraped.power)]
    first = [(known.at, known.counter)] if known is not None and known.counter is not None else []
    samples = first + [sample for sample in scraped.counter if not first or sample[0] > first[0][0]]
    return [_counted(*pair, rules) for pair in pairwise(samples)]


def _counted(one: tuple[int, int], other: tuple[int, int], rules: Rules) -> Stretch:
    (start, before), (end, after) = one, other
    restarted = after < before
    mj = after if restarted else after - before
    how = How.IMPLAUSIBLE if mj > rules.max_gpu_w * (end - start) or mj < 0 else How.COUNTER
    return Stretch(start, end, mj, how, end - start > rules.gap_s * 1000, restarted)


def _integrated(one: tuple[int, int], other: tuple[int, int], rules: Rules) -> Stretch:
    (start, before), (end, after) = one, other
    mj, most = (before + after) * (end - start) // 2_000, rules.max_gpu_w * 1000
    how = How.GAUGE if 0 <= before <= most and 0 <= after <= most else How.IMPLAUSIBLE
    broken = end - start > rules.gap_s * 1000
    return Stretch(start, end, mj, How.LOST if broken else how, broken)


def meter_energy(
    gpus: Mapping[Gpu, Scraped],
    window: Interval,
    held: Mapping[str, Held],
    *,
    silent: Mapping[Gpu, Silent],
    left_mj: Mapping[str, int],
    borders: Iterable[int] = (),
    down: frozenset[str] = frozenset(),
    rules: Rules,
) -> Energy:
    """What GPUs drew in a window, for whom.

    A window follows another. Scrapes must reach `Rules.gap_s` beyond both its ends, and be the same for both
    windows that meet at an end.

    Args:
        gpus: scrapes by GPU.
        window: from where the last one ended to an end that is long enough ago.
        held: by node, who held it, back to the last scrape of what is silent.
        silent: as the last window left it.
        left_mj: as the last window left it, by agreement.
        borders: instants at which rows are cut, besides full hours: ends of months.
        down: nodes whose targets are down, so that their GPUs are waited for.
        rules: what counts as what.
    """
    sums = _Sums()
    oldest = min([window.start, *(known.at // 1000 for known in silent.values())])
    cuts = sorted(
        {*range(oldest - oldest % HOUR_S, window.end + 1, HOUR_S), *borders, window.start, window.end}
    )
    for gpu in sorted({*gpus, *silent}):
        scraped, known = gpus.get(gpu, Scraped()), silent.get(gpu)
        stretches = stretches_of(scraped, known, rules)
        since = window.start * 1000 if known is None else known.at
        _add(sums, _Where(gpu.node, held.get(gpu.node, Held()), cuts), stretches, window, since)
        _note_missing(sums, gpu, scraped, known, stretches=stretches, window=window)
        _note_silent(sums, gpu, scraped, known, window, gap_ms=rules.gap_s * 1000, waits=gpu.node in down)
    return _summed(sums, cuts, left_mj)


@dataclass(frozen=True, slots=True)
class _Where:
    """A node, who held it, and where rows are cut."""

    node: str
    held: Held
    cuts: Sequence[int]


def _add(sums: _Sums, where: _Where, stretches: Sequence[Stretch], window: Interval, since: int) -> None:
    """A GPU's stretches: of those read as one the part in the window, of gaps those that end in it."""
    first, last = window.start * 1000, window.end * 1000
    for one in stretches:
        ends_here = first < one.end <= last
        if ends_here and one.restarted:
            sums.told["restart", where.node, one.start, one.end].append(one.mj)
        if ends_here and one.how is How.IMPLAUSIBLE:
            sums.told["implausible", where.node, one.start, one.end].append(one.mj)
        if one.how in (How.LOST, How.IMPLAUSIBLE):
            continue
        if not one.broken:
            for a, b, claim in where.held.parts(max(first, one.start), min(last, one.end)):
                _share(sums, one, a, b, claim=claim, cuts=where.cuts)
        elif ends_here:
            _catch_up(sums, where, one, max(one.start, since))


def _catch_up(sums: _Sums, where: _Where, one: Stretch, start: int) -> None:
    """What was drawn over a gap: of the claim that held the node all the time, or of the operator."""
    claims = {claim for _, _, claim in where.held.parts(start, one.end)}
    code, claim = ("caught_up", claims.pop()) if len(claims) == 1 else ("changed_hands", OPERATOR)
    sums.told[code, where.node, start, one.end].append(one.within(start, one.end))
    _share(sums, one, start, one.end, claim=claim, cuts=where.cuts)


def _share(sums: _Sums, one: Stretch, start: int, end: int, *, claim: str, cuts: Sequence[int]) -> None:
    i = bisect_right(cuts, start // 1000)
    while start < end:
        until = min(end, cuts[i] * 1000) if i < len(cuts) else end
        mj = one.within(start, until)
        sums.mj[claim, cuts[i - 1]] += mj
        sums.gauge_mj += mj if one.how is How.GAUGE else 0
        start, i = until, i + 1


def _note_missing(
    sums: _Sums,
    gpu: Gpu,
    scraped: Scraped,
    known: Silent | None,
    *,
    stretches: Sequence[Stretch],
    window: Interval,
) -> None:
    """Seconds of the window without a reading since the GPU was first heard of; and GPUs read by power."""
    first, last = window.start * 1000, window.end * 1000
    whole = [one for one in stretches if not one.broken]
    if scraped.power and not scraped.counter:
        sums.told["by_gauge", gpu.node, first, last].append(sum(one.within(first, last) for one in whole))
    heard = (
        known.at if known is not None else min((s[0] for s in scraped.counter or scraped.power), default=last)
    )
    at = max(first, heard)
    for one in whole:
        if at < one.end and one.start < last:
            if one.start > at:
                sums.told["gap", gpu.node, at, one.start].append(0)
            at = one.end
    if at < last:
        sums.told["gap", gpu.node, at, last].append(0)


def _note_silent(
    sums: _Sums,
    gpu: Gpu,
    scraped: Scraped,
    known: Silent | None,
    window: Interval,
    *,
    gap_ms: int,
    waits: bool,
) -> None:
    """Keep the last scrape of a GPU if none follows soon after the window: a later window sees the next."""
    last = window.end * 1000
    samples = scraped.counter or scraped.power
    past = [sample for sample in samples if sample[0] <= last]
    if past and (known is None or past[-1][0] > known.at):
        known = Silent(at=past[-1][0], counter=past[-1][1] if scraped.counter else None)
    if known is None or any(last < at <= known.at + gap_ms for at, _ in samples):
        return
    if last - known.at > FORGET_S * 1000 and not waits:
        sums.told["gone", gpu.node, window.start * 1000, last].append(0)
    else:
        sums.silent[gpu] = known


def _summed(sums: _Sums, cuts: Sequence[int], left_mj: Mapping[str, int]) -> Energy:
    by_claim: Counter[str] = Counter()
    by_hour: Counter[tuple[str, int]] = Counter()
    for (claim, start), mj in sums.mj.items():
        by_claim[claim] += mj
        by_hour[agreement_of(claim), start] += mj
    left, rows = dict(left_mj), []
    end_of = dict(pairwise(cuts))
    for (agreement, start), mj in sorted(by_hour.items(), key=lambda item: (item[0][1], item[0][0])):
        wh, left[agreement] = divmod(left.get(agreement, 0) + mj, WH_MJ)
        if wh:
            rows.append(EnergyRow(agreement=agreement, start=start, end=end_of[start], wh=wh))
    return Energy(
        rows=tuple(rows),
        mj=dict(sorted(by_claim.items())),
        gauge_mj=sums.gauge_mj,
        left_mj={agreement: mj for agreement, mj in sorted(left.items()) if mj},
        silent=sums.silent,
        findings=tuple(_finding(*key, figures) for key, figures in sorted(sums.told.items())),
    )


def agreement_of(claim: str) -> str:
    """The agreement of a claim such as ``acme/main``; empty for own demand and for nobody."""
    return claim.rpartition("/")[0]


def _finding(code: str, node: str, start: int, end: int, figures: Sequence[int]) -> Finding:
    gpus = f"{len(figures)} GPU{'s' if len(figures) != 1 else ''}"
    span = f"{format_instant(start // 1000)} to {format_instant(end // 1000)}"
    seconds, wh = (end - start) // 1000, sum(figures) // WH_MJ
    said = {
        "gap": f"{gpus} have no reading from {span}: {seconds} s are missing",
        "caught_up": f"{wh} Wh that {gpus} drew over the gap from {span} are counted now",
        "changed_hands": f"{wh} Wh that {gpus} drew over the gap from {span} are the operator's: the node "
        "had several holders",
        "restart": f"the counters of {gpus} began anew, {span}: what was drawn before that, since the last "
        "scrape, isn't known",
        "implausible": f"{gpus} would have drawn {wh} Wh, {span}: more than a GPU can; not counted",
        "by_gauge": f"{gpus} have no energy counter; {wh} Wh were integrated from their power, {span}",
        "gone": f"{gpus} were silent for {FORGET_S // DAY_S} days and aren't waited for any longer",
    }
    return Finding(
        code=code, node=node, sentence=f"{node}: {said[code]}", seconds=seconds if code == "gap" else 0
    )


def names_of(labels: Iterable[str], nodes: Iterable[str]) -> dict[str, str]:
    """By what metrics call a node, its name: the same, or the same before a port or a domain."""
    known = set(nodes)
    found = {}
    for label in labels:
        host = label.rpartition(":")[0] if label.rpartition(":")[2].isdigit() else label
        name = next((n for n in (label, host, host.partition(".")[0]) if n in known), None)
        if name is not None:
            found[label] = name
    return found
