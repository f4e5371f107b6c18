"""Which GPUs were out of order, from what NVIDIA's DCGM exporter says, each with its evidence.

An outage costs credits, so it takes evidence to begin, and it ends with the first scrape that shows it
over. The rules:

- A GPU is out of order from the scrape that shows a fatal XID, an uncorrectable memory error since the
  driver was loaded, or a failed remapping of rows.
- The gauge of XIDs shows the last one, and keeps it: a harmless one that follows hides a fatal one, so
  the fatal one stands. It ends once the GPU was restarted (its energy counter began anew) and shows
  nothing of what was wrong. A gauge that was only cleared, as by a restart of the exporter, is named. A
  GPU without a counter can't show a restart: there a gauge that is back at nothing is enough.
- A node is out of order while its target can't be scraped (`up` is 0) for longer than a given time, from
  the first failed scrape to the last. Where there is no answer at all, nothing is said.
- Parts of seconds are left out.

Source: NVIDIA, "Analyzing Xid Errors with the Xid Catalog" (docs.nvidia.com/deploy/xid-errors). That the
gauge keeps its value: NVIDIA/dcgm-exporter issue 500 and NVIDIA/DCGM issue 277.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from offtake.base.time import Interval, format_instant
from offtake.metering.dcgm import Finding, Gpu, Samples

FATAL_XIDS: Mapping[int, str] = {
    46: "GPU stopped processing",
    48: "double-bit ECC error",
    62: "internal micro-controller halted",
    64: "remapping of memory failed",
    79: "GPU has fallen off the bus",
    95: "uncontained memory error",
    109: "context switch timed out",
    110: "security fault",
    119: "GSP didn't answer",
    120: "GSP error",
    136: "link training failed",
    140: "unrecovered ECC error",
    143: "GPU couldn't be initialised",
    156: "a resource was retired",
    158: "fatal timeout",
}
"""XIDs after which a GPU has to be reset, or its machine restarted, before it can be used: those whose
immediate action in NVIDIA's catalogue is RESET_GPU or RESTART_BM, and 48, whose description says so. 155
isn't among them: links that were taken down on purpose cause it, too."""

