"""Recalls as plans: chosen, recorded, served notice by notice, in effect, given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from offtake.agreements.events.recall import GiveBack, RecallNotice
from offtake.agreements.model import Agreement, after_events
from offtake.base.curve import Curve
from offtake.base.months import local_date, local_midnight
from offtake.base.outcome import Refused
from offtake.base.time import HOUR_S, Interval
from offtake.rating.recalling import Callable, Chosen, callable_tranches, choose
from offtake.store.fact import Fact
from offtake.workflows.approve import needs_two, propose
from offtake.workflows.book import Book, OpenBook
from offtake.workflows.record import Known, Outcome, record_event
from offtake.workflows.state import Body, State
from offtake.workflows.view import agreement_ids, agreement_of, claims_in, operator_zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be called back.

    Attributes:
        gpus: how many, more than none.
        by: the day they are needed.
        until: the day they are given back; for good when None.
        pools: only tranches that may sit in one of these; any when empty.
    """

    gpus: int
    by: date
    until: date | None = None
    pools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """The cheapest recall, and what else there is.

    Attributes:
        chosen: which tranches.
        left: tranches with a right of recall that can't be called in time, and why.
        own: GPUs of own use at the day they are needed that could wait instead, in GPU-hours until they are
            given back, by demand; up to what is wanted.
        hours: GPU-hours of the wish, None where nothing is given back.
    """

    chosen: Chosen
    left: Mapping[str, str]
    own: Mapping[str, int]
    hours: int | None


def plan_recall(book: OpenBook, wish: Wish, now: int) -> Proposed:
    """The cheapest calls that bring what is wanted, nothing recorded.

    What other plans are still to serve counts as called.
    """
    zone = operator_zone(book.state)
    agreements = [_promised(book.state, id_) for id_ in agreement_ids(book.state)]
    found, left = callable_tranches(agreements, today=local_date(now, zone), by=wish.by)
    tranches = tuple(one for one in found if _in(one, wish.pools))
    return Proposed(
        chosen=choose(tranches, wish.gpus, wish.until),
        left=left,
        own=dict(_own(book, wish, zone)),
        hours=None if wish.until is None else wish.gpus * _days(wish) * 24,
    )


def _days(wish: Wish) -> int:
    return (wish.until - wish.by).days if wish.until is not None else 0


def _in(one: Callable, pools: Sequence[str]) -> bool:
    return not pools or bool(set(one.agreement.tranche_of(one.tranche).pools) & set(pools))


def _own(book: OpenBook, wish: Wish, zone: str) -> Iterator[tuple[str, int]]:
    """GPU-hours of own claims that could wait, from the day until they are given back."""
    if wish.until is None:
        return
    window = Interval(local_midnight(wish.by, zone), local_midnight(wish.until, zone))
    if not window.seconds:
        return
    for claim in claims_in(book.state, book.lake):
        if claim.agreement is None and (not wish.pools or set(claim.pools) & set(wish.pools)):
            there: Curve = claim.gpus.clip(0, wish.gpus)
            seconds = there.integrate(window)
            if seconds:
                yield claim.id, seconds // HOUR_S


def _promised(state: State, id_: str) -> Agreement:
    """An agreement with the notices that plans are still to serve."""
    agreement = agreement_of(state, id_)
    notices = [
        _notice(plan, call)
        for plan, item in sorted(state.of("recall_plan").items())
        for call in item.body["calls"]
        if call["agreement"] == id_ and not _served(state, plan, call)
    ]
    return after_events(agreement, notices) if notices else agreement


def _notice(plan: str, call: Body) -> RecallNotice:
    return RecallNotice(
        id=_name(plan, call),
        agreement=str(call["agreement"]),
        tranche=str(call["tranche"]),
        gpus=int(call["gpus"]),
        given=date.fromisoformat(str(call["serve"])),
    )


def _name(plan: str, call: Body) -> str:
    return f"{plan}-{call['agreement']}-{call['tranche']}"


def _served(state: State, plan: str, call: Body) -> bool:
    return state.body(RecallNotice.KIND, _name(plan, call)) is not None


