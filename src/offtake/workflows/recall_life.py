"""A plan of recalls after it was made: issued, resumed, watched, given back.

A plan is one fact, `recall.planned`; its notices and givings back are ordinary events under their agreements.
How far it is follows from these and from readings, so that nothing has to be in step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from offtake.agreements.derive import entitlement
from offtake.agreements.events.recall import GiveBack, RecallNotice, recalled
from offtake.agreements.model import after_events
from offtake.base.curve import Curve
from offtake.base.money import total
from offtake.base.months import local_date, local_midnight
from offtake.base.outcome import Refused
from offtake.base.time import Interval
from offtake.claims.drain import Drain, drain
from offtake.formats.plain import to_plain
from offtake.rating.recall_plan import Call, callable_gpus, cost_of, give_back
from offtake.store.fact import Fact
from offtake.workflows.approve import needs_two, proposals, propose
from offtake.workflows.book import Book
from offtake.workflows.recall_plan import RecallPlan, plans_of, standing, was_rejected
from offtake.workflows.record import Known, Outcome, record, record_event
from offtake.workflows.settle import taken_over_time
from offtake.workflows.view import agreement_of, operator_zone


class Step(StrEnum):
    """How far a notice of a plan is."""

    WAITS = "waits"  # its day hasn't come, or nobody served it yet
    MISSED = "missed"  # the last day to serve it went by
    PROPOSED = "proposed"  # a second person hasn't agreed yet
    REJECTED = "rejected"  # a second person said no
    RUNS = "runs"  # it counts, and hasn't taken effect
    EFFECTIVE = "effective"  # the GPUs are the operator's
    RETURNED = "returned"  # and were given back


class Stage(StrEnum):
    """How far a plan is."""

    ISSUED = "issued"  # not every notice counts yet
    DRAINING = "draining"  # notices run
    OVERRUN = "overrun"  # the day has come, and GPUs that were called are still used
    COMPLETED = "completed"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNow:
    """A call of a plan as it stands.

    Attributes:
        call: as it was planned.
        step: how far it is.
        drain: how it went by readings; None where there are none, or the notice doesn't count yet.
    """

    call: Call
    step: Step
    drain: Drain | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanNow:
    """A plan as it stands.

    Attributes:
        plan: as it was issued.
        issued_by: who issued it.
        stage: how far it is.
        calls: its calls.
        known_through: readings are complete before this instant; None where there are none.
    """

    plan: RecallPlan
    issued_by: str
    stage: Stage
    calls: tuple[CallNow, ...]
    known_through: int | None


def issue_recall(book: Book, plan: RecallPlan, now: int, who: str) -> Refused | list[tuple[Call, Outcome]]:
    """Record a plan, and every notice of it whose day has come; what is known already adds nothing.

    The plan is one transaction, each notice another: a process that dies between them goes on when it is
    called again. Where two people must agree, notices are proposed.

    Refusals: `who`, `other_plan` where the id says something else, `short` for a plan that doesn't reach what
    is wanted, `unknown_agreement`, `too_late` where a notice can't be served in time any more, those of
    `RecallNotice.check`, of what is left, and `changed` where a day or a price isn't what the plan says.
    """
    if not who.strip():
        return Refused(code="who", sentence=f"plan {plan.id} needs the name of who issues it")
    with book.writing():
        known = next((one for one in plans_of(book.state) if one.id == plan.id), None)
        if known is None:
            refused = _unsound(book, plan, now)
            if refused is not None:
                return refused
            body = {**to_plain(plan), "issued_by": who.strip()}
            record(
                book,
                Fact(kind="recall.planned", id=plan.id, effective_at=now, recorded_at=now, body=body),
            )
        elif known.calls != plan.calls:
            return Refused(code="other_plan", sentence=f"{plan.id} was issued and says something else")
    return [(call, _serve(book, plan, call, now, who)) for call in plan.calls]


def serve_due(book: Book, now: int, who: str) -> Refused | list[tuple[Call, Outcome]]:
    """Serve the notices of every plan whose last day is today; what was served adds nothing.

    Refusals: `who`.
    """
    if not who.strip():
        return Refused(code="who", sentence="serving notices needs the name of who does")
    due = [
        (plan, call)
        for plan in plans_of(book.state)
        for call in plan.calls
        if _step(book, call, now) is Step.WAITS
        and call.notice.given == local_date(now, agreement_of(book.state, call.notice.agreement).time_zone)
    ]
    return [(call, _serve(book, plan, call, now, who)) for plan, call in due]


def _unsound(book: Book, plan: RecallPlan, now: int) -> Refused | None:
    """Why a plan can't be issued as things stand."""
    if plan.need.zone != operator_zone(book.state):
        return _changed(plan.id, f"counts days in {plan.need.zone}", operator_zone(book.state))
    if plan.short > 0 or not plan.calls:
        return Refused(
            code="short",
            sentence=f"{plan.id} gives {plan.gpus:,} GPUs of {plan.need.gpus:,}; plan for what it gives",
        )
    ids = dict.fromkeys(call.notice.agreement for call in plan.calls)
    found = (
        _unsound_under(book, id_, [c for c in plan.calls if c.notice.agreement == id_], now) for id_ in ids
    )
    return next((refused for refused in found if refused is not None), None)


