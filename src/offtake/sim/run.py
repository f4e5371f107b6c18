"""Fast-forward a folder: the clock jumps from event to event, each event is production's own workflow."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from offtake.agreements.clauses.delivery import Delivery
from offtake.allocation.solver import SegmentSolver
from offtake.base.months import month_of, months_through, plus_days
from offtake.base.outcome import Refused
from offtake.base.time import Interval, format_instant
from offtake.billing.document import Received, owed
from offtake.formats.folder import Folder
from offtake.sim.workloads import workload_of
from offtake.sim.world import Workload, read_meters
from offtake.store.fact import Fact
from offtake.workflows.apply import apply_folder, folder_facts
from offtake.workflows.book import Book, Branch
from offtake.workflows.happenings import Happening, happenings
from offtake.workflows.record import record_event, record_payment, record_readings
from offtake.workflows.settle import months_billed_early
from offtake.workflows.tick import tick
from offtake.workflows.view import agreement_ids, open_documents

SOURCE = "simulated-cluster"


@dataclass(slots=True)
class RunResult:
    """How a run went.

    Attributes:
        steps: events handled in this call.
        facts: facts recorded in this call.
        refused: outside facts of the scenario that the book refused, in plain English.
    """

    steps: int = 0
    facts: int = 0
    refused: list[str] = field(default_factory=list)


class Simulation:
    """One folder on a simulated clock, resumable at any event.

    Everything outside the book is a function of the folder and of the book's own state, so a run that was
    killed and begun again records the same facts in the same order.
    """

    def __init__(
        self, book: Book, folder: Folder, workload: Workload | None = None, *, since: int | None = None
    ) -> None:
        """Get ready to run.

        Args:
            book: written to.
            folder: what to run.
            workload: what wants to run; the folder's own when left out.
            since: where the run begins, in a book that has lived until then; at the folder's first month when
                left out.
        """
        self._book = book
        self._folder = folder
        window = folder.settings.window
        self._window = window if since is None else Interval(since, max(since, window.end))
        self._workload = workload or workload_of(folder)
        self._happenings = happenings(
            folder.scenario, folder.fleet, folder.agreements, since=self._window.start
        )
        self._solver = SegmentSolver()
        self._month_ends = set(self._all_month_ends())
        self._fixed_events = sorted(set(self._calendar()))

    def check(self) -> Refused | None:
        """Why this folder can't go on with this book, or None.

        Refusals, in order: `live_book` when the book wasn't made by a simulation, `folder_changed` when a run
        has begun and the folder isn't what it began with.
        """
        if self._book.state.head[0] == 0:
            return None
        begun = self._book.state.body("simulation", "simulation")
        if begun is None:
            return Refused(
                code="live_book",
                sentence=f"the book in {self._book.directory} is a live one; nothing may be simulated in it. "
                "Choose another --out",
            )
        if begun["folder"] == self._folder.digest:
            return None
        new = folder_facts(Branch(self._book), self._folder, self._book.state.now)
        what = ", ".join(f"{fact.kind} {fact.id}" for fact in new) or "scenario, take, workload or settings"
        return Refused(
            code="folder_changed",
            sentence=f"the run in {self._book.directory} began with another folder ({what}); "
            "begin again with --fresh, or choose another --out",
        )

    def run(self, until: int | None = None, on_step: Callable[[int], None] | None = None) -> RunResult:
        """Go on to the end of the run, or to `until`.

        Args:
            until: stop after the last event at or before this instant.
            on_step: called with the instant of each event when it is done.
        """
        result = RunResult()
        end = self._window.end if until is None else min(until, self._window.end)
        before = self._book.state.head[0]
        now: int | None = max(self._window.start, self._book.state.now)
        while now is not None and now <= end:
            self._step(now, result)
            result.steps += 1
            if on_step is not None:
                on_step(now)
            now = self._next(now)
        result.facts = self._book.state.head[0] - before
        return result

    def _step(self, now: int, result: RunResult) -> None:
        if self._book.state.head[0] == 0:
            body = {"folder": self._folder.digest, "through": str(self._folder.settings.last)}
            begun = Fact(
                kind="simulation.begun", id="simulation", effective_at=now, recorded_at=now, body=body
            )
            apply_folder(self._book, self._folder, now, first=[begun])
        for happening in self._happenings:
            if happening.at == now or (happening.at < now == self._window.start):
                self._meet(happening, now, result)
        self._meter(now)
        self._pay(now)
        tick(self._book, now, solver=self._solver)

    def _meet(self, happening: Happening, now: int, result: RunResult) -> None:
        outcome = record_event(self._book, happening.event, now)
        if isinstance(outcome, Refused):
            result.refused.append(f"{format_instant(now)} {happening.what}: {outcome.sentence}")

    def _meter(self, now: int) -> None:
        """At the end of a month of anyone's calendar, read what ran since the last reading."""
        if now not in self._month_ends:
            return
        meter = self._book.state.body("meter", SOURCE)
        since = int(meter["through"]) if meter else self._window.start
        if since < now:
            window = Interval(since, now)
            readings = read_meters(self._book, self._workload, window)
            record_readings(
                self._book,
                readings,
                batch=f"{SOURCE}/{format_instant(since)}",
                source=SOURCE,
                window=window,
                now=now,
            )

    def _pay(self, now: int) -> None:
        """Offtakers pay what is due, credit notes deducted."""
        for id_ in agreement_ids(self._book.state):
            # what is issued at this very instant is paid at the next one, also when a run is begun again here
            documents = [item for item in open_documents(self._book.state, id_) if item.issued_at < now]
            if not any(document.due_at <= now for document in documents):
                continue
            amount = owed(documents, now, documents[0].left.currency)
            if amount.minor > 0:
                payment = Received(
                    id=f"{id_}/{format_instant(now)}", agreement=id_, amount=amount, received_at=now
                )
                record_payment(self._book, payment, now)

    def _next(self, now: int) -> int | None:
        due = [document.due_at for document in open_documents(self._book.state) if document.due_at > now]
        fixed = self._fixed_events[bisect_right(self._fixed_events, now) :][:1]
        return min(due + fixed, default=None)

    def _all_month_ends(self) -> Iterator[int]:
        yield self._window.end
        for zone in {
            self._folder.settings.time_zone,
            *(a.time_zone for a in self._folder.agreements.values()),
        }:
            first, last = (month_of(instant, zone) for instant in (self._window.start, self._window.end - 1))
            ends = (month.interval(zone).end for month in months_through(first, last))
            yield from (end for end in ends if end <= self._window.end)

    def _calendar(self) -> Iterator[int]:
        """Events known from the start: month ends, scenario, fees in advance, deliveries, the end."""
        yield self._window.end
        yield from self._month_ends
        yield from (happening.at for happening in self._happenings)
        for agreement in self._folder.agreements.values():
            # a month has begun one second after it began: see settle._bill_in_advance
            yield from (agreement.month(month).start + 1 for month in months_billed_early(agreement))
            for _, clause in agreement.all_of(Delivery):
                yield agreement.midnight(plus_days(clause.due, 1))
                yield agreement.midnight(plus_days(clause.grace_ends, 1))
