"""What NVIDIA's DCGM exporter wrote into Prometheus, as samples of GPUs.

Each expression is asked twice, once for its value and once for `timestamp` of it: so a value has the
instant at which it was scraped, and one that Prometheus only repeats (for up to five minutes) is seen to
be old. Faults are rare: of GPUs that show one, every scrape is read. A target counts as down only
where every scrape since the last step failed.

A GPU that is shared (MIG) shows its counter once for each share, and in Kubernetes once for each pod that
had it: the largest counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from offtake.adapters.prometheus import Prometheus, Series
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.metering.dcgm import ECC, ENERGY, POWER, REMAP, XID, Gpu, Samples, Scraped
from offtake.metering.gpu_health import Signs

UUIDS_AT_ONCE = 200
"""How many GPUs are named in one expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How to ask.

    Units: seconds.

    Attributes:
        label: names the node.
        match: matchers that every series must meet, such as ``job="dcgm"``.
        step_s: how far apart the instants are for which values are asked.
        around_s: how far beyond a window scrapes are read.
        targets_around_s: the same for whether targets could be scraped.
    """

    label: str = "Hostname"
    match: str = ""
    step_s: int = 60
    around_s: int = 240
    targets_around_s: int = 1_200

    def selected(self, metric: str, more: str = "") -> str:
        """A metric's series."""
        return f"{metric}{{{', '.join(filter(None, (self.match, more)))}}}"

    def by_gpu(self, metric: str) -> tuple[str, str]:
        """Expressions for the value and the instant of a metric, by GPU."""
        selected = self.selected(metric)
        by = f"max by ({self.label}, UUID)"
        return f"{by} ({selected})", f"{by} (timestamp({selected}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOfGpus:
    """What was scraped around a window; nodes as metrics call them.

    Attributes:
        gpus: energy by GPU.
        signs: of GPUs that show something, and of those asked for.
        instances: targets by node.
        targets: by target, whether it could be scraped.
    """

    gpus: Mapping[Gpu, Scraped] = field(default_factory=dict)
    signs: Mapping[Gpu, Signs] = field(default_factory=dict)
    instances: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    targets: Mapping[str, Samples] = field(default_factory=dict)


def read_window(
    server: Prometheus, asked: Asked, window: Interval, *, suspects: Iterable[str], least_xid: int | None
) -> WindowOfGpus | Refused:
    """Everything that a window's metering rests on.

    Args:
        server: to ask.
        asked: how.
        window: to read.
        suspects: UUIDs of GPUs that were out of order.
        least_xid: the smallest XID that matters; None to read nothing of health.

    Refusals: those of Prometheus.
    """
    energy = _energy(server, asked, window)
    if isinstance(energy, Refused) or least_xid is None:
        return energy
    found = _suspects(server, asked, window, least_xid)
    if isinstance(found, Refused):
        return found
    signs = _signs(server, asked, window, sorted(found.union(suspects)))
    if isinstance(signs, Refused):
        return signs
    counters = {gpu: replace(own, counter=_counter(energy, gpu)) for gpu, own in signs.items()}
    return _with_targets(server, asked, window, replace(energy, signs=counters))


def _counter(energy: WindowOfGpus, gpu: Gpu) -> Samples:
    scraped = energy.gpus.get(gpu)
    return scraped.counter if scraped else ()


def _energy(server: Prometheus, asked: Asked, window: Interval) -> WindowOfGpus | Refused:
    value, stamp = asked.by_gpu(ENERGY)
    counters = _samples(server, asked, window, value, stamp, scale=1)
    if isinstance(counters, Refused):
        return counters
    without = f" unless on ({asked.label}, UUID) {value}"
    power, stamp = asked.by_gpu(POWER)
    gauges = _samples(server, asked, window, power + without, stamp + without, scale=1_000)
    if isinstance(gauges, Refused):
        return gauges
    return WindowOfGpus(
        gpus={
            gpu: Scraped(counter=counters.get(gpu, ()), power=gauges.get(gpu, ()))
            for gpu in {*counters, *gauges}
        }
    )


def _suspects(server: Prometheus, asked: Asked, window: Interval, least_xid: int) -> set[str] | Refused:
    """GPUs that showed something in a window."""
    span, end = f"{window.seconds + 2 * asked.around_s}s", window.end + asked.around_s
    found: set[str] = set()
    for metric, least in ((XID, least_xid), (ECC, 1), (REMAP, 1)):
        selected = f"max_over_time({asked.selected(metric)}[{span}])"
        answer = server.query(f"max by (UUID) ({selected}) >= {least}", end)
        if isinstance(answer, Refused):
            return answer
        found |= {series.labels["UUID"] for series in answer if "UUID" in series.labels}
    return found