def _unsound_under(book: Book, id_: str, calls: list[Call], now: int) -> Refused | None:
    """Why some calls of an agreement don't count, or aren't what they were planned to be."""
    if id_ not in book.state.of("agreement"):
        return Refused(code="unknown_agreement", sentence=f"the book has no agreement {id_!r}")
    found = agreement = standing(book, id_, now)
    today = local_date(now, agreement.time_zone)
    for call in calls:
        if call.notice.given < today:
            return _too_late(call)
        outcome = call.notice.check(agreement)
        if isinstance(outcome, Refused):
            left = callable_gpus(agreement, call.notice, call.notice.gpus)
            sentence = f"{outcome.sentence}; {left:,} of the {call.notice.gpus:,} GPUs may still be called"
            return replace(outcome, sentence=sentence)
        if outcome != call.effective:
            return _changed(id_, f"takes effect on {call.effective}", str(outcome))
        agreement = after_events(agreement, [call.notice])
    cost = cost_of(found, calls)
    parts = [part for call in calls for part in (call.fee, call.compensation, call.other)]
    if {part.currency for part in parts} != {cost.currency}:
        return _changed(id_, "isn't in its currency", f"in {cost.currency}")
    if total(parts, cost.currency) != cost:
        return _changed(id_, f"costs {total(parts, cost.currency)}", str(cost))
    return None


def _changed(agreement: str, said: str, now: str) -> Refused:
    return Refused(
        code="changed",
        sentence=f"{agreement}: the plan {said}, and now it would be {now}; plan again",
    )


def _too_late(call: Call) -> Refused:
    notice = call.notice
    return Refused(
        code="too_late",
        sentence=f"{notice.agreement}: the last day to serve {notice.id} was {notice.given}; plan again",
    )


def _serve(book: Book, plan: RecallPlan, call: Call, now: int, who: str) -> Outcome:
    """Record or propose a notice, once."""
    notice = call.notice
    with book.writing():
        said = book.find(notice.KIND, notice.id)
        if said is not None:
            return Known(said)
        waiting = next((p for p in proposals(book.state) if p.event == notice), None)
        if waiting is not None:
            return Known(_proposal(notice, waiting.at))
        if was_rejected(book, notice):
            return Refused(code="rejected", sentence=f"a second person said no to {notice.id}; plan again")
        today = local_date(now, agreement_of(book.state, notice.agreement).time_zone)
        if notice.given > today:
            return Refused(
                code="not_yet",
                sentence=f"{notice.id} is served on {notice.given}: issue {plan.id} again on that day",
            )
        if notice.given < today:
            return _too_late(call)
        if needs_two(book.state, notice):
            return propose(book, notice, now, who)
        return record_event(book, notice, now)


def _proposal(notice: RecallNotice, at: int) -> Fact:
    return Fact(
        kind="event.proposed", id=f"{notice.KIND}/{notice.id}", effective_at=at, recorded_at=at, body={}
    )


def return_recall(book: Book, plan_id: str, now: int) -> Refused | list[tuple[Call, Outcome]]:
    """Give back what a plan called, from today on; what was given back already adds nothing.

    Refusals: `no_plan`, `held` before the day until which the plan doesn't lend again; for each call those of
    `GiveBack.check`, and `not_called`.
    """
    plan = next((one for one in plans_of(book.state) if one.id == plan_id), None)
    if plan is None:
        return no_plan(book, plan_id)
    if now < local_midnight(plan.need.hold_until, plan.need.zone):
        return Refused(
            code="held", sentence=f"{plan_id} doesn't lend what it called before {plan.need.hold_until}"
        )
    return [(call, _give_back(book, call, now)) for call in plan.calls]