BLANK = 0x7FFFFFF0
"""DCGM's values from here on mean that there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRules:
    """What counts as out of order.

    Attributes:
        fatal_xids: after which a GPU must be restarted.
        ecc_errors: so many uncorrectable errors since the driver was loaded; 0 for never.
        needs_restart: whether a fault lasts until the GPU was restarted, or only until its gauge is cleared.
        down_after_s: how long a target must be down at least.
    """

    fatal_xids: frozenset[int] = frozenset(FATAL_XIDS)
    ecc_errors: int = 1
    needs_restart: bool = True
    down_after_s: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What was scraped of a GPU around a window.

    Attributes:
        xid: the last XID.
        ecc: uncorrectable errors since the driver was loaded.
        remap: whether remapping failed.
        counter: millijoules, which show restarts.
    """

    xid: Samples = ()
    ecc: Samples = ()
    remap: Samples = ()
    counter: Samples = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A GPU that is out of order.

    Attributes:
        since: milliseconds since the epoch.
        kinds: of signs that showed it: `xid`, `ecc`, `remap`.
        evidence: what was seen, in plain English.
        restarted: it was restarted since, and hasn't shown yet that it is well.
    """

    since: int
    kinds: tuple[str, ...]
    evidence: str
    restarted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A time out of order in a window, in milliseconds, the end exclusive; of a whole node without a GPU."""

    node: str
    uuid: str
    start: int
    end: int
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outing:
    """GPUs of a node that were out of order together.

    Units: seconds since the epoch, the end exclusive.
    """

    node: str
    start: int
    end: int
    gpus: int
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a window's scrapes say.

    Attributes:
        outings: GPUs of a node that were out of order, time after time.
        faults: GPUs that are at the end.
        down: nodes whose targets are down at the end.
        findings: what isn't as it should be.
    """

    outings: tuple[Outing, ...]
    faults: Mapping[Gpu, Fault]
    down: frozenset[str]
    findings: tuple[Finding, ...]


def check_health(
    signs: Mapping[Gpu, Signs],
    targets: Mapping[str, Samples],
    window: Interval,
    *,
    faults: Mapping[Gpu, Fault],
    sizes: Mapping[str, int],
    known: Mapping[str, Sequence[Interval]],
    rules: HealthRules,
) -> Health:
    """Which GPUs were out of order in a window.

    Args:
        signs: of GPUs that show some, and of those that were out of order.
        targets: by node, whether it could be scraped (1 or 0), for longer than `HealthRules.down_after_s` on
            both sides of the window.
        window: from where the last one ended.
        faults: as the last window left them.
        sizes: GPUs by node.
        known: by node, outages that were recorded otherwise: they aren't counted twice.
        rules: what counts as out of order.
    """
    spells: list[Spell] = []
    left: dict[Gpu, Fault] = {}
    findings: list[Finding] = []
    for gpu in sorted({*signs, *faults}):
        own, fault = follow(gpu, signs.get(gpu, Signs()), faults.get(gpu), window, rules)
        spells += own
        if fault is not None:
            left[gpu] = fault
            findings += _cleared(gpu, signs.get(gpu, Signs()), fault, window)
    down = {}
    for node, samples in sorted(targets.items()):
        for start, end in down_times(samples, rules.down_after_s):
            down[node] = end
            spells += _spell_of_target(node, start, end, window)
    return Health(
        outings=tuple(outings_of(spells, sizes, known)),
        faults=left,
        down=frozenset(node for node, end in down.items() if end > window.end * 1000),
        findings=tuple(findings),
    )


def follow(
    gpu: Gpu, signs: Signs, fault: Fault | None, window: Interval, rules: HealthRules
) -> tuple[list[Spell], Fault | None]:
    """Follow a GPU through a window: when it was out of order, and whether it is at the end.

    Args:
        gpu: which one.
        signs: what was scraped; what is older than the window only says from where the counter went on.
        fault: as the last window left it.
        window: what to look at, the end exclusive.
        rules: what counts as out of order.
    """
    spells: list[Spell] = []
    shown: dict[str, int] = {}
    first, last = window.start * 1000, window.end * 1000
    for at, news in _scrapes(signs):
        if at >= last:
            break
        restarted = news.pop("restarted", 0) > 0
        shown = news if restarted else {**shown, **news}
        if at < first:
            continue
        if fault is not None and restarted:
            fault = replace(fault, restarted=True)
        wrong = _wrong(shown, rules)
        if fault is None and wrong:
            fault = Fault(since=at, kinds=tuple(wrong), evidence="; ".join(wrong.values()))
        elif fault is not None and wrong.keys() - set(fault.kinds):
            more = "; ".join(said for kind, said in wrong.items() if kind not in fault.kinds)
            kinds = (*fault.kinds, *(kind for kind in wrong if kind not in fault.kinds))
            fault = replace(fault, kinds=kinds, evidence=f"{fault.evidence}; {more}")
        elif fault is not None and _is_over(fault, shown, wrong, signs, rules):
            spells.append(_spell(gpu, fault, max(first, fault.since), at))
            fault = None
    if fault is not None:
        spells.append(_spell(gpu, fault, max(first, fault.since), last))
    return spells, fault


def _scrapes(signs: Signs) -> Iterator[tuple[int, dict[str, int]]]:
    """What each scrape says, in order; `restarted` where the counter fell."""
    news: dict[int, dict[str, int]] = defaultdict(dict)
    for kind, samples in (("xid", signs.xid), ("ecc", signs.ecc), ("remap", signs.remap)):
        for at, value in samples:
            if value < BLANK:
                news[at][kind] = value
    for (_, before), (at, after) in pairwise(signs.counter):
        if after < before:
            news[at]["restarted"] = 1
    yield from sorted(news.items())


def _wrong(shown: Mapping[str, int], rules: HealthRules) -> dict[str, str]:
    """What is wrong, by kind of sign."""
    found = {}
    if (xid := shown.get("xid", 0)) in rules.fatal_xids:
        found["xid"] = f"XID {xid} ({FATAL_XIDS.get(xid, 'fatal by cluster.toml')})"
    if rules.ecc_errors and (errors := shown.get("ecc", 0)) >= rules.ecc_errors:
        found["ecc"] = f"{errors} uncorrectable memory errors"
    if shown.get("remap", 0):
        found["remap"] = "remapping of rows failed"
    return found


def _is_over(
    fault: Fault, shown: Mapping[str, int], wrong: Mapping[str, str], signs: Signs, rules: HealthRules
) -> bool:
    """Whether everything that showed a fault is seen well again, after a restart."""
    if wrong or any(kind not in shown for kind in fault.kinds):
        return False
    enough = fault.restarted or not rules.needs_restart or not signs.counter
    return enough and (fault.restarted or "xid" not in fault.kinds or shown["xid"] == 0)


def _cleared(gpu: Gpu, signs: Signs, fault: Fault, window: Interval) -> list[Finding]:
    past = [value for at, value in signs.xid if at < window.end * 1000]
    if fault.restarted or "xid" not in fault.kinds or not past or past[-1]:
        return []
    sentence = (
        f"{gpu.node} {gpu.uuid}: {fault.evidence} is gone from the gauge, but its counter of energy didn't "
        "begin anew: it counts as out of order until the GPU was restarted"
    )
    return [Finding(code="cleared_without_restart", node=gpu.node, sentence=sentence)]


def down_times(samples: Samples, least_s: int) -> list[tuple[int, int]]:
    """When a target was down for longer than some seconds, in milliseconds, the end exclusive.

    From the first failed scrape to the last before one that succeeds.
    """
    found, since, last = [], None, 0
    for at, value in samples:
        if not value:
            since, last = (at if since is None else since), at
        elif since is not None:
            found.append((since, last))
            since = None
    if since is not None:
        found.append((since, last))
    return [(start, end) for start, end in found if end - start > least_s * 1000]


def _spell_of_target(node: str, start: int, end: int, window: Interval) -> list[Spell]:
    a, b = max(start, window.start * 1000), min(end, window.end * 1000)
    evidence = f"{node} can't be scraped (up is 0)"
    return [Spell(node=node, uuid="", start=a, end=b, evidence=evidence)] if a < b else []


def _spell(gpu: Gpu, fault: Fault, start: int, end: int) -> Spell:
    evidence = f"{gpu.uuid}: {fault.evidence}, since {format_instant(-(-fault.since // 1000))}"
    return Spell(node=gpu.node, uuid=gpu.uuid, start=start, end=end, evidence=evidence)


def outings_of(
    spells: Iterable[Spell], sizes: Mapping[str, int], known: Mapping[str, Sequence[Interval]]
) -> list[Outing]:
    """GPUs of each node that were out of order together, without what was recorded otherwise."""
    found: list[Outing] = []
    for node, group in groupby(sorted(spells, key=lambda spell: spell.node), key=lambda spell: spell.node):
        own = [(-(-one.start // 1000), one.end // 1000, one) for one in group]
        others = known.get(node, ())
        borders = {at for start, end, _ in own for at in (start, end)}
        borders |= {at for other in others for at in (other.start, other.end)}
        for start, end in pairwise(sorted(borders)):
            there = {one.uuid: one for a, b, one in own if a <= start and end <= b}
            if not there or any(other.start <= start and end <= other.end for other in others):
                continue
            gpus = sizes[node] if "" in there else min(sizes[node], len(there))
            evidence = "; ".join(there[uuid].evidence for uuid in sorted(there))
            found.append(Outing(node=node, start=start, end=end, gpus=gpus, evidence=evidence))
    return _joined(found)


def _joined(outings: Sequence[Outing]) -> list[Outing]:
    """Outings that go on with the same evidence are one."""
    found: list[Outing] = []
    for one in outings:
        last = found[-1] if found else None
        if last and (last.node, last.end, last.gpus, last.evidence) == (
            one.node,
            one.start,
            one.gpus,
            one.evidence,
        ):
            found[-1] = replace(last, end=one.end)
        else:
            found.append(one)
    return found