def _signs(
    server: Prometheus, asked: Asked, window: Interval, uuids: Sequence[str]
) -> dict[Gpu, Signs] | Refused:
    """Every scrape of some GPUs: between two steps one fault may hide another."""
    found: dict[Gpu, dict[str, dict[int, int]]] = {}
    span, end = f"{window.seconds + 2 * asked.around_s}s", window.end + asked.around_s
    for some in (uuids[i : i + UUIDS_AT_ONCE] for i in range(0, len(uuids), UUIDS_AT_ONCE)):
        named = f'UUID=~"{"|".join(map(_literal, some))}"'
        for kind, metric in (("xid", XID), ("ecc", ECC), ("remap", REMAP)):
            answer = server.samples(f"{asked.selected(metric, named)}[{span}]", end)
            if isinstance(answer, Refused):
                return answer
            for series in answer:
                gpu = Gpu(series.labels.get(asked.label, ""), series.labels["UUID"])
                own = found.setdefault(gpu, {}).setdefault(kind, {})
                for at, value in _whole(series.points, 1):
                    own[at] = max(value, own.get(at, 0))
    return {
        gpu: Signs(**{kind: tuple(sorted(samples.items())) for kind, samples in own.items()})
        for gpu, own in found.items()
    }


def _literal(uuid: str) -> str:
    """A UUID as a regular expression in quotes: what isn't a letter, digit or dash matches anything."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "." for c in uuid)


def _with_targets(
    server: Prometheus, asked: Asked, window: Interval, found: WindowOfGpus
) -> WindowOfGpus | Refused:
    """With the targets of nodes, and whether they could be scraped."""
    span, end = f"{window.seconds + 2 * asked.around_s}s", window.end + asked.around_s
    counts = " or ".join(
        f"count by ({asked.label}, instance) (count_over_time({asked.selected(metric)}[{span}]))"
        for metric in (ENERGY, POWER)
    )
    answer = server.query(counts, end)
    if isinstance(answer, Refused):
        return answer
    instances: dict[str, tuple[str, ...]] = {}
    for series in answer:
        node = series.labels.get(asked.label, "")
        instances[node] = (*instances.get(node, ()), series.labels.get("instance", ""))
    around = replace(asked, around_s=asked.targets_around_s)
    up = asked.selected("up")
    worked = f"max by (instance) (max_over_time({up}[{asked.step_s}s]))"
    values = _paired(server, around, window, worked, f"max by (instance) (timestamp({up}))")
    if isinstance(values, Refused):
        return values
    targets = {labels.get("instance", ""): _whole(points, 1) for labels, points in values}
    return replace(found, instances=instances, targets=targets)


def _samples(
    server: Prometheus, asked: Asked, window: Interval, value: str, stamp: str, *, scale: int
) -> dict[Gpu, Samples] | Refused:
    """Samples by GPU, as whole numbers of the scaled unit."""
    found = _paired(server, asked, window, value, stamp)
    if isinstance(found, Refused):
        return found
    return {
        Gpu(labels[asked.label], labels["UUID"]): _whole(points, scale)
        for labels, points in found
        if asked.label in labels and "UUID" in labels
    }


Pairs = tuple[Mapping[str, str], tuple[tuple[float, float], ...]]


def _paired(
    server: Prometheus, asked: Asked, window: Interval, value: str, stamp: str
) -> list[Pairs] | Refused:
    """Series with instants of scrapes and values around a window, asked for at multiples of the step."""
    step = asked.step_s
    start = (window.start - asked.around_s) // step * step
    end = -(-(window.end + asked.around_s) // step) * step
    values = server.query_range(value, start, end, step)
    if isinstance(values, Refused):
        return values
    stamps = server.query_range(stamp, start, end, step)
    if isinstance(stamps, Refused):
        return stamps
    at = {tuple(sorted(series.labels.items())): dict(series.points) for series in stamps}
    return [_pair(series, at.get(tuple(sorted(series.labels.items())), {})) for series in values]


def _pair(series: Series, at: Mapping[float, float]) -> Pairs:
    return series.labels, tuple((at[step], value) for step, value in series.points if step in at)


def _whole(points: Iterable[tuple[float, float]], scale: int) -> Samples:
    """Milliseconds and whole values, each scrape once, in order."""
    return tuple(sorted({round(at * 1000): round(value * scale) for at, value in points}.items()))
