"""What if: a folder, or a live book, run twice on the same kernel, as it is and with something changed.

Each run has a book of its own in a temporary place, for a live book a copy of it; nothing is written to any
other. The changes are those a scenario can tell: outages, deliveries that come late, notices, and more or
less demand of the operator's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from offtake.agreements.derive import values
from offtake.agreements.events.notice import Notice
from offtake.agreements.terms import Side
from offtake.base.money import Money
from offtake.base.months import local_date, local_midnight
from offtake.base.outcome import Refused
from offtake.base.time import DAY_S, format_instant
from offtake.fleet.model import Fleet, Site
from offtake.formats.folder import Folder
from offtake.formats.scenario import DeliveryStep, Scenario, ScenarioDelivery, ScenarioOutage
from offtake.rating.quote import exits
from offtake.sim.run import Simulation
from offtake.workflows.apply import apply_folder, folder_facts, refusals
from offtake.workflows.book import Book, Branch
from offtake.workflows.report import Report, report_of

LOST_DAYS = 30
CAPPED_DAYS = 60
CAPPED_BY = 5
"""A cap on power takes one part of so many."""
LATE_DAYS = 91
MORE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to.

    Units: GPU-hours, whole; money in the book's currency.

    Attributes:
        available: what the fleet had.
        held: what claims held of it.
        used: what was metered.
        short: entitled and not delivered, recalls aside, by agreement.
        invoiced: by agreement, credits deducted.
        credits: by agreement, negative.
        refused: happenings that the book refused.
    """

    available: int
    held: int
    used: int
    short: Mapping[str, int]
    invoiced: Mapping[str, Money]
    credits: Mapping[str, Money]
    refused: tuple[str, ...]

    @property
    def revenue(self) -> Money:
        """Invoiced in all, in the first currency."""
        amounts = list(self.invoiced.values())
        currency = amounts[0].currency if amounts else "USD"
        return Money(sum(a.minor for a in amounts if a.currency == currency), currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A change of a folder.

    Attributes:
        name: to ask for it by.
        what: in words.
        folder: changed; None where the case doesn't apply.
        why_not: the reason then.
    """

    name: str
    what: str
    folder: Folder | None
    why_not: str = ""


def outcome_of(folder: Folder, until: int | None = None) -> Outcome:
    """Run a folder to its end, or to an instant, in a place of its own."""
    with TemporaryDirectory() as place:
        book = Book(Path(place) / "book", create=True)
        try:
            result = Simulation(book, folder).run(until)
            report = report_of(book)
        finally:
            book.close()
    return _outcome(report, result.refused)


def forward_of(
    book: Book,
    folder: Folder,
    now: int,
    *,
    changed: Folder | None = None,
    supposed: Scenario | None = None,
    until: int | None = None,
) -> Outcome | Refused:
    """What a live book comes to, from now on at the clock of a simulation, in a copy of it.

    Args:
        book: live; only read.
        folder: what was applied to it. It says what wants to run; its own scenario doesn't count.
        now: the present instant.
        changed: a folder that is applied first.
        supposed: outside facts to come; those dated earlier happen now.
        until: where it ends; at the end of the folder's last month when left out.

    Refusals: `not_applied` where `folder` isn't what the book holds, `over` where its last month has ended,
    and those of applying `changed`.
    """
    new = folder_facts(Branch(book), folder, max(now, book.state.now))
    if new:
        what = ", ".join(f"{fact.kind} {fact.id}" for fact in new)
        return Refused(
            code="not_applied",
            sentence=f"the folder says what the book doesn't know yet ({what}); apply it, or undo it and ask "
            "with a changed copy of the folder",
        )
    run = folder if changed is None else changed
    since = max(now, book.state.now)
    if since >= run.settings.window.end:
        return Refused(code="over", sentence=f"the folder's last month, {run.settings.last}, has ended")
    with TemporaryDirectory() as place:
        copy = book.copied(Path(place) / "book")
        try:
            if changed is not None:
                refused = refusals(copy.state, changed)
                if refused:
                    return refused[0]
                apply_folder(copy, changed, since)
            told = replace(run, scenario=supposed or Scenario())
            result = Simulation(copy, told, since=since).run(until)
            report = report_of(copy)
        finally:
            copy.close()
    return _outcome(report, result.refused)


def supposing(folder: Folder, supposed: Scenario) -> Folder:
    """A folder with more outside facts."""
    own = folder.scenario
    names = ("payment", "published", "outage", "delivery", "events")
    return with_scenario(folder, **{name: (*getattr(own, name), *getattr(supposed, name)) for name in names})


def _outcome(report: Report, refused: Sequence[str]) -> Outcome:
    fleet = report.fleet
    return Outcome(
        available=int(fleet.available.sum()) // 3_600,
        held=sum(int(series.sum()) for series in fleet.held.values()) // 3_600,
        used=sum(int(series.sum()) for series in fleet.taken.values()) // 3_600,
        short={
            line.agreement.id: sum(m.entitled - m.delivered - m.recalled for m in line.months) // 3_600
            for line in report.agreements
        },
        invoiced={line.agreement.id: line.invoiced for line in report.agreements},
        credits={line.agreement.id: line.credits for line in report.agreements},
        refused=tuple(refused),
    )


def cases_of(folder: Folder) -> Iterator[Case]:
    """What a fleet should be tried with: each case, or why it doesn't apply."""
    yield _lose_site(folder)
    yield _cap_power(folder)
    yield _deliver_late(folder)
    yield _double_inference(folder)
    yield _largest_leaves(folder)


def _middle(folder: Folder) -> int:
    window = folder.settings.window
    day = local_date((window.start + window.end) // 2, folder.settings.time_zone)
    return local_midnight(day.replace(day=1), folder.settings.time_zone)


def _gpus(fleet: Fleet, site: str) -> dict[str, int]:
    """Nameplate GPUs of a site, by pool."""
    return {
        pool.id: sum(block.nodes for block in pool.build_out) * pool.gpus_per_node
        for pool in fleet.pool
        if pool.site == site
    }


def _largest_site(fleet: Fleet) -> Site:
    return max(fleet.site, key=lambda one: sum(_gpus(fleet, one.id).values()))


def _with_outages(folder: Folder, name: str, lost: Mapping[str, int], days: int) -> Folder:
    """The folder with an outage of so many GPUs of each pool, from the middle of the run."""
    start = _middle(folder)
    outages = (
        ScenarioOutage(
            id=f"{name}-{pool}", pool=pool, start=format_instant(start),
            end=format_instant(start + days * DAY_S), gpus=gpus,
        )
        for pool, gpus in lost.items()
    )  # fmt: skip
    return with_scenario(folder, outage=(*folder.scenario.outage, *outages))


def _lose_site(folder: Folder) -> Case:
    site = _largest_site(folder.fleet)
    return Case(
        name="lose-site",
        what=f"{site.name} is lost for {LOST_DAYS} days from {format_instant(_middle(folder))[:10]}",
        folder=_with_outages(folder, "stress", _gpus(folder.fleet, site.id), LOST_DAYS),
    )


def _cap_power(folder: Folder) -> Case:
    site = _largest_site(folder.fleet)
    start = _middle(folder)
    day = local_date(start, site.time_zone)
    lost = {}
    for pool in folder.fleet.pool:
        there = [b for b in pool.build_out if b.in_service <= day and (b.retired is None or b.retired >= day)]
        nodes = -(-sum(block.nodes for block in there) // CAPPED_BY)
        if pool.site == site.id and nodes:
            lost[pool.id] = nodes * pool.gpus_per_node
    what = (
        f"{site.name} may draw {100 // CAPPED_BY} % less power than its pools do, for {CAPPED_DAYS} days "
        f"from {format_instant(start)[:10]}; each pool switches off as many nodes"
    )
    if not lost:
        return Case(name="power", what=what, folder=None, why_not="none of its nodes is in service by then")
    return Case(name="power", what=what, folder=_with_outages(folder, "stress-power", lost, CAPPED_DAYS))


def _deliver_late(folder: Folder) -> Case:
    first = local_date(folder.settings.window.start, folder.settings.time_zone)
    told = {(d.pool, d.build_out) for d in folder.scenario.delivery}
    late = tuple(
        ScenarioDelivery(
            id=f"stress-{pool.id}-{block.id}",
            pool=pool.id,
            build_out=block.id,
            known_on=first,
            step=(DeliveryStep(on=block.in_service + timedelta(days=LATE_DAYS), nodes=block.nodes),),
        )
        for pool in folder.fleet.pool
        for block in pool.build_out
        if block.in_service > first and (pool.id, block.id) not in told
    )
    what = f"every delivery to come is {LATE_DAYS} days late"
    if not late:
        return Case(name="late", what=what, folder=None, why_not="no block comes after the run has begun")
    return Case(
        name="late", what=what, folder=with_scenario(folder, delivery=(*folder.scenario.delivery, *late))
    )


def _double_inference(folder: Folder) -> Case:
    own = [demand for demand in folder.demands if demand.declaration.inference is not None]
    what = f"own inference needs {MORE} times as much"
    if not own:
        return Case(name="inference", what=what, folder=None, why_not="no demand is declared as inference")
    return Case(
        name="inference", what=what, folder=with_demand(folder, [d.declaration.id for d in own], MORE)
    )


def _largest_leaves(folder: Folder) -> Case:
    what = "the largest offtaker leaves on the first day it may"
    found = max(folder.agreements.values(), key=lambda one: values(one).headline.value.minor, default=None)
    if found is None:
        return Case(name="leaves", what=what, folder=None, why_not="there is no agreement")
    what = f"{found.offtaker} ({found.id}) leaves on the first day it may"
    on = max(found.starts, local_date(folder.settings.window.start, folder.settings.time_zone))
    ways = [e for e in exits(found, on) if e.side is Side.OFFTAKER and e.first_day is not None]
    if not ways or ways[0].first_day is None:
        return Case(
            name="leaves", what=what, folder=None, why_not=f"{found.id} can't be left for convenience"
        )
    notice = Notice(id="stress", agreement=found.id, by=Side.OFFTAKER, given=ways[0].first_day)
    return Case(
        name="leaves",
        what=f"{what}: notice on {notice.given}, end on {ways[0].ends}",
        folder=with_scenario(folder, events=(*folder.scenario.events, notice)),
    )


def with_scenario(folder: Folder, **changes: object) -> Folder:
    """The folder with other outside facts; a run of it isn't a run of the folder as it is."""
    scenario = replace(folder.scenario, **changes)  # type: ignore[arg-type]
    return replace(folder, scenario=scenario, digest=f"{folder.digest} changed")


def with_demand(folder: Folder, ids: Sequence[str], factor: int) -> Folder:
    """The folder with so many times the demand of some teams."""
    demands = tuple(
        replace(one, curve=one.curve * factor) if one.declaration.id in ids else one for one in folder.demands
    )
    return replace(folder, demands=demands, digest=f"{folder.digest} changed")