def issue_recall(book: Book, name: str, wish: Wish, chosen: Chosen, now: int) -> Outcome:
    """Record a plan. The notices are served day by day; saying the same again adds nothing.

    Refusals: `conflict` where a plan of that name says something else, `nothing_to_call`, `not_enough` where
    it wouldn't bring what is wanted, and those of a notice's own check: somebody may have called meanwhile.
    """
    if not chosen.calls:
        return Refused(code="nothing_to_call", sentence=f"{name}: no tranche can be called by {wish.by}")
    if chosen.gpus < wish.gpus:
        sentence = f"{name}: {chosen.gpus:,} of {wish.gpus:,} GPUs can be called by {wish.by}"
        return Refused(code="not_enough", sentence=f"{sentence}; ask for no more than that")
    body = _body(wish, chosen)
    with book.writing():
        known = book.find("recall.planned", name)
        if known is not None:
            if dict(known.body) == body:
                return Known(known)
            return Refused(
                code="conflict", sentence=f"there is a recall plan {name!r} that says something else"
            )
        standing: dict[str, Agreement] = {}
        for call in body["calls"]:
            id_ = str(call["agreement"])
            agreement = standing.get(id_) or _promised(book.state, id_)
            notice = _notice(name, call)
            checked = notice.check(agreement)
            if isinstance(checked, Refused):
                return checked
            standing[id_] = after_events(agreement, [notice])
        fact = Fact(kind="recall.planned", id=name, effective_at=now, recorded_at=now, body=body)
        return book.append([fact])[0]


def _body(wish: Wish, chosen: Chosen) -> dict[str, Any]:
    return {
        "gpus": wish.gpus,
        "by": str(wish.by),
        "until": None if wish.until is None else str(wish.until),
        "calls": [
            {
                "agreement": call.of.agreement.id,
                "tranche": call.of.tranche,
                "gpus": call.gpus,
                "serve": str(call.of.serve),
                "effective": str(call.of.effective),
            }
            for call in chosen.calls
        ],
    }


def serve_recalls(book: Book, now: int, who: str) -> list[tuple[str, Outcome]]:
    """Serve every notice that is due and wasn't served, one after another; each is recorded by itself.

    Where the book takes two people, a notice is proposed, and counts once somebody else has approved it. A
    notice that is late is served today and takes effect later than planned.
    """
    found = []
    for plan, item in sorted(book.state.of("recall_plan").items()):
        for call in item.body["calls"]:
            if _served(book.state, plan, call):
                continue
            notice = _notice(plan, call)
            today = local_date(now, agreement_of(book.state, notice.agreement).time_zone)
            if notice.given > today:
                continue
            due = replace(notice, given=today)
            known = book.state.body("proposal", f"{RecallNotice.KIND}/{due.id}")
            if known is not None:
                continue
            outcome = (
                propose(book, due, now, who) if needs_two(book.state, due) else record_event(book, due, now)
            )
            found.append((due.id, outcome))
    return found


def return_recall(book: Book, name: str, now: int, who: str) -> list[tuple[str, Outcome]] | Refused:
    """Give back everything a plan called that is in effect.

    Refusals: `no_plan`; of each tranche those of giving back.
    """
    plan = book.state.body("recall_plan", name)
    if plan is None:
        return Refused(code="no_plan", sentence=f"the book has no recall plan {name!r}")
    found: list[tuple[str, Outcome]] = []
    for call in plan["calls"]:
        if _served(book.state, name, call):
            id_ = str(call["agreement"])
            back = GiveBack(
                id=f"{_name(name, call)}-back", agreement=id_, tranche=str(call["tranche"]),
                gpus=int(call["gpus"]), given=local_date(now, agreement_of(book.state, id_).time_zone),
            )  # fmt: skip
            if book.find(GiveBack.KIND, back.id) is None:
                outcome = (
                    propose(book, back, now, who)
                    if needs_two(book.state, back)
                    else record_event(book, back, now)
                )
                found.append((back.id, outcome))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one call of a plan stands.

    Attributes:
        plan: its name.
        claim: agreement and tranche.
        gpus: called.
        serve: the last day of the notice.
        effective: the day it takes effect, as served, or as planned.
        state: planned, due, proposed, draining, in effect, or returned.
    """

    plan: str
    claim: str
    gpus: int
    serve: date
    effective: date
    state: str


def recalls_of(book: OpenBook, now: int) -> list[Standing]:
    """Every call of every plan, by plan."""
    return [
        _standing(book.state, plan, call, now)
        for plan, item in sorted(book.state.of("recall_plan").items())
        for call in item.body["calls"]
    ]


def _standing(state: State, plan: str, call: Body, now: int) -> Standing:
    agreement = agreement_of(state, str(call["agreement"]))
    today = local_date(now, agreement.time_zone)
    serve, effective = (date.fromisoformat(str(call[name])) for name in ("serve", "effective"))
    name = _name(plan, call)
    word = "planned" if today < serve else "due"
    if state.body("proposal", f"{RecallNotice.KIND}/{name}") is not None:
        word = "proposed"
    for notice, day in agreement.events_of(RecallNotice):
        if notice.id == name:
            effective = day
            word = "draining" if today < day else "in effect"
    if state.body(GiveBack.KIND, f"{name}-back") is not None:
        word = "returned"
    return Standing(
        plan=plan, claim=f"{call['agreement']}/{call['tranche']}", gpus=int(call["gpus"]), serve=serve,
        effective=effective, state=word,
    )  # fmt: skip