def no_plan(book: Book, plan_id: str) -> Refused:
    """There is no such plan."""
    names = ", ".join(one.id for one in plans_of(book.state)) or "none"
    return Refused(code="no_plan", sentence=f"no plan {plan_id!r} was issued; those that were: {names}")


def _give_back(book: Book, call: Call, now: int) -> Outcome:
    notice = call.notice
    with book.writing():
        said = book.find(GiveBack.KIND, f"{notice.id}-back")
        if said is not None:
            return Known(said)
        if book.find(notice.KIND, notice.id) is None:
            return Refused(code="not_called", sentence=f"{notice.id} doesn't count, so nothing is given back")
        agreement = agreement_of(book.state, notice.agreement)
        today = local_date(now, agreement.time_zone)
        back = recalled(agreement).get(notice.tranche, Curve.zero()).value_at(agreement.midnight(today))
        # some may have been given back by hand
        gpus = min(notice.gpus, back) or notice.gpus
        return record_event(book, give_back(notice, today, gpus), now)


def plans_now(book: Book, now: int) -> list[PlanNow]:
    """Every plan that was issued, as it stands."""
    return [_now(book, plan, now) for plan in plans_of(book.state)]


def _now(book: Book, plan: RecallPlan, now: int) -> PlanNow:
    meters = [int(item.body["through"]) for item in book.state.of("meter").values()]
    known = min(meters) if meters else None
    calls = tuple(_call_now(book, call, now, known) for call in plan.calls)
    body = book.state.body("recall_plan", plan.id) or {}
    return PlanNow(
        plan=plan,
        issued_by=str(body["issued_by"]),
        stage=_stage(calls),
        calls=calls,
        known_through=known,
    )


def _stage(calls: tuple[CallNow, ...]) -> Stage:
    steps = {one.step for one in calls}
    if steps & {Step.WAITS, Step.MISSED, Step.PROPOSED, Step.REJECTED}:
        return Stage.ISSUED
    if Step.RUNS in steps:
        return Stage.DRAINING
    if steps == {Step.RETURNED}:
        return Stage.RETURNED
    if any(one.drain is not None and one.drain.still_used for one in calls if one.step is Step.EFFECTIVE):
        return Stage.OVERRUN
    return Stage.COMPLETED


def _call_now(book: Book, call: Call, now: int, known: int | None) -> CallNow:
    step = _step(book, call, now)
    counts = step in {Step.RUNS, Step.EFFECTIVE, Step.RETURNED}
    return CallNow(
        call=call,
        step=step,
        drain=_drain(book, call, min(now, known)) if counts and known is not None else None,
    )


def _step(book: Book, call: Call, now: int) -> Step:
    notice = call.notice
    agreement = agreement_of(book.state, notice.agreement)
    if f"{notice.id}-back" in book.state.of(GiveBack.KIND):
        return Step.RETURNED
    if notice.id in book.state.of(notice.KIND):
        return Step.RUNS if now < agreement.midnight(call.effective) else Step.EFFECTIVE
    if any(p.event.id == notice.id for p in proposals(book.state)):
        return Step.PROPOSED
    if was_rejected(book, notice):
        return Step.REJECTED
    return Step.WAITS if now < call.serve_before else Step.MISSED


def _drain(book: Book, call: Call, through: int) -> Drain | None:
    """How a call went, by what was metered of its tranche up to an instant."""
    notice = call.notice
    agreement = agreement_of(book.state, notice.agreement)
    start, effect = agreement.midnight(notice.counted(agreement)), agreement.midnight(call.effective)
    if through <= start:
        return None
    claim = f"{agreement.id}/{notice.tranche}"
    use = taken_over_time(book, [claim], Interval(start, max(through, effect))).get(claim, Curve.zero())
    owed = entitlement(agreement, agreement.tranche_of(notice.tranche)).value
    kept = owed - recalled(agreement).get(notice.tranche, Curve.zero())
    before = Curve.constant(kept.value_at(effect), Interval(start, effect))
    kept = kept - kept.restrict(Interval(start, effect)) + before
    return drain(use, kept, notice.gpus, Interval(start, effect), through)
